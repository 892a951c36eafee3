"""The history of a model on the Hub: its commits, and what differs between two of them in the card and the files."""

from __future__ import annotations

import difflib
from time import monotonic
from urllib.parse import quote

from backends.hub.deadline import start
from backends.hub.errors import About
from backends.hub.front_matter import decoded
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession, Params
from core.card_parts import Changed, Commit, Difference, FileChange, History
from core.errors import HubError, HubUnreachable
from core.refs import COMMIT
from core.weights import weights_format

MOST_README_BYTES = 2_000_000
MOST_LINES = 20_000
MOST_SHOWN_LINES = 2000
MOST_CHANGES = 500
MOST_TREE_PAGES = 5
Entry = tuple[str, int | None]


def history(session: HubSession, repo_id: str, revision: str, seconds: float) -> History:
    """The newest commits that lead to `revision`, one page of the Hub's list."""
    until = monotonic() + seconds
    path = f"/api/models/{repo_id}/commits/{quote(revision, safe='')}"
    answer = session.get_json(path, (), about=About(session.endpoint, repo_id, revision), until=until)
    if not isinstance(answer.data, list):
        raise HubUnreachable("What answered is not a Hub. Check HF_ENDPOINT, and whether the network wants a login.")
    commits = []
    for raw in answer.data:
        row = mapping_of(raw) or {}
        id_ = text_of(row.get("id"))
        if id_ and COMMIT.fullmatch(id_):
            authors = row.get("authors")
            names = (
                [text_of((mapping_of(who) or {}).get("user")) for who in authors] if isinstance(authors, list) else []
            )
            title = text_of(row.get("title")) or "(no title)"
            commits.append(Commit(id_, title, text_of(row.get("date")), tuple(name for name in names if name)))
    return History(tuple(commits), answer.next_params is not None)


def difference(session: HubSession, repo_id: str, before: str, after: str, seconds: float) -> Difference:
    """What changed from the commit `before` to the commit `after`; nothing but two lists and two cards is read."""
    until = monotonic() + seconds
    trees = [start(lambda at=at: _tree(session, repo_id, at, until), until) for at in (before, after)]  # type: ignore[misc]
    cards = [start(lambda at=at: _card(session, repo_id, at, until), until) for at in (before, after)]  # type: ignore[misc]
    files = changes(trees[0].result(until), trees[1].result(until))
    problem = None
    try:
        lines = card_diff(cards[0].result(until), cards[1].result(until), before[:7], after[:7])
    except HubError as error:
        lines, problem = (), f"The two cards could not be compared. {error}"
    return Difference(before, after, lines, files, problem)


def changed(session: HubSession, repo_id: str, commit: str, seconds: float) -> Changed:
    """When the card and the newest of the weights were last changed, and each file's scan, from the expanded list."""
    until = monotonic() + seconds
    about = About(session.endpoint, repo_id, commit)
    params: Params | None = [("expand", "true")]
    card: str | None = None
    weights: tuple[str, str] | None = None
    scans: dict[str, str] = {}
    for _ in range(MOST_TREE_PAGES):
        if params is None:
            break
        answer = session.get_json(f"/api/models/{repo_id}/tree/{commit}", params, about=about, until=until)
        params = answer.next_params
        for raw in answer.data if isinstance(answer.data, list) else ():
            row = mapping_of(raw) or {}
            path, date = text_of(row.get("path")), text_of((mapping_of(row.get("lastCommit")) or {}).get("date"))
            if path and (status := text_of((mapping_of(row.get("securityFileStatus")) or {}).get("status"))):
                scans[path] = status
            if path == "README.md":
                card = date
            elif path and date and weights_format(path):
                weights = max(weights or ("", ""), (date, path))
    return Changed(card, weights[0] if weights else None, weights[1] if weights else None, scans)


def changes(old: dict[str, Entry], new: dict[str, Entry]) -> tuple[FileChange, ...]:
    """The files that came, went or have other content, by their content ids."""
    found = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before is None and after is not None:
            found.append(FileChange(path, "added", None, after[1]))
        elif after is None and before is not None:
            found.append(FileChange(path, "removed", before[1], None))
        elif before and after and before[0] != after[0]:
            found.append(FileChange(path, "changed", before[1], after[1]))
    return tuple(found[:MOST_CHANGES])


def card_diff(old: str, new: str, before: str, after: str) -> tuple[str, ...]:
    """The unified diff of two cards; empty when they are the same."""
    pair = [text.splitlines()[:MOST_LINES] for text in (old, new)]
    lines = list(difflib.unified_diff(pair[0], pair[1], f"README.md @ {before}", f"README.md @ {after}", lineterm=""))
    if len(lines) > MOST_SHOWN_LINES:
        return (*lines[:MOST_SHOWN_LINES], f"… and {len(lines) - MOST_SHOWN_LINES:,} more lines")
    return tuple(lines)


def _tree(session: HubSession, repo_id: str, commit: str, until: float) -> dict[str, Entry]:
    about = About(session.endpoint, repo_id, commit)
    params = [("recursive", "true"), ("expand", "false")]
    found: dict[str, Entry] = {}
    for _ in range(MOST_TREE_PAGES):
        answer = session.get_json(f"/api/models/{repo_id}/tree/{commit}", params, about=about, until=until)
        for raw in answer.data if isinstance(answer.data, list) else ():
            row = mapping_of(raw) or {}
            path, oid, size = text_of(row.get("path")), text_of(row.get("oid")), row.get("size")
            if row.get("type") == "file" and path and oid:
                found[path] = (oid, size if isinstance(size, int) else None)
        if answer.next_params is None:
            break
        params = list(answer.next_params)
    return found


def _card(session: HubSession, repo_id: str, commit: str, until: float) -> str:
    about = About(session.endpoint, repo_id, commit)
    content = session.get_file(repo_id, commit, "README.md", about=about, until=until, most=MOST_README_BYTES)
    return decoded(content or b"").replace("\r\n", "\n")
