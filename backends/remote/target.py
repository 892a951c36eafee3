"""Where a remote engine is: the operator's URL or a provider's name, the key for it, and how the page calls it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from core.errors import UserInputError
from core.refs import shown

Task = Literal["conversational", "text-to-image"]
ROUTER = "router.huggingface.co"
_PROVIDER = re.compile(r"[a-z0-9-]{2,40}")


@dataclass(frozen=True, slots=True)
class Target:
    """A remote engine. `host` is what is shown before anything is sent there; either `url` or `provider` is set."""

    host: str
    url: str = ""
    provider: str = ""
    token: str | None = field(default=None, repr=False)
    setting: str = "PROVING_REMOTE_URL"

    @property
    def root(self) -> str:
        """The URL without the `/v1` at its end."""
        return self.url.removesuffix("/v1")

    @property
    def token_setting(self) -> str:
        """The name of the setting that holds the key."""
        return self.setting.replace("_URL", "_TOKEN")

    @property
    def on_this_machine(self) -> bool:
        """Whether the URL is a loopback address, which no proxy is asked for."""
        name = urlsplit(self.url).hostname or ""
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"


def target_of(
    value: str, token: str, task: Task = "conversational", setting: str = "PROVING_REMOTE_URL"
) -> Target | None:
    """The engine that a setting names; None when it is empty. Asks no network.

    Raises `UserInputError` naming the setting when it is neither a URL nor a provider that does this task.
    """
    value = value.strip()
    if not value:
        return None
    if "://" in value:
        return _url(value, token or None, setting)
    return _provider(value, token, task, setting)


def _url(value: str, token: str | None, setting: str) -> Target:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise UserInputError(f"{setting} is not a URL. Write it like http://127.0.0.1:8000/v1.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in value):
        raise UserInputError(f"{setting} has to be an http or https URL, for example http://127.0.0.1:8000/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserInputError(
            f"{setting} must hold neither a password, a query nor a fragment, because the page shows where text goes. "
            f"A key belongs into {setting.replace('_URL', '_TOKEN')}."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Target(name if port is None else f"{name}:{port}", url=value.rstrip("/"), token=token, setting=setting)


def _provider(value: str, token: str, task: Task, setting: str) -> Target:
    from huggingface_hub.inference._providers import PROVIDERS

    able = sorted(name for name, tasks in PROVIDERS.items() if task in tasks)
    if not _PROVIDER.fullmatch(value) or value not in (*able, "auto"):
        raise UserInputError(
            f"{setting} is “{shown(value)}”: neither an http URL nor a provider for this. Providers: {', '.join(able)}, auto."
        )
    secret = setting.replace("_URL", "_TOKEN")
    if not token:
        # Never the machine's own token: nobody decided that strangers may spend it.
        raise UserInputError(
            f"{setting} names the provider {value}, which needs {secret}: a Hugging Face token that may make calls to "
            "Inference Providers, or the provider's own key."
        )
    if token.startswith("hf_"):
        return Target(f"{ROUTER}/{value}", provider=value, token=token, setting=setting)
    if value == "auto":
        raise UserInputError(f"{setting}=auto needs a Hugging Face token (hf_…) in {secret}.")
    address = next(helper.base_url for name, helper in PROVIDERS[value].items() if name == task)  # type: ignore[index]
    return Target(urlsplit(address).hostname or value, provider=value, token=token, setting=setting)
