"""Answers: any number of listeners, an end at once, and a grace time when nobody is left."""

from __future__ import annotations

import threading
import time

import pytest

from backends.chat.answers import BufferedAnswer, Desk
from core.chat import GenerationSettings
from core.errors import GenerationFailed
from core.refs import ModelRef

REF = ModelRef("org/model", "a" * 40)


def answer(orphan_seconds: float = 30.0) -> BufferedAnswer:
    return BufferedAnswer(
        REF,
        GenerationSettings(seed=1),
        backend="CPU",
        dtype="float32",
        path="plain",
        prompt_tokens=3,
        orphan_seconds=orphan_seconds,
    )


def said(running: BufferedAnswer) -> str:
    return "".join(delta.text for delta in running.listen())


def until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def test_a_late_listener_hears_everything_and_so_do_many() -> None:
    running = answer()
    for piece in ("one ", "two ", "three"):
        running.step()
        running.put(piece)
    heard: list[str] = []
    threads = [threading.Thread(target=lambda: heard.append(said(running))) for _ in range(5)]
    for thread in threads:
        thread.start()
    running.put(" four")
    running.end("stop")
    for thread in threads:
        thread.join(60)
    assert heard == ["one two three four"] * 5
    assert said(running) == "one two three four"
    reply = running.reply()
    assert (reply.content, reply.finish, reply.usage.completion_tokens) == ("one two three four", "stop", 3)


def test_cancel_tells_listeners_at_once_even_while_the_engine_is_busy() -> None:
    running = answer()
    running.put("part")
    listener = running.listen()
    assert next(listener).text == "part"
    running.cancel()
    running.cancel()
    last = next(listener)
    assert (last.finish, last.text) == ("cancelled", "")
    assert last.usage is not None
    running.put(" too late")
    running.end("stop")
    assert running.reply().content == "part"
    assert running.reply().finish == "cancelled"


def test_the_last_listener_leaving_starts_the_grace_time() -> None:
    running = answer(orphan_seconds=0.05)
    running.put("kept")
    first, second = running.listen(), running.listen()
    next(first), next(second)
    first.close()
    assert not running.done
    second.close()
    until(lambda: running.done)
    assert (running.reply().content, running.reply().finish) == ("kept", "cancelled")


def test_coming_back_within_the_grace_time_keeps_it_running() -> None:
    """A reload is a listener that leaves and another that comes; the answer must not notice."""
    running = answer(orphan_seconds=0.2)
    running.put("a")
    listener = running.listen()
    next(listener)
    listener.close()
    back = running.listen()
    assert next(back).text == "a"
    assert running._orphaned is None
    running.put("b")
    running.end("stop")
    assert "".join(delta.text for delta in back) == "b"


def test_an_error_reaches_every_listener_after_the_text() -> None:
    running = answer()
    running.put("half")
    running.fail(GenerationFailed("The engine stopped. Try again."))
    for _ in range(2):
        listener = running.listen()
        assert next(listener).text == "half"
        with pytest.raises(GenerationFailed, match="The engine stopped"):
            next(listener)
    assert running.reply().finish is None


def test_what_comes_while_a_listener_is_away_is_one_delta() -> None:
    running = answer()
    listener = running.listen()
    running.put("0")
    next(listener)
    for number in range(1, 1000):
        running.put(str(number % 10))
    running.end("length")
    rest = list(listener)
    assert len(rest) == 1
    assert len(rest[0].text) == 999


def test_the_desk_forgets_the_oldest_finished_first_and_never_a_running_one() -> None:
    desk = Desk(most=2)
    running = answer()
    desk.keep(running)
    finished = []
    for _ in range(3):
        one = answer()
        one.end("stop")
        desk.keep(one)
        finished.append(one)
    assert desk.get(running.id) is running
    assert desk.get(finished[0].id) is None
    assert desk.get(finished[2].id) is finished[2]
    assert desk.get("no such id") is None
    running.cancel()
