"""A conversation as text: JSON with every branch, Markdown to read, rows to train on; and back, from anybody's file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from core.arguments import check_characters
from core.attached import Attached, Take
from core.chat import MOST_CHARACTERS, Message, images_of, messages_from
from core.conversation import Conversation, Preferred, Turn
from core.conversations import MOST_TITLE, Change, title_of
from core.errors import UserInputError
from core.identity import now
from core.turn_record import ROOT, digest, turn_of, turn_record

FORMAT = "proving-ground/conversation"
MOST_FILE = 10_000_000
"""Characters of an imported file."""
MOST_TURNS = 5_000
MOST_PICTURES = 100
WRONG = "Choose a file that was exported here, or JSON with a list of {role, content} messages."


def change_of(conversation: Conversation, before: Conversation, secret: str, running: str | None = None) -> Change:
    """What `conversation` has that `before` has not, to be kept."""
    known = {turn.id: turn for turn in before.turns} if before.id == conversation.id else {}
    digests = _digests(conversation.turns)
    turns = tuple(
        turn_record(turn, digests[turn.parent or ROOT], secret)
        for turn in conversation.turns
        if known.get(turn.id) is not turn and known.get(turn.id) != turn
    )
    return Change(conversation.id, head_of(conversation, running), turns)


def head_of(conversation: Conversation, running: str | None = None) -> dict[str, Any]:
    """Everything of a conversation but its turns."""
    return {
        "id": conversation.id,
        "title": title_of(conversation),
        "named": bool(conversation.title),
        "system": conversation.system,
        "tip": conversation.tip,
        "preferred": [[pair.chosen, pair.rejected, pair.row_id] for pair in conversation.preferred],
        "updated": now(),
        "running": running,
    }


def record_of(conversation: Conversation, secret: str) -> dict[str, Any]:
    """All of it, as `conversation_of` reads it."""
    change = change_of(conversation, Conversation(), secret)
    return {"format": FORMAT, "version": 1, **change.head, "turns": list(change.turns)}


def to_json(conversation: Conversation, secret: str, pictures: Mapping[str, str] | None = None) -> str:
    """The conversation as a file, one that `read_file` reads; every branch is in it, and `pictures` as `packed` gives them."""
    record = record_of(conversation, secret)
    if pictures:
        record["pictures"] = dict(pictures)
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def packed(conversation: Conversation, secret: str, png: Callable[[Attached], bytes]) -> dict[str, str]:
    """The pictures of every branch in base64 by their SHA-256: those that are here, as many as a file has room for."""
    room = MOST_FILE - len(to_json(conversation, secret)) - 1_000
    found: dict[str, str] = {}
    for image in images_in(conversation):
        try:
            encoded = base64.b64encode(png(image)).decode()
        except UserInputError:
            # Not kept any more: whoever asks counts what is missing.
            continue
        if len(encoded) + 100 <= room:
            room -= len(encoded) + 100
            found[image.sha256] = encoded
    return found


def images_in(conversation: Conversation) -> tuple[Attached, ...]:
    """Every picture of every branch, once."""
    return tuple(dict.fromkeys(images_of(turn.message for turn in conversation.turns)))


def pictures_of(turns: object) -> tuple[Attached, ...]:
    """The pictures that records of turns name, whoever wrote them: enough to let go of them, not to read them."""
    found: dict[str, Attached] = {}
    for turn in turns if isinstance(turns, list | tuple) else ():
        images = turn.get("images") if isinstance(turn, Mapping) else None
        for image in images if isinstance(images, list) else ():
            name = image.get("sha256") if isinstance(image, Mapping) else None
            if isinstance(name, str):
                found[name] = Attached(name, 0, 0)
    return tuple(found.values())


def to_markdown(conversation: Conversation) -> str:
    """The current branch to read. What was written stands in it as it is."""
    parts = [f"# {title_of(conversation)}"]
    if conversation.system:
        parts.append(f"## System\n\n{conversation.system}")
    for turn in conversation.path():
        if turn.message.role == "user":
            shown = "".join(f"*Picture: {image}*\n\n" for image in turn.message.images)
            parts.append(f"## User\n\n{shown}{turn.message.content}")
        elif turn.reply is not None:
            parts.append(f"## Assistant · {turn.reply.ref}\n\n{turn.message.content}")
        else:
            parts.append(
                f"## Assistant · {'edited by hand' if turn.edited else 'maker not known'}\n\n{turn.message.content}"
            )
    return "\n\n".join(parts) + "\n"


def to_rows(conversation: Conversation) -> str:
    """One line for each branch, as TRL's trainers read conversations: {"messages": [...]}. Those with pictures are left out.

    JSON lines hold no pictures that a trainer would read, and without them such a row would teach what nobody said.
    """
    parents = {turn.parent for turn in conversation.turns}
    leaves = [turn for turn in conversation.turns if turn.id not in parents and turn.message.role == "assistant"]
    branches = [(*conversation.prompt_of(leaf.id), leaf.message) for leaf in leaves]
    return _lines({"messages": _dicts(messages)} for messages in branches if not images_of(messages))


def to_preferences(conversation: Conversation) -> str:
    """One line for each pair that was preferred here: {"prompt", "chosen", "rejected"}, as TRL's DPOTrainer reads them.

    Pairs on pictures are left out, as by `to_rows`; the dataset has them with their pictures.
    """
    rows = []
    for pair in conversation.preferred:
        chosen, rejected = conversation.turn(pair.chosen), conversation.turn(pair.rejected)
        if images_of(conversation.prompt_of(chosen.id)):
            continue
        rows.append(
            {
                "prompt": _dicts(conversation.prompt_of(chosen.id)),
                "chosen": _dicts((chosen.message,)),
                "rejected": _dicts((rejected.message,)),
            }
        )
    return _lines(rows)


def read_file(text: str, secret: str, take: Take | None = None) -> Conversation:
    """A conversation out of a file somebody chose. Raises `UserInputError` with what is wrong in it.

    `take` reads the pictures that are in it, as `AttachedPictures.take` does.
    """
    if len(text) > MOST_FILE:
        raise UserInputError(
            f"The file has {len(text):,} characters; a conversation has at most {MOST_FILE:,}. Take a part of it."
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"The file is not JSON. {WRONG}") from error
    if isinstance(data, Mapping) and data.get("format") == FORMAT:
        return conversation_of(data, secret, _brought(data.get("pictures"), take))
    listed = data.get("messages") if isinstance(data, Mapping) else data
    if not isinstance(listed, list) or not listed:
        raise UserInputError(f"There is no conversation in the file. {WRONG}")
    return _of_messages(messages_from(listed, name="The file"))


def _brought(found: object, take: Take | None) -> dict[str, Attached]:
    """The pictures of a file by the names it gives them."""
    if found is None or take is None:
        return {}
    if not isinstance(found, Mapping) or len(found) > MOST_PICTURES:
        raise UserInputError(f"The pictures of the file have to be at most {MOST_PICTURES}, each under its SHA-256.")
    brought = {}
    for number, (name, encoded) in enumerate(found.items(), 1):
        try:
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, TypeError) as error:
            raise UserInputError(f"Picture {number} of the file is not base64. {WRONG}") from error
        brought[str(name)] = take(data, f"picture {number} of the file")
    return brought


def conversation_of(
    record: Mapping[str, Any], secret: str, brought: Mapping[str, Attached] | None = None
) -> Conversation:
    """The conversation of a record that anybody may have written. Raises `UserInputError` naming the first wrong turn.

    `brought` are the pictures that came with it.
    """
    rows = record.get("turns")
    if not isinstance(rows, list) or len(rows) > MOST_TURNS:
        raise UserInputError(f"A conversation has a list of at most {MOST_TURNS:,} turns. {WRONG}")
    digests = {ROOT: ROOT}
    turns: dict[str, Turn] = {}
    for number, row in enumerate(rows, 1):
        try:
            if not isinstance(row, Mapping):
                raise UserInputError("it is not a set of fields.")
            parent = row.get("parent")
            if not isinstance(parent, str | None) or (parent or ROOT) not in digests:
                raise UserInputError("it answers a turn that does not stand before it.")
            turn = turn_of(row, digests[parent or ROOT], secret, brought)
            _check(turn, turns)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserInputError(f"Turn {number} of the conversation cannot be read. {WRONG}") from error
        except UserInputError as error:
            raise UserInputError(f"Turn {number} of the conversation: {error} {WRONG}") from error
        turns[turn.id] = turn
        digests[turn.id] = digest(digests[parent or ROOT], turn.message)
    tip = record.get("tip")
    if tip is not None and tip not in turns:
        tip = next(reversed(turns), None)
    title, system, own = record.get("title"), record.get("system"), record.get("id")
    return Conversation(
        system if isinstance(system, str) else "",
        tuple(turns.values()),
        tip,
        id=own if isinstance(own, str) and 0 < len(own) <= 64 else "",
        title=title[:MOST_TITLE] if isinstance(title, str) and record.get("named") else "",
        preferred=tuple(_preferred(record.get("preferred"), turns)),
    )


def _check(turn: Turn, known: Mapping[str, Turn]) -> None:
    if turn.id in known:
        raise UserInputError("its id stands there twice.")
    before = known[turn.parent].message.role if turn.parent else "assistant"
    if before == turn.message.role:
        raise UserInputError("a user's turn and an assistant's have to alternate, the user's first.")
    _check_text(turn.message.content)


def _check_text(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise UserInputError(f"it has {len(text):,} characters; a message has at most {MOST_CHARACTERS:,}.")
    check_characters(text, "The message")


def _preferred(value: object, turns: Mapping[str, Turn]) -> Iterable[Preferred]:
    for pair in value if isinstance(value, list) else []:
        if isinstance(pair, list) and len(pair) == 3 and all(isinstance(each, str) for each in pair):
            chosen, rejected, row_id = pair
            if chosen in turns and rejected in turns and turns[chosen].parent == turns[rejected].parent:
                yield Preferred(chosen, rejected, row_id)


def _of_messages(messages: tuple[Message, ...]) -> Conversation:
    system = ""
    if messages[0].role == "system":
        system, messages = messages[0].content, messages[1:]
    conversation = Conversation(system)
    for number, message in enumerate(messages, 1):
        wanted = "user" if number % 2 else "assistant"
        if message.role != wanted:
            raise UserInputError(
                f"Message {number} of the file has the role {message.role}; here it has to be {wanted}: user and assistant "
                "take turns, the user first, and only the very first may be the system prompt."
            )
        _check_text(message.content)
        conversation = conversation.ask(message.content) if wanted == "user" else _said(conversation, message)
    if not conversation.turns:
        raise UserInputError(f"There is no message in the file. {WRONG}")
    return conversation


def _said(conversation: Conversation, message: Message) -> Conversation:
    asked = conversation.ask(message.content)
    said = asked.turns[-1]
    turn = Turn(said.id, said.parent, message, system=conversation.system)
    return replace(conversation, turns=(*conversation.turns, turn), tip=turn.id)


def _digests(turns: Iterable[Turn]) -> dict[str, str]:
    found = {ROOT: ROOT}
    for turn in turns:
        found[turn.id] = digest(found[turn.parent or ROOT], turn.message)
    return found


def _dicts(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [message.as_dict() for message in messages]


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
