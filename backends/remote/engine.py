"""What every remote engine is: a host, the models it serves, and how long it may be silent."""

from __future__ import annotations

from backends.remote.models import ServedModels
from backends.remote.target import Target
from core.refs import ModelRef


class RemoteEngine:
    """The part of a backend that chat and pictures share. Asks no network when it is made."""

    def __init__(
        self,
        target: Target,
        models: ServedModels,
        orphan_seconds: float,
        silence_seconds: float,
        patience: tuple[float, ...],
    ) -> None:
        self._target = target
        self._orphan_seconds = orphan_seconds
        self._silence = silence_seconds
        self._patience = patience
        self._models = models

    @property
    def name(self) -> str:
        """What the chip and the rows call it: remote, and the host."""
        return f"remote {self._target.host}"

    @property
    def host(self) -> str:
        """The host that text is sent to."""
        return self._target.host

    def models(self) -> tuple[ModelRef, ...]:
        """The models that can be chosen; asks the host at most once a minute. Raises `BackendError`."""
        return self._models.refs()

    def pin(self, name: str) -> ModelRef:
        """The model the host calls `name`, with its commit where the host says it."""
        return self._models.pin(name)
