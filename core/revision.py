"""A changed vote: the rows that replace those that stand. Nothing is updated in place; each names what it supersedes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, cast
from uuid import UUID, uuid5

from core import __version__
from core.chat import Message
from core.comparison import OUTCOMES
from core.dataset import (
    ComparisonRow,
    Contender,
    ImagePreferenceRow,
    PreferenceRow,
    Provenance,
    RatingRow,
    Row,
    ScoreCell,
)
from core.errors import UserInputError
from core.feedback import StoredRow
from core.identity import now

_NAMESPACE = UUID("7c6b1c0e-54f4-5b51-9d13-1f0c5d1c7a42")
Columns = dict[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """What a changed vote does to the store, in one transaction."""

    rows: tuple[Row, ...]
    taking_back: tuple[str, ...] = ()


def choices(row: StoredRow) -> tuple[tuple[str, str], ...]:
    """(value, label) of what this row's vote could be instead; none for one of a best of n."""
    columns = row.columns
    if columns.get("derived"):
        return ()
    if row.config == "ratings":
        return (("down", "Bad"),) if columns["label"] else (("up", "Good"),)
    if row.config != "comparisons":
        return (("swap", "The other is better"),)
    labels = {"left": "Left is better", "right": "Right is better", "tie": "Tie", "both_bad": "Both bad"}
    return tuple((outcome, label) for outcome, label in labels.items() if outcome != columns["outcome"])


def changed(stands: StoredRow, to: str, related: Sequence[StoredRow] = (), *, at: str | None = None) -> Change:
    """The rows for the vote `to`, one of `choices(stands)`; `related` are the same rater's rows of the same comparison.

    Ids follow from the row that is replaced, so that a second click is the same change.
    """
    if to not in {value for value, _ in choices(stands)}:
        raise UserInputError("This vote cannot be changed to that. Reload the page; it may have changed elsewhere.")
    moment = at or now()
    if stands.config == "ratings":
        return Change((_rating(stands, to == "up", moment),))
    if stands.config != "comparisons":
        return Change((_swapped(stands, moment),))
    columns = stands.columns
    old = next((row for row in related if row.config in ("preferences", "image_preferences")), None)
    compared = _comparison(stands, to, moment)
    same = (columns["left"], columns["left_image"]) == (columns["right"], columns["right_image"])
    if to not in ("left", "right") or same:
        return Change((compared,), (old.id,) if old else ())
    return Change((compared, _preference(stands, to, old, moment)))


def _comparison(stands: StoredRow, outcome: str, at: str) -> ComparisonRow:
    columns = stands.columns
    assert outcome in OUTCOMES
    return ComparisonRow(
        _provenance(columns, stands.id, outcome, at),
        kind=cast(Literal["chat", "image"], columns["kind"]),
        prompt=_messages(columns["prompt"]),
        left=_messages(columns["left"]) if columns["left"] is not None else None,
        right=_messages(columns["right"]) if columns["right"] is not None else None,
        outcome=outcome,
        left_by=_maker(columns, "left_"),
        right_by=_maker(columns, "right_"),
        left_image=cast("bytes | None", columns["left_image"]),
        right_image=cast("bytes | None", columns["right_image"]),
        gold=cast("str | None", columns.get("gold")),
    )


def _preference(stands: StoredRow, winner: str, old: StoredRow | None, at: str) -> PreferenceRow | ImagePreferenceRow:
    columns = stands.columns
    loser = "right" if winner == "left" else "left"
    shown = "chosen" if winner == "left" else "rejected"
    provenance = _provenance(columns, old.id if old else f"{stands.id}:preference", winner, at, shown, new=old is None)
    provenance = replace(provenance, scores=_scores(columns, {winner: "chosen", loser: "rejected"}))
    makers = _maker(columns, f"{winner}_"), _maker(columns, f"{loser}_")
    if columns["kind"] == "image":
        return ImagePreferenceRow(
            provenance,
            _messages(columns["prompt"])[-1].content,
            cast(bytes, columns[f"{winner}_image"]),
            cast(bytes, columns[f"{loser}_image"]),
            *makers,
        )
    return PreferenceRow(
        provenance, _messages(columns["prompt"]), _messages(columns[winner]), _messages(columns[loser]), *makers
    )


def _swapped(stands: StoredRow, at: str) -> PreferenceRow | ImagePreferenceRow:
    columns = stands.columns
    shown = {"chosen": "rejected", "rejected": "chosen"}.get(str(columns["shown_left"]))
    provenance = _provenance(columns, stands.id, "swap", at, shown)
    provenance = replace(provenance, scores=_scores(columns, {"chosen": "rejected", "rejected": "chosen"}))
    makers = _maker(columns, "rejected_"), _maker(columns, "chosen_")
    if stands.config == "image_preferences":
        sides = cast(bytes, columns["rejected"]), cast(bytes, columns["chosen"])
        return ImagePreferenceRow(provenance, str(columns["prompt"]), *sides, *makers)
    return PreferenceRow(
        provenance,
        _messages(columns["prompt"]),
        _messages(columns["rejected"]),
        _messages(columns["chosen"]),
        *makers,
        tools=cast("str | None", columns["tools"]),
    )


def _rating(stands: StoredRow, label: bool, at: str) -> RatingRow:
    columns = stands.columns
    return RatingRow(
        _provenance(columns, stands.id, str(label), at),
        _messages(columns["prompt"]),
        _messages(columns["completion"]),
        label,
        _maker(columns, ""),
        cast("str | None", columns["tools"]),
    )


def _provenance(
    columns: Columns, old: str, to: str, at: str, shown_left: str | None = None, *, new: bool = False
) -> Provenance:
    """The old row's provenance under a new id and moment. What was measured of the first vote is not of this one."""
    kept = {field.name: columns.get(field.name) for field in fields(Provenance)}
    for name in ("reasons", "tags"):
        value = kept[name]
        kept[name] = tuple(value) if isinstance(value, list) else None
    kept["scores"] = _scores(columns, {})
    kept |= {
        "id": str(uuid5(_NAMESPACE, f"{old}:{to}")),
        "created_at": at,
        "app_version": __version__,
        "supersedes": None if new else old,
        "shown_left": shown_left,
        # After the vote the names were there to see, and the clock was not running.
        "decision_seconds": None,
        "strength": None,
    }
    return Provenance(**kept)  # type: ignore[arg-type]


def _scores(columns: Columns, sides: dict[str, str]) -> tuple[ScoreCell, ...] | None:
    """The scores with their sides called anew: an answer keeps what was said of it, whoever won."""
    found = cast("list[dict[str, str]] | None", columns.get("scores"))
    if not found:
        return None
    return tuple(ScoreCell(c["question"], sides.get(c["side"], c["side"]), c["value"]) for c in found)


def _messages(value: object) -> tuple[Message, ...]:
    return tuple(Message(m["role"], m["content"]) for m in cast("list[dict[str, str]]", value))  # type: ignore[arg-type]


def _maker(columns: Columns, prefix: str) -> Contender:
    return Contender(*(cast("str | None", columns[f"{prefix}{f.name}"]) for f in fields(Contender)))
