"""Text from tokens: whole characters, no lost spaces, nothing past a stop string."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.chat.detokenise import Detokeniser, StopStrings
from tests.tiny_models import make_tiny_tokenizer

TEXTS = ["  two spaces\n\n\ttab", "😀👩‍👩‍👧‍👦 família ñandú", "混合 text", "a", "", " ", "\n\n"]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tiny_tokenizer()


def streamed(tokenizer, ids: list[int]) -> list[str]:
    detokeniser = Detokeniser(
        lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        frozenset(tokenizer.all_special_ids),
    )
    return [*(detokeniser.add(token) for token in ids), detokeniser.rest()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_text_and_show_no_broken_character(tokenizer, text: str) -> None:
    pieces = streamed(tokenizer, tokenizer.encode(text, add_special_tokens=False))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_random_tokens_join_to_what_decoding_them_whole_gives(tokenizer) -> None:
    """Bytes that are no text cannot be shown otherwise; only an unfinished character at the end is left out."""
    draw = random.Random(3)
    for _ in range(50):
        ids = [draw.randrange(3, len(tokenizer)) for _ in range(60)]
        whole = tokenizer.decode(ids, skip_special_tokens=True)
        joined = "".join(streamed(tokenizer, ids))
        assert whole.startswith(joined)
        assert set(whole[len(joined) :]) <= {"\ufffd"}


def test_special_tokens_have_no_text_and_a_cut_character_is_left_out(tokenizer) -> None:
    ids = tokenizer.encode("hi 😀", add_special_tokens=False)
    assert "".join(streamed(tokenizer, [*ids[:-1], tokenizer.eos_token_id])) == "hi "


def test_the_window_stays_short(tokenizer) -> None:
    longest = 0

    def decode(tokens: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return tokenizer.decode(tokens)

    detokeniser = Detokeniser(decode)
    for token in tokenizer.encode("the cat sat on the mat " * 200, add_special_tokens=False):
        detokeniser.add(token)
    assert longest <= 8


@given(
    st.text(alphabet="ab<", max_size=30),
    st.lists(st.text(alphabet="ab<", min_size=1, max_size=4), max_size=3),
    st.data(),
)
def test_stop_strings_cut_where_they_first_occur_however_the_text_is_cut_up(text: str, stops: list[str], data) -> None:
    stop = StopStrings(stops)
    shown, rest = "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += stop.add(rest[:size])
        rest = rest[size:]
        # Nothing of what was shown may have to be taken back.
        first = min((at for s in stops if (at := text.find(s)) >= 0), default=len(text))
        assert len(shown) <= first or stop.found
    shown += stop.rest()
    found = [at for s in stops if (at := text.find(s)) >= 0]
    assert stop.found == bool(found)
    assert text.startswith(shown)
    if not found:
        assert shown == text
    elif all(len(s) == 1 for s in stops):
        assert shown == text[: min(found)]
