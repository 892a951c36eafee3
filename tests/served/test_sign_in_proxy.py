"""Signing in by a proxy's header: it counts from the configured proxy alone, its groups give roles, and a claim is nothing.

Every request here comes from this machine, so the proxy is told from others by which of its addresses they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from components.access import Access
from core.limits import ATTEMPTS, WITHOUT, Limit
from core.origins import read_proxies
from tests.accounts import access, csrf_in
from tests.fakes import FakeStore, services
from tests.serving import served

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
SETTING = f"{PROXY} user=X-Forwarded-User groups=X-Forwarded-Groups"
RATED = {"prompt": "p", "completion": "c", "label": True, "api_name": "/submit_rating"}
STORE = FakeStore()


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Access:
    roles = "peggy=admin; @acme=curator; @acme-reviewers=reviewer; signed-in=visitor; anonymous=nobody"
    limits = replace(WITHOUT, upload=Limit(1, 100))
    return access(tmp_path_factory.mktemp("access"), roles, limits, proxies=read_proxies(SETTING))


@pytest.fixture(scope="module")
def url(rules: Access, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(replace(services(store=STORE), access=rules), tmp_path_factory.mktemp("proxied")) as address:
        yield address


def browser(url: str, come_from: str, **headers: str) -> httpx.Client:
    """A client whose requests come from that address of this machine."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Client(base_url=url, transport=httpx.HTTPTransport(local_address=come_from), headers=named, timeout=60)


@pytest.mark.parametrize(
    ("user", "groups", "role"),
    [
        ("peggy", "", "admin"),
        ("carl", "acme", "curator"),
        ("rob", "else, acme-reviewers", "reviewer"),
        ("Rob", "ACME-Reviewers,", "reviewer"),
        ("vera", "", "visitor"),
        ("vera", "nobody's", "visitor"),
    ],
)
def test_the_proxys_user_and_groups_give_the_role(url: str, user: str, groups: str, role: str) -> None:
    with browser(url, PROXY, X_Forwarded_User=user, X_Forwarded_Groups=groups) as proxied:
        assert proxied.get("account/me").json() == {"user": user, "role": role, "can_sign_in": True}
        page = proxied.get("account").text
        assert f"Here you are <b>{role}</b>" in page
        # Whoever signed them in signs them out.
        assert "Sign out" not in page and "Make a key" not in page


def test_the_same_headers_from_anybody_else_are_a_claim(url: str) -> None:
    named = {"X_Forwarded_User": "peggy", "X_Forwarded_Groups": "acme"}
    with browser(url, STRANGER, **named) as stranger:
        assert stranger.get("account/me").json()["user"] == ""
        assert stranger.get("config").status_code == 401
        assert stranger.get("account/audit.json").status_code == 403
    # Not from behind the proxy either, where the proxy names nobody: it has to take such headers away or set its own.
    with browser(url, STRANGER, X_Forwarded_For=PROXY, **named) as stranger:
        assert stranger.get("account/me").json()["user"] == ""


@pytest.mark.parametrize("user", ["", "peggy, eve", "peggy\u00e9".encode().decode("latin-1"), "a" * 65, "../peggy"])
def test_a_name_that_is_none_signs_nobody_in(url: str, user: str) -> None:
    with browser(url, PROXY) as proxied:
        known = proxied.get("account/me", headers=[(b"X-Forwarded-User", user.encode("latin-1"))]).json()
        assert known["user"] == ""


def test_a_callers_own_line_beside_the_proxys_names_nobody(url: str) -> None:
    with browser(url, PROXY) as proxied:
        twice = [(b"X-Forwarded-User", b"peggy"), (b"X-Forwarded-User", b"vera")]
        assert proxied.get("account/me", headers=twice).json()["user"] == ""


def test_another_site_cannot_use_what_the_proxy_knows_its_visitor_by(url: str) -> None:
    """The proxy's own cookie travels with a request of any page: like ours, it counts for our pages only."""
    with browser(url, PROXY, X_Forwarded_User="peggy") as proxied:
        assert proxied.get("account/audit.json").status_code == 200
        form = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}):
            assert proxied.get("account/audit.json", headers=headers).status_code == 403
            assert proxied.post("gradio_api/upload", files={"files": b"x"}, headers=headers).status_code == 401
        assert proxied.post("gradio_api/upload", files={"files": b"x"}, headers=form).status_code == 401
        # A link from elsewhere is how one comes here.
        assert proxied.get("account/audit", headers=form).status_code == 200


def test_a_row_stands_under_the_user_the_proxy_names(url: str, rules: Access) -> None:
    STORE.kept.clear()
    rob = Client(url, verbose=False, headers={"X-Forwarded-User": "rob", "X-Forwarded-Groups": "acme-reviewers"})
    assert rob.predict(**RATED)["state"] == "saved"
    vera = Client(url, verbose=False, headers={"X-Forwarded-User": "vera"})
    with pytest.raises(AppError, match="That is for a reviewer"):
        vera.predict(**RATED)
    with pytest.raises(AppError, match="rater counts only where nobody signs in"):
        rob.predict(**RATED, rater="vera")
    [row] = STORE.kept.values()
    assert str(row.provenance.rater).startswith("r-")
    assert rules.audit is not None
    # The password file's user of that name is somebody else.
    with browser(url, STRANGER) as own:
        form = {"csrf": csrf_in(own.get("sign-in").text), "user": "rita", "password": "a long password"}
        assert own.post("sign-in", data=form).status_code == 303
        assert own.get("account/me").json()["user"] == "rita"


def test_limits_count_whom_the_proxy_names(url: str) -> None:
    def upload(user: str) -> int:
        with browser(url, PROXY, X_Forwarded_User=user) as proxied:
            return proxied.post("gradio_api/upload", files={"files": b"x" * 600_000}).status_code

    assert [upload("ulla"), upload("ulla"), upload("ulf")] == [200, 429, 200]


def test_wrong_passwords_count_for_the_address_the_proxy_saw(url: str) -> None:
    with browser(url, PROXY) as proxied:
        token = csrf_in(proxied.get("sign-in").text)

        def tries(forwarded: str, times: int) -> str:
            form = {"csrf": token, "user": "vic", "password": "wrong"}
            headers = {"X-Forwarded-For": forwarded}
            return [proxied.post("sign-in", data=form, headers=headers).text for _ in range(times)][-1]

        assert "do not belong together" in tries("203.0.113.5", ATTEMPTS)
        assert "Too many wrong passwords" in tries("203.0.113.5", 1)
        # What stands to the left of the address that the proxy saw is a claim.
        assert "Too many wrong passwords" in tries("198.51.100.1, 203.0.113.5", 1)
        assert "do not belong together" in tries("203.0.113.6", 1)
