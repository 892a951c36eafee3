"""Evaluation results a model's page states: what was measured, how, by whom; and whether the numbers can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.card_parts import BoardEntry

Who = Literal["self-reported", "verified", "community"]
MOST_RESULTS = 300
MOST_TABLE_LINES = 4000
# Benchmarks by the words that name them, the longer names first; the order is that of the usual set.
BENCHMARKS: Mapping[str, str] = {
    "MMLU-Pro": r"mmlu[-_ ]?pro",
    "ARC": r"\barc\b|ai2[-_ ]arc|arc[-_ ]?(?:challenge|easy|c\b|e\b)",
    "HellaSwag": r"hella ?swag",
    "MMLU": r"\bmmlu\b|hendrycks",
    "TruthfulQA": r"truthful ?_?qa",
    "Winogrande": r"wino ?grande",
    "GSM8K": r"gsm-?8k",
    "MT-Bench": r"mt[-_ ]?bench",
    "AlpacaEval": r"alpaca[-_ ]?eval",
    "Arena-Hard": r"arena[-_ ]?hard",
    "IFEval": r"if[-_ ]?eval",
    "BBH": r"\bbbh\b|big[-_ ]?bench[-_ ]?hard",
    "GPQA": r"\bgpqa\b",
    "MATH": r"\bmath(?:[-_ ]?500)?\b",
    "HumanEval": r"human[-_ ]?eval",
    "MBPP": r"\bmbpp\b",
    "PIQA": r"\bpiqa\b",
    "OpenBookQA": r"open ?book ?qa",
}
USUAL = ("ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K")
JUDGED = frozenset({"MT-Bench", "AlpacaEval", "Arena-Hard"})
# Those that are run with examples in the prompt: how many changes the number.
FEW_SHOT = frozenset({"ARC", "HellaSwag", "MMLU", "MMLU-Pro", "TruthfulQA", "Winogrande", "GSM8K", "BBH", "MATH"})
_NAMES = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in BENCHMARKS.items())
_SHOTS = re.compile(r"(\d{1,3})[-_ ]?shots?\b|\b(zero|one|few)[-_ ]?shots?\b", re.IGNORECASE)
_WORDS = {"zero": 0, "one": 1}
_NUMBER = re.compile(r"[*_`~ ]*(-?\d{1,4}(?:[.,]\d{1,4})?) ?%?[*_` ]*(?:±.{0,12})?")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One number. `config` is whatever says how it was measured (split, subset, revision), `place` where it stands."""

    benchmark: str
    value: float
    metric: str | None
    shots: int | None
    config: str | None
    who: Who
    place: str
    dataset: str | None = None
    source: str | None = None
    date: str | None = None

    @property
    def percent(self) -> float:
        """The value out of a hundred: authors write 0.634 and 63.4 for the same."""
        return self.value * 100 if 0 <= self.value <= 1 else self.value


@dataclass(frozen=True, slots=True)
class Check:
    """A number of the page beside one that somebody else measured; `third` None: none was found.

    `comparable` is False when both say how many shots there were, and the two are not the same.
    """

    benchmark: str
    stated: Evaluation
    third: BoardEntry | None

    @property
    def comparable(self) -> bool:
        """Whether the difference says something."""
        both = self.third is not None and None not in (self.third.shots, self.stated.shots)
        return not both or (self.third is not None and self.third.shots == self.stated.shots)

    @property
    def difference(self) -> float | None:
        """Stated minus third party, in points of a hundred."""
        if self.third is None:
            return None
        other = self.third.value * 100 if 0 <= self.third.value <= 1 else self.third.value
        return self.stated.percent - other


def evaluations_of(
    metadata: Mapping[str, object],
    results: Iterable[Mapping[str, object]] | None,
    markdown: str,
    model_name: str,
) -> tuple[Evaluation, ...]:
    """Every number stated: in the card's model-index, in the Hub's own results, and in tables of the card's text."""
    found = [*_model_index(metadata.get("model-index")), *_hub_results(results or ())]
    stated = {(each.benchmark, round(each.percent, 1)) for each in found}
    found += [each for each in _tables(markdown, model_name) if (each.benchmark, round(each.percent, 1)) not in stated]
    return tuple(found[:MOST_RESULTS])


def checks_of(evaluations: Sequence[Evaluation], entries: Iterable[BoardEntry]) -> tuple[Check, ...]:
    """Each stated number beside the third-party result for the same benchmark, where there is one."""
    by_name: dict[str, BoardEntry] = {}
    for entry in entries:
        by_name.setdefault(benchmark_of(entry.benchmark), entry)
    return tuple(
        Check(each.benchmark, each, by_name.get(each.benchmark)) for each in evaluations if each.who == "self-reported"
    )


def benchmark_of(text: str) -> str:
    """The usual name of a benchmark, else the text as it stands."""
    return next((name for name, pattern in _NAMES if pattern.search(text)), text.strip()[:80])


def is_known(name: str) -> bool:
    """Whether this is a benchmark whose usual name is known here."""
    return name in BENCHMARKS


def _model_index(index: object) -> Iterator[Evaluation]:
    for model in index if isinstance(index, list) else ():
        results = model.get("results") if isinstance(model, dict) else None
        for result in results if isinstance(results, list) else ():
            if not isinstance(result, dict):
                continue
            dataset = result.get("dataset") if isinstance(result.get("dataset"), dict) else {}
            metrics = result.get("metrics")
            for metric in metrics if isinstance(metrics, list) else ():
                if isinstance(metric, dict) and (one := _from_index(result, dataset or {}, metric)):
                    yield one


def _from_index(
    result: Mapping[str, object], dataset: Mapping[str, object], metric: Mapping[str, object]
) -> Evaluation | None:
    value = _number(metric.get("value"))
    if value is None:
        return None
    source = result.get("source")
    name = _text(dataset.get("name")) or _text(dataset.get("type")) or "(no dataset named)"
    args = dataset.get("args")
    few = args.get("num_few_shot") if isinstance(args, dict) else None
    words = " ".join(filter(None, (name, _text(metric.get("name")), _text(metric.get("type")))))
    stated = [f"{key} {_text(dataset.get(key))}" for key in ("config", "split", "revision") if _text(dataset.get(key))]
    return Evaluation(
        benchmark_of(f"{name} {_text(dataset.get('type')) or ''}"),
        value,
        _text(metric.get("name")) or _text(metric.get("type")),
        few if isinstance(few, int) and not isinstance(few, bool) else shots_in(words),
        ", ".join(stated) or None,
        "verified" if metric.get("verified") is True else "self-reported",
        "README.md, model-index",
        _text(dataset.get("type")),
        _text(source.get("url")) if isinstance(source, dict) else None,
    )


def _hub_results(results: Iterable[Mapping[str, object]]) -> Iterator[Evaluation]:
    for row in results:
        # The API gives either the entry or the entry under "data" with what the Hub knows of it beside.
        data = row.get("data") if isinstance(row.get("data"), dict) else row
        assert isinstance(data, Mapping)
        dataset = data.get("dataset")
        value = _number(data.get("value"))
        if not isinstance(dataset, Mapping) or value is None:
            continue
        source = data.get("source") if isinstance(data.get("source"), Mapping) else {}
        assert isinstance(source, Mapping)
        id_, task, notes = _text(dataset.get("id")) or "", _text(dataset.get("task_id")), _text(data.get("notes"))
        verified = bool(data.get("verifyToken") or row.get("verified"))
        author = _text(source.get("org")) or _text(source.get("user"))
        revision = _text(dataset.get("revision"))
        config = ", ".join(filter(None, (task, notes, f"revision {revision[:7]}" if revision else None)))
        yield Evaluation(
            benchmark_of(f"{id_} {task or ''}"),
            value,
            None,
            shots_in(f"{task or ''} {notes or ''}"),
            config or None,
            "verified" if verified else "community" if author or row.get("pullRequest") else "self-reported",
            "the Hub's evaluation results",
            id_ or None,
            _text(source.get("url")),
            _text(data.get("date")),
        )


def _tables(markdown: str, model_name: str) -> Iterator[Evaluation]:
    """Numbers of known benchmarks in pipe tables: the column named after the model, else the only one with numbers."""
    rows: list[list[str]] = []
    for line in [*markdown.splitlines()[:MOST_TABLE_LINES], ""]:
        if line.count("|") >= 2 and len(line) < 2000:
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
            continue
        if len(rows) > 2 and len(rows[0]) < 40:
            yield from _table(rows, model_name)
        rows = []


def _table(rows: list[list[str]], model_name: str) -> Iterator[Evaluation]:
    head, body = rows[0], [row for row in rows[1:] if not all(re.fullmatch(r":?-*:?", cell) for cell in row)]
    wanted = _plain(model_name)
    named = [at for at, cell in enumerate(head) if at and _plain(cell) and _plain(cell) in wanted and len(cell) > 3]
    numeric = {at for row in body for at, cell in enumerate(row) if at and _NUMBER.fullmatch(cell)}
    shots_at = {at for at, cell in enumerate(head) if "shot" in cell.lower()}
    columns = named or sorted(numeric - shots_at)
    if len(columns) != 1:
        # Benchmarks across, models down: the row of this model.
        across = [(at, benchmark_of(cell)) for at, cell in enumerate(head) if is_known(benchmark_of(cell))]
        own = next((row for row in body if row and _plain(row[0]) and _plain(row[0]) in wanted), None)
        for at, name in across if own else ():
            value = _cell(own[at]) if own and at < len(own) else None
            if value is not None:
                yield Evaluation(name, value, None, shots_in(head[at]), None, "self-reported", "README.md, a table")
        return
    for row in body:
        name = benchmark_of(row[0]) if row else ""
        value = _cell(row[columns[0]]) if columns[0] < len(row) else None
        if is_known(name) and value is not None:
            beside = next((row[at] for at in shots_at if at < len(row)), "")
            shots = int(beside) if beside.isdigit() else shots_in(f"{row[0]} {head[columns[0]]} {beside}")
            yield Evaluation(name, value, None, shots, None, "self-reported", "README.md, a table")


def shots_in(text: str) -> int | None:
    """How many examples were in the prompt, where the words say it."""
    found = _SHOTS.search(text)
    if not found:
        return None
    return int(found[1]) if found[1] else _WORDS.get(found[2].lower())


def _cell(text: str) -> float | None:
    found = _NUMBER.fullmatch(text)
    return float(found[1].replace(",", ".")) if found else None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e12 else None
    return _cell(value) if isinstance(value, str) and len(value) < 40 else None


def _text(value: object) -> str | None:
    return str(value).strip()[:200] if isinstance(value, str | int | float) and str(value).strip() else None
