"""A Space as the app sees it: what is found out from its environment, what it goes without, and the public link."""

from __future__ import annotations

import pytest

from core.errors import UserInputError
from core.settings import Settings, on_zero_gpu
from core.space import missing

SPACE = {"SPACE_ID": "alice/ground", "SPACE_HOST": "alice-ground.hf.space"}
OAUTH = {
    "OAUTH_CLIENT_ID": "id",
    "OAUTH_CLIENT_SECRET": "s",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "https://huggingface.co",
}


def test_a_space_keeps_its_feedback_in_a_dataset_of_its_own_unless_told_otherwise() -> None:
    assert Settings.from_env(SPACE).dataset == "alice/ground-feedback"
    assert Settings.from_env(SPACE | {"PROVING_DATASET": "team/votes"}).dataset == "team/votes"
    assert Settings.from_env({}).dataset == ""


def test_a_space_without_secrets_says_what_is_missing() -> None:
    token, secret, sign_in = missing("alice/ground", "alice/ground-feedback")
    assert "HF_TOKEN" in token and "alice/ground-feedback" in token
    assert "PROVING_SECRET" in secret and "hf_oauth" in sign_in
    assert missing("alice/ground", token=True, secret=True, sign_in=True) == ()
    assert missing(None) == ()


def test_zero_gpu_is_known_before_anything_is_imported() -> None:
    assert on_zero_gpu({"SPACES_ZERO_GPU": "true"}) and Settings.from_env({"SPACES_ZERO_GPU": "true"}).zero_gpu
    assert not on_zero_gpu({"SPACES_ZERO_GPU": "false"}) and not on_zero_gpu({})


def test_the_public_link_needs_sign_in() -> None:
    with pytest.raises(UserInputError, match="Configure sign-in first"):
        Settings.from_env({"SHARE": "1"})
    with pytest.raises(UserInputError, match="address of its own"):
        Settings.from_env(SPACE | OAUTH | {"SHARE": "1"})
    assert Settings.from_env({"SHARE": "1", "PROVING_AUTH": "ann:correct horse battery"}).share
    assert not Settings.from_env({"SHARE": "0"}).share
