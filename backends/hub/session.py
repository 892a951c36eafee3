"""Reads from the Hub over huggingface_hub's own HTTP client: once, bounded in time and size, never elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from backends.hub.errors import About, hub_errors

if TYPE_CHECKING:
    import httpx2

MOST_JSON_BYTES = 64_000_000
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """Parsed JSON and the query of the next page, None on the last one."""

    data: Any
    next_params: Params | None


class HubSession:
    """GET requests to one endpoint.

    `HfApi.list_models` and `model_info` are not used for these: they repeat failed pages for up to 23 seconds, so that
    a 429 never arrives here, follow a page's link to any host with the token in the request, and one row with a
    malformed date ends the list.
    """

    def __init__(self, endpoint: str, token: str | bool | None = None) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token = token

    def get_json(self, path: str, params: Params, *, about: About, until: float) -> Answer:
        """The JSON at `path`; raises the app's own errors."""
        with hub_errors(about):
            content, headers = self._read(path, params, until, MOST_JSON_BYTES)
            return Answer(json.loads(content), _next_params(headers))

    def get_file(self, repo_id: str, commit: str, path: str, *, about: About, until: float, most: int) -> bytes | None:
        """At most `most` bytes of a file at a commit; None when the commit has no such file."""
        from huggingface_hub.errors import EntryNotFoundError

        with hub_errors(about):
            try:
                return self._read(f"/{repo_id}/resolve/{commit}/{quote(path)}", (), until, most)[0]
            except EntryNotFoundError:
                return None

    def get_range(
        self, repo_id: str, commit: str, path: str, start: int, length: int, *, about: About, until: float
    ) -> tuple[bytes, int | None]:
        """At most `length` bytes of a file from `start` on, and the file's size where the answer says it.

        By HTTP Range: only these bytes travel. A host that does not know ranges sends the file from its beginning; it is
        read no further than needed, and never past `length` bytes after `start`.
        """
        with hub_errors(about):
            wanted = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
            address = f"/{repo_id}/resolve/{commit}/{quote(path)}"
            content, headers = self._read(address, (), until, start + length, wanted)
            said = str(headers.get("Content-Range", ""))
            if not said:
                content = content[start:]
            size = said.rpartition("/")[2]
            return content[:length], int(size) if size.isdigit() else None

    def _read(
        self, path: str, params: Params, until: float, most: int, extra: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        from huggingface_hub import get_session
        from huggingface_hub.utils._headers import build_hf_headers
        from huggingface_hub.utils._http import hf_raise_for_status

        left = until - monotonic()
        if left <= 0:
            raise TimeoutError
        request: httpx2.Client = get_session()
        content = bytearray()
        with request.stream(
            "GET",
            self.endpoint + path,
            params=list(params) or None,
            headers={**build_hf_headers(token=self._token), **(extra or {})},
            timeout=left,
        ) as response:
            hf_raise_for_status(response)
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > most:
                    break
                # The client's read timeout starts again with every byte that arrives.
                if monotonic() > until:
                    raise TimeoutError
            return bytes(content[:most]), response.headers


def _next_params(headers: Mapping[str, str]) -> Params | None:
    """The query of the `Link: rel="next"` header. Its host is left out: pages come from our endpoint or not at all."""
    for part in str(headers.get("Link", "")).split(","):
        target, _, relation = part.partition(";")
        if 'rel="next"' in relation.replace("'", '"'):
            return parse_qsl(urlsplit(target.strip(" <>")).query, keep_blank_values=True)
    return None
