"""Engines behind the limits: every answer and drawing counts for whoever asked, and only some people may fetch models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, TypeVar, cast

from components.access import Access
from core.attached import Attached, AttachedPictures, Take
from core.caller import caller
from core.chat import Delta, GenerationSettings, LoadPlan, Message, Progress
from core.chat_protocols import Answer, ChatRequest, ChatRouter
from core.errors import NotAllowed
from core.image_protocols import Drawing, ImageRouter
from core.images import Adapter, ImageSettings, Step
from core.refs import ModelRef
from core.roles import Account, Role, refusal

MILLION = 1_000_000
# An answer whose page is gone goes on for the grace time, 30 s unless the operator says otherwise.
FORGOTTEN_SECONDS = 120.0
T = TypeVar("T")


def metered_chat(router: ChatRouter, access: Access) -> ChatRouter:
    """`router` for visitors of `access`."""
    return cast(ChatRouter, _Chat(router, access))


def metered_images(router: ImageRouter, access: Access) -> ImageRouter:
    """`router` for visitors of `access`."""
    return cast(ImageRouter, _Images(router, access))


def metered_take(pictures: AttachedPictures, access: Access) -> Take:
    """`pictures.take` for those that come in an event or a call, past the door where uploads are counted."""

    def take(data: bytes, name: str = "picture") -> Attached:
        who = caller()
        if who is not None:
            access.usage.spend("upload", who, len(data) / MILLION)
        return pictures.take(data, name)

    return take


class _Metered:
    """Everything but beginning and fetching goes straight through."""

    def __init__(self, inner: Any, access: Access) -> None:
        self._inner, self._access = inner, access

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """As the router's; a model that is not here yet is fetched for a curator only, and that is written down."""
        plan: LoadPlan = self._inner.plan(ref)
        here = plan.ready or not plan.download_bytes
        yield from self._fetched(self._inner.prepare(ref), here, str(ref))

    def _fetched(self, steps: Iterator[T], here: bool, what: str) -> Iterator[T]:
        who = caller()
        if here or who is None:
            yield from steps
            return
        if who.role < Role.CURATOR:
            self._access.write_down(who, "fetched a model", what, "refused")
            sentence = refusal(Role.CURATOR, who, can_sign_in=self._access.can_sign_in)
            raise NotAllowed(
                f"{what.partition('@')[0]} is not on this machine yet, and has to be fetched first. {sentence}"
            )
        outcome = "failed"
        try:
            yield from steps
            outcome = "done"
        finally:
            self._access.write_down(who, "fetched a model", what, outcome)

    def _begin(self, count: int, what: str, amount: float, start: Callable[[], Sequence[T]]) -> list[tuple[T, _Place]]:
        """Start `count` engines' work within the limits, or none of it."""
        who = caller()
        if who is None:
            return [(one, _Place(self._access, None, "", 0)) for one in start()]
        places = [_Place(self._access, who, what, amount / count) for _ in range(count)]
        self._access.usage.take(places, who)
        try:
            self._access.usage.spend(what, who, amount)
            begun = start()
        except BaseException:
            for place in places:
                self._access.usage.leave(place)
            raise
        return list(zip(begun, places, strict=True))


class _Place:
    """One place of the engines, held until the work is done, and what was counted for it beforehand."""

    def __init__(self, access: Access, who: Account | None, what: str, counted: float) -> None:
        self.left: float | None = None
        self._access, self._who, self._what, self._counted = access, who, what, counted
        self._held = True

    def gone(self) -> bool:
        """Whether nobody has listened for so long that the engine has ended it by itself."""
        return self.left is not None and monotonic() - self.left > FORGOTTEN_SECONDS

    def done(self, used: float | None = None) -> None:
        """The work has ended; what was counted and not used is given back. Once."""
        if not self._held:
            return
        self._held = False
        self._access.usage.leave(self)
        if self._who is not None and used is not None and used < self._counted:
            self._access.usage.give_back(self._what, self._who, self._counted - used)


class _Held:
    """An answer or a drawing that frees its place when it ends, whoever listens to the end; `used` says what it took."""

    def __init__(self, inner: Any, place: _Place, used: Callable[[Any], float | None] = lambda _: None) -> None:
        self._inner, self._place, self._used = inner, place, used

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def listen(self) -> Iterator[Delta | Step]:
        """As its own."""
        self._place.left = None
        try:
            for each in self._inner.listen():
                if each.finish is not None:
                    self._end()
                yield each
        except GeneratorExit:
            self._place.left = monotonic()
            raise
        except BaseException:
            self._place.done()
            raise

    def cancel(self) -> None:
        """As its own."""
        self._inner.cancel()
        self._end()

    def _end(self) -> None:
        self._place.done(self._used(self._inner))


class _Chat(_Metered):
    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """As the router's, within the caller's limits."""
        [(answer, place)] = self._begin(
            1, "tokens", tokens_of(settings), lambda: [self._inner.start(ref, messages, settings)]
        )
        return cast(Answer, _Held(answer, place, _tokens_used))

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """As the router's, within the caller's limits."""
        tokens = sum(tokens_of(settings) for _, _, settings in requests)
        begun = self._begin(len(requests), "tokens", tokens, lambda: self._inner.start_together(requests))
        return tuple(cast(Answer, _Held(answer, place, _tokens_used)) for answer, place in begun)


def _tokens_used(answer: Answer) -> float | None:
    usage = answer.reply().usage
    return float(usage.completion_tokens) if usage else None


def tokens_of(settings: GenerationSettings) -> int:
    """How many tokens an answer may take; what it does not take is given back."""
    return settings.max_new_tokens or 512


class _Images(_Metered):
    def start(self, ref: ModelRef, settings: ImageSettings) -> Drawing:
        """As the router's, within the caller's limits."""
        can = self._inner.capabilities(ref)
        side = (settings.width or can.width) * (settings.height or can.height)
        pixels = side * (settings.steps or can.steps) * max(1, settings.batch) / MILLION
        [(drawing, place)] = self._begin(1, "pixels", pixels, lambda: [self._inner.start(ref, settings)])
        return cast(Drawing, _Held(drawing, place))

    def prepare_adapter(self, ref: ModelRef, adapter: Adapter) -> Iterator[Progress]:
        """As the router's; one that is not here yet is fetched for a curator only."""
        here = any(known.ref == adapter.ref for known in self._inner.adapters(ref))
        yield from self._fetched(self._inner.prepare_adapter(ref, adapter), here, str(adapter.ref))
