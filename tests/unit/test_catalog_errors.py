"""Every error of the library below has its sentence."""

from __future__ import annotations

import inspect
import json

import httpx2
import pytest
from huggingface_hub import errors as hub

from backends.hub.errors import About, hub_errors, retry_after, table, translate
from core.errors import (
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    RateLimited,
    RevisionGone,
    UserInputError,
)

ABOUT = About("https://hub.example", "org/name", "v1")
TOKEN = "hf_secret_token"
# Raised by calls the catalogue never makes.
ELSEWHERE = {
    "BucketNotFoundError",
    "BucketBatchError",
    "JobNotFoundError",
    "InferenceTimeoutError",
    "TextGenerationError",
}
ELSEWHERE |= {"ValidationError", "GenerationError", "OverloadedError", "IncompleteGenerationError", "UnknownError"}


def http_error(kind: type, status: int, headers: dict | None = None, server_message: str | None = None):
    request = httpx2.Request("GET", "https://hub.example/api/models", headers={"authorization": f"Bearer {TOKEN}"})
    response = httpx2.Response(status, headers=headers or {}, request=request)
    return kind(f"{status} for token {TOKEN}", response=response, server_message=server_message)


CASES = [
    (http_error(hub.GatedRepoError, 403), ModelGated, "https://hub.example/org/name"),
    (http_error(hub.GatedRepoError, 401), ModelGated, "HF_TOKEN"),
    (http_error(hub.RepositoryNotFoundError, 404), ModelNotFound, "Check the spelling"),
    (http_error(hub.RepositoryNotFoundError, 401, {"X-Error-Code": "RepoNotFound"}), ModelNotFound, "private"),
    (http_error(hub.RepositoryNotFoundError, 401, {}, 'User Access Token "x" is expired'), HubError, "expired"),
    (http_error(hub.RevisionNotFoundError, 404), RevisionGone, "v1"),
    (http_error(hub.DisabledRepoError, 403), HubError, "disabled"),
    (http_error(hub.RemoteEntryNotFoundError, 404), HubError, "not in"),
    (http_error(hub.BadRequestError, 400), HubError, "did not accept"),
    (http_error(hub.HfHubHTTPError, 401), ModelNotFound, "private"),
    (
        http_error(hub.HfHubHTTPError, 401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        HubError,
        "token",
    ),
    (http_error(hub.HfHubHTTPError, 403), HubError, "token in use"),
    (http_error(hub.HfHubHTTPError, 404), ModelNotFound, "no model"),
    (http_error(hub.HfHubHTTPError, 409), HubError, "409"),
    (http_error(hub.HfHubHTTPError, 429, {"Retry-After": "7"}), RateLimited, "in 7 seconds"),
    (http_error(hub.HfHubHTTPError, 429), RateLimited, "few minutes"),
    (http_error(hub.HfHubHTTPError, 500), HubUnreachable, "500"),
    (http_error(hub.HfHubHTTPError, 503), HubUnreachable, "503"),
    (hub.OfflineModeIsEnabled("x"), HubUnreachable, "HF_HUB_OFFLINE"),
    (hub.HFValidationError("x"), HubError, "did not accept"),
    (httpx2.ConnectTimeout("x"), HubUnreachable, "in time"),
    (httpx2.ReadTimeout("x"), HubUnreachable, "in time"),
    (httpx2.ConnectError("x"), HubUnreachable, "hub.example"),
    (httpx2.RemoteProtocolError("x"), HubUnreachable, "cannot be reached"),
    (httpx2.TooManyRedirects("x"), HubUnreachable, "cannot be reached"),
    (httpx2.LocalProtocolError(f"Illegal header value {TOKEN}"), HubError, "HF_TOKEN"),
    (httpx2.InvalidURL("x"), HubUnreachable, "cannot be reached"),
    (json.JSONDecodeError("x", "<html>", 0), HubUnreachable, "HF_ENDPOINT"),
    (TimeoutError(), HubUnreachable, "in time"),
    (ConnectionResetError(), HubUnreachable, "cannot be reached"),
]


@pytest.mark.parametrize(("error", "kind", "part"), CASES)
def test_the_table(error, kind, part):
    with pytest.raises(HubError) as caught, hub_errors(ABOUT):
        raise error
    assert type(caught.value) is kind
    assert part in str(caught.value) or (kind is ModelGated and part in caught.value.link)
    assert caught.value.__cause__ is error
    assert TOKEN not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_no_http_error_of_the_library_is_missing():
    """huggingface_hub grew GatedRepoError, then DisabledRepoError: the next one fails here, not on the screen."""
    mapped = {kind for kind, _ in table()}
    grown = {
        name
        for name, kind in inspect.getmembers(hub, inspect.isclass)
        if kind.__module__ == hub.__name__ and issubclass(kind, httpx2.HTTPError) and kind not in mapped
    }
    assert grown == ELSEWHERE


def test_the_clients_own_errors_are_all_mapped():
    kinds = {kind for _, kind in inspect.getmembers(httpx2, inspect.isclass) if issubclass(kind, httpx2.HTTPError)}
    assert all(any(issubclass(kind, base) for base, _ in table()) for kind in kinds)


def test_no_entry_of_the_table_is_hidden_by_one_above_it():
    kinds = [kind for kind, _ in table()]
    assert not [(a, b) for n, a in enumerate(kinds) for b in kinds[n + 1 :] if issubclass(b, a) and a is not b]


def test_a_bug_stays_a_bug_and_our_own_errors_pass():
    assert translate(KeyError("x"), ABOUT) is None
    with pytest.raises(KeyError), hub_errors(ABOUT):
        raise KeyError("x")
    with pytest.raises(UserInputError), hub_errors(ABOUT):
        raise UserInputError("x")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({"RateLimit": "nonsense"}, None),
        ({"Retry-After": "5", "RateLimit": '"api";r=0;t=55'}, 5.0),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers) == seconds
