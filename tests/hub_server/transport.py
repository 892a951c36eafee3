"""HTTP/1.1 on a socket: reads requests, meets the planned faults and writes replies."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from tests.hub_server.faults import (
    Alter,
    CloseConnection,
    DropAfterCommit,
    Fault,
    Faults,
    Hold,
    RateLimited,
    SilentAfterCommit,
    Slow,
    Status,
)
from tests.hub_server.web import RecordedRequest, Refusal, Reply

Answer = Callable[[RecordedRequest], Reply]


class Listener:
    """One listening address: the Hub's own or the storage's."""

    def __init__(
        self, answer: Answer, requests: list[RecordedRequest], errors: list[str], faults: Faults, port: int
    ) -> None:
        self.answer = answer
        self.requests = requests
        self.errors = errors
        self.faults = faults
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.listener = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port the system gave."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """The address without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and cut every open connection."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()
        self._thread.join()

    def serve(self, request: RecordedRequest) -> Reply | None:
        """Answer one request, or None where the connection is to be closed without a word."""
        request.origin = self.url
        self.requests.append(request)
        fault = self.faults.take(request)
        if isinstance(fault, CloseConnection):
            return None
        if isinstance(fault, Hold) and not fault.wait(self.stopping):
            return None
        if isinstance(fault, Slow) and self.stopping.wait(fault.seconds):
            return None
        reply = self._answer(request, fault)
        if isinstance(fault, SilentAfterCommit):
            self.stopping.wait()
        if isinstance(fault, DropAfterCommit | SilentAfterCommit):
            return None
        request.status = reply.status
        return reply

    def _answer(self, request: RecordedRequest, fault: Fault | None) -> Reply:
        if isinstance(fault, Status | RateLimited):
            return fault.reply()
        try:
            reply = self.answer(request)
            return fault.change(reply) if isinstance(fault, Alter) else reply
        except Exception:
            self.errors.append(f"{request.line}\n{traceback.format_exc()}")
            return Refusal(500, "Internal Error - the test Hub has a bug, see hub.errors").reply()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    listener: Listener

    def __init__(self, *args: object) -> None:
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Close what clients keep alive, as a server that goes down does."""
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        """Record what broke, unless it was only the client hanging up."""
        if not isinstance(sys.exception(), ConnectionError):
            self.listener.errors.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_method(self) -> None:
        """Serve one request of any method."""
        raw_path, _, query = self.path.partition("?")
        request = RecordedRequest(
            method=self.command,
            path=unquote(raw_path),
            raw_path=raw_path,
            query=parse_qs(query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._read_body(),
            origin="",
        )
        reply = self.server.listener.serve(request)
        if reply is None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        with contextlib.suppress(ConnectionError):
            self._write(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_method

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: requests are recorded, not printed."""

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _write(self, reply: Reply) -> None:
        headers = {"Date": self.date_time_string(), "Content-Length": str(len(reply.body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        # One write, or Nagle's algorithm and delayed acknowledgement cost 40 ms a request.
        self.wfile.write(head if self.command == "HEAD" else head + reply.body)
