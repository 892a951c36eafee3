"""Repository ids and revisions: what the Hub could have, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.address import Address, read_address
from core.errors import NotPinnedError, UserInputError
from core.refs import ModelRef, check_repo_id, check_revision, split_model

HOSTILE = [
    "", " ", "a b", "../etc/passwd", "a/../b", "a/b/c", "https://huggingface.co/a/b", "a;rm -rf /", "$(id)", "`id`",
    "a/b\n", "a\x00b", "a|b", "a/b?x=1", "a/b#c", "..", ".", "/a", "a/", "a--b/c", "é/b", "-a/b", "a" * 200,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_cannot_be_a_repository_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserInputError, match="owner/name"):
        check_repo_id(text)


@pytest.mark.parametrize("text", ["gpt2", "org/model", "HuggingFaceTB/SmolLM2-135M-Instruct", "a.b/c_d-e.1"])
def test_real_names_pass(text: str) -> None:
    assert check_repo_id(text) == text


@given(st.text(max_size=60))
def test_any_text_is_either_a_name_or_a_sentence(text: str) -> None:
    try:
        check_repo_id(text)
    except UserInputError as error:
        assert all(c.isprintable() for c in str(error))


def test_a_branch_is_not_a_pin() -> None:
    with pytest.raises(NotPinnedError, match="40-character commit"):
        ModelRef("org/model", "main")


@pytest.mark.parametrize("text", ["", "..", "a/../b", "x\ny", "-x", "a b", "refs//x"])
def test_hostile_revisions_are_refused(text: str) -> None:
    with pytest.raises(UserInputError):
        check_revision(text)


def test_split_model() -> None:
    assert split_model(" org/model@v1.0 ") == ("org/model", "v1.0")
    assert split_model("org/model") == ("org/model", "")


def test_an_address_survives_the_round_trip_and_drops_what_a_stranger_put_in() -> None:
    place = Address("card", "org/model", "a" * 40)
    assert place.query() == f"tab=card&model=org%2Fmodel&revision={'a' * 40}"
    assert read_address({"tab": "card", "model": "org/model", "revision": "a" * 40}) == place
    assert read_address({"tab": "<script>", "model": "../x"}) == Address("search")
