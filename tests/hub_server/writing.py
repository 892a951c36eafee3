"""Routes that change repositories: create, settings, refs, uploads and commits."""

from __future__ import annotations

import base64
import binascii
import json

from tests.hub_server.cards import check_card
from tests.hub_server.files import storage_url
from tests.hub_server.objects import LFS_SIZE, Entry, lfs_entry, needs_lfs, regular_entry
from tests.hub_server.repos import PREFIXES, Kind, Repository
from tests.hub_server.routes import Call, Routes
from tests.hub_server.spaces import created, space
from tests.hub_server.web import Refusal, Reply, json_reply


def add_writing_routes(routes: Routes) -> None:
    """Register every route of this module."""
    routes.add("POST", "/api/repos/create")(create_repo)
    routes.add("DELETE", "/api/repos/delete")(delete_repo)
    routes.add("POST", "/api/repos/move")(move_repo)
    routes.add("PUT", "/api/{kind}/{repo}/settings")(change_settings)
    routes.add("POST", "/api/{kind}/{repo}/branch/(?P<name>[^/]+)")(create_branch)
    routes.add("DELETE", "/api/{kind}/{repo}/branch/(?P<name>[^/]+)")(delete_branch)
    routes.add("POST", "/api/{kind}/{repo}/tag/{rev}")(create_tag)
    routes.add("DELETE", "/api/{kind}/{repo}/tag/(?P<name>[^/]+)")(delete_tag)
    routes.add("POST", "/api/validate-yaml")(validate_card)
    routes.add("POST", "/api/{kind}/{repo}/preupload/{rev}")(choose_upload_modes)
    routes.add("POST", "/{prefix}{repo}.git/info/lfs/objects/batch")(plan_lfs_uploads)
    routes.add("POST", "/{prefix}{repo}.git/info/lfs/objects/verify")(verify_lfs_upload)
    routes.add("POST", "/api/{kind}/{repo}/commit/{rev}")(commit)


def create_repo(call: Call) -> Reply:
    """Answer `create_repo`; a name that is taken is a 409 that still carries the address."""
    kind, repo_id, body = _named_repo(call)
    token = call.check_write(kind, repo_id)
    url = f"{call.state.url}/{PREFIXES[kind]}{repo_id}"
    if call.state.repos.exists(kind, repo_id):
        return json_reply({"error": f"You already created this {kind} repo", "url": url}, 409)
    if kind == "space":
        created(call, repo_id, body)
    repo = Repository(kind, repo_id, private=body.get("visibility") == "private")
    call.state.repos.create(repo, token.user)
    return json_reply({"url": url, "name": repo_id})


def delete_repo(call: Call) -> Reply:
    """Answer `delete_repo`."""
    kind, repo_id, _ = _named_repo(call)
    repo = call.find(kind, repo_id)
    call.check_write(kind, repo_id)
    call.state.repos.delete(repo)
    return json_reply({})


def move_repo(call: Call) -> Reply:
    """Answer `move_repo`."""
    body = call.request.json()
    kind = _kind(body)
    repo = call.find(kind, str(body.get("fromRepo")))
    call.check_write(kind, repo.id)
    call.check_write(kind, str(body.get("toRepo")))
    call.state.repos.move(repo, str(body.get("toRepo")))
    return json_reply({})


def change_settings(call: Call) -> Reply:
    """Answer `update_repo_settings`."""
    repo = call.writable_repo()
    body = call.request.json()
    if "visibility" in body:
        repo.private = body["visibility"] == "private"
    if "gated" in body:
        if body["gated"] not in ("auto", "manual", False):
            raise Refusal(400, '"gated" must be auto, manual or false')
        repo.gated = body["gated"]
    return json_reply({"private": repo.private, "gated": repo.gated})


def create_branch(call: Call) -> Reply:
    """Answer `create_branch`."""
    repo, name = call.writable_repo(), call.groups["name"]
    target = repo.find(call.request.json().get("startingPoint") or "main")
    if name in repo.branches:
        raise Refusal(409, f"Reference already exists: refs/heads/{name}")
    repo.branches[name] = target.id
    return json_reply({})


def delete_branch(call: Call) -> Reply:
    """Answer `delete_branch`; main stays."""
    repo, name = call.writable_repo(), call.groups["name"]
    if name == "main":
        raise Refusal(403, "Cannot delete the branch main")
    _remove_ref(repo.branches, name)
    return json_reply({})


def create_tag(call: Call) -> Reply:
    """Answer `create_tag`."""
    repo, name = call.writable_repo(), call.request.json().get("tag")
    target = repo.find(call.revision)
    if not isinstance(name, str) or not name:
        raise Refusal(400, '"tag" is required')
    if name in repo.tags:
        raise Refusal(409, f"Tag reference exists already: refs/tags/{name}")
    repo.tags[name] = target.id
    return json_reply({})


def delete_tag(call: Call) -> Reply:
    """Answer `delete_tag`."""
    repo = call.writable_repo()
    _remove_ref(repo.tags, call.groups["name"])
    return json_reply({})


def validate_card(call: Call) -> Reply:
    """Say what is wrong with a README's metadata."""
    errors, warnings = check_card(str(call.request.json().get("content", "")))
    value = {"errors": [{"message": m} for m in errors], "warnings": [{"message": m} for m in warnings]}
    return json_reply(value, 400 if errors else 200)


def choose_upload_modes(call: Call) -> Reply:
    """Tell for every file whether it goes into the commit or through LFS, and the id it has now."""
    repo = call.writable_repo()
    current = repo.find(call.revision).files
    rows = []
    for item in call.request.json().get("files", []):
        path, size = item["path"], item["size"]
        lfs = needs_lfs(path, size, base64.b64decode(item.get("sample", "")))
        row = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if path in current:
            row["oid"] = current[path].etag
        rows.append(row)
    return json_reply({"files": rows})


def plan_lfs_uploads(call: Call) -> Reply:
    """Give an upload address for every object that is not there yet."""
    repo = call.writable_repo()
    body = call.request.json()
    if body.get("operation") != "upload":
        raise Refusal(400, "Only uploads are planned here")
    rows = []
    for item in body.get("objects", []):
        row = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in repo.lfs_objects:
            verify = f"{call.state.url}/{PREFIXES[repo.kind]}{repo.id}.git/info/lfs/objects/verify"
            upload = {"href": storage_url(call, "PUT", repo, item["oid"])}
            row["actions"] = {"upload": upload, "verify": {"href": verify}}
        rows.append(row)
    return json_reply({"transfer": "basic", "objects": rows})


def verify_lfs_upload(call: Call) -> Reply:
    """Confirm that an object has arrived whole."""
    repo = call.writable_repo()
    body = call.request.json()
    content = repo.lfs_objects.get(str(body.get("oid")))
    if content is None or len(content) != body.get("size"):
        raise Refusal(404, "The object was not uploaded")
    return json_reply({})


def commit(call: Call) -> Reply:
    """Answer `create_commit`: all changes land on top of the expected parent, or none does."""
    repo = call.writable_repo()
    if call.request.flag("create_pr"):
        raise Refusal(400, "Pull requests are not part of the test Hub")
    lines = _commit_lines(call.request.body)
    header = next((value for key, value in lines if key == "header"), None)
    if header is None or not isinstance(header.get("summary"), str):
        raise Refusal(400, "A commit needs a header with a summary")
    branch = call.revision.removeprefix("refs/heads/")
    current = repo.branch_head(branch, header.get("parentCommit")).files
    changes: dict[str, Entry | None] = {}
    for key, value in lines:
        if key != "header":
            changes.update(_changes(repo, current, key, value))
    added = call.state.repos.commit(
        repo,
        branch,
        changes,
        header["summary"],
        call.token.user if call.token else "",
        message=header.get("description") or "",
    )
    if repo.kind == "space":
        space(call).pushed()
    url = f"{call.state.url}/{PREFIXES[repo.kind]}{repo.id}/commit/{added.id}"
    return json_reply({"success": True, "commitOid": added.id, "commitUrl": url, "hookOutput": ""})


def _commit_lines(body: bytes) -> list[tuple[str, dict]]:
    try:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        return [(line["key"], dict(line["value"])) for line in lines]
    except (ValueError, KeyError, TypeError):
        raise Refusal(400, "Invalid commit payload") from None


def _changes(repo: Repository, current: dict[str, Entry], key: str, value: dict) -> dict[str, Entry | None]:
    path = str(value.get("path", ""))
    if key == "file":
        return {path: _regular_file(path, value)}
    if key == "lfsFile":
        return {path: _lfs_file(repo, path, value)}
    if key == "deletedFile" and path in current:
        return {path: None}
    if key == "deletedFolder":
        folder = path.rstrip("/") + "/"
        if inside := {name: None for name in current if name.startswith(folder)}:
            return inside
    if key in {"deletedFile", "deletedFolder"}:
        raise Refusal(404, f"A file with this name does not exist: {path}", "EntryNotFound")
    raise Refusal(400, f"Unknown operation in commit: {key}")


def _regular_file(path: str, value: dict) -> Entry:
    try:
        content = value["content"].encode()
        if value.get("encoding") == "base64":
            content = base64.b64decode(content, validate=True)
    except (KeyError, AttributeError, binascii.Error):
        raise Refusal(400, f"Invalid content of {path}") from None
    if len(content) > LFS_SIZE:
        raise Refusal(400, f"Your push was rejected because it contains files larger than 10 MiB: {path}")
    if needs_lfs(path, len(content), content[:512]):
        raise Refusal(400, f"Your push was rejected because it contains binary files: {path}")
    if path == "README.md":
        errors, _ = check_card(content.decode("utf-8", "replace"))
        if errors:
            raise Refusal(400, "Invalid metadata in README.md: " + "; ".join(errors))
    return regular_entry(path, content)


def _lfs_file(repo: Repository, path: str, value: dict) -> Entry:
    content = repo.lfs_objects.get(str(value.get("oid")))
    if content is None or value.get("size", len(content)) != len(content):
        raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {path}")
    return lfs_entry(path, content)


def _remove_ref(refs: dict[str, str], name: str) -> None:
    if refs.pop(name, None) is None:
        raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")


def _kind(body: dict) -> Kind:
    kind = body.get("type") or "model"
    if kind not in PREFIXES:
        raise Refusal(400, f"Invalid repository type: {kind}")
    return kind


def _named_repo(call: Call) -> tuple[Kind, str, dict]:
    if call.token is None:
        raise Refusal(401, "Invalid username or password.")
    body = call.request.json()
    owner = body.get("organization") or call.token.user
    return _kind(body), f"{owner}/{body.get('name')}", body
