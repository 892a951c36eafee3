"""What the dataset's card says of its rows: how many, by whom, of which models, under which consent. Kept current."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backends.feedback import consents
from backends.feedback.database import Database
from core.dataset import Config
from core.errors import AppError
from core.identity import code_of

BEGIN, END = "<!-- proving-ground: kept current, do not edit below -->", "<!-- proving-ground: end -->"
MOST_MODELS = 50
MANY = 10_000  # rows that are counted in a moment
REST = 30.0  # times as long as counting many took
log = logging.getLogger(__name__)
_SIDES: dict[Config, tuple[str, ...]] = {
    "preferences": ("chosen_", "rejected_"),
    "ratings": ("",),
    "image_preferences": ("chosen_", "rejected_"),
    "comparisons": ("left_", "right_"),
    "vision_preferences": ("chosen_", "rejected_"),
    "vision_ratings": ("",),
}
Key = TypeVar("Key", str, tuple[str, str, str])
_SHARED = ("source", "outcome", "consent_version", "rubric_version")
_UNKNOWN_BIASES = "Not measured yet: too few votes, or nobody asked for it. The app's Feedback tab measures them."
Biases = Callable[[], Sequence[str]]


class Figures:
    """The section for one destination, made anew for every commit; of many rows beside the commits, at most so often."""

    def __init__(self, database: Database, destination: int, biases: Biases = tuple) -> None:
        self._database, self._destination, self._biases = database, destination, biases
        self._made, self._not_before = "", 0.0
        self.counting: threading.Thread | None = None

    def __call__(self, rows: int) -> str:
        """The section as Markdown; "" (leave the card as it is) while many rows are counted for the first time."""
        if rows <= MANY:
            self._count()
        elif (self.counting is None or not self.counting.is_alive()) and time.monotonic() >= self._not_before:
            # A commit does not wait for it, the next one takes it along.
            self.counting = threading.Thread(target=self._count_beside, name="card-figures", daemon=True)
            self.counting.start()
        return self._made

    def _count(self) -> None:
        biases = self._biases()
        with self._database.read() as db:
            self._made = figures(db, self._destination, biases)

    def _count_beside(self) -> None:
        started = time.monotonic()
        try:
            self._count()
        except AppError as error:
            log.warning("the dataset's card is not current: %s", error)
        now = time.monotonic()
        self._not_before = now + REST * (now - started)


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that have all of this in common."""

    config: Config
    rater: str | None
    values: dict[str, str | None]
    rows: int
    first: str
    last: str


def figures(db: sqlite3.Connection, destination: int, biases: Sequence[str] = ()) -> str:
    """The section as Markdown: of the rows that were sent or leave with this commit, so that a second try says the same."""
    groups = list(_groups(db, destination))
    sections = [_counts(groups), *_who(groups), *_models(groups), *_consent(groups, dict(consents.texts(db)))]
    return "\n\n".join([BEGIN, "## In numbers", *sections, *_rubrics(groups), _biases(biases), END]) + "\n"


def placed(body: str, section: str) -> str:
    """`body` with the section in the place of the old one, or at its end; what stands around it is the owner's."""
    if not section:
        return body
    pattern = re.compile(re.escape(BEGIN) + f"(?:(?!{re.escape(BEGIN)}).)*?" + re.escape(END) + r"\n?", re.DOTALL)
    if pattern.search(body):
        return pattern.sub(lambda _: section, body, count=1)
    return f"{body.rstrip()}\n\n{section}" if body.strip() else section


def _groups(db: sqlite3.Connection, destination: int) -> Iterable[_Group]:
    for config, sides in _SIDES.items():
        names = [*_SHARED, *(f"{side}{name}" for side in sides for name in ("model", "revision", "adapter"))]
        # All of them in one call: the text of a row is parsed once.
        paths = ", ".join(f"'$.{name}'" for name in names)
        for rater, values, count, first, last in db.execute(
            f"""SELECT rater, json_extract(columns, {paths}) AS said, count(*), min(created_at), max(created_at)
            FROM rows JOIN placements ON placements.row = rows.seq AND placements.destination = ?
            WHERE config = ? AND state IN ('waiting', 'pushed') AND batch IS NOT NULL GROUP BY rater, said""",  # noqa: S608
            (destination, config),
        ):
            yield _Group(config, rater, dict(zip(names, json.loads(values), strict=True)), count, first, last)


def _counts(groups: Sequence[_Group]) -> str:
    lines = ["| config | rows | from | to |", "| --- | ---: | --- | --- |"]
    for config in sorted({group.config for group in groups}):
        ours = [group for group in groups if group.config == config]
        first, last = min(group.first for group in ours), max(group.last for group in ours)
        lines.append(f"| `{config}` | {sum(group.rows for group in ours)} | {first[:10]} | {last[:10]} |")
    return "\n".join(lines)


def _who(groups: Sequence[_Group]) -> list[str]:
    named = {group.rater for group in groups if group.rater is not None}
    raters = len({code_of(rater) for rater in named})
    chosen = len({code_of(rater) for rater in named if code_of(rater) != rater})
    unnamed = sum(group.rows for group in groups if group.rater is None)
    people = f"{raters} {'rater' if raters == 1 else 'raters'}, each under a pseudonym"
    if chosen:
        people += f", {chosen} of them behind a name of their own choice"
    told = f"{people}{f'; {unnamed} rows name nobody' if unnamed else ''}. By `source`: {_shares(groups, 'source')}."
    outcomes = _shares([group for group in groups if group.config == "comparisons"], "outcome")
    return [told, *([f"Comparisons by `outcome`: {outcomes}."] if outcomes else [])]


def _shares(groups: Sequence[_Group], column: str) -> str:
    counts: Counter[str] = Counter()
    for group in groups:
        if (value := group.values[column]) is not None:
            counts[value] += group.rows
    return ", ".join(f"{count} `{_cell(value)}`" for value, count in _ordered(counts))


def _models(groups: Sequence[_Group]) -> list[str]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for group in groups:
        for side in _SIDES[group.config]:
            if model := group.values[f"{side}model"]:
                adapter = group.values[f"{side}adapter"]
                counts[_cell(model), _cell(group.values[f"{side}revision"]), _cell(adapter) if adapter else ""] += (
                    group.rows
                )
    if not counts:
        return []
    lines = ["| model | commit | adapter | answers |", "| --- | --- | --- | ---: |"]
    lines += [
        f"| {model} | `{revision}` | {adapter} | {count} |"
        for (model, revision, adapter), count in _ordered(counts)[:MOST_MODELS]
    ]
    more = ["And more; the rows name them all."] if len(counts) > MOST_MODELS else []
    return ["### Models compared", "\n".join(lines), *more]


def _ordered(counts: Counter[Key]) -> list[tuple[Key, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _consent(groups: Sequence[_Group], texts: dict[str, str]) -> list[str]:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.values["consent_version"] or ""] += group.rows
    parts = ["### Consent"]
    for version, count in sorted(counts.items()):
        given = f"{count} {'row was' if count == 1 else 'rows were'} given"
        if not version:
            parts.append(f"{given} without a consent text.")
        elif version in texts:
            quoted = "\n".join(f"> {line}".rstrip() for line in texts[version].splitlines())
            parts.append(f"{given} under `consent_version` `{version}`:\n\n{quoted}")
        else:
            parts.append(f"{given} under `consent_version` `{_cell(version)}`, whose text this app does not know.")
    return parts


def _rubrics(groups: Sequence[_Group]) -> list[str]:
    found = _shares(groups, "rubric_version")
    asked = f"Rows by `rubric_version`: {found}." if found else "Reviewers were asked which answer is better, and why."
    return ["### Rubric", asked]


def _biases(biases: Sequence[str]) -> str:
    return "### Known biases\n\n" + ("\n".join(f"- {one}" for one in biases) if biases else _UNKNOWN_BIASES)


def _cell(value: object) -> str:
    # A name is somebody's text: it must not break the table or become markup.
    return re.sub(r"[^\w./@:+-]", "_", str(value or "unknown"))[:200]
