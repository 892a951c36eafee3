"""Settings come from one mapping, and a wrong one ends the start with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserInputError
from core.settings import VARIABLES, Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_env({})
    assert settings.port == 7860
    assert settings.host == "127.0.0.1"
    assert settings.dataset == ""
    assert settings.data_dir == Path("data").resolve()


def test_the_labels_that_block_are_a_list() -> None:
    settings = Settings.from_env({"PROVING_IMAGE_CLASSIFIER_LABELS": " NSFW, porn ,,nsfw"})
    assert settings.image_classifier_labels == ("nsfw", "porn")
    assert Settings.from_env({}).image_classifier_labels == ()


def test_a_space_listens_on_every_address() -> None:
    assert Settings.from_env({"SPACE_ID": "me/space"}).host == "0.0.0.0"
    assert Settings.from_env({"SPACE_ID": "me/space", "GRADIO_SERVER_NAME": "127.0.0.1"}).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"PORT": "abc"}, "PORT has to be a number"),
        ({"PORT": "0"}, "PORT has to be between"),
        ({"PROVING_ORPHAN_SECONDS": "nan"}, "between"),
        ({"PROVING_LOCAL_ONLY": "maybe"}, "0 or 1"),
        (
            {"PROVING_IMAGE_CLASSIFIER_THRESHOLD": "0"},
            "PROVING_IMAGE_CLASSIFIER_THRESHOLD has to be between 0.01 and 1",
        ),
        ({"PROVING_DATASET": "../etc"}, "PROVING_DATASET"),
        ({"PROVING_DATASET": "no-owner"}, "owner"),
        ({"PROVING_DATSET": "me/x"}, "PROVING_DATSET is not a setting"),
        ({"PROVING_ROLES": "alice"}, "PROVING_ROLES: “alice” is no who=role"),
        ({"PROVING_ROLES": "alice=owner"}, "no who=role"),
        ({"PROVING_ROLES": "anonymous=admin"}, "reviewers at most"),
        ({"PROVING_LIMITS": "speed=3"}, "PROVING_LIMITS: “speed=3”"),
        ({"PROVING_LIMITS": "running=8/8"}, "one could hold every place"),
        ({"PROVING_TRUSTED_PROXY": "nginx"}, "PROVING_TRUSTED_PROXY: “nginx”"),
        ({"PROVING_TRUSTED_PROXY": "user=X-User"}, "names a header but no proxy"),
    ],
)
def test_a_wrong_value_is_named(env: dict[str, str], says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        Settings.from_env(env)


def test_the_token_and_the_secret_stay_out_of_repr() -> None:
    settings = Settings.from_env({"HF_TOKEN": "hf_canary", "PROVING_SECRET": "salt_canary"})
    assert settings.token == "hf_canary"
    assert "canary" not in repr(settings)


def test_readme_table_is_the_settings() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else ""
        assert f"| `{variable.name}` | {default} | {variable.meaning} |" in readme


def test_prices_are_the_operator_s_words() -> None:
    found = Settings.from_env({"PROVING_PRICES": "org/a=$0.20 in, $0.60 out; org/b = 1 € ;"}).prices
    assert found == (("org/a", "$0.20 in, $0.60 out"), ("org/b", "1 €"))
    with pytest.raises(UserInputError, match="no model=price"):
        Settings.from_env({"PROVING_PRICES": "org/a: cheap"})
