"""Which path makes an answer, how the reply and the screen say so, and what somebody who waits is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends.chat import fitting, plain
from backends.chat.answers import BufferedAnswer
from backends.chat.paged import Shape
from backends.chat.plain import LocalChat
from components.pace import paced
from components.progress import queue_line
from components.transcript import figures
from core.chat import Delta, GenerationSettings, Message, Place
from core.errors import Busy
from tests.contract.engine_cases import ASKED, REF, heard, local_chat, until
from tests.markov_model import make_markov_model

TEXT = "".join(chr(code) for code in range(ord("A"), ord("Z") + 1))


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[LocalChat]:
    yield local_chat(make_markov_model(tmp_path / "model", TEXT))


def asked(chat: LocalChat, **given: object) -> BufferedAnswer:
    return chat.start(REF, ASKED, GenerationSettings(**{"temperature": 0, **given}))  # type: ignore[arg-type]


def test_what_a_visitor_sets_goes_into_the_batch_unless_the_seed_is_fixed(chat: LocalChat) -> None:
    for given in (
        {},
        {"temperature": 0.001},
        {"repetition_penalty": 1.01},
        {"stop": ("zzz",)},
        {"top_k": 1, "top_p": 0.5},
    ):
        answer = asked(chat, **given)
        assert heard(answer) == TEXT
        assert (answer.reply().path, answer.reply().why) == ("batched", "")
    answer = asked(chat, seed=7)
    assert heard(answer) == TEXT
    assert (answer.reply().path, answer.reply().why) == ("plain", "the seed is fixed")
    assert answer.settings.seed == 7


def test_what_is_longer_than_the_batch_is_answered_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_CPU", Shape(tokens=1024, step_tokens=64, requests=4))
    chat = local_chat(make_markov_model(tmp_path / "model", TEXT))
    assert asked(chat, max_new_tokens=900).reply().path == "batched"
    answer = asked(chat, max_new_tokens=1500)
    assert heard(answer) == TEXT
    assert (answer.reply().path, answer.reply().why) == ("plain", "longer than the batch has room for")


def test_a_model_without_a_batch_says_why(chat: LocalChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "unfit", lambda model: "a model with a sliding window is not batched")
    reply = asked(chat).reply()
    assert (reply.path, reply.why) == ("plain", "a model with a sliding window is not batched")


def test_too_many_alone_are_refused_and_leave_nothing(chat: LocalChat, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(plain.MOST_ALONE):
        assert chat._alone.acquire(blocking=False)
    with pytest.raises(Busy, match="Leave the seed empty"):
        asked(chat, seed=1)
    assert heard(asked(chat)) == TEXT
    until(lambda: all(slot.users == 0 for slot in chat._registry._slots.values()))


def answer_of() -> BufferedAnswer:
    return BufferedAnswer(
        REF,
        GenerationSettings(seed=1),
        backend="CPU",
        dtype="float32",
        path="batched",
        prompt_tokens=1,
        orphan_seconds=9,
    )


def test_a_listener_hears_its_place_only_when_it_changes_and_then_the_text() -> None:
    answer = answer_of()
    deltas = answer.listen()
    answer.waits(Place(2, 9))
    assert next(deltas) == Delta("", waiting=Place(2, 9))
    answer.waits(Place(2, 9))
    answer.waits(Place(1, 4))
    assert next(deltas) == Delta("", waiting=Place(1, 4))
    answer.waits(None)
    answer.put("Yes")
    assert next(deltas) == Delta("Yes")
    answer.end("stop")
    assert next(deltas).finish == "stop"


def test_a_place_passes_the_pacing_at_once() -> None:
    told = [Delta("", waiting=Place(1)), Delta("a"), Delta("b"), Delta("", "stop")]
    assert list(paced(iter(told), interval=60)) == [Delta("", waiting=Place(1)), Delta("a"), Delta("b", "stop")]


def test_the_screen_says_the_path_and_the_place(chat: LocalChat) -> None:
    assert queue_line(Place(3, 12.0)) == "Waiting for a place: number 3 in the queue, at most about 12 s."
    assert queue_line(Place(1)) == "Waiting for a place: number 1 in the queue."
    reply = answer_of().reply()
    assert " · batched · " in figures(reply)
    alone = figures(replace(reply, path="plain", why="the seed is fixed"))
    assert "alone, not batched: the seed is fixed" in alone and " · batched" not in alone


def test_a_message_that_is_a_megabyte_is_refused_before_anything_runs(chat: LocalChat) -> None:
    from core.errors import UserInputError

    with pytest.raises(UserInputError, match="at most 2,048"):
        chat.start(REF, (Message("user", "cat " * 240_000),), GenerationSettings(temperature=0))
    assert heard(asked(chat)) == TEXT
