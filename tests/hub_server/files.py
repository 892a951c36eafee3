"""Routes that hand out file contents: `resolve`, `raw` and the storage that LFS files are redirected to."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from tests.hub_server.objects import lfs_pointer
from tests.hub_server.repos import Kind, Repository
from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply

_SECRET = b"signs storage addresses"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def add_file_routes(routes: Routes) -> None:
    """Register what the Hub itself serves."""
    routes.add("GET HEAD", "/{prefix}{repo}/resolve/{rev}/{path}")(resolve)
    routes.add("GET HEAD", "/{prefix}{repo}/raw/{rev}/{path}")(show_raw)


def add_storage_routes(routes: Routes) -> None:
    """Register what the storage behind the Hub serves: signed addresses, no accounts."""
    routes.add("GET HEAD", "/{kind}/{repo}/objects/(?P<oid>[0-9a-f]{64})")(download_object)
    routes.add("PUT", "/{kind}/{repo}/objects/(?P<oid>[0-9a-f]{64})")(upload_object)


def resolve(call: Call) -> Reply:
    """Serve a regular file; redirect to the storage for an LFS one."""
    repo = call.repo()
    repo.check_file_access(call.token)
    commit = repo.find(call.revision)
    entry = repo.file(commit, call.path)
    name = quote(entry.path.rpartition("/")[2])
    headers = {
        "X-Repo-Commit": commit.id,
        "ETag": f'"{entry.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
    }
    if entry.sha256 is None:
        return _content(entry.content, call.request.headers.get("range"), headers)
    headers["X-Linked-Etag"] = f'"{entry.sha256}"'
    headers["X-Linked-Size"] = str(len(entry.content))
    headers["Location"] = storage_url(call, "GET", repo, entry.sha256)
    return Reply(302, f"Found. Redirecting to {headers['Location']}".encode(), headers)


def show_raw(call: Call) -> Reply:
    """Serve what git stores: the text of a regular file, the pointer of an LFS one."""
    repo = call.repo()
    repo.check_file_access(call.token)
    commit = repo.find(call.revision)
    entry = repo.file(commit, call.path)
    content = lfs_pointer(entry.sha256, len(entry.content)) if entry.sha256 else entry.content
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{entry.oid}"', "Content-Type": "text/plain"}
    return _content(content, call.request.headers.get("range"), headers)


def storage_url(call: Call, method: str, repo: Repository, oid: str) -> str:
    """Return an address of an LFS object that authorises itself."""
    signature = _signature(method, repo.kind, repo.id, oid)
    return f"{call.state.storage_url}/{repo.kind}s/{repo.id}/objects/{oid}?signature={signature}"


def download_object(call: Call) -> Reply:
    """Serve an LFS object to whoever has its signed address."""
    repo = _signed_repo(call, "GET")
    content = repo.lfs_objects.get(call.groups["oid"])
    if content is None:
        raise Refusal(404, "NoSuchKey")
    headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Accept-Ranges": "bytes"}
    return _content(content, call.request.headers.get("range"), headers)


def upload_object(call: Call) -> Reply:
    """Take an LFS object, which must be what its address promises."""
    repo = _signed_repo(call, "PUT")
    content = call.request.body
    if hashlib.sha256(content).hexdigest() != call.groups["oid"]:
        raise Refusal(400, "BadDigest")
    repo.lfs_objects[call.groups["oid"]] = content
    return json_reply({}, headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})


def _signed_repo(call: Call, method: str) -> Repository:
    kind, repo_id, oid = call.kind, call.groups["repo"], call.groups["oid"]
    if not hmac.compare_digest(call.request.first("signature") or "", _signature(method, kind, repo_id, oid)):
        raise Refusal(403, "SignatureDoesNotMatch")
    return call.state.repos.get(kind, repo_id)


def _signature(method: str, kind: Kind, repo_id: str, oid: str) -> str:
    return hmac.new(_SECRET, f"{method} {kind} {repo_id} {oid}".encode(), "sha256").hexdigest()


def _content(content: bytes, range_header: str | None, headers: dict[str, str]) -> Reply:
    headers = {"Content-Type": "application/octet-stream", **headers}
    match = _RANGE.fullmatch(range_header or "")
    if match is None or match.groups() == ("", ""):
        return Reply(200, content, headers)
    size = len(content)
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or size), size - 1)
    else:
        start, end = max(size - int(match[2]), 0), size - 1
    if start > end:
        return Reply(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return Reply(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{size}"})
