"""Routes of a Space beside its files: variables, secrets, hardware, volumes and what it is doing; and storage buckets."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply

BUILD = ("BUILDING", "APP_STARTING", "RUNNING")
"""What a Space goes through after it was pushed to, one stage for each question."""


@dataclass
class Space:
    """One Space's settings. Secrets can be written and named, never read, as on the Hub."""

    sdk: str
    hardware: str = "cpu-basic"
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    volumes: list[dict] = field(default_factory=list)
    builds: tuple[str, ...] = BUILD
    """The stages of the next builds; a test that wants a failure puts another end here."""
    stages: list[str] = field(default_factory=lambda: ["NO_APP_FILE"])

    def pushed(self) -> None:
        """Start a build, as every commit and every changed setting does."""
        self.stages = list(self.builds)

    def runtime(self) -> dict:
        """What `get_space_runtime` reads; the build moves on by one stage with every look."""
        stage = self.stages.pop(0) if len(self.stages) > 1 else self.stages[0]
        running = self.hardware if stage == "RUNNING" else None
        return {
            "stage": stage,
            "hardware": {"current": running, "requested": self.hardware},
            "gcTimeout": None,
            "storage": None,
            "volumes": self.volumes,
        }


@dataclass
class Bucket:
    """A storage bucket, kept among the Spaces under `bucket:` and its id. Its files are nobody's business here."""

    id: str
    private: bool

    def info(self) -> dict:
        """What `bucket_info` reads."""
        about = {"createdAt": "2026-11-21T12:00:00.000Z", "size": 0, "totalFiles": 0}
        return {"id": self.id, "private": self.private, **about}


def add_space_routes(routes: Routes) -> None:
    """Register every route of this module."""
    routes.add("GET", "/api/spaces/{repo}/runtime")(lambda call: json_reply(space(call).runtime()))
    routes.add("GET", "/api/spaces/{repo}/variables")(lambda call: json_reply(_variables(space(call))))
    routes.add("GET", "/api/spaces/{repo}/secrets")(lambda call: json_reply({key: {} for key in space(call).secrets}))
    routes.add("POST", "/api/spaces/{repo}/variables")(set_variable)
    routes.add("DELETE", "/api/spaces/{repo}/variables")(remove_variable)
    routes.add("POST", "/api/spaces/{repo}/secrets")(set_secret)
    routes.add("POST", "/api/spaces/{repo}/hardware")(set_hardware)
    routes.add("PUT", "/api/spaces/{repo}/volumes")(set_volumes)
    routes.add("GET", "/api/buckets/{repo}")(lambda call: json_reply(bucket(call).info()))
    routes.add("POST", "/api/buckets/{repo}")(create_bucket)


def created(call: Call, repo_id: str, body: dict) -> None:
    """Keep what `create_repo` says of a new Space; one without an SDK is refused."""
    if not body.get("sdk"):
        raise Refusal(400, '"sdk" is required for a Space')
    made = Space(body["sdk"], body.get("hardware") or "cpu-basic")
    made.variables = {row["key"]: row["value"] for row in body.get("variables") or ()}
    made.secrets = {row["key"]: row["value"] for row in body.get("secrets") or ()}
    made.volumes = list(body.get("volumes") or ())
    call.state.spaces[repo_id] = made


def space(call: Call) -> Space:
    """Return the Space in the path if this caller may change it: its settings are its owner's alone."""
    repo = call.find("space", call.groups["repo"])
    call.check_write("space", repo.id)
    return call.state.spaces.setdefault(repo.id, Space("gradio"))


def bucket(call: Call) -> Bucket:
    """Return the bucket in the path if this caller may see it."""
    found = call.state.spaces.get(f"bucket:{call.groups['repo']}")
    mine = call.token is not None and call.token.belongs_to(call.groups["repo"].partition("/")[0])
    if found is None or (found.private and not mine):
        raise Refusal(404, "Repository not found", "RepoNotFound")
    return found


def create_bucket(call: Call) -> Reply:
    """Answer `create_bucket`: public unless it is asked for otherwise, as on the Hub."""
    bucket_id = call.groups["repo"]
    call.check_write("dataset", bucket_id)
    if f"bucket:{bucket_id}" in call.state.spaces:
        raise Refusal(409, "You already created this bucket")
    made = Bucket(bucket_id, call.request.json().get("visibility") == "private")
    call.state.spaces[f"bucket:{bucket_id}"] = made
    return json_reply({"url": f"{call.state.url}/buckets/{bucket_id}", "id": bucket_id})


def set_variable(call: Call) -> Reply:
    """Answer `add_space_variable`."""
    asked, found = call.request.json(), space(call)
    if asked["key"] in found.secrets:
        raise Refusal(400, f"{asked['key']} is a secret of this Space")
    found.variables[asked["key"]] = str(asked["value"])
    found.pushed()
    return json_reply(_variables(found))


def remove_variable(call: Call) -> Reply:
    """Answer `delete_space_variable`."""
    found = space(call)
    found.variables.pop(call.request.json()["key"], None)
    found.pushed()
    return json_reply(_variables(found))


def set_secret(call: Call) -> Reply:
    """Answer `add_space_secret`."""
    asked, found = call.request.json(), space(call)
    found.secrets[asked["key"]] = str(asked["value"])
    found.pushed()
    return json_reply({})


def set_hardware(call: Call) -> Reply:
    """Answer `request_space_hardware`."""
    found = space(call)
    found.hardware = str(call.request.json()["flavor"])
    found.pushed()
    return json_reply(found.runtime())


def set_volumes(call: Call) -> Reply:
    """Answer `set_space_volumes`: what is sent is what is mounted from now on."""
    found = space(call)
    found.volumes = list(call.request.json()["volumes"])
    found.pushed()
    return json_reply({})


def _variables(found: Space) -> dict:
    return {key: {"value": value} for key, value in found.variables.items()}
