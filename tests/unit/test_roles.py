"""Who has which role, who is counted as whom, and where a request is said to come from."""

from __future__ import annotations

import pytest

from core.caller import called_by, caller, token_of_caller
from core.errors import UserInputError
from core.origins import PRIVATE, Proxies, address_of, from_this_page, is_loopback, read_proxies, target_of
from core.roles import OPEN, Account, Role, read_grants, refusal
from core.settings import Settings


def test_the_highest_role_given_counts() -> None:
    grants = read_grants("alice=admin; @acme=curator\n@else=visitor, signed-in=visitor")
    assert grants.of("Alice") is Role.ADMIN
    assert grants.of("bob", ("acme", "else")) is Role.CURATOR
    assert grants.of("bob", ("other",)) is Role.VISITOR
    assert grants.of("bob", (), own=Role.REVIEWER) is Role.REVIEWER
    assert grants.of("") is Role.VISITOR
    assert read_grants("").of("bob") is Role.REVIEWER


def test_strangers_can_be_kept_out_and_never_made_curators() -> None:
    grants = read_grants("anonymous=nobody; signed-in=nobody; bob=visitor")
    assert grants.of("") is Role.NOBODY
    assert grants.of("carol") is Role.NOBODY
    assert grants.of("bob") is Role.VISITOR
    with pytest.raises(UserInputError, match="reviewers at most"):
        read_grants("anonymous=curator")


def test_the_owner_of_a_space_is_its_admin() -> None:
    settings = Settings.from_env({"SPACE_ID": "Me/space"})
    assert settings.grants.of("me") is Role.ADMIN
    assert settings.grants.of("other") is Role.REVIEWER


@pytest.mark.parametrize(
    ("env", "open_to_all"),
    [
        ({}, True),
        ({"GRADIO_SERVER_NAME": "localhost"}, True),
        ({"PROVING_LIMITS": "requests=10"}, True),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, False),
        ({"SPACE_ID": "me/space"}, False),
        ({"SPACE_ID": "me/space", "GRADIO_SERVER_NAME": "127.0.0.1"}, False),
        ({"PROVING_ROLES": "anonymous=visitor"}, False),
        ({"PROVING_TRUSTED_PROXY": "127.0.0.1"}, False),
    ],
)
def test_only_an_address_of_this_machine_with_nothing_said_is_open(env: dict[str, str], open_to_all: bool) -> None:
    settings = Settings.from_env(env)
    assert settings.open is open_to_all
    limited = settings.limits.requests.each != float("inf")
    assert limited is (not open_to_all or "PROVING_LIMITS" in env)


def test_a_header_that_anybody_can_send_to_a_space_names_no_user() -> None:
    """The platform's proxies have private addresses, are trusted for addresses, and hand on what a visitor sends."""
    with pytest.raises(UserInputError, match="anybody can send to a Space"):
        Settings.from_env({"SPACE_ID": "me/space", "PROVING_TRUSTED_PROXY": "10.0.0.7 user=X-Forwarded-User"})
    proxies = Settings.from_env({"SPACE_ID": "me/space", "PROVING_TRUSTED_PROXY": "203.0.113.0/24"}).proxies
    assert proxies.trusts("10.1.2.3") and proxies.trusts("203.0.113.4") and not proxies.user_header


def test_a_refusal_says_what_to_do() -> None:
    assert "Sign in with an account that has it" in refusal(Role.REVIEWER, Account(Role.VISITOR), can_sign_in=True)
    assert "Ask whoever runs" in refusal(Role.ADMIN, Account(Role.CURATOR, "bob"), can_sign_in=True)
    assert "an admin" in refusal(Role.ADMIN, Account(Role.CURATOR, "bob"), can_sign_in=True)


def test_a_token_is_the_callers_own_and_in_no_repr() -> None:
    account = Account(Role.REVIEWER, "bob", token="hf_canary")
    assert "canary" not in repr(account)
    assert token_of_caller() == ""
    with called_by(account):
        assert token_of_caller() == "hf_canary"
        with called_by(Account(Role.REVIEWER, "eve")):
            assert token_of_caller() == ""
    assert caller() is None
    with called_by(OPEN):
        assert caller() is None


def test_names_of_different_ways_to_sign_in_are_different_people() -> None:
    assert Account(Role.VISITOR, "bob", how="password").key != Account(Role.VISITOR, "bob", how="huggingface").key
    assert Account(Role.VISITOR, "bob", how="password").key == Account(Role.VISITOR, "bob", how="key").key


NGINX = read_proxies("10.0.0.7")


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("203.0.113.9", "", Proxies(), "203.0.113.9"),
        # A claim of somebody who is no proxy, of a proxy's client, and of a loopback client.
        ("203.0.113.9", "1.2.3.4", NGINX, "203.0.113.9"),
        ("10.0.0.7", "1.2.3.4, 203.0.113.9", NGINX, "203.0.113.9"),
        ("127.0.0.1", "1.2.3.4", Proxies(), "127.0.0.1"),
        ("10.1.2.3", "1.2.3.4, 203.0.113.9, 10.9.9.9", Proxies(PRIVATE), "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "", Proxies(), "2001:db8:1:2::/64"),
        ("10.0.0.7", "garbage", NGINX, "garbage"),
    ],
)
def test_an_address_is_what_a_trusted_proxy_saw(peer: str, forwarded: str, proxies: Proxies, address: str) -> None:
    assert address_of(peer, forwarded, proxies) == address


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/", "/"),
        ("/?tab=card&model=org/name", "/?tab=card&model=org/name"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("\\\\evil.example", "/"),
        ("", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(text: str, target: str) -> None:
    assert target_of(text) == target


def test_a_browser_tells_which_page_asked() -> None:
    hosts = ("app.example:7860",)
    assert from_this_page("POST", {}, hosts)
    assert from_this_page("POST", {"origin": "http://app.example:7860"}, hosts)
    assert not from_this_page("POST", {"origin": "http://evil.example"}, hosts)
    assert not from_this_page("POST", {"origin": "null"}, hosts)
    assert from_this_page("POST", {"sec-fetch-site": "same-origin", "origin": "http://behind.a.proxy"}, hosts)
    assert not from_this_page("POST", {"sec-fetch-site": "cross-site"}, hosts)
    assert not from_this_page("POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, hosts)
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert from_this_page("GET", link, hosts)
    # A form of another site is a navigation as well.
    assert not from_this_page("POST", link, hosts)


def test_names_of_this_machine() -> None:
    for name in ("localhost", "127.0.0.1", "[::1]", "127.3.2.1", "app.localhost"):
        assert is_loopback(name), name
    for name in ("0.0.0.0", "localhost.evil.example", "192.168.1.1", "", "127.0.0.1.nip.io"):
        assert not is_loopback(name), name
