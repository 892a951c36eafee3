"""Routes that tell about repositories: identity, lists, info, trees, refs and commits."""

from __future__ import annotations

from tests.hub_server.accounts import whoami
from tests.hub_server.info import check_expand, describe
from tests.hub_server.queries import list_reply, paginate
from tests.hub_server.repos import Commit, Repository
from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply

_EXPANDED_PAGE = 50


def add_reading_routes(routes: Routes) -> None:
    """Register every route of this module; specific paths come before the bare repository."""
    routes.add("GET", "/api/whoami-v2")(show_caller)
    routes.add("GET", "/api/{kind}/{repo}/tree/{rev}(?:/{path})?")(list_tree)
    routes.add("POST", "/api/{kind}/{repo}/paths-info/{rev}")(list_paths)
    routes.add("GET", "/api/{kind}/{repo}/refs")(list_refs)
    routes.add("GET", "/api/{kind}/{repo}/commits/{rev}")(list_commits)
    routes.add("GET", "/api/{kind}/{repo}/auth-check(?P<write>/write)?")(check_access)
    routes.add("GET", "/api/{kind}/{repo}/revision/{rev}")(show_repo)
    routes.add("GET", "/api/{kind}/{repo}")(show_repo)
    routes.add("GET", "/api/{kind}")(list_repos)


def show_caller(call: Call) -> Reply:
    """Answer `whoami`."""
    if call.token is None:
        raise Refusal(401, "Invalid username or password.")
    return json_reply(whoami(call.token))


def list_repos(call: Call) -> Reply:
    """Answer `list_models` and `list_datasets`."""
    repos = call.state.repos.all(call.kind, call.token)
    return list_reply(repos, call.kind, call.request, call.url, call.state.page_size)


def show_repo(call: Call) -> Reply:
    """Answer `model_info` and `dataset_info`."""
    repo = call.repo()
    expand = check_expand(call.kind, call.request.query.get("expand", []))
    commit = repo.find(call.revision)
    flags = {"blobs": call.request.flag("blobs"), "security": call.request.flag("securityStatus")}
    return json_reply(describe(repo, commit, expand, **flags))


def list_tree(call: Call) -> Reply:
    """Answer `list_repo_tree`: the children of a folder, or everything below it."""
    repo = call.repo()
    commit = repo.find(call.revision)
    folder = call.path.strip("/")
    if folder not in commit.trees:
        raise Refusal(404, f"{folder} does not exist on {call.revision}", "EntryNotFound")
    start = f"{folder}/" if folder else ""
    names = [path for path in (*commit.files, *commit.trees) if path and path.startswith(start) and path != folder]
    if not call.request.flag("recursive"):
        names = [path for path in names if "/" not in path.removeprefix(start)]
    expand = call.request.flag("expand")
    size = min(call.state.page_size, _EXPANDED_PAGE) if expand else call.state.page_size
    page, headers = paginate(sorted(names), call.request, call.url, size)
    return json_reply([_tree_row(repo, commit, path, expand) for path in page], headers=headers)


def list_paths(call: Call) -> Reply:
    """Answer `get_paths_info`, leaving out what does not exist."""
    repo = call.repo()
    commit = repo.find(call.revision)
    form = call.request.form()
    expand = (form.get("expand") or ["false"])[0].lower() in {"true", "1"}
    paths = [path.strip("/") for path in form.get("paths", [])]
    found = [path for path in paths if path and (path in commit.files or path in commit.trees)]
    return json_reply([_tree_row(repo, commit, path, expand) for path in found])


def list_refs(call: Call) -> Reply:
    """Answer `list_repo_refs`."""
    repo = call.repo()
    refs: dict[str, list[dict[str, str]]] = {
        "branches": _ref_rows("refs/heads/", repo.branches),
        "converts": [],
        "tags": _ref_rows("refs/tags/", repo.tags),
    }
    if call.request.flag("include_prs"):
        refs["pullRequests"] = []
    return json_reply(refs)


def list_commits(call: Call) -> Reply:
    """Answer `list_repo_commits`, the newest first."""
    repo = call.repo()
    history = list(repo.history(repo.find(call.revision)))
    page, headers = paginate(history, call.request, call.url, min(call.state.page_size, _EXPANDED_PAGE))
    rows = [
        {
            "id": commit.id,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in page
    ]
    return json_reply(rows, headers=headers)


def check_access(call: Call) -> Reply:
    """Answer `auth_check`."""
    if "write" in call.groups:
        call.writable_repo()
    else:
        call.repo().check_file_access(call.token)
    return json_reply({})


def _ref_rows(prefix: str, refs: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "ref": prefix + name, "targetCommit": id_} for name, id_ in refs.items()]


def _tree_row(repo: Repository, commit: Commit, path: str, expand: bool) -> dict[str, object]:
    entry = commit.files.get(path)
    if entry is None:
        row: dict[str, object] = {"type": "directory", "oid": commit.trees[path], "size": 0, "path": path}
    else:
        row = {"type": "file", "oid": entry.oid, "size": len(entry.content), "path": path}
        if entry.lfs:
            row["lfs"] = entry.lfs
    if expand:
        last = repo.last_change(commit, path)
        row["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
        if entry is not None:
            status = dict(repo.metadata.get("security") or {}).get(path, "safe")
            scan = {"status": status}
            row["securityFileStatus"] = {"status": status, "avScan": scan, "pickleImportScan": scan}
    return row
