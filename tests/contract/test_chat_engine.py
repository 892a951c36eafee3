"""What every chat engine keeps, whichever it is: in this process, ZeroGPU's code off ZeroGPU, and the scripted one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.chat import zerogpu
from backends.chat.answers import BufferedAnswer
from backends.chat.plain import LocalChat
from backends.chat.zerogpu import ZeroGpuChat
from backends.downloads import Downloads
from backends.model_files import ModelFiles
from backends.registry import ModelRegistry
from core.catalog import LocalFolder
from core.chat import GenerationSettings, Message
from core.errors import GenerationFailed, UserInputError
from core.protocols import ChatBackend
from core.refs import ModelRef
from tests.markov_model import make_markov_model
from tests.scripted_engine import ScriptedChat
from tests.tiny_models import make_tiny_tokenizer

REF = ModelRef("local/markov", "e" * 40)
ASKED = (Message("user", "Say it."),)
GREEDY = GenerationSettings(temperature=0)
TEXT = " Zwölf\t😀bird"
LONG = "".join(chr(c) for c in range(ord("A"), ord("Z") + 1))


class Gate:
    """Held before every token; `let` admits so many, `open` all."""

    def __init__(self) -> None:
        self._tokens = threading.Semaphore(0)
        self._open = threading.Event()
        self.error: Exception | None = None
        self.waiting = threading.Event()
        self.asked = 0

    def let(self, number: int) -> None:
        self._tokens.release(number)

    def open(self) -> None:
        self._open.set()
        self._tokens.release(10_000)

    def __call__(self) -> None:
        self.asked += 1
        self.waiting.set()
        if not self._open.is_set():
            self._tokens.acquire()
        if self.error:
            raise self.error


@dataclass
class Engine:
    """`told` says whether a cancel has reached the engine; across a process it takes one batch of text to get there."""

    backend: ChatBackend
    gate: Gate
    told: Callable[[], bool] = lambda: True

    def start(self, settings: GenerationSettings = GREEDY, messages: tuple[Message, ...] = ASKED) -> BufferedAnswer:
        return self.backend.start(REF, messages, settings)  # type: ignore[return-value]


Make = Callable[..., Engine]


def backend_of(kind: str, folder: Path, orphan_seconds: float = 30.0) -> ChatBackend:
    own = (LocalFolder(REF, folder, ready=True, bundled=False),)
    files = ModelFiles(folder.parent, own, Downloads("http://127.0.0.1:9"))
    if kind == "zerogpu":
        return ZeroGpuChat(files, orphan_seconds=orphan_seconds)
    return LocalChat(
        files,
        ModelRegistry(),
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=orphan_seconds,
        batching=kind == "batched",
    )


@pytest.fixture(params=["batched", "plain", "zerogpu", "scripted"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes an engine that will answer with a given text, token by token."""
    from backends.chat import decoding

    monkeypatch.setattr(zerogpu, "_MODELS", {})
    gates: list[Gate] = []

    def make(text: str = TEXT, *, loop: bool = False, orphan_seconds: float = 30.0, held: bool = False) -> Engine:
        gate = Gate()
        gates.append(gate)
        if not held:
            gate.open()
        if request.param == "scripted":
            tokens = pieces(text) * (40 if loop else 1)
            scripted = ScriptedChat(tokens, pace=gate, orphan_seconds=orphan_seconds)
            return Engine(scripted, gate)
        after = decoding.Watcher.after

        def gated(self, token: int) -> bool:
            gate()
            return after(self, token)

        monkeypatch.setattr(decoding.Watcher, "after", gated)
        folder = make_markov_model(tmp_path / "markov", text, loop=loop)
        backend = backend_of(request.param, folder, orphan_seconds)
        if request.param in ("plain", "batched"):
            return Engine(backend, gate)
        pipes: list[zerogpu._Pipe] = []

        class Pipe(zerogpu._Pipe):
            def __init__(self, *given) -> None:
                super().__init__(*given)
                pipes.append(self)

        monkeypatch.setattr(zerogpu, "_Pipe", Pipe)
        return Engine(backend, gate, lambda: all(pipe.cancelled for pipe in pipes))

    yield make
    for gate in gates:
        gate.open()


def pieces(text: str) -> list[str]:
    """`text` in the pieces a tokenizer would cut, whole characters only."""
    tokenizer = make_tiny_tokenizer()
    cut = [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]
    return cut if "\ufffd" not in "".join(cut) else list(text)


def heard(answer: BufferedAnswer) -> str:
    return "".join(delta.text for delta in answer.listen())


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def test_the_text_comes_in_order_and_whole_and_the_last_delta_says_how_it_ended(make: Make) -> None:
    answer = make().start()
    deltas = list(answer.listen())
    assert "".join(delta.text for delta in deltas) == TEXT
    assert not any("\ufffd" in delta.text for delta in deltas)
    assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish == "stop"
    reply = answer.reply()
    assert (reply.id, reply.content, reply.ref, reply.finish) == (answer.id, TEXT, REF, "stop")
    assert reply.usage == deltas[-1].usage
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 3
    assert 0 <= reply.usage.first_token_s <= reply.usage.seconds
    assert reply.dtype in ("float32", "bfloat16")


def test_every_setting_of_the_reply_is_filled_in(make: Make) -> None:
    settings = make().start(GenerationSettings(max_new_tokens=5)).reply().settings
    assert None not in (
        settings.temperature,
        settings.top_p,
        settings.top_k,
        settings.repetition_penalty,
        settings.seed,
    )
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


def test_cancel_before_the_first_token(make: Make) -> None:
    engine = make(LONG, held=True)
    answer = engine.start()
    assert engine.gate.waiting.wait(20)
    answer.cancel()
    deltas = list(answer.listen())
    assert [(delta.text, delta.finish) for delta in deltas] == [("", "cancelled")]
    until(engine.told)
    engine.gate.open()
    until(lambda: not busy())
    assert engine.gate.asked <= 1


def test_cancel_in_the_middle_ends_within_one_token_and_keeps_the_text(make: Make) -> None:
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
    until(lambda: not busy())
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


def test_an_answer_nobody_comes_back_to_is_cancelled_with_its_text_kept(make: Make) -> None:
    engine = make(LONG, loop=True, held=True, orphan_seconds=0.05)
    answer = engine.start()
    listener = answer.listen()
    engine.gate.let(1)
    assert next(listener).text == "A"
    listener.close()
    until(lambda: answer.reply().finish == "cancelled")
    engine.gate.open()
    until(lambda: not busy())
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
        engine.start(messages=(Message("user", "cat " * 3000),))
    assert heard(engine.start()) == "fine"


def busy() -> bool:
    """Whether an engine's thread is still at work."""
    return any(thread.name.startswith("answer-") for thread in threading.enumerate())
