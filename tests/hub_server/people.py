"""Routes that tell about people: overviews of users and organisations, discussions, and leaderboards of benchmarks."""

from __future__ import annotations

from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply


def add_people_routes(routes: Routes) -> None:
    """Register every route of this module; they come before the bare repository."""
    routes.add("GET", "/api/(?P<who>organizations|users)/(?P<name>[^/]+)/overview")(show_overview)
    routes.add("GET", "/api/{kind}/{repo}/discussions")(list_discussions)
    routes.add("GET", "/api/datasets/(?P<repo>[^/]+/[^/]+)/leaderboard")(show_leaderboard)


def show_overview(call: Call) -> Reply:
    """Answer `get_organization_overview` and `get_user_overview`."""
    name, who = call.groups["name"], call.groups["who"]
    orgs = call.state.organizations
    models = sum(repo.owner == name for repo in call.state.repos.all("model", call.token))
    if who == "organizations" and name in orgs:
        verified = orgs[name]
        return json_reply({"name": name, "fullname": name.title(), "isVerified": verified, "numModels": models})
    if who == "users" and name not in orgs and name in call.state.accounts.users():
        return json_reply({"user": name, "fullname": name.title(), "numModels": models, "numFollowers": 1})
    raise Refusal(404, "Not found")


def list_discussions(call: Call) -> Reply:
    """Answer `get_repo_discussions`; what is given as `discussions` when the repository is seeded."""
    repo = call.repo()
    wanted = call.request.first("status")
    rows = [
        {
            "num": number,
            "title": row["title"],
            "author": {"name": row.get("author", "bob")},
            "createdAt": row.get("createdAt", "2026-01-02T00:00:00.000Z"),
            "status": row.get("status", "open"),
            "isPullRequest": row.get("isPullRequest", False),
            "repo": {"name": repo.id, "type": repo.kind},
        }
        for number, row in enumerate(repo.metadata.get("discussions", ()), 1)  # type: ignore[arg-type]
    ]
    shown = [row for row in rows if wanted in (None, row["status"])]
    return json_reply({"discussions": shown, "count": len(shown), "start": 0})


def show_leaderboard(call: Call) -> Reply:
    """Answer `get_dataset_leaderboard`; what is given as `leaderboard` when the dataset is seeded."""
    repo = call.find("dataset", call.groups["repo"])
    if "leaderboard" not in repo.metadata:
        raise Refusal(400, "This dataset has no leaderboard")
    return json_reply(repo.metadata["leaderboard"])
