"""Where a remote engine is comes from the operator alone, and never with a key that was meant for another place."""

from __future__ import annotations

import pytest

from backends.remote.target import target_of
from core.errors import UserInputError
from core.refs import ModelRef, remote_name
from core.settings import Settings


def test_nothing_set_is_no_engine() -> None:
    assert target_of("", "") is None
    assert target_of("  ", "key") is None


@pytest.mark.parametrize(
    ("url", "host", "root"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1/", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://LLM.example.org/api/v1", "llm.example.org", "https://LLM.example.org/api"),
        ("http://[::1]:8000", "[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_url_is_shown_by_its_host(url: str, host: str, root: str) -> None:
    target = target_of(url, "")
    assert target is not None
    assert (target.host, target.root, target.token, target.provider) == (host, root, None, "")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("ftp://host/", "http or https"),
        ("http://", "http or https"),
        ("http://host:99999", "not a URL"),
        ("http://user:canary@host/v1", "neither a password"),
        ("http://host/v1?key=canary", "neither a password"),
        ("http://ho st/v1", "http or https"),
        ("not-a-provider", "nor a provider"),
        ("replicate", "nor a provider"),  # draws, but does not chat
        ("together", "PROVING_REMOTE_TOKEN"),
        ("auto", "PROVING_REMOTE_TOKEN"),
    ],
)
def test_what_cannot_be_one_is_refused_by_its_setting(value: str, says: str) -> None:
    with pytest.raises(UserInputError, match=says) as refused:
        target_of(value, "")
    assert "PROVING_REMOTE_URL" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_provider_is_reached_through_the_hub_with_its_token_and_directly_with_its_own_key() -> None:
    routed, direct = target_of("together", "hf_canary"), target_of("together", "sk-canary")
    assert routed and direct
    assert (routed.host, routed.provider) == ("router.huggingface.co/together", "together")
    assert direct.host == "api.together.xyz"
    assert "canary" not in repr(routed) + repr(direct)
    with pytest.raises(UserInputError, match="hf_"):
        target_of("auto", "sk-canary")
    drawing = target_of("replicate", "hf_x", "text-to-image", "PROVING_REMOTE_IMAGE_URL")
    assert drawing is not None and drawing.token_setting == "PROVING_REMOTE_IMAGE_TOKEN"


def test_the_settings_keep_the_key_out_of_their_repr() -> None:
    settings = Settings.from_env({"PROVING_REMOTE_URL": "http://127.0.0.1:8000", "PROVING_REMOTE_TOKEN": "canary"})
    assert (settings.remote_url, settings.remote_token) == ("http://127.0.0.1:8000", "canary")
    assert "canary" not in repr(settings)


def test_a_ref_says_where_it_leads_and_what_is_not_known() -> None:
    unknown = ModelRef("org/model:Q4_K_M", "", host="llm.example.org")
    known = ModelRef("org/model", "a" * 40, host="llm.example.org")
    assert (unknown.short, known.short) == ("model:Q4_K_M on llm.example.org", "model @ aaaaaaa")
    assert str(unknown) == "org/model:Q4_K_M on llm.example.org"
    assert known != ModelRef("org/model", "a" * 40)
    with pytest.raises(UserInputError):
        ModelRef("a\nb", "", host="llm.example.org")
    assert remote_name(" remote: org/model ") == "org/model"
    assert remote_name("org/model") is None
