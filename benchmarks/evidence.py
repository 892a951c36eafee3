"""A million comparisons in the store: the leaderboard, the tab, memory; and an export of a hundred thousand pairs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import ROOT

VOTES, PAIRS, ROUNDS = 1_000_000, 100_000, 200
CONTENDERS, RATERS, PROMPTS = 12, 40, 5_000
TOGETHER = 2_000


def fill(data: Path, votes: int = VOTES, pairs: int = PAIRS) -> float:
    """Save rows through the store as the page does, many to a transaction; returns the seconds it took."""
    from backends.feedback.build import build_feedback

    store = build_feedback(data, dataset="", token=None, endpoint="http://127.0.0.1:9")
    # What is measured is reading; rows on their way to shards would only be in its way.
    store._outbox.close(0)
    started = time.monotonic()
    batch = []
    for row in _rows(votes, pairs):
        batch.append(row)
        if len(batch) == TOGETHER:
            store.save(batch)
            batch = []
    if batch:
        store.save(batch)
    store.close()
    return time.monotonic() - started


def _rows(votes: int, pairs: int) -> Iterator[object]:
    from core.chat import Message
    from core.comparison import item_of
    from core.dataset import ComparisonRow, Contender, PreferenceRow, Provenance

    rng = random.Random(0)
    makers = [
        Contender(f"org/model-{n % 6}", f"{n % 6:040x}", None, json.dumps({"temperature": n // 6, "seed": n}))
        for n in range(CONTENDERS)
    ]
    text = "An answer of ordinary length, with **bold** words.\n- one\n- two\n" * 6
    prompts = [(Message("user", f"Prompt number {n}, which asks for something ordinary."),) for n in range(PROMPTS)]
    items: dict[tuple[int, int, int], str] = {}
    for number in range(votes + pairs):
        one, other = rng.sample(range(CONTENDERS), 2)
        asked = rng.randrange(PROMPTS)
        key = (asked, min(one, other), max(one, other))
        item = items.setdefault(key, "") or item_of(prompts[asked], (makers[one], makers[other]))
        items[key] = item
        about = Provenance(
            id=f"{number:032x}", created_at=f"2026-{1 + number % 12:02}-01T00:00:00.000000+00:00", source="battle",
            app_version="0", rater=f"r-{rng.randrange(RATERS)}", item=item, blind=True, leaked=False, decision_seconds=5.0,
        )  # fmt: skip
        left, right = (Message("assistant", text[: rng.randrange(50, len(text))]),), (Message("assistant", text),)
        if number >= votes:
            yield PreferenceRow(about, prompts[asked], left, right, makers[one], makers[other])
            continue
        better = rng.random() < 1 / (1 + 10 ** ((other - one) / 8))
        outcome = "tie" if rng.random() < 0.1 else ("left" if better else "right")
        yield ComparisonRow(about, "chat", prompts[asked], left, right, outcome, makers[one], makers[other])


_MEASURE = """
import json, resource, sys, tempfile, time
from pathlib import Path
from backends.evidence.service import EvidenceOf
from backends.feedback.build import build_feedback
from core.evidence import Merge, VoteFilter
from core.export import ExportOrder
data, what = Path(sys.argv[1]), sys.argv[2]
store = build_feedback(data, dataset="", token=None, endpoint="http://127.0.0.1:9")
store._outbox.close(0)
evidence = EvidenceOf(store, lambda: ("x", None))
out = {}
def timed(name, work):
    started = time.monotonic(); found = work(); out[name] = time.monotonic() - started; return found
if what == "votes":
    timed("tab", lambda: (store.status(), store.newest(20), evidence.choices("chat")))
    board = timed("board", lambda: evidence.leaderboard(VoteFilter(), Merge()))
    assert board.rounds == 200 and len(board.standings) == 12
    timed("filtered", lambda: evidence.leaderboard(VoteFilter(prompt="number 7", blind_only=True), Merge(settings=True)))
    timed("agreement", lambda: evidence.agreement(VoteFilter()))
    out["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    timed("style", lambda: evidence.leaderboard(VoteFilter(), Merge(), style=True))
    out["memory with style"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
else:
    import datasets
    from backends.evidence.export import _features
    _features("dpo")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        *_, last = timed("export", lambda: list(evidence.export(ExportOrder("dpo", "parquet"), Path(folder))))
        out["rows"] = last.rows
    out["grown"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
store.close()
print(json.dumps(out))
"""


def measured(data: Path, what: str) -> dict[str, float]:
    """Seconds and megabytes of a process of its own, its imports included in what it is charged for."""
    command = [sys.executable, "-c", _MEASURE, str(data), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        seconds = fill(data)
        votes, pairs = measured(data, "votes"), measured(data, "export")
    many = f"{VOTES:,} comparisons"
    return [
        (f"{many}: what the Feedback tab reads", f"{votes['tab']:.2f} s", "under 1 s"),
        (f"{many}: leaderboard, {ROUNDS} bootstrap rounds", f"{votes['board']:.1f} s", "under 5 s"),
        (f"{many}: the same, filtered and merged", f"{votes['filtered']:.1f} s", ""),
        (f"{many}: agreement", f"{votes['agreement']:.1f} s", ""),
        (f"{many}: resident memory, most", f"{votes['memory']:.0f} MB", "under 1 GB"),
        (
            f"{many}: leaderboard with style control",
            f"{votes['style']:.0f} s, {votes['memory with style']:.0f} MB",
            "under 60 s",
        ),
        (f"Saving {VOTES + PAIRS:,} rows, 2,000 to a transaction", f"{seconds:.0f} s", ""),
        (
            f"Export of {pairs['rows']:,.0f} pairs to parquet",
            f"{pairs['export']:.1f} s, {pairs['grown']:.0f} MB more than before",
            "under 20 s, memory flat",
        ),
    ]


if __name__ == "__main__":
    for name, value, against in run():
        print(f"| {name} | {value} | {against} |", flush=True)
