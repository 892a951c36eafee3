"""One turn as a record of plain values and back; a seal says that this app made it and that nothing in it was changed.

Browsers keep conversations, and people send each other files. Without its seal a turn keeps its text and loses who made it,
so that nobody can have a model say in a dataset what it never said.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.attached import MOST_IN_MESSAGE, Attached
from core.chat import ROLES, GenerationSettings, Message, Reply, Usage
from core.conversation import Turn
from core.errors import AppError, UserInputError
from core.refs import ModelRef

ROOT = ""
"""The digest before the first turn."""
_MOST_ID = 64
# Beyond this a browser rounds whole numbers.
_MOST_EXACT = 2**53 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest(before: str, message: Message) -> str:
    """What names a message, its pictures and everything before it on its branch."""
    seen = "".join(f"\npicture {image.sha256}" for image in message.images)
    said = f"{before}\n{message.role}\n{message.content}{seen}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def image_record(image: Attached, secret: str) -> dict[str, Any]:
    """A reference to a picture as JSON has it. Its seal says that whoever has the record was given it."""
    return {**asdict(image), "seal": _image_seal(image, secret)}


def _images_of(found: object, secret: str, brought: Mapping[str, Attached]) -> tuple[Attached, ...]:
    """The pictures of a record: those the file itself brought, and those this app sealed. Nobody reads others by a guess."""
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise UserInputError("its pictures have to be a list of records.")
    if len(found) > MOST_IN_MESSAGE:
        raise UserInputError(f"it has {len(found)} pictures; a message has at most {MOST_IN_MESSAGE}.")
    return tuple(_image_of(one, secret, brought) for one in found)


def _image_of(record: Mapping[str, Any], secret: str, brought: Mapping[str, Attached]) -> Attached:
    name, width, height, seal = (record.get(key) for key in ("sha256", "width", "height", "seal"))
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise UserInputError("a picture of it has no SHA-256.")
    told = brought.get(name)
    if told is not None and told.sha256 == name:
        return told
    if isinstance(width, int) and isinstance(height, int) and isinstance(seal, str):
        kept = Attached(name, width, height)
        if hmac.compare_digest(seal.encode(), _image_seal(kept, secret).encode()):
            return kept
    if told is not None:
        # The same pixels in a file that another version of the app wrote.
        return told
    raise UserInputError("one of its pictures is not in the file and was not attached here.")


def _image_seal(image: Attached, secret: str) -> str:
    named = f"{image.sha256} {image.width} {image.height}"
    return hmac.new(secret.encode(), b"picture\0" + named.encode(), hashlib.sha256).hexdigest()


def turn_record(turn: Turn, before: str, secret: str) -> dict[str, Any]:
    """A turn as JSON has it; `before` is the digest of its parent."""
    record: dict[str, Any] = {
        "id": turn.id,
        "parent": turn.parent,
        "role": turn.message.role,
        "content": turn.message.content,
    }
    if turn.message.images:
        record["images"] = [image_record(image, secret) for image in turn.message.images]
    for name in ("rating_id", "label", "edited"):
        if (value := getattr(turn, name)) is not None:
            record[name] = value
    if turn.system:
        record["system"] = turn.system
    if turn.earlier is not None:
        record["earlier"] = turn_record(turn.earlier, before, secret)
    if turn.reply is not None:
        record["made"] = {
            **_reply_record(turn.reply),
            "prefilled": turn.prefilled,
            "context": turn.context,
        }
        record["seal"] = _seal(record, before, secret)
    return record


def turn_of(record: Mapping[str, Any], before: str, secret: str, brought: Mapping[str, Attached] | None = None) -> Turn:
    """The turn of a record that anybody may have written. Raises `UserInputError` saying what is wrong with it.

    `brought` are the pictures that came with it, by the names it gives them.
    """
    turn_id, parent, role, content = (record.get(name) for name in ("id", "parent", "role", "content"))
    if role not in ROLES or role == "system":
        raise UserInputError("the role has to be user or assistant.")
    if not isinstance(content, str):
        raise UserInputError("its content has to be text.")
    if not _is_id(turn_id) or not (parent is None or _is_id(parent)):
        raise UserInputError("its id has to be a short text.")
    images = _images_of(record.get("images"), secret, brought or {})
    if images and role != "user":
        raise UserInputError("only a user's message has pictures.")
    made, seal = record.get("made"), record.get("seal")
    reply = None
    prefilled, context = 0, None
    sealed = isinstance(seal, str) and hmac.compare_digest(seal.encode(), _seal(record, before, secret).encode())
    if isinstance(seal, str) and not sealed:
        # As seals were before version 2 of them, which no browser could give back.
        first = _seal(record, before, secret, as_it_stands=True)
        sealed = hmac.compare_digest(seal.encode(), first.encode())
    if sealed and isinstance(made, Mapping) and role == "assistant":
        reply = _reply_of(str(turn_id), content, made)
        prefilled, context = int(made.get("prefilled") or 0), made.get("context")
    earlier = record.get("earlier")
    label, rating = record.get("label"), record.get("rating_id")
    edited, system = record.get("edited"), record.get("system")
    return Turn(
        str(turn_id),
        parent,
        Message(role, content, images),
        reply,
        rating_id=rating if _is_id(rating) and isinstance(label, bool) else None,
        label=label if isinstance(label, bool) and _is_id(rating) else None,
        system=system if isinstance(system, str) else "",
        edited=edited if _is_id(edited) else None,
        prefilled=prefilled,
        earlier=turn_of(earlier, before, secret) if isinstance(earlier, Mapping) and reply is not None else None,
        context=context,
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_ID and value.isprintable()


def _seal(record: Mapping[str, Any], before: str, secret: str, *, as_it_stands: bool = False) -> str:
    made = record.get("made")
    try:
        sealed = [
            before, record.get("system", ""), record.get("role"), record.get("content"),
            made if as_it_stands else _one_kind_of_number(made),
        ]  # fmt: skip
        text = json.dumps(sealed, sort_keys=True, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        return ""
    return hmac.new(secret.encode(), b"turn\0" + text.encode(), hashlib.sha256).hexdigest()


def _one_kind_of_number(value: Any) -> Any:
    """A browser knows one kind of number: what left as 1.0 comes back as 1."""
    if isinstance(value, Mapping):
        return {name: _one_kind_of_number(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_one_kind_of_number(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reply_record(reply: Reply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "model": _ref_record(reply.ref),
        "settings": _settings_record(reply.settings),
        "backend": reply.backend,
        "dtype": reply.dtype,
        "way": reply.path,
        "finish": reply.finish,
        "usage": asdict(reply.usage) if reply.usage else None,
        "why": reply.why,
        "safety": reply.safety,
    }


def _settings_record(settings: GenerationSettings) -> dict[str, Any]:
    record = settings.as_record()
    if (settings.seed or 0) > _MOST_EXACT:
        record["seed"] = str(settings.seed)
    return record


def _reply_of(turn_id: str, content: str, made: Mapping[str, Any]) -> Reply:
    usage = made.get("usage")
    settings = dict(made["settings"])
    if isinstance(settings.get("seed"), str):
        settings["seed"] = int(settings["seed"])
    return Reply(
        str(made.get("id") or turn_id),
        content,
        _ref_of(made["model"]),
        GenerationSettings.from_record(settings),
        made["backend"],
        made["dtype"],
        made["way"],
        made["finish"],
        Usage(**{**usage, **{name: float(usage[name]) for name in ("first_token_s", "seconds")}}) if usage else None,
        made.get("why") or "",
        made.get("safety") or None,
    )


def _ref_record(ref: ModelRef) -> dict[str, Any]:
    record: dict[str, Any] = {"repo_id": ref.repo_id, "revision": ref.revision}
    if ref.adapter:
        record["adapter"] = _ref_record(ref.adapter)
    if ref.host:
        record["host"] = ref.host
    if ref.weights:
        record["weights"] = ref.weights
    return record


def _ref_of(record: Mapping[str, Any]) -> ModelRef:
    adapter = record.get("adapter")
    try:
        return ModelRef(
            record["repo_id"],
            record["revision"],
            _ref_of(adapter) if adapter else None,
            record.get("host") or "",
            record.get("weights") or "",
        )
    except AppError as error:
        raise UserInputError("it names no exact model.") from error
