"""The dataset contract: configs, columns and types of schema_version 3, and the rows that fill them.

Other tools read this. A later version only adds nullable columns, at the end; none is renamed, retyped or reordered.
Version 2 added `timings`, one for each answer; version 3 `gold`, the outcome a careful reviewer gives where it is known.
Conversations with pictures are rows of `vision_preferences` and `vision_ratings`, beside which the configs of text stay as
they are: TRL reads every row of a dataset that has a column `images` with a processor of pictures, and refuses it for a
model without one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, cast

from core.chat import Message, images_of
from core.errors import UserInputError

SCHEMA_VERSION = 3

Config = Literal["preferences", "ratings", "image_preferences", "comparisons", "vision_preferences", "vision_ratings"]
Source = Literal["battle", "edit", "regenerate", "branch", "campaign", "manual", "derived", "import", "api", "thumb"]
ColumnType = Literal[
    "string", "timestamp", "bool", "int32", "float64", "strings", "messages", "scores", "image", "parts", "images"
]

_FIRST: dict[str, ColumnType] = {
    "id": "string",
    "created_at": "timestamp",
    "rater": "string",
    "campaign": "string",
    "item": "string",
    "comparison_id": "string",
    "consent_version": "string",
    "supersedes": "string",
    "rubric_version": "string",
    "source": "string",
    "blind": "bool",
    "leaked": "bool",
    "derived": "bool",
    "shown_left": "string",
    "strength": "string",
    "reasons": "strings",
    "tags": "strings",
    "scores": "scores",
    "comment": "string",
    "decision_seconds": "float64",
    "safety": "string",
}
_LAST: dict[str, ColumnType] = {
    "backend": "string",
    "dtype": "string",
    "app_version": "string",
    "schema_version": "int32",
}


def _timings(*sides: str) -> dict[str, ColumnType]:
    return {f"{side}_timings" if side else "timings": "string" for side in sides}


def _maker(*sides: str) -> dict[str, ColumnType]:
    names = ("model", "revision", "adapter", "settings")
    return {f"{side}_{name}" if side else name: "string" for side in sides for name in names}


COLUMNS: dict[Config, dict[str, ColumnType]] = {
    "preferences": {
        "prompt": "messages",
        "chosen": "messages",
        "rejected": "messages",
        "tools": "string",
        **_FIRST,
        **_maker("chosen", "rejected"),
        **_LAST,
        **_timings("chosen", "rejected"),
    },
    "ratings": {
        "prompt": "messages",
        "completion": "messages",
        "label": "bool",
        "tools": "string",
        **_FIRST,
        **_maker(""),
        **_LAST,
        **_timings(""),
    },
    "image_preferences": {
        "prompt": "string",
        "chosen": "image",
        "rejected": "image",
        **_FIRST,
        **_maker("chosen", "rejected"),
        **_LAST,
        **_timings("chosen", "rejected"),
    },
    "comparisons": {
        "kind": "string",
        "prompt": "messages",
        "left": "messages",
        "right": "messages",
        "left_image": "image",
        "right_image": "image",
        "outcome": "string",
        **_FIRST,
        **_maker("left", "right"),
        **_LAST,
        **_timings("left", "right"),
        "gold": "string",
    },
}


def _with_images(config: Config) -> dict[str, ColumnType]:
    """A config of text for conversations with pictures: those first, and every message in parts."""
    in_parts = {name: "parts" if kind == "messages" else kind for name, kind in COLUMNS[config].items()}
    return cast("dict[str, ColumnType]", {"images": "images", **in_parts})


COLUMNS["vision_preferences"] = _with_images("preferences")
COLUMNS["vision_ratings"] = _with_images("ratings")


@dataclass(frozen=True, slots=True)
class Contender:
    """Who made an answer. `adapter` is `repo_id@commit`, `settings` JSON with sorted keys; unknown is None.

    `timings` is what the engine measured of this one answer, as JSON with sorted keys, and no part of who made it: text has
    `first_token_s`, `seconds`, `tokens` and `tokens_per_s`, a picture `seconds` and `waited_s`.
    """

    model: str | None = None
    revision: str | None = None
    adapter: str | None = None
    settings: str | None = None
    timings: str | None = field(default=None, compare=False)

    def columns(self, side: str) -> dict[str, object]:
        """The columns of this contender, prefixed with `side` unless it is empty."""
        prefix = f"{side}_" if side else ""
        return {f"{prefix}{f.name}": getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """One answer to a question of the rubric. `side` is left or right, chosen or rejected, or answer where there is one."""

    question: str
    side: str
    value: str

    def as_dict(self) -> dict[str, str]:
        """The cell as the column holds it."""
        return {"question": self.question, "side": self.side, "value": self.value}


@dataclass(frozen=True, slots=True)
class Provenance:
    """The columns every config shares. Unknown is None, never ""; `created_at` is ISO 8601 in UTC."""

    id: str
    created_at: str
    source: Source
    app_version: str
    rater: str | None = None
    campaign: str | None = None
    item: str | None = None
    comparison_id: str | None = None
    consent_version: str | None = None
    supersedes: str | None = None
    rubric_version: str | None = None
    blind: bool | None = None
    leaked: bool | None = None
    derived: bool | None = None
    shown_left: str | None = None
    strength: str | None = None
    reasons: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    scores: tuple[ScoreCell, ...] | None = None
    comment: str | None = None
    decision_seconds: float | None = None
    safety: str | None = None
    backend: str | None = None
    dtype: str | None = None

    def columns(self) -> dict[str, object]:
        """The provenance part of a row, ready for JSON. Lists that hold nothing are null."""
        found: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("reasons", "tags"):
            value = found[name]
            found[name] = list(value) if isinstance(value, tuple) and value else None
        found["scores"] = [cell.as_dict() for cell in self.scores] if self.scores else None
        found["schema_version"] = SCHEMA_VERSION
        return found


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """A row of `preferences`: `prompt` ends with the user's turn, the others hold only the assistant's.

    `images` are the PNG files of the prompt's pictures, in their order; with any it is a row of `vision_preferences`.
    """

    provenance: Provenance
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    chosen_by: Contender = Contender()
    rejected_by: Contender = Contender()
    tools: str | None = None
    images: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def config(self) -> Config:
        """The dataset config this row belongs to."""
        return "vision_preferences" if images_of(self.prompt) else "preferences"

    def columns(self) -> dict[str, object]:
        """Every column of the config, in its order, as plain values."""
        return _ordered(
            self.config,
            {
                **_turns(self.images, prompt=self.prompt, chosen=self.chosen, rejected=self.rejected),
                "tools": self.tools,
                **self.provenance.columns(),
                **self.chosen_by.columns("chosen"),
                **self.rejected_by.columns("rejected"),
            },
        )


@dataclass(frozen=True, slots=True)
class RatingRow:
    """A row of `ratings`: one answer and a thumb. `label` True is up. `images` as in `PreferenceRow`."""

    provenance: Provenance
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    label: bool
    by: Contender = Contender()
    tools: str | None = None
    images: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def config(self) -> Config:
        """The dataset config this row belongs to."""
        return "vision_ratings" if images_of(self.prompt) else "ratings"

    def columns(self) -> dict[str, object]:
        """Every column of the config, in its order, as plain values."""
        return _ordered(
            self.config,
            {
                **_turns(self.images, prompt=self.prompt, completion=self.completion),
                "label": self.label,
                "tools": self.tools,
                **self.provenance.columns(),
                **self.by.columns(""),
            },
        )


@dataclass(frozen=True, slots=True)
class ImagePreferenceRow:
    """A row of `image_preferences`: two pictures as PNG bytes, and which one was chosen."""

    provenance: Provenance
    prompt: str
    chosen: bytes = field(repr=False)
    rejected: bytes = field(repr=False)
    chosen_by: Contender = Contender()
    rejected_by: Contender = Contender()

    @property
    def config(self) -> Config:
        """The dataset config this row belongs to."""
        return "image_preferences"

    def columns(self) -> dict[str, object]:
        """Every column of the config, in its order, as plain values; pictures as PNG bytes."""
        return _ordered(
            self.config,
            {
                "prompt": self.prompt,
                "chosen": self.chosen,
                "rejected": self.rejected,
                **self.provenance.columns(),
                **self.chosen_by.columns("chosen"),
                **self.rejected_by.columns("rejected"),
            },
        )


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A row of `comparisons`: every comparison, ties and both-bad too. Messages are None for pictures, PNG bytes for chat.

    `gold` is the outcome a careful reviewer gives, where it is known; the vote itself is `outcome`.
    """

    provenance: Provenance
    kind: Literal["chat", "image"]
    prompt: tuple[Message, ...]
    left: tuple[Message, ...] | None
    right: tuple[Message, ...] | None
    outcome: str
    left_by: Contender = Contender()
    right_by: Contender = Contender()
    left_image: bytes | None = field(default=None, repr=False)
    right_image: bytes | None = field(default=None, repr=False)
    gold: str | None = None

    @property
    def config(self) -> Config:
        """The dataset config this row belongs to."""
        return "comparisons"

    def columns(self) -> dict[str, object]:
        """Every column of the config, in its order, as plain values."""
        return _ordered(
            self.config,
            {
                "kind": self.kind,
                "prompt": _dicts(self.prompt),
                "left": None if self.left is None else _dicts(self.left),
                "right": None if self.right is None else _dicts(self.right),
                "left_image": self.left_image,
                "right_image": self.right_image,
                "outcome": self.outcome,
                **self.provenance.columns(),
                **self.left_by.columns("left"),
                **self.right_by.columns("right"),
                "gold": self.gold,
            },
        )


Row = PreferenceRow | RatingRow | ImagePreferenceRow | ComparisonRow


def _turns(images: tuple[bytes, ...], **turns: tuple[Message, ...]) -> dict[str, object]:
    """The columns of the messages: text, or parts beside the pictures. A row never says less than what was shown."""
    shown = images_of(message for messages in turns.values() for message in messages)
    if len(shown) != len(images) or shown != images_of(turns["prompt"]):
        raise UserInputError(
            "Not saved: the pictures of this conversation have to go with the row, and they are not here."
        )
    if not shown:
        return {name: _dicts(messages) for name, messages in turns.items()}
    return {"images": list(images), **{name: _in_parts(messages) for name, messages in turns.items()}}


def _in_parts(messages: tuple[Message, ...]) -> list[dict[str, object]]:
    # Each part has both keys, as a column of one type has them.
    return [
        {"role": each.role, "content": [{"type": part["type"], "text": part.get("text")} for part in each.parts()]}
        for each in messages
    ]


def text_of(content: object) -> str:
    """The words of a message's content as a column holds it: text, or parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def _dicts(messages: tuple[Message, ...]) -> list[dict[str, object]]:
    return [message.as_dict() for message in messages]


def _ordered(config: Config, values: dict[str, object]) -> dict[str, object]:
    return {name: values[name] for name in COLUMNS[config]}
