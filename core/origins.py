"""Where a request comes from: its address behind proxies, whether this page sent it, and where it may be led afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from core.errors import UserInputError

Network = IPv4Network | IPv6Network

# On a Space nothing but the platform's own proxies, which have private addresses, reaches the container.
PRIVATE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)
# Methods that ask and change nothing.
READING = ("GET", "HEAD", "OPTIONS")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whose forwarded headers count, and in which of them the proxy names the user and their groups; "" is none."""

    networks: tuple[Network, ...] = ()
    user_header: str = ""
    groups_header: str = ""

    def trusts(self, address: str) -> bool:
        """Whether a request that comes straight from this address may say whom it is for."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def read_proxies(text: str) -> Proxies:
    """Read PROVING_TRUSTED_PROXY: addresses or networks, and `user=Header`, `groups=Header`; raises `UserInputError`."""
    networks: list[Network] = []
    headers = {"user": "", "groups": ""}
    for part in re.split(r"[\s,;]+", text.strip()) if text.strip() else []:
        name, separator, value = part.partition("=")
        if separator and name in headers and _HEADER.fullmatch(value):
            headers[name] = value.lower()
            continue
        try:
            networks.append(ip_network(part, strict=False))
        except ValueError as error:
            raise UserInputError(
                f"PROVING_TRUSTED_PROXY: “{part}” is no address, network, user=Header or groups=Header. Write for "
                "example 10.0.0.7 user=X-Forwarded-User groups=X-Forwarded-Groups."
            ) from error
    if (headers["user"] or headers["groups"]) and not networks:
        raise UserInputError(
            "PROVING_TRUSTED_PROXY names a header but no proxy. Add the proxy's address; from anybody else the header is "
            "a claim."
        )
    return Proxies(tuple(networks), headers["user"], headers["groups"])


def address_of(peer: str, forwarded: str, proxies: Proxies) -> str:
    """The address that limits count: the nearest one that no trusted proxy has, an IPv6 one by its /64.

    `forwarded` is X-Forwarded-For. Each proxy adds on its right whom it saw; what stands to the left of the first
    untrusted address is a claim.
    """
    seen = peer
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not proxies.trusts(seen):
            break
        seen = hop
    try:
        found = ip_address(seen)
    except ValueError:
        return seen[:64]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, 64), strict=False))
    return str(found)


def is_loopback(host: str) -> bool:
    """Whether a name or address to listen on, or of a Host header without its port, is this machine's own."""
    name = host.strip("[]").lower().rstrip(".")
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """A Host header without its port, in lower case."""
    return (urlsplit("//" + host).hostname or "") if host else ""


def from_this_page(method: str, headers: Mapping[str, str], hosts: Sequence[str]) -> bool:
    """Whether a browser says that a page of this app sent the request, or that no page did.

    Programs send none of these headers and are not what a hostile page can make use of.
    """
    site = headers.get("sec-fetch-site", "")
    if site:
        return site in ("same-origin", "none") or (
            # Following a link here from elsewhere is how a visitor arrives; it changes nothing. A form that another site
            # sends is a navigation too, and may change something.
            method in READING
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") in ("document", "iframe")
        )
    origin = headers.get("origin", "")
    if not origin:
        return True
    return urlsplit(origin).netloc.lower() in {host.lower() for host in hosts if host}


def target_of(text: str) -> str:
    """Where to go after signing in: a path of this app with its query, and nothing that leads to another host."""
    # Browsers read a backslash as a slash and leave out tabs and line ends, so “/\t/evil” would be a host.
    if not text.startswith("/") or text[1:2] in ("/", "\\") or any(ord(mark) <= 32 or mark == "\\" for mark in text):
        return "/"
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc and len(text) <= 2000 else "/"
