"""Thumbs and preferences of a conversation as rows: two answers to one prompt, or an answer and a person's edit of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import NAMESPACE_URL, uuid4, uuid5

from core.capture import pair_row, provenance_of
from core.comparison import contender
from core.conversation import Conversation, Turn
from core.dataset import Contender, PreferenceRow, RatingRow, ScoreCell, Source
from core.errors import UserInputError
from core.rubric import Score
from core.text_safety import column_of

_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground/preferring")


def rating_of(
    conversation: Conversation,
    turn: Turn,
    label: bool,
    rater: str | None,
    reasons: Sequence[str] = (),
    comment: str = "",
    supersedes: str | None = None,
    scores: Sequence[Score] = (),
    rubric_version: str | None = None,
) -> RatingRow:
    """A thumb on one answer as a row, in place of the one it `supersedes`; `scores` are of the rubric of that version."""
    assert turn.reply is not None
    checked = provenance_of(source="thumb", comment=comment, reasons=reasons, rater=rater, row_id=str(uuid4()))
    provenance = replace(
        checked,
        supersedes=supersedes,
        scores=tuple(ScoreCell(score.question, "answer", score.value) for score in scores),
        rubric_version=rubric_version if scores else None,
        backend=turn.reply.backend,
        dtype=turn.reply.dtype or None,
        tags=_tags(turn),
        safety=turn.reply.safety,
    )
    return RatingRow(
        provenance,
        prompt=conversation.prompt_of(turn.id),
        completion=(turn.message,),
        label=label,
        by=contender(turn.reply),
    )


def rivals(conversation: Conversation, turn_id: str) -> tuple[Turn, ...]:
    """The other answers at the same place, the one it is most likely compared with first: the edited one, else the newest."""
    turn = conversation.turn(turn_id)
    if turn.message.role != "assistant":
        raise UserInputError("Only answers can be preferred over each other.")
    others = [one for one in conversation.siblings(turn_id)[::-1] if one.id != turn_id]
    if not others:
        raise UserInputError("There is only one answer here. Regenerate it or edit it first, then say which is better.")
    return tuple(sorted(others, key=lambda one: turn.edited != one.id))


def preference_of(
    conversation: Conversation,
    chosen_id: str,
    rejected_id: str,
    rater: str | None,
    reasons: Sequence[str] = (),
    comment: str = "",
) -> PreferenceRow:
    """What is preferred of two answers at one place, as a row in place of the one that stands.

    The prompt is the same for both by construction, else `UserInputError`. An edit is chosen over what it was made from,
    never the other way round. The same preference of the same state is the same row.
    """
    chosen, rejected = conversation.turn(chosen_id), conversation.turn(rejected_id)
    if chosen.parent != rejected.parent or {chosen.message.role, rejected.message.role} != {"assistant"}:
        raise UserInputError("Only two answers to the same message can be preferred over each other.")
    if rejected.edited == chosen.id:
        raise UserInputError("An edit says what the answer should have been: it is the one that is chosen.")
    prompt = conversation.prompt_of(chosen_id)
    if prompt != conversation.prompt_of(rejected_id):
        raise UserInputError(
            "These two were answered under different system prompts, so nothing follows from one being better. Regenerate "
            "under one of them, then choose."
        )
    standing = conversation.preference(chosen_id, rejected_id)
    supersedes = standing.row_id if standing else None
    name = "\n".join([rater or "", conversation.id, chosen_id, rejected_id, supersedes or "", comment, *reasons])
    provenance = provenance_of(
        source=_source(chosen, rejected),
        comment=comment,
        reasons=reasons,
        rater=rater,
        row_id=str(uuid5(_NAMESPACE, name)),
    )
    makers = [turn.reply for turn in (chosen, rejected) if turn.reply is not None]
    provenance = replace(
        provenance,
        supersedes=supersedes,
        backend=_common([reply.backend for reply in makers]),
        dtype=_common([reply.dtype for reply in makers]),
        tags=tuple(dict.fromkeys((*_tags(chosen), *_tags(rejected)))),
        safety=column_of(chosen=_verdict(chosen), rejected=_verdict(rejected)),
    )
    return pair_row(
        prompt=prompt,
        chosen=(chosen.message,),
        rejected=(rejected.message,),
        makers=(_maker(chosen), _maker(rejected)),
        provenance=provenance,
    )


def _source(chosen: Turn, rejected: Turn) -> Source:
    if chosen.edited == rejected.id:
        return "edit"
    one, other = chosen.reply, rejected.reply
    again = one is not None and other is not None and one.ref == other.ref and not chosen.prefilled + rejected.prefilled
    return "regenerate" if again else "branch"


def _maker(turn: Turn) -> Contender:
    return contender(turn.reply) if turn.reply is not None else Contender()


def _verdict(turn: Turn) -> str | None:
    return turn.reply.safety if turn.reply is not None else None


def _tags(turn: Turn) -> tuple[str, ...]:
    tags = ("prefilled",) if turn.prefilled else ()
    return (*tags, "continued") if turn.earlier is not None else tags


def _common(values: Sequence[str]) -> str | None:
    return values[0] or None if values and len(set(values)) == 1 else None
