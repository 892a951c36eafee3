"""Who takes part in a battle: two to four contenders, or a pool of them, as they were chosen on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from core.arguments import check_characters
from core.chat import GenerationSettings, check_settings
from core.errors import UserInputError
from core.refs import ModelRef
from core.template_kwargs import read_template_kwargs

FEWEST_SIDES, MOST_SIDES, MOST_POOL = 2, 4, 12
MOST_SYSTEM = 20_000
# With an adapter on the pinned model, both stand beside each other with one choice.
PINNED, BASE = "", "-"
_NUMBERS = ("temperature", "top_p", "top_k", "repetition_penalty")
_TEXTS = ("model", "adapter", "weights", "system", "template")


@dataclass(frozen=True, slots=True)
class Choice:
    """One contender as it was chosen. `model` is as the router pins it, `PINNED` or `BASE`; None leaves a setting to the model.

    `system` "" is the conversation's own system prompt. `template` are the options of its chat template, as they are typed.
    """

    model: str = PINNED
    adapter: str = ""
    weights: str = ""
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    template: str = ""

    def settings(self, max_new_tokens: int) -> GenerationSettings:
        """How it samples; the seed is drawn anew for each battle."""
        return check_settings(
            GenerationSettings(
                max_new_tokens,
                self.temperature,
                self.top_p,
                self.top_k,
                self.repetition_penalty,
                template_kwargs=read_template_kwargs(self.template),
            )
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One contender ready to answer. `system` None is the conversation's own."""

    ref: ModelRef
    settings: GenerationSettings
    system: str | None = None

    @property
    def key(self) -> str:
        """What makes it this contender and no other, whatever seed it draws."""
        settings = {k: v for k, v in asdict(self.settings).items() if k not in ("seed", "stop", "max_new_tokens")}
        return json.dumps([str(self.ref), self.ref.weights, settings, self.system], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Setup:
    """A choice of contenders. `max_new_tokens` 0 follows the settings of the chat, the same for all: a limit of its own
    would tell one side from the other. `pool`: two are drawn for each battle. `flat`: answers are shown without Markdown."""

    choices: tuple[Choice, ...]
    max_new_tokens: int = 0
    pool: bool = False
    flat: bool = False


DEFAULT = Setup((Choice(temperature=0.2), Choice(temperature=1.0)))


def read_setup(found: object) -> Setup:
    """What the page sent, checked. Raises `UserInputError` that names the contender by its number."""
    if not isinstance(found, Mapping) or not isinstance(found.get("choices"), list):
        raise UserInputError("The contenders cannot be read. Reload the page, then choose them again.")
    choices = tuple(_choice(entry, number) for number, entry in enumerate(found["choices"], 1))
    pool, flat = found.get("pool") is True, found.get("flat") is True
    most = MOST_POOL if pool else MOST_SIDES
    if not FEWEST_SIDES <= len(choices) <= most:
        raise UserInputError(
            f"A pool has {FEWEST_SIDES} to {MOST_POOL} contenders."
            if pool
            else f"A battle has {FEWEST_SIDES} to {MOST_SIDES} contenders. More than that can be a pool."
        )
    limit = _number(found.get("max_new_tokens"), "Max new tokens")
    setup = Setup(choices, 0 if limit is None else int(limit), pool, flat)
    for number, choice in enumerate(choices, 1):
        try:
            choice.settings(setup.max_new_tokens or 512)
        except UserInputError as error:
            raise UserInputError(f"Contender {number}: {error}") from error
    return setup


def _choice(entry: object, number: int) -> Choice:
    if not isinstance(entry, Mapping):
        raise UserInputError("The contenders cannot be read. Reload the page, then choose them again.")
    texts = {name: entry.get(name) or "" for name in _TEXTS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise UserInputError(f"Contender {number} cannot be read. Choose it again.")
    if len(texts["system"]) > MOST_SYSTEM:
        raise UserInputError(f"Contender {number}: its system prompt has more than {MOST_SYSTEM:,} characters.")
    check_characters(texts["system"], f"The system prompt of contender {number}")
    numbers = {name: _number(entry.get(name), f"Contender {number}: {name.replace('_', ' ')}") for name in _NUMBERS}
    top_k = numbers["top_k"]
    return Choice(
        texts["model"].strip(), texts["adapter"].strip(), texts["weights"].strip(), texts["system"],
        numbers["temperature"], numbers["top_p"], None if top_k is None else int(top_k), numbers["repetition_penalty"],
        texts["template"],
    )  # fmt: skip


def _number(value: object, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError as error:
        raise UserInputError(f"{name} has to be a number; it is “{str(value)[:40]}”.") from error
    if number != number or abs(number) > 1e9:
        raise UserInputError(f"{name} has to be a number; it is “{str(value)[:40]}”.")
    return number
