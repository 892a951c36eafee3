"""Turns what huggingface_hub raises while a dataset is written into sentences, in one ordered table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from backends.hub.errors import retry_after
from core.errors import AppError, DatasetRejected, HubError, HubUnreachable, RateLimited


class HeadMoved(HubError):
    """Somebody else committed first; the same change goes on top of theirs."""


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset a sentence is about, and what it says of the rows and of another try. Never the token."""

    repo_id: str
    host: str
    safe: str = "The rows wait on this machine."
    again: str = "It is tried again on its own."


Sentence = Callable[[Any, Target], AppError]


@contextmanager
def dataset_errors(target: Target) -> Iterator[None]:
    """Translate library errors raised inside; what is not in the table is a bug and passes through."""
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        translated = next((say(error, target) for kind, say in table() if isinstance(error, kind)), None)
        if translated is None:
            raise
        raise translated from error


@cache
def table() -> tuple[tuple[type[Exception], Sentence], ...]:
    """Library errors and their sentences; the first that fits wins, so subclasses stand before their bases."""
    import httpx2
    from huggingface_hub import errors as hub

    return (
        (hub.LocalTokenNotFoundError, lambda error, target: no_token(target)),
        (hub.GatedRepoError, _not_found),
        (hub.RepositoryNotFoundError, _not_found),
        (hub.HfHubHTTPError, _by_status),
        (hub.HFValidationError, _bad_name),
        (hub.OfflineModeIsEnabled, _offline_mode),
        (httpx2.LocalProtocolError, _bad_header),
        (httpx2.TimeoutException, _too_slow),
        (httpx2.HTTPError, _unreachable),
        (httpx2.InvalidURL, _unreachable),
        (json.JSONDecodeError, _not_a_hub),
        (UnicodeError, _bad_header),
        (hub.LocalEntryNotFoundError, _unreachable),
        (TimeoutError, _too_slow),
        (OSError, _unreachable),
        # The client's own check of README.md; its text quotes the Hub's answer.
        (ValueError, _bad_card),
    )


def no_token(target: Target) -> DatasetRejected:
    """What to say when there is no token at all."""
    return DatasetRejected(
        f"There is no token to write to {target.repo_id} with. Set HF_TOKEN, or log in with `hf auth login`, and start "
        f"again. {target.safe}"
    )


def _by_status(error: Any, target: Target) -> AppError:
    status = error.response.status_code
    if status == 401:
        # Over plain http the library does not recognise the Hub's "401 for a missing repository".
        if error.response.headers.get("X-Error-Code") == "RepoNotFound":
            return _not_found(error, target)
        return DatasetRejected(
            f"The Hub refused the access token: it is wrong, expired or revoked. Set HF_TOKEN to a valid one. {target.safe}"
        )
    if status == 403:
        return DatasetRejected(
            f"The access token may not write to {target.repo_id}. Give it write access to that dataset (fine-grained: read "
            f"and write the contents of this one repository), or set PROVING_DATASET to another. {target.safe}"
        )
    if status == 404:
        return _not_found(error, target)
    if status in (409, 412):
        return HeadMoved(f"Others are writing to {target.repo_id} at the same time. {target.again} {target.safe}")
    if status == 429:
        wait = retry_after(error.response.headers)
        when = f"in {wait:.0f} seconds" if wait is not None else "later"
        again = target.again.removesuffix(".").removesuffix(" on its own")
        return RateLimited(f"The Hub asks to wait: too many requests. {again} {when}. {target.safe}", wait)
    if status == 408 or status >= 500:
        return HubUnreachable(f"The Hub has a problem of its own (error {status}). {target.again} {target.safe}")
    return DatasetRejected(
        f"The Hub did not accept the change to {target.repo_id} (error {status}). Look at the dataset's page and its "
        f"README.md there. {target.again} {target.safe}"
    )


def _not_found(error: Any, target: Target) -> AppError:
    return DatasetRejected(
        f"There is no dataset {target.repo_id} on {target.host} that this token sees, and it could not be made. Check "
        f"PROVING_DATASET and the token's access. {target.safe}"
    )


def _bad_name(error: Any, target: Target) -> AppError:
    return DatasetRejected(
        f"“{target.repo_id}” is not a name the Hub allows. Set PROVING_DATASET to owner/name. {target.safe}"
    )


def _bad_card(error: Any, target: Target) -> AppError:
    return DatasetRejected(
        f"The Hub did not accept the README.md of {target.repo_id}. Correct its front matter on the dataset's page. {target.safe}"
    )


def _bad_header(error: Any, target: Target) -> AppError:
    return DatasetRejected(
        f"The access token cannot be sent as it is. Check HF_TOKEN for blanks, line breaks and odd characters. {target.safe}"
    )


def _offline_mode(error: Any, target: Target) -> AppError:
    return HubUnreachable(
        f"The Hub is switched off here (HF_HUB_OFFLINE is set). Unset it and start again. {target.safe}"
    )


def _too_slow(error: Any, target: Target) -> AppError:
    return HubUnreachable(f"The Hub does not answer in time. {target.again} {target.safe}")


def _unreachable(error: Any, target: Target) -> AppError:
    return HubUnreachable(f"The Hub cannot be reached at {target.host}. {target.again} {target.safe}")


def _not_a_hub(error: Any, target: Target) -> AppError:
    return HubUnreachable(
        f"What answered at {target.host} is not a Hub. Check HF_ENDPOINT, and whether the network wants a login. {target.safe}"
    )
