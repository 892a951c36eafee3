"""Who published a model, and what people say of it on the Hub: publishers, discussions, leaderboards of benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from backends.hub.deadline import start
from backends.hub.errors import About
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession
from core.card_parts import BoardEntry, Discussion, Publisher
from core.errors import HubError, HubUnreachable, ModelNotFound

MOST_DISCUSSIONS = 30
MOST_BOARDS = 12


def publisher(session: HubSession, repo_id: str, seconds: float) -> Publisher:
    """The organisation or user before the slash; asked as both at the same time, because the name does not tell."""
    name = repo_id.rpartition("/")[0]
    if not name:
        return Publisher("(the Hub's own old names)", "unknown")
    until = monotonic() + seconds

    def overview(kind: str) -> dict[str, object]:
        about = About(session.endpoint, name)
        data = session.get_json(f"/api/{kind}/{name}/overview", (), about=about, until=until).data
        return mapping_of(data) or {}

    asked = {kind: start(lambda kind=kind: overview(kind), until) for kind in ("organizations", "users")}  # type: ignore[misc]
    problem: HubError | None = None
    for kind, call in asked.items():
        try:
            found = call.result(until)
        except HubError as error:
            problem = error
            continue
        if found:
            return Publisher(
                name,
                "organization" if kind == "organizations" else "user",
                text_of(found.get("fullname")),
                found.get("isVerified") if isinstance(found.get("isVerified"), bool) else None,  # type: ignore[arg-type]
                _count(found.get("numModels")),
                _count(found.get("numFollowers")),
            )
    if problem is not None and not isinstance(problem, ModelNotFound):
        raise problem
    return Publisher(name, "unknown")


def discussions(session: HubSession, repo_id: str, seconds: float) -> tuple[Discussion, ...]:
    """The latest open discussions and pull requests, newest first."""
    until = monotonic() + seconds
    about = About(session.endpoint, repo_id)
    path = f"/api/models/{repo_id}/discussions"
    data = session.get_json(path, [("status", "open"), ("p", "0")], about=about, until=until).data
    rows = (mapping_of(data) or {}).get("discussions")
    if not isinstance(rows, list):
        raise HubUnreachable("What answered is not a Hub. Check HF_ENDPOINT, and whether the network wants a login.")
    found = []
    for raw in rows:
        row = mapping_of(raw) or {}
        number, title = row.get("num"), text_of(row.get("title"))
        if isinstance(number, int) and not isinstance(number, bool) and title:
            author = text_of((mapping_of(row.get("author")) or {}).get("name"))
            link = f"{session.endpoint}/{repo_id}/discussions/{number}"
            made = text_of(row.get("createdAt"))
            found.append(Discussion(number, title[:300], author, made, row.get("isPullRequest") is True, link))
    found.sort(key=lambda each: each.created or "", reverse=True)
    return tuple(found[:MOST_DISCUSSIONS])


def board_entries(session: HubSession, repo_id: str, datasets: Iterable[str], seconds: float) -> tuple[BoardEntry, ...]:
    """This model's results on the Hub's leaderboards of `datasets`; one that has no leaderboard gives nothing."""
    until = monotonic() + seconds

    def read(dataset: str) -> list[BoardEntry]:
        # Derived models stand there too when asked for; the list is not paged.
        path = f"/api/datasets/{dataset}/leaderboard"
        try:
            data = session.get_json(
                path, [("base_model", "false")], about=About(session.endpoint, dataset), until=until
            ).data
        except HubUnreachable:
            raise
        except HubError:
            return []  # No such dataset, or one without a leaderboard: the Hub answers both with an error.
        return [entry for raw in data if (entry := _entry(raw, dataset, repo_id))] if isinstance(data, list) else []

    names = list(dict.fromkeys(datasets))[:MOST_BOARDS]
    asked = [start(lambda name=name: read(name), until) for name in names]  # type: ignore[misc]
    return tuple(entry for call in asked for entry in call.result(until))


def _entry(raw: object, dataset: str, repo_id: str) -> BoardEntry | None:
    row = mapping_of(raw) or {}
    value, rank = row.get("value"), row.get("rank")
    if row.get("modelId") != repo_id or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    source = mapping_of(row.get("source")) or {}
    place = rank if isinstance(rank, int) else None
    named = text_of(source.get("name")) or text_of(source.get("url"))
    return BoardEntry(dataset, float(value), row.get("verified") is True, place, named)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
