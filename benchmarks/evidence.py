"""A million comparisons in the store: the leaderboard, the tab, memory; and an export of a hundred thousand pairs."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from math import log
from pathlib import Path

from benchmarks.processes import ROOT

VOTES, PAIRS, ROUNDS = 1_000_000, 100_000, 200
CONTENDERS, RATERS, PROMPTS = 12, 40, 5_000
TOGETHER = 10_000
# Where rows went is a Hub that does not answer, so that nothing is sent while it is measured.
ENDPOINT, DATASET = "http://127.0.0.1:9", "bench/votes"
TEXT = "An answer of ordinary length, with **bold** words.\n- one\n- two\n" * 6
_HOLES = ("%id", "%at", "%left", "%maker-left", "%maker-right", "%prompt", "%rater", "%item", "%outcome")


def fill(data: Path, votes: int = VOTES, pairs: int = PAIRS) -> float:
    """Put rows into a store's database as the store itself would have, without a check of each; returns the seconds.

    A million votes through the store take half an hour on two cores, and what is measured here is reading. The first
    rows are counted again by the store's own code, and have to come out the same.
    """
    from backends.feedback.build import DATABASE, build_feedback

    build_feedback(data, dataset=DATASET, token="none", endpoint=ENDPOINT).close()
    started = time.monotonic()
    db = sqlite3.connect(data / DATABASE, isolation_level=None)
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    later = db.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql NOT NULL"
    ).fetchall()
    db.execute("BEGIN")
    for kind, name, _ in later:
        db.execute(f"DROP {kind} {name}")
    _insert(db, votes, pairs)
    for _, _, statement in later:
        db.execute(statement)
    db.execute("COMMIT")
    _check(db)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    return time.monotonic() - started


def _insert(db: sqlite3.Connection, votes: int, pairs: int) -> None:
    from backends.feedback.batches import MOST_ROWS
    from core.evidence import OUTCOMES, style_of

    rng = random.Random(0)
    makers = [
        (f"org/model-{n % 6}", f"{n % 6:040x}", json.dumps({"temperature": n // 6, "seed": n}))
        for n in range(CONTENDERS)
    ]  # fmt: skip
    escaped = [json.dumps(TEXT[:length])[1:-1] for length in range(len(TEXT) + 1)]
    styles = [style_of(TEXT[:length]) for length in range(len(TEXT) + 1)]
    prompts = [f"Prompt number {n}, which asks for something ordinary." for n in range(PROMPTS)]
    written = [(_template(True, maker, other), _template(False, maker, other)) for maker in makers for other in makers]
    destination = db.execute("SELECT id FROM destinations").fetchone()[0]
    waits, speeds = [round(100 * log(0.2 + n / 100)) for n in range(50)], [round(100 * log(10 + n)) for n in range(50)]
    items: dict[tuple[int, int, int], int] = {}
    lists: dict[str, list[tuple[object, ...]]] = {"rows": [], "events": [], "placements": [], "verdicts": []}
    marks = {"rows": 7, "events": 4, "placements": 4, "verdicts": 29}
    moments = [f"2026-{1 + n:02}-01T00:00:00.000000+00:00" for n in range(12)]
    seconds = [datetime.fromisoformat(moment).timestamp() for moment in moments]

    def flush() -> None:
        names = {"rows": "rows (seq, id, config, columns, created_at, saved_at, picture_bytes)",
                 "events": "events (seq, row, kind, at)"}  # fmt: skip
        for table, values in lists.items():
            db.executemany(f"INSERT INTO {names.get(table, table)} VALUES ({', '.join('?' * marks[table])})", values)
            values.clear()

    for number in range(1, votes + pairs + 1):
        one, other = rng.sample(range(CONTENDERS), 2)
        asked, rater, length, month = (
            rng.randrange(PROMPTS),
            rng.randrange(RATERS),
            rng.randrange(50, len(TEXT)),
            number % 12,
        )
        item = items.setdefault((asked, min(one, other), max(one, other)), len(items) + 1)
        better = rng.random() < 1 / (1 + 10 ** ((other - one) / 8))
        outcome = "tie" if rng.random() < 0.1 else ("left" if better else "right")
        compared = number <= votes
        fillings = (
            f"{number:032x}", moments[month], escaped[length], str(one), str(other), prompts[asked], f"r-{rater}",
            f"item-{item}", outcome,
        )  # fmt: skip
        text = written[one * CONTENDERS + other][0 if compared else 1] % dict(zip(_NAMES, fillings, strict=True))
        config = "comparisons" if compared else "preferences"
        lists["rows"].append((number, fillings[0], config, text, moments[month], 0.0, 0))
        lists["events"].append((number, number, "saved", moments[month]))
        lists["placements"].append((destination, number, "pushed", f"batch-{(number - 1) // MOST_ROWS}"))
        if compared:
            lists["verdicts"].append((
                number, "chat", 0, 1, one + 1, other + 1, OUTCOMES.index(outcome), asked + 1, item, rater + 1, None,
                seconds[month], 5.0, *styles[length], *styles[-1], None, waits[one], speeds[one], None, waits[other],
                speeds[other], None, None,
            ))  # fmt: skip
        if number % TOGETHER == 0:
            flush()
    flush()
    _insert_names(db, makers, prompts, items, votes)
    batches = -(-(votes + pairs) // MOST_ROWS)
    db.executemany(
        "INSERT INTO batches (id, destination, config, path, state) VALUES (?, ?, 'comparisons', ?, 'pushed')",
        [(f"batch-{n}", destination, f"data/comparisons/batch-{n}.parquet") for n in range(batches)],
    )
    db.execute("INSERT INTO tallies VALUES (?, 'pushed', ?)", (destination, votes + pairs))


_NAMES = tuple(hole.strip("%").replace("-", "_") for hole in _HOLES)


def _template(compared: bool, left: tuple[str, str, str], right: tuple[str, str, str]) -> str:
    """The text of a row as the store writes it, with a place for everything that differs from row to row."""
    from backends.feedback.encoding import encode
    from core.chat import Message
    from core.dataset import ComparisonRow, Contender, PreferenceRow, Provenance

    about = Provenance(
        id="%id", created_at="2026-01-01T00:00:00+00:00", source="battle", app_version="0", rater="%rater", item="%item",
        blind=True, leaked=False, decision_seconds=5.0,
    )  # fmt: skip
    one, other = (
        Contender(model, revision, None, settings, f"%maker-{side}")
        for side, (model, revision, settings) in (("left", left), ("right", right))
    )
    asked = (Message("user", "%prompt"),)
    sides = (Message("assistant", "%left"),), (Message("assistant", TEXT),)
    row = (
        ComparisonRow(about, "chat", asked, *sides, "%outcome", one, other)
        if compared
        else PreferenceRow(about, asked, *sides, one, other)
    )
    text = encode(row)[0].replace("2026-01-01T00:00:00+00:00", "%at")
    for hole in sorted(_HOLES, key=len, reverse=True):
        text = text.replace(hole, f"%({hole.strip('%').replace('-', '_')})s")
    return text


def _insert_names(
    db: sqlite3.Connection,
    makers: list[tuple[str, str, str]],
    prompts: list[str],
    items: dict[tuple[int, int, int], int],
    votes: int,
) -> None:
    from backends.feedback.verdicts import _maker, asked_as

    for model, revision, settings in makers:
        _maker(db, {"left_model": model, "left_revision": revision, "left_settings": settings}, "left")
    uses = dict(db.execute("SELECT asked, count(*) FROM verdicts GROUP BY 1"))
    told = [asked_as(prompt) for prompt in prompts]
    db.executemany(
        "INSERT INTO asked VALUES (?, ?, ?, ?, ?)",
        [(n, key, text, uses[n], topics) for n, (key, text, topics) in enumerate(told, 1) if n in uses],
    )
    db.executemany("INSERT INTO items VALUES (?, ?)", [(n, f"item-{n}") for n in items.values()])
    db.execute(
        "INSERT INTO people SELECT rater, 'r-' || (rater - 1), 'r-' || (rater - 1), 0, count(*), 0 FROM verdicts GROUP BY 1"
    )
    for side in ("left", "right"):
        for name in ("first_token_s", "tokens_per_s"):
            db.execute(
                f"""INSERT INTO speeds SELECT {side}_maker, '{name}', {side}_{name}, count(*) FROM verdicts WHERE true
                GROUP BY 1, 3 ON CONFLICT DO UPDATE SET times = times + excluded.times"""
            )
    db.execute("UPDATE verdict_state SET upto = ?, changes = ?", (votes, votes))


def _check(db: sqlite3.Connection) -> None:
    """The first rows, counted by the store's own code, are what was put there."""
    from backends.feedback.verdicts import _values

    rows = db.execute("SELECT seq, columns FROM rows WHERE config = 'comparisons' ORDER BY seq LIMIT 100").fetchall()
    for seq, text in rows:
        put = db.execute("SELECT * FROM verdicts WHERE row = ?", (seq,)).fetchone()
        counted = _values(db, seq, json.loads(text))
        # What was measured is not in these rows' texts, only its place is.
        if put[:22] != counted[:22]:
            raise AssertionError(f"row {seq}: {put} is not {counted}")


_MEASURE = """
import json, resource, sys, tempfile, time
from pathlib import Path
from backends.evidence.service import EvidenceOf
from backends.feedback.build import build_feedback
from core.evidence import Merge, VoteFilter
from core.export import ExportOrder
data, what = Path(sys.argv[1]), sys.argv[2]
store = build_feedback(data, dataset="bench/votes", token="none", endpoint="http://127.0.0.1:9")
evidence = EvidenceOf(store, lambda: ("x", None))
out = {}
def timed(name, work):
    started, used = time.monotonic(), time.process_time()
    found = work()
    out[name], out[f"{name} cpu"] = time.monotonic() - started, time.process_time() - used
    return found
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
    from backends.feedback.parquet import features
    features("preferences")
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
        (f"(making {VOTES + PAIRS:,} rows to measure with)", f"{seconds:.0f} s", ""),
        (
            f"Export of {pairs['rows']:,.0f} pairs to parquet",
            f"{pairs['export']:.1f} s, {pairs['grown']:.0f} MB more than before",
            "under 20 s, memory flat",
        ),
    ]


if __name__ == "__main__":
    for name, value, against in run():
        print(f"| {name} | {value} | {against} |", flush=True)
