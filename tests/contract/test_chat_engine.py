"""What every chat engine keeps, whichever it is: the cases stand in `engine_cases.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.chat import GenerationSettings, Message
from core.errors import GenerationFailed, UserInputError
from tests.contract.engine_cases import CASES, Asked, Engine, EngineCase, Gate, heard, until

TEXT = " Zwölf\t😀bird"
LONG = "".join(chr(c) for c in range(ord("A"), ord("Z") + 1))
Make = Callable[..., Engine]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> EngineCase:
    return request.param


@pytest.fixture
def make(case: EngineCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes an engine that will answer with a given text, token by token."""
    gates: list[Gate] = []

    def make(text: str = TEXT, *, loop: bool = False, orphan_seconds: float = 30.0, held: bool = False) -> Engine:
        gate = Gate()
        gates.append(gate)
        if not held:
            gate.open()
        return case.make(Asked(text, loop, orphan_seconds, gate, tmp_path / "model", monkeypatch))

    yield make
    for gate in gates:
        gate.open()


def test_the_text_comes_in_order_and_whole_and_the_last_delta_says_how_it_ended(make: Make, case: EngineCase) -> None:
    engine = make()
    answer = engine.start()
    deltas = list(answer.listen())
    assert "".join(delta.text for delta in deltas) == TEXT
    assert not any("\ufffd" in delta.text for delta in deltas)
    assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish == "stop"
    reply = answer.reply()
    assert (reply.id, reply.content, reply.ref, reply.finish) == (answer.id, TEXT, engine.ref, "stop")
    assert reply.usage == deltas[-1].usage
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 3
    assert 0 <= reply.usage.first_token_s <= reply.usage.seconds
    assert reply.dtype in (("float32", "bfloat16") if case.here else ("",))
    assert (reply.path, reply.why) == (case.path, "")


def test_every_setting_of_the_reply_is_filled_in_where_it_can_be_known(make: Make, case: EngineCase) -> None:
    settings = make().start(GenerationSettings(max_new_tokens=5)).reply().settings
    assert settings.seed is not None
    defaults = (settings.temperature, settings.top_p, settings.top_k, settings.repetition_penalty)
    assert None not in defaults if case.here else set(defaults) == {None}
    assert settings.max_new_tokens == 5


def test_a_stop_string_over_several_tokens_ends_it_and_is_not_shown(make: Make) -> None:
    answer = make(LONG).start(GenerationSettings(temperature=0, stop=("zzz", "HIJ")))
    assert heard(answer) == "ABCDEFG"
    assert answer.reply().finish == "stop"


def test_a_stop_string_that_is_never_completed_takes_nothing_away(make: Make) -> None:
    answer = make(LONG).start(GenerationSettings(temperature=0, stop=("XYZ!", "Z!")))
    assert heard(answer) == LONG


def test_max_new_tokens_ends_it_with_length(make: Make) -> None:
    answer = make(LONG).start(GenerationSettings(temperature=0, max_new_tokens=3))
    assert heard(answer) == "ABC"
    assert (answer.reply().finish, answer.reply().usage.completion_tokens) == ("length", 3)


def test_cancel_before_the_first_token(make: Make, case: EngineCase) -> None:
    engine = make(LONG, held=True)
    answer = engine.start()
    assert engine.gate.waiting.wait(20)
    answer.cancel()
    deltas = list(answer.listen())
    assert [(delta.text, delta.finish) for delta in deltas] == [("", "cancelled")]
    until(engine.told)
    engine.gate.open()
    until(case.idle)
    assert engine.gate.asked <= 1


def test_cancel_in_the_middle_ends_within_one_token_and_keeps_the_text(make: Make, case: EngineCase) -> None:
    engine = make(LONG, loop=True, held=True)
    answer = engine.start(GenerationSettings(temperature=0, max_new_tokens=400))
    listener = answer.listen()
    engine.gate.let(3)
    text = ""
    while text != "ABC":
        text += next(listener).text
    until(lambda: engine.gate.asked == 4)
    answer.cancel()
    assert [delta.finish for delta in listener] == ["cancelled"]
    until(engine.told)
    engine.gate.open()
    until(case.idle)
    assert engine.gate.asked == 4, "the token that was on its way may come, none after it"
    assert (answer.reply().content, answer.reply().finish) == ("ABC", "cancelled")


def test_cancel_after_the_end_changes_nothing(make: Make) -> None:
    answer = make().start()
    heard(answer)
    answer.cancel()
    assert answer.reply().finish == "stop"


def test_an_error_in_the_middle_comes_after_the_text_and_the_engine_goes_on(make: Make) -> None:
    engine = make(LONG, held=True)
    answer = engine.start()
    engine.gate.let(2)
    listener = answer.listen()
    text = ""
    while text != "AB":
        text += next(listener).text
    engine.gate.error = GenerationFailed("It broke. Try again.")
    engine.gate.let(1)
    with pytest.raises(GenerationFailed, match="It broke"):
        next(listener)
    assert answer.reply().content == "AB"
    engine.gate.error = None
    engine.gate.open()
    assert heard(engine.start()) == LONG


def test_a_page_that_comes_back_finds_the_answer(make: Make) -> None:
    engine = make(LONG, held=True, orphan_seconds=20)
    answer = engine.start()
    listener = answer.listen()
    engine.gate.let(1)
    next(listener)
    listener.close()
    engine.gate.open()
    assert heard(answer) == LONG
    assert heard(answer) == LONG


def test_an_answer_nobody_comes_back_to_is_cancelled_with_its_text_kept(make: Make, case: EngineCase) -> None:
    engine = make(LONG, loop=True, held=True, orphan_seconds=0.05)
    answer = engine.start()
    listener = answer.listen()
    engine.gate.let(1)
    assert next(listener).text == "A"
    listener.close()
    until(lambda: answer.reply().finish == "cancelled")
    engine.gate.open()
    until(case.idle)
    assert answer.reply().content == "A"


def test_several_at_once_are_each_what_they_are_alone(make: Make) -> None:
    engine = make(LONG)
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(heard(engine.start()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert texts == [LONG] * 6


@pytest.mark.parametrize("text", ["\0 null", "bell \a and \x1b[31m", "private \ue000 use", "\u202e right to left"])
def test_control_characters_are_answered_like_any_text(make: Make, text: str) -> None:
    assert heard(make("fine").start(messages=(Message("user", text),))) == "fine"


def test_what_cannot_be_answered_is_refused_before_anything_runs(make: Make) -> None:
    engine = make("fine")
    for messages in (
        (),
        (Message("user", "  \n"),),
        (Message("assistant", "hi"),),
        (Message("user", "x" * 1_000_001),),
    ):
        with pytest.raises(UserInputError):
            engine.start(messages=messages)
    with pytest.raises(UserInputError, match="Temperature"):
        engine.start(GenerationSettings(temperature=float("nan")))
    with pytest.raises(UserInputError, match="at most 2,048"):
        heard(engine.start(messages=(Message("user", "cat " * 3000),)))
    assert heard(engine.start()) == "fine"


def test_two_hundred_short_requests_are_all_answered(make: Make, case: EngineCase) -> None:
    engine = make("fine")
    texts: list[str] = []

    def ten() -> None:
        for _ in range(10):
            texts.append(heard(engine.start()))

    threads = [threading.Thread(target=ten) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)
    assert texts == ["fine"] * 200
    until(case.idle)


def test_a_cancel_right_after_the_start_leaves_nothing_behind(make: Make, case: EngineCase) -> None:
    engine = make(LONG)
    for _ in range(5):
        engine.start().cancel()
    until(case.idle)
    assert heard(engine.start()) == LONG
