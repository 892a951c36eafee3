"""What travels between the HTTP transport and the routes: requests, replies and refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import parse_qs


@dataclass
class RecordedRequest:
    """One request as it arrived, kept so that a test can tell what was sent and what was not."""

    method: str
    path: str
    """Unquoted, without the query."""
    raw_path: str
    """As sent, still quoted: a revision with a slash in it is one segment here."""
    query: dict[str, list[str]]
    headers: dict[str, str]
    """Names in lower case, nothing left out."""
    body: bytes
    origin: str
    """The server's own address this request came to: the Hub's or the storage's."""
    status: int | None = None
    """Status of the reply, None while there is none and when the connection was closed without one."""

    @property
    def body_size(self) -> int:
        """Bytes in the body."""
        return len(self.body)

    @property
    def token(self) -> str | None:
        """The bearer token that was sent, if any."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value if scheme.lower() == "bearer" and value else None

    @property
    def line(self) -> str:
        """Method and path, which fault patterns match."""
        return f"{self.method} {self.path}"

    def fits(self, pattern: str) -> bool:
        """Tell whether method and path match a pattern such as `POST /api/datasets/*/commit/*`."""
        return fnmatchcase(self.line, pattern)

    def first(self, name: str) -> str | None:
        """Return the first value of a query parameter."""
        return self.query.get(name, [None])[0]

    def flag(self, name: str) -> bool:
        """Tell whether a query parameter is set to true."""
        return (self.first(name) or "").lower() in {"1", "true"}

    def json(self) -> dict:
        """Read the body as a JSON object, refusing anything else."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, "Invalid JSON body") from None
        if not isinstance(value, dict):
            raise Refusal(400, "Expected a JSON object")
        return value

    def form(self) -> dict[str, list[str]]:
        """Read a form-encoded body."""
        return parse_qs(self.body.decode("utf-8"), keep_blank_values=True)


@dataclass
class Reply:
    """One reply, before it is written to the connection."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Reply with a value as JSON."""
    body = json.dumps(value, allow_nan=False).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


class Refusal(Exception):
    """An expected error of the Hub, raised anywhere below a route."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}

    def reply(self) -> Reply:
        """Put the error in the Hub's form: a JSON body and the X-Error headers."""
        headers = {"X-Error-Message": self.message.encode("ascii", "replace").decode(), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return json_reply({"error": self.message}, self.status, headers)
