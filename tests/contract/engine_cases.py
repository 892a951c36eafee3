"""The engines that `test_chat_engine.py` asks the same questions. A new engine is one more entry of `CASES`.

A case builds a chat backend that answers every request with a given text, a token at a time, and that calls the gate
before each token. What a question may know of an engine stands in `Engine`; what it may not ask of one, in the case.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from backends.chat import zerogpu
from backends.chat.answers import BufferedAnswer
from backends.chat.plain import LocalChat
from backends.chat.zerogpu import ZeroGpuChat
from backends.downloads import Downloads
from backends.model_files import ModelFiles
from backends.registry import ModelRegistry
from backends.remote.chat import RemoteChat
from backends.remote.target import target_of
from core.catalog import LocalFolder
from core.chat import GenerationSettings, Message
from core.chat_protocols import ChatBackend
from core.refs import ModelRef
from tests.markov_model import make_markov_model
from tests.openai_server import DONE, NAME, OpenAiServer, Status, chunk
from tests.scripted_engine import ScriptedChat
from tests.tiny_models import make_tiny_tokenizer

REF = ModelRef("local/markov", "e" * 40)
ASKED = (Message("user", "Say it."),)
GREEDY = GenerationSettings(temperature=0)


class Gate:
    """Held before every token; `let` admits so many, `open` all. `error` is raised instead of the next token."""

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
    """An engine under question. `told`: whether a cancel has reached it; across a process that takes one batch of text."""

    backend: ChatBackend
    gate: Gate
    told: Callable[[], bool] = lambda: True
    ref: ModelRef = REF

    def start(self, settings: GenerationSettings = GREEDY, messages: tuple[Message, ...] = ASKED) -> BufferedAnswer:
        return self.backend.start(self.ref, messages, settings)  # type: ignore[return-value]


@dataclass(frozen=True)
class Asked:
    """What a case builds an engine from. `text` is the answer; with `loop` it begins again and again."""

    text: str
    loop: bool
    orphan_seconds: float
    gate: Gate
    folder: Path
    patch: pytest.MonkeyPatch


@dataclass(frozen=True)
class EngineCase:
    """One engine. `make` builds it; `path` is what its replies say; `idle` whether no work of it is left.

    `here`: the model is in this process, so its dtype and defaults are known and a long prompt is refused at once.
    """

    name: str
    make: Callable[[Asked], Engine]
    path: str
    idle: Callable[[], bool] = field(default=lambda: not busy())
    here: bool = True


def busy() -> bool:
    """Whether an engine's thread is still at work."""
    return any(thread.name.startswith(("answer-", "remote-")) for thread in threading.enumerate())


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def heard(answer: BufferedAnswer) -> str:
    return "".join(delta.text for delta in answer.listen())


def model_files(folder: Path, ref: ModelRef = REF) -> ModelFiles:
    return ModelFiles(
        folder.parent, (LocalFolder(ref, folder, ready=True, bundled=False),), Downloads("http://127.0.0.1:9")
    )


def local_chat(folder: Path, orphan_seconds: float = 30.0, *, batching: bool = True) -> LocalChat:
    """The engine of this process on one folder."""
    return LocalChat(
        model_files(folder),
        ModelRegistry(),
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=orphan_seconds,
        batching=batching,
    )


def _gated_decoding(asked: Asked) -> Path:
    """The folder of a model that says the text; its tokens pass the gate where every local path reads them."""
    from backends.chat import decoding

    after = decoding.Watcher.after

    def gated(self: decoding.Watcher, token: int) -> bool:
        asked.gate()
        return after(self, token)

    asked.patch.setattr(decoding.Watcher, "after", gated)
    return make_markov_model(asked.folder, asked.text, loop=asked.loop)


def _batched(asked: Asked) -> Engine:
    return Engine(local_chat(_gated_decoding(asked), asked.orphan_seconds), asked.gate)


def _plain(asked: Asked) -> Engine:
    return Engine(local_chat(_gated_decoding(asked), asked.orphan_seconds, batching=False), asked.gate)


def _zerogpu(asked: Asked) -> Engine:
    """ZeroGPU's code off ZeroGPU, where its decorator does nothing."""
    asked.patch.setattr(zerogpu._MODELS, "models", {})
    pipes: list[zerogpu._Pipe] = []

    class Pipe(zerogpu._Pipe):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            pipes.append(self)

    asked.patch.setattr(zerogpu, "_Pipe", Pipe)
    backend = ZeroGpuChat(model_files(_gated_decoding(asked)), orphan_seconds=asked.orphan_seconds)
    return Engine(backend, asked.gate, lambda: all(pipe.cancelled for pipe in pipes))


def _scripted(asked: Asked) -> Engine:
    tokens = pieces(asked.text) * (40 if asked.loop else 1)
    return Engine(ScriptedChat(tokens, pace=asked.gate, orphan_seconds=asked.orphan_seconds), asked.gate)


def pieces(text: str) -> list[str]:
    """`text` in the pieces a tokenizer would cut, whole characters only."""
    tokenizer = make_tiny_tokenizer()
    cut = [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]
    return cut if "\ufffd" not in "".join(cut) else list(text)


@cache
def _server() -> OpenAiServer:
    return OpenAiServer()


def _remote(asked: Asked) -> Engine:
    """The remote engine over real HTTP; the server's tokens pass the gate, and none is made for a client that is gone."""
    server = _server()
    server.always = lambda payload: _streamed(asked, payload)
    target = target_of(server.url, "")
    assert target is not None
    remote = RemoteChat(target, endpoint="http://127.0.0.1:9", orphan_seconds=asked.orphan_seconds)
    return Engine(remote, asked.gate, lambda: not busy(), remote.pin(NAME))


def _streamed(asked: Asked, payload: dict[str, Any]) -> Any:
    words = sum(len(message["content"].split()) for message in payload["messages"])
    if words >= 2048:
        return Status(400, {"error": {"message": f"{words} tokens; the context length is at most 2,048"}})
    tokens = pieces(asked.text) * (40 if asked.loop else 1)
    limit = payload["max_tokens"]

    def stream() -> Iterator[bytes]:
        for token in tokens[:limit]:
            try:
                asked.gate()
            except Exception as error:
                yield b"data: " + json.dumps({"error": str(error)}).encode() + b"\n\n"
                return
            yield chunk(token)
        yield chunk(finish="stop" if len(tokens) <= limit else "length")
        yield chunk(usage=(words, min(limit, len(tokens))))
        yield DONE

    return stream()


CASES = (
    EngineCase("batched", _batched, "batched"),
    EngineCase("plain", _plain, "plain"),
    EngineCase("zerogpu", _zerogpu, "zerogpu"),
    EngineCase("scripted", _scripted, "plain"),
    EngineCase("remote", _remote, "remote", here=False),
)
