"""The models a remote engine serves, as they are pinned, and what was found out about each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from backends.remote.target import Target
from core.errors import NoBackend
from core.refs import ModelRef, check_repo_id, check_served_name

if TYPE_CHECKING:
    from backends.remote.connection import Connection
    from backends.remote.probe import Found, Served

FRESH_SECONDS = 60.0
# When a host was too busy to be tried out, the next try is not with every message.
AGAIN_SECONDS = 600.0


class ServedModels:
    """Asks a target for its list at most once a minute, and for its abilities once for each model."""

    def __init__(self, target: Target, endpoint: str, task: str, alone: str = "") -> None:
        """`task` is the Hub's name of what a provider's models have to do.

        `alone` is the name of the one model of a server that keeps no list; without it any name is taken there.
        """
        self._target = target
        self._endpoint = endpoint
        self._task = task
        self._alone = alone
        self._lock = threading.Lock()
        self._looked: float | None = None
        self._complete = False
        self._served: dict[ModelRef, Served] = {}
        self._found: dict[str, Found] = {}
        self._good_until: dict[str, float] = {}

    def refs(self) -> tuple[ModelRef, ...]:
        """Every model of the list, in its order. Raises `BackendError` saying why it cannot be read."""
        self._look()
        return tuple(self._served)

    def pin(self, name: str) -> ModelRef:
        """The model of that name; any name where the list is not kept or not complete."""
        check_served_name(name)
        if self._target.provider:
            # InferenceClient takes a URL in place of a name and would send the key there.
            check_repo_id(name)
        self._look()
        for ref, served in self._served.items():
            if served.name == name or (ref.repo_id, ref.revision) == tuple(name.rpartition("@")[::2]):
                return ref
        if self._complete:
            raise self._gone(name)
        from backends.remote.probe import Served

        served = Served(name)
        ref = served.ref(self._target.host)
        with self._lock:
            self._served = {**self._served, ref: served}
        return ref

    def current(self, ref: ModelRef) -> Served:
        """What the server serves under this pin now. Raises `NoBackend` when it is another commit, or gone."""
        self._look()
        served = self._served.get(ref)
        if served is not None:
            return served
        others = [now for now in self._served if now.repo_id == ref.repo_id]
        if others and ref.revision:
            now = others[0].revision[:7] or "a commit it does not name"
            raise NoBackend(
                f"{self._target.host} no longer serves {ref.repo_id} at {ref.revision[:7]}; it is {now} now. Choose the "
                "model again to go on with that one."
            )
        if others:
            raise NoBackend(f"{self._target.host} says more of {ref.repo_id} now. Choose the model again.")
        if not self._complete:
            return self._served[self.pin(ref.repo_id)]
        raise self._gone(ref.repo_id)

    def known(self, ref: ModelRef) -> tuple[Served | None, Found | None]:
        """What is known of a model without asking."""
        served = self._served.get(ref)
        return served, self.found(served) if served else None

    def found(self, served: Served) -> Found | None:
        """What the probe found, if it was made."""
        return self._found.get(served.name)

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """The LoRAs the server lists on top of this model; each is chosen as a model of its own."""
        served = self._served.get(ref)
        return tuple(other.name for other in self._served.values() if served and other.parent == served.name)

    def probe(self, ref: ModelRef) -> Iterator[tuple[int, int]]:
        """Find out what the server can do with a model, as (done, total); nothing when that is known."""
        if self._target.provider or not self._target.url:
            # Every request there is billed; only the operator's own server is tried out.
            return
        from backends.remote.probe import ABILITIES, probe

        served = self.current(ref)
        if monotonic() < self._good_until.get(served.name, 0.0):
            return
        yield 0, len(ABILITIES)
        # Two visitors at once ask twice, which costs a few tokens; neither waits for a page that went away.
        for done, found in enumerate(probe(self._connect, served.name), 1):
            self._found[served.name] = found
            yield done, len(ABILITIES)
        complete = len(self._found[served.name].can) == len(ABILITIES)
        self._good_until[served.name] = inf if complete else monotonic() + AGAIN_SECONDS

    def _connect(self, seconds: float) -> Connection:
        from backends.remote.connection import Connection

        return Connection(self._target, seconds=seconds)

    def _look(self) -> None:
        with self._lock:
            if self._looked is not None and monotonic() - self._looked < FRESH_SECONDS:
                return
            found = self._asked()
            # An empty list says nothing: some servers list what is cached, not what they were started with.
            self._complete = bool(found) and not self._target.provider
            models = {served.ref(self._target.host): served for served in found or ()}
            # Names that were typed stay, where the list is not all there is.
            self._served = models if self._complete else {**self._served, **models}
            self._looked = monotonic()

    def _asked(self) -> tuple[Served, ...] | None:
        from backends.remote.errors import sentence
        from backends.remote.probe import ASK_SECONDS, Served, provided, served

        try:
            if self._target.provider:
                from backends.hub.errors import About, hub_errors

                with hub_errors(About(self._endpoint)):
                    return provided(self._target, self._endpoint, self._task)
            listed = served(self._connect, self._target)
            return (Served(self._alone),) if listed is None and self._alone else listed
        except Exception as error:
            raise sentence(error, self._target, "its list of models", seconds=ASK_SECONDS, began=False) from error

    def _gone(self, name: str) -> NoBackend:
        names = ", ".join(served.name for served in list(self._served.values())[:5])
        return NoBackend(
            f"{self._target.host} does not serve {name}. Choose one it lists{f': {names}' if names else ''}."
        )
