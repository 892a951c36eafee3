"""Preferences and ratings that did not come from a battle: typed, pasted, picked, or sent by a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from core import __version__
from core.chat import MOST_CHARACTERS, Message, Role, images_of, messages_from
from core.comparison import contender, item_of
from core.conversation import Conversation
from core.dataset import Contender, ImagePreferenceRow, PreferenceRow, Provenance, Source
from core.errors import UserInputError
from core.identity import now
from core.refs import shown

MOST_COMMENT = 4_000
MOST_REASONS = 20
MOST_RATER = 200
RECENT = 20


@dataclass(frozen=True, slots=True)
class Picked:
    """One answer of a pair. `turn_id` is set when it is one of my replies, word for word."""

    text: str
    maker: Contender
    turn_id: str | None = None


def answer_picked(reply_id: str, text: str, conversation: Conversation) -> Picked:
    """An answer from the form; its maker is known only while the text is still the model's own."""
    if not text.strip():
        raise UserInputError("Both answers need a text. Type or paste one, or pick one of your recent replies.")
    checked_size(text, "answer")
    if reply_id:
        turn = conversation.turn(reply_id)
        if turn.reply is not None and turn.message.content == text:
            return Picked(text, contender(turn.reply), turn.id)
    return Picked(text, Contender())


def prompt_of(text: str, answers: Sequence[Picked], conversation: Conversation) -> tuple[Message, ...]:
    """The whole prompt of a picked reply when the form still shows its question, else the text as one user turn."""
    if not text.strip():
        raise UserInputError("The prompt is empty. Write what the answers answer.")
    checked_size(text, "prompt")
    for answer in answers:
        if answer.turn_id is not None:
            whole = conversation.prompt_of(answer.turn_id)
            if images_of(whole):
                raise UserInputError(
                    "One of these answers is about a picture. Choose Prefer this one under it in Chat: there the picture goes "
                    "with the row."
                )
            if whole[-1].content == text:
                return whole
    return (Message("user", text),)


def recent_replies(conversation: Conversation) -> list[tuple[str, str]]:
    """(label, turn id) of the newest replies of this conversation, every branch, newest first."""
    turns = [turn for turn in conversation.turns if turn.reply is not None][-RECENT:]
    return [(f"Reply: {shown(turn.message.content.strip(), 60)}", turn.id) for turn in reversed(turns)]


def provenance_of(
    *,
    source: Source,
    comment: str = "",
    reasons: Sequence[str] = (),
    rater: str | None = None,
    row_id: str = "",
    shown_left: str | None = None,
    consent: str = "",
) -> Provenance:
    """Checked provenance of a row that was not a battle: never blind, its id the caller's own if one is given."""
    if len(comment) > MOST_COMMENT:
        raise UserInputError(f"The comment is too long: {len(comment):,} of {MOST_COMMENT:,} characters.")
    if len(reasons) > MOST_REASONS or any(not isinstance(r, str) or not r.strip() or len(r) > 200 for r in reasons):
        raise UserInputError(f"reasons: at most {MOST_REASONS} short texts, none of them empty.")
    rater = (rater or "").strip()
    if len(rater) > MOST_RATER:
        raise UserInputError(f"rater: at most {MOST_RATER} characters.")
    try:
        known_id = str(UUID(row_id)) if row_id else str(uuid4())
    except ValueError as error:
        raise UserInputError("id has to be a UUID, for example from Python's uuid.uuid4().") from error
    return Provenance(
        id=known_id,
        created_at=now(),
        source=source,
        app_version=__version__,
        rater=rater or None,
        consent_version=consent or None,
        blind=False,
        derived=False,
        shown_left=shown_left,
        reasons=tuple(reasons),
        comment=comment.strip() or None,
    )


def pair_row(
    *,
    prompt: tuple[Message, ...],
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
    makers: tuple[Contender, Contender],
    provenance: Provenance,
) -> PreferenceRow:
    """A preference row; refuses two equal answers, which teach nothing."""
    if chosen == rejected:
        raise UserInputError("The two answers are the same. A preference needs two different ones.")
    if all(maker.model for maker in makers):
        provenance = replace(provenance, item=item_of(prompt, makers))
    return PreferenceRow(provenance, prompt, chosen, rejected, *makers)


def picture_pair(
    *,
    prompt: str,
    chosen: bytes,
    rejected: bytes,
    makers: tuple[Contender, Contender],
    provenance: Provenance,
) -> ImagePreferenceRow:
    """As `pair_row`, for two pictures as PNG bytes."""
    if not prompt.strip():
        raise UserInputError("The prompt is empty. Write what the pictures were to show.")
    checked_size(prompt, "prompt")
    if chosen == rejected:
        raise UserInputError("The two pictures are the same. A preference needs two different ones.")
    if all(maker.model for maker in makers):
        provenance = replace(provenance, item=item_of((Message("user", prompt),), makers))
    return ImagePreferenceRow(provenance, prompt, chosen, rejected, *makers)


def messages_of(value: str | list[dict[str, str]], last: Role, name: str) -> tuple[Message, ...]:
    """Read text or a list of {role, content}: a prompt ends with the user's turn, an answer is the assistant's alone."""
    messages = (Message(last, value),) if isinstance(value, str) else messages_from(value, name=name)
    if not messages or not messages[-1].content.strip():
        raise UserInputError(f"{name} is empty.")
    if last == "user" and messages[-1].role != "user":
        raise UserInputError(f"{name} has to end with the user's turn.")
    if last == "assistant" and any(message.role != "assistant" for message in messages):
        raise UserInputError(f"{name} may hold only the assistant's turn.")
    checked_size("".join(message.content for message in messages), name)
    return messages


def checked_size(text: str, name: str) -> None:
    """Refuse a text no dataset row should carry."""
    if len(text) > MOST_CHARACTERS:
        raise UserInputError(f"The {name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} can be saved.")
