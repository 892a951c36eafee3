"""Text out of chunks: what servers really send, in the ways they differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends.remote.reading import Reading
from core.errors import GenerationFailed


def read(*chunks: dict[str, Any], stops: tuple[str, ...] = ()) -> tuple[str, Reading]:
    reading = Reading(stops)
    text = "".join(reading.take(chunk) for chunk in chunks)
    return text + reading.rest(), reading


def said(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content, **delta}, "finish_reason": finish}]}


def test_reasoning_stands_in_tags_whatever_the_server_calls_it() -> None:
    for name in ("reasoning_content", "reasoning"):
        text, _ = read(said(**{name: "Hm"}), said(**{name: ", yes"}), said("Four."), said(" Done.", "stop"))
        assert text == "<think>\nHm, yes\n</think>\n\nFour. Done."
    cut, reading = read(said(reasoning_content="Hm"), said(finish="length"))
    assert (cut, reading.finish) == ("<think>\nHm\n</think>", "length")


def test_a_stop_string_over_chunks_ends_it_and_what_never_came_whole_is_shown() -> None:
    text, reading = read(said("one\n"), said("\nUs"), said("er: two"), stops=("\n\nUser:",))
    assert (text, reading.stopped) == ("one", True)
    text, reading = read(said("one\n"), said("\nUs"), said(finish="stop"), stops=("\n\nUser:",))
    assert (text, reading.stopped) == ("one\n\nUs", False)


def test_a_stop_string_inside_the_reasoning_does_not_end_the_answer() -> None:
    text, reading = read(said(reasoning_content="stop"), said("go"), said(finish="stop"), stops=("stop",))
    assert (text, reading.stopped) == ("<think>\nstop\n</think>\n\ngo", False)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("eos_token", "stop"), ("length", "length"), ("tool_calls", "stop"), (None, None)],
)
def test_the_reasons_of_the_servers_are_ours(reason: str | None, finish: str | None) -> None:
    assert read(said("x", reason))[1].finish == finish


def test_a_filter_or_an_abort_is_an_error() -> None:
    for reason in ("content_filter", "error", "abort"):
        with pytest.raises(GenerationFailed, match="kept"):
            read(said("x"), said(finish=reason))


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None, "role": "assistant"}}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": "x", "finish_reason": 3}], "usage": "y"},
        {"usage": {"prompt_tokens": True, "completion_tokens": -1}},
    ],
)
def test_what_a_chunk_leaves_out_or_gets_wrong_changes_nothing(chunk: dict[str, Any]) -> None:
    text, reading = read(said("a"), json.loads(json.dumps(chunk)), said("b", "stop"))
    assert (text, reading.finish, reading.counted) == ("ab", "stop", False)


def test_numbers_come_with_the_last_chunk_or_in_one_of_their_own() -> None:
    usage = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    for chunks in ((said("a", "stop") | usage,), (said("a", "stop"), {"choices": [], **usage})):
        reading = read(*chunks)[1]
        assert (reading.prompt_tokens, reading.completion_tokens, reading.counted) == (5, 2, True)
