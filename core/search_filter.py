"""Choosing and sorting rows here: the filters the Hub does not know, and all of them for what lies on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from core.catalog import ModelSummary, SearchQuery, Sort
from core.search_words import stem


@dataclass(frozen=True, slots=True)
class Row:
    """A summary with the tags and the words of the card behind it, which search looks into but does not show."""

    summary: ModelSummary
    tags: tuple[str, ...] = ()
    about: str = ""
    hay: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        summary = self.summary
        parts = (summary.repo_id, summary.task or "", summary.library or "", *self.tags, self.about)
        object.__setattr__(self, "hay", "\n".join(parts).lower())

    def contains(self, words: Iterable[str]) -> bool:
        """Whether every word (lower case) is in the id, the task, the library, a tag or what is known of the card."""
        return all(stem(word) in self.hay for word in words)


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows that match, sorted; how many of them have every word; how many were left out as not for all audiences."""

    rows: tuple[Row, ...]
    whole: int
    adult_left_out: int


def select(rows: Iterable[Row], query: SearchQuery, *, ordered: bool = False) -> Selected:
    """The rows that fit every filter of `query`, those with the most of its words first, then as it sorts.

    The words of `query.text` are looked for as they are: turn those that stand for filters into filters before. With
    `ordered` the rows already stand in the order of `query.sort`.
    """
    kept = list(rows)
    for wanted in _tests(query):
        kept = [row for row in kept if wanted(row)]
    stems = stems_of(query.text)
    if len(stems) == 1:
        kept = [row for row in kept if stems[0] in row.hay]
    elif stems:
        scores = {id(row): score for row in kept if (score := _score(row, stems))[0]}
        kept = [row for row in kept if id(row) in scores]
    left_out = 0
    if not query.adult:
        before = len(kept)
        kept = [row for row in kept if not row.summary.adult]
        left_out = before - len(kept)
    if not ordered:
        kept = by_sort(kept, query.sort)
    if len(stems) < 2:
        return Selected(tuple(kept), len(kept), left_out)
    # Words in the name weigh more than words in the tags; what was sorted stays sorted among equals.
    kept.sort(key=lambda row: scores[id(row)], reverse=True)
    return Selected(tuple(kept), sum(scores[id(row)][0] == len(stems) for row in kept), left_out)


def stems_of(text: str) -> tuple[str, ...]:
    """What is looked for of the words of a text."""
    return tuple(dict.fromkeys(stem(word) for word in text.lower().split()))


def marked(rows: Iterable[Row], text: str) -> tuple[ModelSummary, ...]:
    """The rows' summaries with the words of `text` that each has; only worth it for those that are shown."""
    words = [(word, stem(word)) for word in dict.fromkeys(text.lower().split())]
    if not words:
        return tuple(row.summary for row in rows)
    return tuple(replace(row.summary, matched=tuple(word for word, short in words if short in row.hay)) for row in rows)


def words_in(row: Row, stems: Sequence[str]) -> int:
    """How many of the words a row has."""
    return sum(short in row.hay for short in stems)


def by_sort(rows: Sequence[Row], sort: Sort) -> list[Row]:
    """Highest or newest first; what is not known comes last."""
    if sort in ("created", "updated"):
        return sorted(rows, key=lambda row: getattr(row.summary, sort) or "", reverse=True)
    return sorted(
        rows, key=lambda row: value if (value := getattr(row.summary, sort)) is not None else -1, reverse=True
    )


def _tests(query: SearchQuery) -> list[Callable[[Row], bool]]:
    """One function for each filter that is set, the cheapest and narrowest first."""
    q, tests = query, []

    def add(test: Callable[[ModelSummary], bool]) -> None:
        tests.append(lambda row: test(row.summary))

    if q.task:
        add(lambda s: s.task == q.task)
    if q.author:
        owner = q.author.lower() + "/"
        add(lambda s: s.repo_id.lower().startswith(owner))
    if q.library:
        tests.append(lambda row: row.summary.library == q.library or q.library in row.tags)
    if q.language:
        add(lambda s: q.language in s.languages)
    if q.license:
        add(lambda s: s.license == q.license)
    if q.license_classes:
        classes = frozenset(q.license_classes)
        add(lambda s: (s.license_class or "unknown") in classes)
    if q.min_params is not None:
        least = q.min_params
        add(lambda s: s.params is not None and s.params >= least)
    if q.max_params is not None:
        most = q.max_params
        add(lambda s: s.params is not None and s.params <= most)
    if q.weights_format:
        add(lambda s: q.weights_format in (s.weights_formats or ()) or s.library == q.weights_format)
    if q.quantization:
        add(lambda s: s.quantization == q.quantization)
    if q.min_downloads:
        add(lambda s: (s.downloads or 0) >= q.min_downloads)
    if q.min_likes:
        add(lambda s: (s.likes or 0) >= q.min_likes)
    if q.updated_since:
        add(lambda s: (s.updated or "") >= q.updated_since)
    if q.gated != "any":
        add(lambda s: s.gated is (q.gated == "yes"))
    if q.base_model:
        add(lambda s: q.base_model in s.base_models)
    if q.relation == "none":
        add(lambda s: not s.base_models)
    elif q.relation:
        add(lambda s: s.relation == q.relation)
    if q.dataset:
        add(lambda s: q.dataset in s.datasets)
    if q.paper:
        add(lambda s: q.paper in s.papers)
    if q.provider:
        add(lambda s: bool(s.providers) if q.provider == "all" else q.provider in s.providers)
    if q.has_card:
        add(lambda s: s.has_card is True)
    if q.chat_template:
        add(lambda s: s.chat_template is True)
    if q.runs_here:
        add(lambda s: s.runs_here is True)
    if q.exclude:
        unwanted = tuple(word.lower() for word in q.exclude)
        tests.append(lambda row: not any(word in row.hay for word in unwanted))
    return tests


def _score(row: Row, stems: Sequence[str]) -> tuple[int, int]:
    """How many words a row has, and how many of them in its name, with which its text begins."""
    hay, name = row.hay, len(row.summary.repo_id)
    everywhere = in_name = 0
    for word in stems:
        at = hay.find(word)
        if at >= 0:
            everywhere += 1
            in_name += at < name
    return everywhere, in_name
