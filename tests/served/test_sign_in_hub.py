"""Signing in with the Hub on a Space: OAuth against the test Hub, its tokens, and what happens with answers nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from backends.accounts.audit import SqliteAudit
from backends.accounts.hub import OAuthClient
from backends.accounts.service import AccountsOf
from components.access import Access
from core.roles import read_grants
from tests.accounts import csrf_in
from tests.fakes import FakeStore, services
from tests.hub_server import HubServer
from tests.hub_server.oauth import CLIENT_ID, CLIENT_SECRET
from tests.serving import served

STORE = FakeStore()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, HubServer]]:
    """A Space of mia's, and the Hub it stands on."""
    folder = tmp_path_factory.mktemp("space")
    with HubServer() as hub:
        hub.add_user("mia", "hf_mia_token")
        hub.add_user("noel", "hf_noel_token", orgs=["acme"])
        oauth = OAuthClient(CLIENT_ID, CLIENT_SECRET, "openid profile", hub.url, "127.0.0.1:1")
        accounts = AccountsOf(read_grants("@acme=curator", "mia"), "secret", (), oauth, hub.url)
        rules = Access(open=False, sign_in=accounts, audit=SqliteAudit(folder / "audit.sqlite"), secret="salt")
        with served(replace(services(store=STORE), access=rules), folder) as url:
            # The Space knows its own name only once it is served.
            object.__setattr__(oauth, "host", urlsplit(url).netloc)
            yield url, hub


def begin(browser: httpx.Client, target: str = "/") -> httpx.Response:
    """Press the button; the reply sends the browser to the Hub."""
    form = {"csrf": csrf_in(browser.get("sign-in").text), "next": target}
    return browser.post("sign-in/hub", data=form)


def sign_in(space: tuple[str, HubServer], token: str, target: str = "/") -> tuple[httpx.Client, httpx.Response]:
    url, hub = space
    browser = httpx.Client(base_url=url, timeout=60)
    to_hub = begin(browser, target).headers["location"]
    hub.oauth.user_token = token
    back = httpx.get(to_hub, timeout=60).headers["location"]
    return browser, browser.get(back)


def test_the_owner_is_admin_and_an_organisation_gives_its_role(space: tuple[str, HubServer]) -> None:
    browser, reply = sign_in(space, "hf_mia_token", "/?tab=card")
    assert reply.status_code == 303
    assert reply.headers["location"] == "/?tab=card"
    assert browser.get("account/me").json()["role"] == "admin"
    browser, reply = sign_in(space, "hf_noel_token", "//evil.example")
    assert reply.headers["location"] == "/"
    assert browser.get("account/me").json() == {"user": "noel", "role": "curator", "can_sign_in": True}
    # The token stays on the server: neither the cookie nor a page holds it.
    assert "hf_noel" not in str(browser.cookies) + browser.get("account").text


def test_no_token_stands_in_an_address(space: tuple[str, HubServer]) -> None:
    url, hub = space
    sign_in(space, "hf_mia_token")
    for request in hub.requests:
        assert "hf_" not in request.raw_path + str(request.query)
        assert CLIENT_SECRET not in request.body.decode("latin-1") + str(request.query)
    form = {"csrf": "x", "next": "/"}
    with httpx.Client(base_url=url, timeout=60) as browser:
        asked = parse_qs(urlsplit(begin(browser).headers["location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert browser.post("sign-in/hub", data=form).status_code == 403


def test_an_answer_this_browser_did_not_ask_for_signs_nobody_in(space: tuple[str, HubServer]) -> None:
    """An attacker sends a visitor the last step of his own sign-in, so that what they write is kept under his name."""
    url, hub = space
    with httpx.Client(base_url=url, timeout=60) as attacker, httpx.Client(base_url=url, timeout=60) as victim:
        hub.oauth.user_token = "hf_noel_token"
        back = httpx.get(begin(attacker).headers["location"], timeout=60).headers["location"]
        reply = victim.get(back)
        assert reply.status_code == 400
        assert "not begun in this browser" in reply.text
        assert victim.get("account/me").json()["user"] == ""
        # And the step cannot be taken a second time.
        assert attacker.get(back).status_code == 400
        assert attacker.get("login/callback?state=&code=x").status_code == 400


def test_who_declines_at_the_hub_stays_signed_out(space: tuple[str, HubServer]) -> None:
    browser, reply = sign_in(space, "")
    assert "The Hub did not sign you in" in reply.text
    assert browser.get("account/me").json()["user"] == ""


def test_a_program_speaks_with_its_hub_token(space: tuple[str, HubServer]) -> None:
    url, hub = space
    rating = {"prompt": "p", "completion": "c", "label": True, "api_name": "/submit_rating"}
    assert Client(url, verbose=False, token="hf_noel_token").predict(**rating)["state"] == "saved"
    bearer = Client(url, verbose=False, headers={"Authorization": "Bearer hf_mia_token"})
    assert bearer.predict(**rating)["state"] == "saved"
    raters = [row.provenance.rater for row in STORE.kept.values()]
    assert len(set(raters)) == 2
    # Asked about once, however often it comes.
    assert len([one for one in hub.sent("GET /api/whoami-v2") if one.token == "hf_mia_token"]) == 1
    with pytest.raises(AppError, match="That is for a reviewer"):
        Client(url, verbose=False).predict(**rating)
    assert httpx.get(f"{url}config", headers={"Authorization": "Bearer hf_stolen"}, timeout=60).status_code == 401


def test_beginning_again_and_again_ends_nobody_elses_sign_in(
    space: tuple[str, HubServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, hub = space
    monkeypatch.setattr("components.front_desk.MOST_BEGUN", 6)
    monkeypatch.setattr("components.front_desk.MOST_BEGUN_EACH", 3)
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=url, timeout=60) as patient, httpx.Client(base_url=url, transport=elsewhere) as flood:
        to_hub = begin(patient).headers["location"]
        for _ in range(10):
            begin(flood)
        hub.oauth.user_token = "hf_noel_token"
        assert patient.get(httpx.get(to_hub, timeout=60).headers["location"]).status_code == 303
        assert patient.get("account/me").json()["user"] == "noel"
