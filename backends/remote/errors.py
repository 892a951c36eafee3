"""Turns what a remote engine answers, or does not, into sentences, in one place."""

from __future__ import annotations

import re

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from backends.remote.connection import CONNECT_SECONDS, Broken, Refused
from backends.remote.target import Target
from core.errors import AppError, GenerationFailed, HubUnreachable, NoBackend, QuotaExceeded, UserInputError
from core.refs import shown

_TOO_LONG = re.compile(
    r"context|too long|too large|max_(?:new_)?tokens|maximum (?:model )?length|inputs? tokens|exceed", re.I
)
# Worth another try, as long as nothing has arrived: the server is starting, busy, or was replaced behind a balancer.
_PASSING = (429, 502, 503, 504)


def sentence(
    error: Exception, target: Target, model: str, *, seconds: float, began: bool, sent: bool = True
) -> AppError:
    """What to tell the person; anything unknown is raised as it is, because it is a bug. `sent`: the host was asked."""
    host = target.host
    if isinstance(error, AppError):
        return error
    if isinstance(error, httpx2.TransportError) and not sent:
        return HubUnreachable(
            f"The Hub, which knows what {host} calls {model}, cannot be reached, so nothing was sent. Try again later."
        )
    if isinstance(error, Refused):
        return _refused(error, target, model)
    if isinstance(error, httpx2.ConnectTimeout):
        return GenerationFailed(
            f"{host} did not accept a connection within {CONNECT_SECONDS:.0f} s. Try again; if it stays so, the operator "
            "has to see whether that server runs."
        )
    if isinstance(error, httpx2.TimeoutException):
        return GenerationFailed(
            f"{host} said nothing for {seconds:.0f} s, so the connection was closed{_kept(began)}. Try again, or ask for "
            "fewer tokens."
        )
    if isinstance(error, httpx2.ConnectError):
        if "certificate" in str(error).lower():
            return GenerationFailed(
                f"{host} shows a certificate that cannot be trusted, so nothing was sent. The operator has to correct it."
            )
        return GenerationFailed(
            f"{host} cannot be reached, so nothing was sent. Try again; if it stays so, the operator has to see whether "
            f"that server runs and {target.setting} names it."
        )
    if isinstance(error, httpx2.TransportError):
        return GenerationFailed(f"The connection to {host} was lost while it was answering{_kept(began)}. Try again.")
    if isinstance(error, Broken):
        return GenerationFailed(
            f"{host} sent something that is no answer ({error}){_kept(began)}. Try again; if it stays so, the operator "
            f"has to see whether {target.setting} names an OpenAI-compatible server."
        )
    if isinstance(error, ValueError | HfHubHTTPError) and target.provider:
        # InferenceClient asks the Hub which of its models a provider has, and says no like this.
        return NoBackend(f"{host} cannot serve {model}: {_said(str(error), target)} Choose another model.")
    raise error


def passing(error: Exception) -> bool:
    """Whether trying again may help."""
    if isinstance(error, Refused):
        return error.status in _PASSING
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.ReadTimeout)


def _refused(error: Refused, target: Target, model: str) -> AppError:
    host, status = target.host, error.status
    said = _said(error.message, target)
    quoted = f" It says: {said}" if said else ""
    if status in (401, 403):
        what = "refuses the key it was sent" if target.token else "asks for a key, and none is set"
        return NoBackend(f"{host} {what} ({status}). The operator has to set {target.token_setting}.{quoted}")
    if status == 404:
        return NoBackend(f"{host} does not serve {model} (404). Choose another model.{quoted}")
    if status == 402:
        return QuotaExceeded(f"The credit at {host} is used up (402). The operator has to add some.{quoted}")
    if status == 429:
        after = error.retry_after
        wait = "Wait a moment" if after is None else f"Wait {after:.0f} s"
        return QuotaExceeded(f"{host} takes no more requests for now (429). {wait}, then try again.{quoted}", after)
    if status in (400, 413, 422) and _TOO_LONG.search(error.message):
        return UserInputError(
            f"The conversation and the answer asked for are longer than {model} on {host} reads. Shorten the message, "
            f"lower Max new tokens, or clear the conversation and send the part that matters.{quoted}"
        )
    if 300 <= status < 400:
        return NoBackend(
            f"{host} sends on to another address ({status}), which is not followed. The operator has to set "
            f"{target.setting} to the final address."
        )
    if 400 <= status < 500:
        return GenerationFailed(f"{host} refused the request ({status}). Change the settings and try again.{quoted}")
    code = f" ({status})" if status else ""
    return GenerationFailed(
        f"{host} failed while it was answering{code}. Try again; if it stays so, the operator has to look at that "
        f"server.{quoted}"
    )


def _said(message: str, target: Target) -> str:
    """The server's own words, short, and never with the key it was sent."""
    if target.token:
        message = message.replace(target.token, "…")
    return shown(" ".join(message.split()), 300)


def _kept(began: bool) -> str:
    return "; what had arrived is kept" if began else ""
