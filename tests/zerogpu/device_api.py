"""The device service that `spaces` asks on ZeroGPU, on loopback: who may use a GPU, for how long, and the end when time is up.

It answers the calls of `spaces/zero/api.py` and keeps books of them, so that a test sees what was asked for and for how long.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import process
from multiprocessing.process import BaseProcess
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.serving import wait_until

PING_SECONDS = 20
WAIT = 0


@dataclass
class Grant:
    """One GPU call: what was asked, which process used it, and how it ended."""

    asked_seconds: int
    size: str | None
    token: str | None
    task: str
    nvidia_index: int
    allow_token: str = field(default_factory=lambda: uuid4().hex)
    pid: int | None = None
    released: bool = False
    failed: bool = False
    killed: bool = False


@dataclass(frozen=True)
class Refusal:
    """What the service says instead of a grant, as JSON and headers of its answer."""

    left: int = 0
    wait_seconds: float = 3600.0
    result: str = "quota-exceeded"
    auth: str | None = None


class DeviceApi:
    """A context manager: serves on a free port while it is open.

    `refuse` is asked before each grant, with the seconds that are asked for; None grants. `limit_factor` times the seconds
    asked for is the time after which the worker is killed, counted from when it has the GPU. `gpus` calls run at once, further ones wait.
    """

    def __init__(self, *, gpus: int = 2, limit_factor: float = 10.0) -> None:
        self.gpus = gpus
        self.limit_factor = limit_factor
        self.refuse: Callable[[int], Refusal | None] = lambda seconds: None
        self.grants: list[Grant] = []
        self.startup_reports = 0
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._allowed: set[int] = set()
        self._pids: dict[tuple[str, int], int] = {}
        self._timers: dict[str, threading.Timer] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api._answer(self)

            def do_POST(self) -> None:
                api._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the books are `grants`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="device-api", daemon=True)

    def __enter__(self) -> DeviceApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for timer in tuple(self._timers.values()):
            timer.cancel()
        self.end_workers()

    def end_workers(self) -> None:
        """Kill every worker it ever allowed that is still there; `spaces` makes a new one for the next call."""
        pids = self._allowed.copy()
        _kill(pids)
        # A call that takes one for alive would be told that its work was aborted.
        wait_until(lambda: not _running(pids), 60, "a worker did not end")
        self._allowed -= pids

    @property
    def quiet(self) -> bool:
        """Whether nobody has a GPU or waits for one."""
        with self._changed:
            return not self._waiting and not self._busy()

    def wait_released(self, seconds: float = 60.0) -> None:
        """Wait until every grant was given back."""
        with self._changed:
            assert self._changed.wait_for(lambda: all(grant.released for grant in self.grants), seconds), self.grants

    # The calls.

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        name = parts.path.strip("/").replace("-", "_")
        calls: dict[str, Callable[[dict[str, str]], tuple[int, object, dict[str, str]]]] = {
            "startup_report": self._startup_report,
            "schedule": self._schedule,
            "allow": self._allow,
            "release": self._release,
            "queue_size": lambda asked: (200, 0.0, {}),
        }
        asked = dict(parse_qsl(parts.query))
        handler.close_connection = True
        status, body, headers = calls[name](asked) if name in calls else (404, None, {})
        if status == WAIT:
            self._queue(handler, asked)
            return
        data = json.dumps(body).encode()
        handler.send_response(status)
        own = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"}
        for key, value in {**headers, **own}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(data)

    def _startup_report(self, asked: dict[str, str]) -> tuple[int, object, dict[str, str]]:
        self.startup_reports += 1
        return 200, None, {}

    def _schedule(self, asked: dict[str, str]) -> tuple[int, object, dict[str, str]]:
        refusal = self.refuse(int(asked["durationSeconds"]))
        if refusal is None:
            with self._changed:
                free = not self._waiting and len(self._busy()) < self.gpus
                return (200, self._granted(asked), {}) if free else (WAIT, None, {})
        headers = {"X-Approve-Result": refusal.result}
        if refusal.auth:
            headers["X-Authenticated"] = refusal.auth
        return 429, {"left": refusal.left, "wait": refusal.wait_seconds}, headers

    def _queue(self, handler: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        """First come, first served; who waits is sent a sign of life, as `spaces` expects it."""
        handler.send_response(200)
        for key, value in {"content-type": "text/event-stream", "transfer-encoding": "chunked"}.items():
            handler.send_header(key, value)
        handler.end_headers()
        place = object()
        with self._changed:
            self._waiting.append(place)
            try:
                while not self._changed.wait_for(
                    lambda: self._waiting[0] is place and len(self._busy()) < self.gpus, PING_SECONDS
                ):
                    _chunk(handler, "event: ping\n\n")
                answer = self._granted(asked)
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()
        _chunk(handler, f"event: succeeded\ndata: {json.dumps(answer)}\n\n")
        _chunk(handler, "")

    def _granted(self, asked: dict[str, str]) -> dict[str, object]:
        seconds = int(asked["durationSeconds"])
        index = next(index for index in range(self.gpus) if index not in self._busy())
        grant = Grant(seconds, asked.get("gpuSize"), asked.get("token"), asked["taskId"], index)
        self.grants.append(grant)
        # A worker is used again by the next call of the same function on the same GPU, as long as it lives.
        grant.pid = self._pids.get((grant.task, index))
        if grant.pid is not None:
            self._let_time_run(grant)
        return {"idle": True, "nvidiaIndex": index, "nvidiaUUID": f"GPU-{index}", "allowToken": grant.allow_token}

    def _busy(self) -> set[int]:
        return {grant.nvidia_index for grant in self.grants if not grant.released}

    def _allow(self, asked: dict[str, str]) -> tuple[int, object, dict[str, str]]:
        grant = self._grant(asked["allowToken"])
        if grant is None:
            return 404, None, {}
        grant.pid = self._pids[grant.task, grant.nvidia_index] = int(asked["pid"])
        self._allowed.add(grant.pid)
        self._let_time_run(grant)
        return 200, None, {}

    def _release(self, asked: dict[str, str]) -> tuple[int, object, dict[str, str]]:
        grant = self._grant(asked["allowToken"])
        if grant is None:
            return 404, None, {}
        with self._changed:
            if timer := self._timers.pop(grant.allow_token, None):
                timer.cancel()
            grant.released, grant.failed = True, asked.get("fail", "").lower() == "true"
            self._changed.notify_all()
        return 200, None, {}

    def _grant(self, token: str) -> Grant | None:
        return next((grant for grant in self.grants if grant.allow_token == token), None)

    def _let_time_run(self, grant: Grant) -> None:
        timer = threading.Timer(grant.asked_seconds * self.limit_factor, self._time_is_up, [grant])
        timer.daemon = True
        self._timers[grant.allow_token] = timer
        timer.start()

    def _time_is_up(self, grant: Grant) -> None:
        if not grant.released and grant.pid is not None:
            grant.killed = True
            _kill({grant.pid})


def _chunk(handler: BaseHTTPRequestHandler, text: str) -> None:
    data = text.encode()
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    handler.wfile.flush()


def _kill(pids: Collection[int]) -> None:
    for worker in _running(pids):
        worker.kill()


def _running(pids: Collection[int]) -> list[BaseProcess]:
    """The workers among the children of this process whose end multiprocessing has not noticed yet."""
    children = process._children.copy()  # type: ignore[attr-defined]
    return [child for child in children if child.pid in pids and child._popen.returncode is None]
