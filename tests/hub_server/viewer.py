"""The dataset viewer and the pages of papers: what was computed of a dataset, given when it is seeded."""

from __future__ import annotations

from tests.hub_server.info import list_row
from tests.hub_server.repos import Repository
from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply

PREFIX = "/datasets-server"
"""Where the viewer is reached; on the real Hub it is a host of its own."""


def add_viewer_routes(routes: Routes) -> None:
    """Register every route of this module."""
    routes.add("GET", f"{PREFIX}/info")(show_info)
    routes.add("GET", f"{PREFIX}/first-rows")(show_rows)
    routes.add("GET", "/api/papers/(?P<number>.+)")(show_paper)


def show_info(call: Call) -> Reply:
    """Answer `/info`: the description by config, as `viewer={"info": …}` gives it."""
    return json_reply({"dataset_info": _computed(call)["info"], "pending": [], "failed": [], "partial": False})


def show_rows(call: Call) -> Reply:
    """Answer `/first-rows`, as `viewer={"rows": {"config/split": (features, rows)}}` gives them."""
    config, split = call.request.first("config"), call.request.first("split")
    found = _computed(call)["rows"].get(f"{config}/{split}")
    if found is None:
        raise Refusal(404, "Not found.", "ResponseNotFound")
    features, rows = found
    return json_reply(
        {
            "dataset": call.request.first("dataset"),
            "config": config,
            "split": split,
            "features": [
                {"feature_idx": at, "name": name, "type": kind} for at, (name, kind) in enumerate(features.items())
            ],
            "rows": [{"row_idx": at, "row": row, "truncated_cells": []} for at, row in enumerate(rows)],
            "truncated": False,
        }
    )


def show_paper(call: Call) -> Reply:
    """Answer `paper_info`: a paper that was added, with the repositories whose cards name it."""
    number = call.groups["number"]
    paper = call.state.papers.get(number)
    if paper is None:
        raise Refusal(404, "Paper not found")
    models, datasets, spaces = (
        [repo for repo in call.state.repos.all(kind, call.token) if _names(repo, number)]  # type: ignore[arg-type]
        for kind in ("model", "dataset", "space")
    )
    expand = frozenset({"downloads", "likes", "tags"})

    def rows(repos: list[Repository]) -> list[dict[str, object]]:
        return [
            list_row(
                repo, expand - ({"downloads"} if repo.kind == "space" else set()), full=False, card=False, config=False
            )
            for repo in repos
        ]

    return json_reply(
        {
            "id": number,
            **paper,
            "linkedModels": rows(models),
            "numTotalModels": len(models),
            "linkedDatasets": rows(datasets),
            "numTotalDatasets": len(datasets),
            "linkedSpaces": rows(spaces),
        }
    )


def _names(repo: Repository, number: str) -> bool:
    row = list_row(repo, frozenset({"tags"}), full=False, card=False, config=False)
    return f"arxiv:{number}" in row["tags"]  # type: ignore[operator]


def _computed(call: Call) -> dict:
    """What the viewer knows of a dataset this caller may read."""
    refused = "The dataset does not exist, or is not accessible without authentication (private or gated)."
    repo = call.state.repos.find("dataset", call.request.first("dataset") or "", call.token)
    if repo.gated:
        try:
            repo.check_file_access(call.token)
        except Refusal:
            raise Refusal(401, refused, "ExternalUnauthenticatedError") from None
    found = repo.metadata.get("viewer")
    if not isinstance(found, dict):
        raise Refusal(500, "The server is busier than usual and the response is not ready yet.", "ResponseNotReady")
    return found
