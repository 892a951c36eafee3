"""An OpenAI-compatible server on loopback whose every answer, and every fault, is scripted. Real HTTP, real sockets."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "scripted/model"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Status:
    """An answer that is an error."""

    code: int
    body: Any = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Hold:
    """Waits in the middle of a stream until `go` is set or the client is gone."""

    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


CUT = object()
"""Ends the connection in the middle of a chunk."""
END = object()
"""Ends the stream in good order, without saying that it is complete."""


def chunk(
    text: str | None = None, *, finish: str | None = None, usage: tuple[int, int] | None = None, **delta: Any
) -> bytes:
    """One event. With `usage` alone it has no choices, as vLLM sends it."""
    record: dict[str, Any] = {"object": "chat.completion.chunk", "choices": []}
    if text is not None or finish is not None or delta:
        said = {**({} if text is None else {"content": text}), **delta}
        record["choices"] = [{"index": 0, "delta": said, "finish_reason": finish}]
    if usage is not None:
        record["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return b"data: " + json.dumps(record, ensure_ascii=False).encode() + b"\n\n"


def whole(*texts: str, usage: tuple[int, int] | None = (7, 3), finish: str = "stop") -> list[Any]:
    """A complete stream of these pieces."""
    counted = [chunk(usage=usage)] if usage else []
    return [*(chunk(text) for text in texts), chunk(finish=finish), *counted, DONE]


@dataclass
class Asked:
    """A request as it arrived. `gone` is set when the client closed before the end."""

    method: str
    path: str
    headers: dict[str, str]
    json: Any
    gone: threading.Event = field(default_factory=threading.Event)


class OpenAiServer:
    """`script` holds what the next streams are, in order; when it is empty, `always`."""

    def __init__(self) -> None:
        self.models: Any = {"data": [{"id": NAME, "object": "model", "owned_by": "vllm", "max_model_len": 4096}]}
        self.info: dict[str, Any] = {}
        self.script: list[Any] = []
        self.always: Any = whole("Hello", " there")
        self.tried: Callable[[dict[str, Any]], Any] = same_words
        self.picture: Callable[[dict[str, Any]], Any] = lambda payload: Status(404)
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def host(self) -> str:
        """What the chip calls it."""
        return f"127.0.0.1:{self.http.server_port}"

    @property
    def url(self) -> str:
        """The value of PROVING_REMOTE_URL."""
        return f"http://{self.host}/v1"

    def streams(self) -> list[Asked]:
        """The requests for an answer, without lists and probes."""
        return [asked for asked in self.asked if asked.path == "/v1/chat/completions" and asked.json.get("stream")]

    def close(self) -> None:
        """Stop serving."""
        self.http.shutdown()
        self.http.server_close()


def same_words(payload: dict[str, Any]) -> dict[str, Any]:
    """A small request's answer that only the seed decides; a picture counts as 64 tokens."""
    message = {"role": "assistant", "content": f"word {payload.get('seed')}"}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "length"}
    if payload.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": "word", "logprob": -0.1}]}
    content = payload["messages"][-1]["content"]
    pictures = sum(part["type"] == "image_url" for part in content) if isinstance(content, list) else 0
    return {"choices": [choice], "usage": {"prompt_tokens": 3 + 64 * pictures, "completion_tokens": 1}}


@contextmanager
def serving() -> Iterator[OpenAiServer]:
    """A server for the length of a test."""
    server = OpenAiServer()
    try:
        yield server
    finally:
        server.close()


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _handler(server: OpenAiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._asked(None)
            if self.path == "/v1/models":
                self._json(server.models)
            elif self.path in server.info:
                self._json(server.info[self.path])
            else:
                self._json(Status(404, {"detail": "Not Found"}))

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = self._asked(payload)
            if self.path != "/v1/chat/completions":
                self._json(server.picture(payload))
            elif not payload.get("stream"):
                self._json(server.tried(payload))
            else:
                with server.lock:
                    act = server.script.pop(0) if server.script else server.always
                if callable(act):
                    act = act(payload)
                if isinstance(act, list | Iterator):
                    self._stream(act, asked)
                else:
                    self._json(act)

        def _asked(self, payload: Any) -> Asked:
            asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, payload)
            server.asked.append(asked)
            return asked

        def _json(self, answer: Any) -> None:
            status = answer if isinstance(answer, Status) else Status(200, answer)
            kind = "application/json"
            body = status.body
            if isinstance(body, bytes):
                kind = "image/png"
            elif isinstance(body, str):
                kind, body = "text/html", body.encode()
            else:
                body = json.dumps(body).encode()
            self.send_response(status.code)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            for name, value in status.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, pieces: list[Any] | Iterator[Any], asked: Asked) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                # A piece that is still to be made is not made for a client that is gone.
                made = iter(pieces)
                while (piece := next(made, END)) is not END:
                    if isinstance(piece, Hold):
                        piece.reached.set()
                        while not piece.go.is_set():
                            if self._client_gone():
                                raise ConnectionResetError
                    elif piece is CUT:
                        self.wfile.write(b"ff\r\nda")
                        self.wfile.flush()
                        return
                    else:
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                        self.wfile.flush()
                    if not isinstance(pieces, list) and self._client_gone(0.0):
                        raise ConnectionResetError
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                asked.gone.set()

        def _client_gone(self, seconds: float = 0.01) -> bool:
            ready, _, _ = select.select([self.connection], [], [], seconds)
            return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler
