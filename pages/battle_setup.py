"""The contenders of a battle: chosen in an event of their own, kept on the server, and resolved when a prompt is sent."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from components.battles import Chosen, Setups
from components.contender_sheet import contenders
from components.errors import shown_to_user
from components.numbers import bytes_of
from core.candidates import BASE, DEFAULT, Candidate, Choice, read_setup
from core.chat import GenerationSettings
from core.chat_protocols import ChatRouter
from core.errors import AppError, UserInputError
from core.feedback import RowQuery
from core.feedback_protocols import FeedbackStore
from core.pool import least_compared
from core.refs import ModelRef
from pages.chat_settings import start_of

PINNED_NAME, BASE_NAME = "The pinned model", "The pinned model without its adapter"
# As many comparisons are looked at to find the pair of a pool that was compared least.
MOST_COUNTED = 2_000
# Temperature, top-p and max new tokens, as under Settings: what a contender has that names none of its own.
Limits = tuple[float, float, float]
MOST_TOKENS = 512


class SetupPage:
    """Choosing contenders. What a choice holds never goes back to the browser before a vote; its id does not either."""

    def __init__(self, router: ChatRouter, store: FeedbackStore) -> None:
        self.router, self.store = router, store
        self.setups = Setups()

    def choose(self, event: gr.EventData, pinned: ModelRef | None, visitor: str) -> tuple[str, str]:
        """Check a choice and keep it; the line below says what it comes to, or what is wrong with it."""
        with shown_to_user():
            return self.take(event._data, pinned, visitor)

    def take(self, found: object, pinned: ModelRef | None, visitor: str) -> tuple[str, str]:
        """As `choose`, from what the page sent."""
        try:
            setup = read_setup(found)
            refs = tuple(self._fixed(choice) for choice in setup.choices)
            chosen = Chosen("", setup, refs)
            drawn = self.candidates(chosen, pinned, None)
        except AppError as error:
            # Not raised: half a name is what somebody is still typing. Send says it again.
            return self.setups.add(DEFAULT, (), visitor, str(error)), str(error)
        many = len(drawn)
        said = f"A pool of {many} contenders is set." if setup.pool else f"{many} contenders are set."
        return self.setups.add(setup, refs, visitor), said

    def handed(self, first: str, second: str, visitor: str) -> tuple[str, str, str]:
        """Two models from elsewhere on the page: the sheet, the choice and the line."""
        with shown_to_user():
            if not (first and second):
                return gr.skip(), gr.skip(), gr.skip()
            setup = replace(DEFAULT, choices=(Choice(first), Choice(second)))
            refs = tuple(self._fixed(choice) for choice in setup.choices)
            return contenders(setup), self.setups.add(setup, refs, visitor), "2 contenders are set."

    def chosen(self, setup_id: str | None) -> Chosen:
        """The choice behind an id; without one, two temperatures of the pinned model."""
        found = self.setups.find(setup_id)
        if found is None:
            if setup_id:
                raise UserInputError("The contenders are no longer kept here. Choose them again under Contenders.")
            return Chosen("", DEFAULT, (None, None))
        if found.problem:
            raise UserInputError(f"The contenders are not complete. {found.problem}")
        return found

    def candidates(self, chosen: Chosen, pinned: ModelRef | None, limits: Limits | None) -> list[Candidate]:
        """The contenders with exact models and settings, in the order of the choice. Refuses what cannot be a battle.

        `limits` None: the page has not said what stands under Settings, so it is what they start from.
        """
        setup = chosen.setup
        temperature, top_p, most = limits or (*start_of(self._stated(pinned)), MOST_TOKENS)
        refs = chosen.refs or (None,) * len(setup.choices)
        found = []
        for choice, ref in zip(setup.choices, refs, strict=True):
            settings = choice.settings(setup.max_new_tokens or int(most))
            found.append(
                Candidate(
                    ref or self.ref_of(choice, pinned),
                    replace(
                        settings,
                        temperature=temperature if settings.temperature is None else settings.temperature,
                        top_p=top_p if settings.top_p is None else settings.top_p,
                    ),
                    choice.system or None,
                )
            )
        for number, one in enumerate(found):
            if one.settings.temperature == 0 and one in found[:number]:
                raise UserInputError(
                    "Two contenders are the same model at temperature 0 and would answer alike. Change one of them."
                )
        for ref in dict.fromkeys(one.ref for one in found):
            self._refuse_download(ref)
        for number, one in enumerate(found, 1):
            self._refuse_unread(number, one)
        return found

    def _stated(self, pinned: ModelRef | None) -> GenerationSettings | None:
        """What the author of the pinned model recommends; None where that cannot be known."""
        try:
            return None if pinned is None else self.router.capabilities(pinned).sampling
        except AppError:
            return None

    def drawn(
        self, chosen: Chosen, found: list[Candidate], shuffle: Callable[[list[Any]], None]
    ) -> tuple[Candidate, ...]:
        """Who answers now, and on which side: of a pool the pair that was compared least, in an order drawn anew."""
        sides = list(found)
        if chosen.setup.pool:
            pair = least_compared(len(found), self._counts(found), secrets.randbelow)
            sides = [found[number] for number in pair]
        shuffle(sides)
        return tuple(sides)

    def ref_of(self, choice: Choice, pinned: ModelRef | None) -> ModelRef:
        """The exact model of a choice. `PINNED` and `BASE` are what is pinned at this moment."""
        if choice.model in ("", PINNED_NAME, BASE, BASE_NAME):
            if pinned is None:
                raise UserInputError("No model is pinned. Find one under Search and choose Use this model.")
            ref = pinned.base if choice.model in (BASE, BASE_NAME) else pinned
        else:
            ref = self.router.pin(choice.model)
        if choice.adapter:
            ref = self.router.find_adapter(ref.base, choice.adapter)
        if choice.weights:
            ref = self.router.held(ref, choice.weights)
        return ref

    def _fixed(self, choice: Choice) -> ModelRef | None:
        """The model of a choice that names one; None where it follows the pinned model."""
        return None if choice.model in ("", PINNED_NAME, BASE, BASE_NAME) else self.ref_of(choice, None)

    def _refuse_download(self, ref: ModelRef) -> None:
        """Bytes are fetched where their number is said first: on the card."""
        plan = self.router.plan(ref)
        if not plan.ready:
            raise UserInputError(
                f"{ref.repo_id} is not on this machine ({bytes_of(plan.download_bytes)} to download). Open its card and "
                "choose Download and use, then compare."
            )

    def _refuse_unread(self, number: int, candidate: Candidate) -> None:
        """An option that a template does not read would end the battle as a side that failed."""
        given = [name for name, _ in candidate.settings.template_kwargs]
        # A host does not tell what its templates read.
        if not given or candidate.ref.host:
            return
        reads = self.router.capabilities(candidate.ref).template_kwargs
        unread = [name for name in given if name not in reads]
        if unread:
            known = f"It reads {', '.join(reads)}." if reads else "It reads none."
            raise UserInputError(f"Contender {number}: its chat template has no option called {unread[0]}. {known}")

    def _counts(self, found: list[Candidate]) -> Counter[tuple[int, int]]:
        """How often each pair of the pool was compared, from the newest rows of this store."""
        counts: Counter[tuple[int, int]] = Counter()
        for row in self.store.find(RowQuery(config="comparisons", source="battle"), MOST_COUNTED).rows:
            sides = [
                next((n for n, one in enumerate(found) if _made_by(one, row.columns, side)), None)
                for side in ("left", "right")
            ]
            if sides[0] is not None and sides[1] is not None and sides[0] != sides[1]:
                counts[min(sides[0], sides[1]), max(sides[0], sides[1])] += 1
        return counts


def _made_by(candidate: Candidate, columns: Mapping[str, object], side: str) -> bool:
    """Whether a row's side is this contender: the model, and every setting that was chosen."""
    ref = candidate.ref
    adapter = str(ref.adapter) if ref.adapter else None
    told = (columns[f"{side}_model"], columns[f"{side}_revision"] or "", columns[f"{side}_adapter"])
    if told != (ref.repo_id, ref.revision, adapter):
        return False
    try:
        settings = json.loads(str(columns[f"{side}_settings"] or "{}"))
    except ValueError:
        return False
    wanted = {
        "weights": ref.weights or None,
        "system": candidate.system,
        "template_kwargs": dict(candidate.settings.template_kwargs) or None,
    }
    chosen = {
        name: getattr(candidate.settings, name) for name in ("temperature", "top_p", "top_k", "repetition_penalty")
    }
    return all(settings.get(name) == value for name, value in wanted.items()) and all(
        value is None or settings.get(name) == value for name, value in chosen.items()
    )
