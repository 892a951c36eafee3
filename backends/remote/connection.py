"""One call to a remote engine: `InferenceClient` whose connection another thread can close at once."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
from huggingface_hub import InferenceClient
from huggingface_hub.inference._common import RequestParameters
from huggingface_hub.inference._providers import get_provider_helper

from backends.remote.target import Target

CONNECT_SECONDS = 10.0
MOST_LINE_BYTES = 4_000_000
MOST_BODY_BYTES = 64_000_000
_MOST_ERROR_BYTES = 20_000
_NO_KEY = "-"


class Refused(Exception):
    """The server answered with an error; `status` is HTTP's, 0 when it came in the middle of a stream."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Broken(Exception):
    """The server sent what is no answer: broken JSON, a line without end."""


class Connection(InferenceClient):
    """`InferenceClient` for one request.

    It differs in four ways: no token of this machine is ever sent in place of a missing one, redirects are not
    followed, `hang_up` ends a call that waits for the server, and lines end at a line feed and nowhere else (JSON may
    hold U+2028, at which `str.splitlines` would cut).
    """

    def __init__(self, target: Target, *, seconds: float) -> None:
        """`seconds` is the longest silence of the server that is borne."""
        where = {"base_url": target.url} if target.url else {"provider": target.provider}
        super().__init__(**where, api_key=target.token or _NO_KEY, timeout=seconds)  # type: ignore[arg-type]
        self._target = target
        self._streams: list[Any] = []
        self._lock = threading.Lock()
        self._gone = False
        self.done = False
        """Whether a stream was said to be complete."""
        self.sent = False
        """Whether the host was asked at all: for a provider, the Hub is asked first what it calls the model."""

    def hang_up(self) -> None:
        """Close the connection now, whatever it waits for; the caller's thread then ends with an error. Idempotent."""
        with self._lock:
            self._gone = True
            streams = list(self._streams)
        for stream in streams:
            _shut(stream)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], parameters: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """The chunks of a streamed answer as the server sends them, in OpenAI's form."""
        if "://" in model:
            raise Broken("a URL is no name of a model")
        named = self.model or model
        helper = get_provider_helper(self.provider, task="conversational", model=named)
        request = helper.prepare_request(
            inputs=messages,
            parameters={"model": model, **parameters, "stream": True},
            headers=self.headers,
            model=named,
            api_key=self.token,
        )
        for line in self._inner_post(request, stream=True):
            if (chunk := self._chunk(line)) is not None:
                if chunk is _DONE:
                    self.done = True
                    return
                yield chunk

    def post_json(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer to a small request under the target's URL."""
        return _object(self._read(self._send("POST", self._target.root + path, json=payload)))

    def get_json(self, path: str) -> dict[str, Any]:
        """What the server tells of itself under a path."""
        return _object(self._read(self._send("GET", self._target.root + path)))

    def _inner_post(self, request_parameters: RequestParameters, *, stream: bool = False) -> Any:
        # The one place through which every call of InferenceClient passes.
        self.sent = True
        headers = dict(request_parameters.headers)
        if request_parameters.task == "text-to-image":
            headers.setdefault("accept", "image/png")
        response = self._send(
            "POST",
            request_parameters.url,
            headers=headers,
            json=request_parameters.json,
            content=request_parameters.data,
        )
        return self._lines(response) if stream else self._read(response)

    def _send(self, method: str, url: str, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        sent = {name.lower(): value for name, value in (headers or {}).items() if value is not None}
        if self._target.url:
            # InferenceClient always sends some key; to the operator's server goes the operator's or none.
            sent.pop("authorization", None)
            if self._target.token:
                sent["authorization"] = f"Bearer {self._target.token}"
        client = httpx2.Client(
            timeout=httpx2.Timeout(self.timeout, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=not self._target.on_this_machine,
            verify=_certificates(),
        )
        self.exit_stack.callback(client.close)
        request = client.build_request(method, url, headers=sent, extensions={"trace": self._trace}, **_given(body))
        response = client.send(request, stream=True)
        self.exit_stack.callback(response.close)
        if response.status_code != 200:
            raise self._refusal(response)
        return response

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._streams.append(info["return_value"])
                gone = self._gone
            if gone:
                _shut(info["return_value"])

    def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MOST_BODY_BYTES:
                raise Broken("the answer is too large")
        return bytes(body)

    def _lines(self, response: httpx2.Response) -> Iterator[str]:
        if response.headers.get("content-type", "").startswith("application/json"):
            # The server does not stream: its whole answer is one chunk.
            self.done = True
            yield "data:" + self._read(response).decode("utf-8", "replace").replace("\n", " ")
            return
        held = b""
        for piece in response.iter_bytes():
            *whole, held = (held + piece).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace").strip("\r")
            if len(held) > MOST_LINE_BYTES:
                raise Broken("a line without end")
        if held:
            yield held.decode("utf-8", "replace")

    def _chunk(self, line: str) -> dict[str, Any] | None:
        """What a line of an event stream holds; None for what is no data."""
        if not line.startswith("data:"):
            return None
        text = line[len("data:") :].strip()
        if not text:
            return None
        if text == "[DONE]":
            return _DONE
        chunk = _object(text.encode())
        if error := chunk.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            raise Refused(code if isinstance(code, int) else 0, self._keyless(_message_in(chunk)))
        return chunk

    def _refusal(self, response: httpx2.Response) -> Refused:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MOST_ERROR_BYTES:
                break
        try:
            message = _message_in(_object(bytes(body)))
        except Broken:
            # A proxy's HTML page says nothing that helps.
            text = bytes(body).decode("utf-8", "replace").strip()
            message = "" if text.startswith("<") else text
        return Refused(response.status_code, self._keyless(message), _seconds(response.headers.get("retry-after", "")))

    def _keyless(self, message: str) -> str:
        # Servers quote the key they refuse, and what is raised here is logged.
        return message.replace(self._target.token, "…") if self._target.token else message


_DONE: dict[str, Any] = {}


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a short answer."""
    return httpx2.create_ssl_context()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken("not JSON") from error
    if not isinstance(found, dict):
        raise Broken("not a JSON object")
    return found


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _message_in(found: dict[str, Any]) -> str:
    """The sentence in an error, in the forms of OpenAI, vLLM, TGI, FastAPI and llama.cpp."""
    error = found.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    for value in (error, found.get("message"), found.get("detail")):
        if isinstance(value, str) and value:
            return value
    detail = found.get("detail")
    return json.dumps(detail)[:500] if detail else ""


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 86_400 else None


def _shut(stream: Any) -> None:
    # Closing would leave a thread that reads waiting; shutting the socket down wakes it.
    try:
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):
        # Closed already.
        return
