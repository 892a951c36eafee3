"""Turns what huggingface_hub and its HTTP client raise into sentences, in one ordered table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from core.access import gated_sentence, missing_sentence
from core.errors import AppError, HubError, HubUnreachable, ModelGated, ModelNotFound, RateLimited, RevisionGone
from core.refs import shown

_NOUNS = (("datasets/", "dataset"), ("spaces/", "Space"), ("papers/", "paper"))
_ABOUT_TOKEN = re.compile(r"credential|token|expired", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class About:
    """What a request was about, for the sentence. Never the token."""

    endpoint: str
    repo_id: str = ""
    revision: str = ""

    @property
    def link(self) -> str:
        """The repository's page, where access is asked for."""
        return f"{self.endpoint}/{self.repo_id}"

    @property
    def name(self) -> str:
        """The repository without what stands before it in its address."""
        return self.repo_id.partition("/")[2] if self.noun != "model" else self.repo_id

    @property
    def noun(self) -> str:
        """What it is, for the sentence; told by its address, which starts with the kind for all but models."""
        return next((noun for prefix, noun in _NOUNS if self.repo_id.startswith(prefix)), "model")

    @property
    def host(self) -> str:
        """The Hub's name for people."""
        return self.endpoint.partition("//")[2] or self.endpoint


Sentence = Callable[[Any, About], HubError]


@contextmanager
def hub_errors(about: About) -> Iterator[None]:
    """Translate library errors raised inside; what is not in the table is a bug and passes through."""
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        translated = translate(error, about)
        if translated is None:
            raise
        raise translated from error


def translate(error: Exception, about: About) -> HubError | None:
    """The error in our tree that says the same; None when the table does not know it."""
    return next((say(error, about) for kind, say in table() if isinstance(error, kind)), None)


@cache
def table() -> tuple[tuple[type[Exception], Sentence], ...]:
    """Library errors and their sentences; the first that fits wins, so subclasses stand before their bases."""
    import httpx2
    from huggingface_hub import errors as hub

    return (
        (hub.GatedRepoError, _gated),
        (hub.RevisionNotFoundError, _revision_gone),
        (hub.DisabledRepoError, _disabled),
        (hub.RemoteEntryNotFoundError, _entry_missing),
        (hub.RepositoryNotFoundError, _not_found),
        (hub.BadRequestError, _refused),
        (hub.HfHubHTTPError, _by_status),
        (hub.OfflineModeIsEnabled, _offline_mode),
        (hub.HFValidationError, _refused),
        (httpx2.TimeoutException, _too_slow),
        (httpx2.LocalProtocolError, _bad_header),
        (httpx2.HTTPError, _unreachable),
        (httpx2.InvalidURL, _unreachable),
        (json.JSONDecodeError, _not_a_hub),
        (UnicodeDecodeError, _not_a_hub),
        (TimeoutError, _too_slow),
        (OSError, _unreachable),
    )


def retry_after(headers: Any) -> float | None:
    """The seconds a 429 asks to wait: `Retry-After` (seconds or a date), else the `RateLimit` header."""
    value = str(headers.get("Retry-After", "")).strip()
    if value.isdigit():
        return float(value)
    if value:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    match = re.search(r";\s*t=(\d{1,9})", str(headers.get("RateLimit", "")))
    return float(match[1]) if match else None


def _gated(error: Any, about: About) -> HubError:
    return ModelGated(gated_sentence(about.name, about.link), about.link)


def _revision_gone(error: Any, about: About) -> HubError:
    return RevisionGone(
        f"“{about.name}” has no revision “{shown(about.revision)}” any more. Leave the revision out to get the newest "
        "one, or choose a commit that exists."
    )


def _disabled(error: Any, about: About) -> HubError:
    return HubError(f"The Hub has disabled “{about.name}”: its files cannot be read. Choose another model.")


def _entry_missing(error: Any, about: About) -> HubError:
    return HubError(f"A file that was looked for is not in “{about.name}” at this commit. Choose another commit.")


def _not_found(error: Any, about: About) -> HubError:
    if _token_refused(error):
        return _bad_token(about)
    return ModelNotFound(missing_sentence(about.noun, shown(about.name), about.host))


def _refused(error: Any, about: About) -> HubError:
    return HubError(f"{about.host} did not accept the question. Change the search text or the filters and try again.")


def _by_status(error: Any, about: About) -> HubError:
    status = error.response.status_code
    if status == 429:
        wait = retry_after(error.response.headers)
        when = f"in {wait:.0f} seconds" if wait is not None else "in a few minutes"
        return RateLimited(f"The Hub asks to wait: too many requests. Try again {when}.", wait)
    if status == 401:
        # Over plain http the library does not recognise the Hub's "401 for a missing repository".
        return _bad_token(about) if _token_refused(error) or not about.repo_id else _not_found(error, about)
    if status == 403:
        return HubError(
            "The Hub does not allow this with the token in use. Set HF_TOKEN to one that may read the model."
        )
    if status == 404:
        return _not_found(error, about) if about.repo_id else _not_a_hub(error, about)
    if status >= 500:
        return HubUnreachable(f"The Hub has a problem of its own (error {status}). Try again in a moment.")
    return HubError(f"{about.host} refused the request (error {status}). Try again, or choose another model.")


def _offline_mode(error: Any, about: About) -> HubError:
    return HubUnreachable(
        "The Hub is switched off here (HF_HUB_OFFLINE is set). Unset it and start again to search it."
    )


def _too_slow(error: Any, about: About) -> HubError:
    return HubUnreachable("The Hub does not answer in time. Check the network, or try again in a moment.")


def _unreachable(error: Any, about: About) -> HubError:
    return HubUnreachable(f"The Hub cannot be reached at {about.host}. Check the network, or try again in a moment.")


def _bad_header(error: Any, about: About) -> HubError:
    return HubError(
        "The access token cannot be sent as it is. Check HF_TOKEN for blanks, line breaks and odd characters."
    )


def _not_a_hub(error: Any, about: About) -> HubError:
    return HubUnreachable(
        f"What answered at {about.host} is not a Hub. Check HF_ENDPOINT, and whether the network wants a login first."
    )


def _bad_token(about: About) -> HubError:
    return HubError(
        "The Hub refused the access token: it is wrong or expired. Set HF_TOKEN to a valid one, or unset it."
    )


def _token_refused(error: Any) -> bool:
    headers = error.response.headers
    said = f"{headers.get('X-Error-Message', '')} {error.server_message or ''}"
    return error.response.status_code == 401 and bool(_ABOUT_TOKEN.search(said)) and not headers.get("X-Error-Code")
