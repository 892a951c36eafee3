"""Every error the app raises on purpose, as one tree.

    AppError                    safe to show; its message says what to do next
    ├─ UserInputError           empty prompt, bad repo id, a value out of range
    │  └─ PromptRefused         a text check of the operator objects to what is asked
    ├─ NotAllowed               the caller's role does not let them
    ├─ NotPinnedError           a branch name where a commit is needed
    ├─ HubError                 the Hub said no, or nothing
    │  ├─ ModelNotFound
    │  ├─ ModelGated            (link)
    │  ├─ RevisionGone
    │  ├─ RateLimited           (retry_after)
    │  └─ HubUnreachable
    ├─ BackendError             a model cannot answer
    │  ├─ NoBackend             (why each engine refused)
    │  ├─ OutOfMemory
    │  ├─ QuotaExceeded         (retry_after)
    │  ├─ Busy                  the queue is full (retry_after)
    │  ├─ DownloadFailed        disk full, connection lost half-way
    │  ├─ Withheld              a text check of the operator objects to the answer
    │  └─ GenerationFailed
    ├─ GalleryError             a picture could not be kept, read or packed
    ├─ ConversationError        a conversation could not be kept or read
    ├─ UnsafeContentError       pickle weights, custom code; says what the override would do
    └─ FeedbackError            a row could not be saved or sent
       ├─ NotSaved
       ├─ NotConsented
       └─ DatasetRejected

Library exceptions are translated once, at the seam, ``from exc``. Anything that is not an ``AppError`` is a bug.
"""

from __future__ import annotations


class AppError(Exception):
    """An error whose message is written for the person at the screen."""


class UserInputError(AppError):
    """What was typed, sent or uploaded cannot be used as it is."""


class PromptRefused(UserInputError):
    """The operator's text check objects to what is asked; it was not sent to a model."""


class NotAllowed(AppError):
    """The caller's role does not let them do this."""


class NotPinnedError(AppError):
    """A model was named without the commit that makes it one exact model."""


class HubError(AppError):
    """The Hub refused a request or could not answer it."""


class ModelNotFound(HubError):
    """No such repository, or it is private and the token does not see it."""


class ModelGated(HubError):
    """The repository asks for access first; `link` is where to ask."""

    def __init__(self, message: str, link: str) -> None:
        super().__init__(message)
        self.link = link


class RevisionGone(HubError):
    """The repository exists, the commit, branch or tag does not."""


class RateLimited(HubError):
    """The Hub asks to wait `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HubUnreachable(HubError):
    """No answer within the deadline, or no connection at all."""


class BackendError(AppError):
    """A model cannot answer."""


class NoBackend(BackendError):
    """No engine can run this model; `reasons` says why each refused."""

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class OutOfMemory(BackendError):
    """The model or the request does not fit into memory."""


class QuotaExceeded(BackendError):
    """The visitor's GPU quota is used up for `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Busy(BackendError):
    """As many people wait for an answer as the engine lets wait; a place is free in `retry_after` seconds or so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DownloadFailed(BackendError):
    """The files did not arrive whole: disk full, or the connection was lost."""


class GenerationFailed(BackendError):
    """The engine stopped with an error while it was answering."""


class Withheld(BackendError):
    """The operator's text check objects to an answer, which is not shown."""


class GalleryError(AppError):
    """A picture of the gallery could not be kept, read or packed."""


class ConversationError(AppError):
    """A conversation could not be kept or read."""


class UnsafeContentError(AppError):
    """Loading this would run code from strangers."""


class FeedbackError(AppError):
    """A row could not be saved or sent."""


class NotSaved(FeedbackError):
    """The row is not on disk; the person still has it on the screen."""


class NotConsented(FeedbackError):
    """The reviewer has not agreed to the consent text."""


class DatasetRejected(FeedbackError):
    """The dataset repository refused the rows; they wait on this machine."""
