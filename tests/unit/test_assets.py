"""The page's scripts and styles from memory: as they are, small where it helps, kept by browsers, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import brotli
import pytest

from components.assets import MOST, WithAssets, folder

SCRIPT = b"export const words = 'the same words again';\n" * 50


@pytest.fixture
def files(tmp_path: Path) -> Path:
    inner = tmp_path / "assets"
    inner.mkdir()
    (inner / "core-Abc123.js").write_bytes(SCRIPT)
    (inner / "large-Abc123.js").write_bytes(b" " * (MOST + 1))
    (inner / "page.html").write_bytes(b"<p>no script")
    (tmp_path / "secret.js").write_bytes(b"secret")
    return inner


def asked(files: Path, path: str, *, peer: str = "127.0.0.1", method: str = "GET", **headers: str) -> Any:
    """(status, headers, body), or None where it was passed on."""
    said: list[dict[str, Any]] = []
    passed: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    async def send(message: Any) -> None:
        said.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": raw, "client": (peer, 1)}
    asyncio.run(WithAssets(behind, files)(scope, None, send))  # type: ignore[arg-type]
    if passed:
        assert not said
        return None
    return said[0]["status"], dict(said[0]["headers"]), said[1]["body"]


def test_a_file_comes_as_it_is_to_this_machine_and_small_to_others(files: Path) -> None:
    status, headers, body = asked(files, "/assets/core-Abc123.js", accept_encoding="gzip, br")
    assert (status, body, headers[b"content-encoding"]) == (200, SCRIPT, b"identity")
    assert headers[b"content-type"].startswith(b"text/javascript") and b"immutable" in headers[b"cache-control"]
    for elsewhere in ({"peer": "10.0.0.7"}, {"x_forwarded_for": "203.0.113.9"}):
        _, headers, body = asked(files, "/assets/core-Abc123.js", accept_encoding="gzip, br", **elsewhere)
        assert headers[b"content-encoding"] == b"br" and brotli.decompress(body) == SCRIPT
        assert int(headers[b"content-length"]) == len(body) < len(SCRIPT)
    _, headers, body = asked(files, "/assets/core-Abc123.js", peer="10.0.0.7")
    assert body == SCRIPT and headers[b"content-encoding"] == b"identity"
    _, headers, body = asked(files, "/assets/core-Abc123.js", method="HEAD")
    assert body == b"" and int(headers[b"content-length"]) == len(SCRIPT)


@pytest.mark.parametrize(
    "path",
    ["/", "core-Abc123.js", "/core-Abc123.js", "/assets/", "/assets/../secret.js", "/assets/none-Abc123.js",
     "/assets/large-Abc123.js", "/assets/page.html", "/gradio_api/assets/core-Abc123.js"],
)  # fmt: skip
def test_everything_else_is_passed_on(files: Path, path: str) -> None:
    assert asked(files, path) is None


def test_a_file_is_only_read(files: Path) -> None:
    assert asked(files, "/assets/core-Abc123.js", method="POST") is None


def test_gradio_has_its_files_there_and_names_them_by_what_is_in_them() -> None:
    scripts = [file.name for file in folder().glob("*.js")]
    assert len(scripts) > 100 and all("-" in name for name in scripts)
