"""Results of the Open LLM Leaderboard, which ended in 2025: read from its published files, each with its date.

Both of its datasets hold `<owner>/<model>/results_<date>.json`, as the evaluation harness wrote them. Version 2 names tasks
`leaderboard_<task>` with metrics such as `acc,none`; version 1 `harness|<task>|<shots>` with metrics such as `acc_norm`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from statistics import mean
from time import monotonic
from urllib.parse import quote

from backends.hub.errors import About
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession
from core.card_parts import BoardEntry
from core.errors import HubError, HubUnreachable

DATASETS = ("open-llm-leaderboard/results", "open-llm-leaderboard-old/results")
REQUESTS = 4
MOST_BYTES = 8_000_000
_DATE = re.compile(r"results_(\d{4}-\d{2}-\d{2})[^/]*\.json$")
_SECOND: tuple[tuple[str, str, str], ...] = (
    ("MMLU-Pro", "leaderboard_mmlu_pro", "acc,none"),
    ("BBH", "leaderboard_bbh", "acc_norm,none"),
    ("GPQA", "leaderboard_gpqa", "acc_norm,none"),
    ("IFEval", "leaderboard_ifeval", "inst_level_strict_acc,none"),
    ("MATH", "leaderboard_math_hard", "exact_match,none"),
)
_FIRST: tuple[tuple[str, str, str], ...] = (
    ("ARC", "arc:challenge", "acc_norm"),
    ("HellaSwag", "hellaswag", "acc_norm"),
    ("MMLU", "hendrycksTest-", "acc"),
    ("TruthfulQA", "truthfulqa:mc", "mc2"),
    ("Winogrande", "winogrande", "acc"),
    ("GSM8K", "gsm8k", "acc"),
)


def open_llm_entries(session: HubSession, repo_id: str, seconds: float) -> tuple[BoardEntry, ...]:
    """The newest published results of a model on both versions of the leaderboard; none where it was never there."""
    until = monotonic() + seconds
    found: list[BoardEntry] = []
    for dataset in DATASETS:
        try:
            found += _entries(session, dataset, repo_id, until)
        except HubUnreachable:
            raise
        except HubError:
            continue  # The Hub answers with an error for a folder, or a dataset, that is not there.
    return tuple(found)


def _entries(session: HubSession, dataset: str, repo_id: str, until: float) -> list[BoardEntry]:
    about = About(session.endpoint, dataset, "main")
    listed = session.get_json(f"/api/datasets/{dataset}/tree/main/{quote(repo_id)}", (), about=about, until=until).data
    paths = [text_of((mapping_of(row) or {}).get("path")) for row in (listed if isinstance(listed, list) else ())]
    newest = max((path for path in paths if path and _DATE.search(path)), default=None)
    if newest is None:
        return []
    content = session.get_file(f"datasets/{dataset}", "main", newest, about=about, until=until, most=MOST_BYTES)
    try:
        data = mapping_of(json.loads(content or b"{}")) or {}
    except (ValueError, RecursionError):
        return []
    dated = _DATE.search(newest)
    return read_results(data, dated[1] if dated else None)


def read_results(data: Mapping[str, object], date: str | None) -> list[BoardEntry]:
    """The benchmarks in one file of results, of either version."""
    results = mapping_of(data.get("results")) or {}
    source = f"Open LLM Leaderboard, {date}" if date else "Open LLM Leaderboard"
    shots = mapping_of(data.get("n-shot")) or {}
    found = []
    for name, task, metric in _SECOND:
        value = (mapping_of(results.get(task)) or {}).get(metric)
        few = shots.get(task)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.append(BoardEntry(name, float(value), True, None, source, few if isinstance(few, int) else None))
    for name, task, metric in _FIRST:
        values, few = [], None
        for key, row in results.items():
            parts = key.split("|")
            value = (mapping_of(row) or {}).get(metric)
            if len(parts) != 3 or parts[0] != "harness" or not isinstance(value, int | float):
                continue
            if parts[1] == task or (task.endswith("-") and parts[1].startswith(task)):
                values.append(float(value))
                few = int(parts[2]) if parts[2].isdigit() else None
        if values:
            found.append(BoardEntry(name, mean(values), True, None, source, few))
    return found
