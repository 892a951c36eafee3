"""Where a card's links and images point: made absolute at one commit, and nothing from elsewhere without a click."""

from __future__ import annotations

import posixpath
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

Kind = Literal["model", "dataset", "space"]
Picture = Callable[[str], bytes | None]
# What is shown as a picture is one by its first bytes; SVG is not among them, because it can hold scripts.
_PICTURES = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))
_PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}
ID_PREFIX = "card-"
# What browsers take out of an address before they read it (WHATWG URL): C0 controls and blanks at the ends, tabs and
# line breaks everywhere.
_ENDS = "".join(map(chr, range(33)))
_INSIDE = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SAFE = "/%:@!$&'()*+,;=~-._?#[]"
_NOT_IN_IDS = re.compile(r"[\s\x00-\x1f\"'<>&`]+")
_MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """The repository and commit that relative addresses of a card mean."""

    endpoint: str
    repo_id: str
    revision: str
    kind: Kind = "model"
    picture: Picture | None = None

    @property
    def repository(self) -> str:
        """The repository's page."""
        return f"{self.endpoint.rstrip('/')}/{_PREFIX[self.kind]}{self.repo_id}"

    def link(self, value: str) -> str | None:
        """The absolute address of a link, `#card-…` for one inside the card, None for one that must not be followed."""
        return self._address(value, "blob")

    def image(self, value: str) -> str | None:
        """The absolute address of an image, wherever it lies; None when there is none."""
        address = self._address(value, "resolve")
        return None if address is None or not address.lower().startswith(("http://", "https://")) else address

    def is_here(self, address: str) -> bool:
        """Whether an address that `image` returned is on the Hub the card comes from."""
        there, here = urlsplit(address), urlsplit(self.endpoint)
        return (there.scheme.lower(), there.netloc.lower()) == (here.scheme.lower(), here.netloc.lower())

    def inside(self, address: str) -> str | None:
        """The picture at an address of this repository as a data address, "" when there is none; None for another place."""
        start = f"{self.repository}/resolve/{self.revision}/"
        if self.picture is None or not address.startswith(start):
            return None
        content = self.picture(unquote(address[len(start) :].partition("?")[0]))
        kind = next((name for magic, name in _PICTURES if content and content.startswith(magic)), None)
        return f"data:image/{kind};base64,{b64encode(content).decode()}" if content and kind else ""

    def _address(self, value: str, action: str) -> str | None:
        text = _INSIDE.sub("", value[:_MOST_CHARACTERS].strip(_ENDS)).replace("\\", "/")
        if not text:
            return None
        if text.startswith("#"):
            return f"#{ID_PREFIX}{clean_id(text[1:])}"
        if text.startswith("//"):
            text = f"https:{text}"
        scheme = _SCHEME.match(text)
        if scheme:
            return self._elsewhere(text, scheme[0].lower())
        path, mark, rest = _split_path(text)
        if path.startswith("/"):
            # As on the Hub's own pages: the root of the site, not of the repository.
            return f"{self.endpoint.rstrip('/')}{quote(posixpath.normpath('/' + path.lstrip('/')), safe=_SAFE)}{mark}{rest}"
        inside = posixpath.normpath("/" + path).lstrip("/")
        target = f"{self.repository}/{action}/{self.revision}/{quote(inside, safe=_SAFE)}" if path else self.repository
        return f"{target}{mark}{rest}"

    def _elsewhere(self, text: str, scheme: str) -> str | None:
        if scheme == "mailto:":
            return "mailto:" + quote(text[len(scheme) :], safe=_SAFE)
        if scheme not in ("http:", "https:"):
            return None
        try:
            # Browsers read any number of slashes after http: as two.
            parts = urlsplit(f"{scheme}//{text[len(scheme) :].lstrip('/')}")
            host, _ = parts.hostname, parts.port
        except ValueError:
            return None
        if not host:
            return None
        # A name before the host is there to look like another host.
        netloc = parts.netloc.rpartition("@")[2]
        path, query, fragment = (quote(part, safe=_SAFE) for part in parts[2:])
        return urlunsplit((parts.scheme, netloc, path, query, fragment))


def clean_id(value: str) -> str:
    """An author's id or fragment without what would end it or an attribute."""
    return _NOT_IN_IDS.sub("-", value[:200])


def host_of(address: str) -> str:
    """The host of an absolute address, for a sentence."""
    return urlsplit(address).netloc


def _split_path(text: str) -> tuple[str, str, str]:
    found = re.search(r"[?#]", text)
    if not found:
        return text, "", ""
    rest = text[found.end() :]
    if found[0] == "#":
        return text[: found.start()], "#", quote(rest, safe=_SAFE)
    return text[: found.start()], "?", quote(rest, safe=_SAFE)
