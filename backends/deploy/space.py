"""Putting a plan on the Hub: create or update the Space, wait for it to run, and put an earlier commit back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from backends.deploy.plan import JOURNAL, Plan
from core.errors import BackendError, UserInputError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, Volume

    Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete

# The Hub's own; every repository begins with it.
KEPT = (".gitattributes",)
WAIT_SECONDS = 1800.0
# Not paid for, not allowed with this token or plan, not known to this Hub.
NO_BUCKETS = (402, 403, 404)
_LAST_LINES = 20

Say = Callable[[str], None]


class DeployFailed(BackendError):
    """The Space was written and does not run; the message says what it printed."""


def apply(api: HfApi, plan: Plan, say: Say, *, wait: bool = True, poll: float = 5.0) -> str:
    """Make the Hub look like `plan` and return the Space's address. Doing it again changes nothing.

    `say` is told each step, `poll` are the seconds between two looks while it builds. Raises `UserInputError` for what the
    operator has to decide, `DeployFailed` where the Space does not run, and huggingface_hub's errors.
    """
    request = plan.request
    _feedback(api, plan, say)
    volumes = _journal(api, plan, say)
    if volumes:
        plan = replace(plan, variables={**plan.variables, "PROVING_JOURNAL": JOURNAL})
    before = _head(api, request.space)
    # Any flavour the Hub knows, also one that is newer than the client's list.
    hardware = cast(Any, request.hardware)
    if before is None:
        api.create_repo(
            request.space,
            repo_type="space",
            space_sdk="gradio",
            space_hardware=hardware,
            visibility="public" if request.public else "private",
            space_variables=[{"key": key, "value": value} for key, value in sorted(plan.variables.items())],
            space_secrets=[{"key": key, "value": value} for key, value in sorted(request.secrets.items())],
            space_volumes=volumes or None,
        )
        say(f"created {request.space}")
        before = str(api.space_info(request.space).sha)
    else:
        _mount(api, request.space, volumes, say)
        _settings(api, plan, say)
    after = _files(api, plan, before)
    if after == before:
        say("files      as they are there")
    else:
        say(f"files      commit {after}, which replaces {before}")
        say(f"           back again: make rollback SPACE={request.space} COMMIT={before}")
    if wait:
        _wait(api, request.space, say, poll)
    return f"{api.endpoint}/spaces/{request.space}"


def roll_back(api: HfApi, space: str, commit: str, say: Say, *, wait: bool = True, poll: float = 5.0) -> str:
    """Make the Space's files those of an earlier commit again, as a new commit on top; the history is kept.

    Variables and secrets are not part of a commit and stay. Raises `UserInputError` when that commit is not there.
    """
    from huggingface_hub import CommitOperationCopy, CommitOperationDelete
    from huggingface_hub.errors import RevisionNotFoundError

    before = _head(api, space)
    if before is None:
        raise UserInputError(f"There is no Space {space}, or this token may not see it.")
    try:
        wanted = _contents(api, space, commit)
    except RevisionNotFoundError as error:
        raise UserInputError(f"{space} has no commit {commit}. Its page lists them under Files, History.") from error
    there = _contents(api, space, before)
    steps: list[Operation] = [
        CommitOperationCopy(path, path, src_revision=commit) for path, oid in wanted.items() if there.get(path) != oid
    ]
    steps += [CommitOperationDelete(path) for path in there if path not in wanted]
    if not steps:
        say(f"files      already those of {commit}")
    else:
        done = api.create_commit(
            space, steps, repo_type="space", commit_message=f"Roll back to {commit[:12]}", parent_commit=before
        )
        say(f"files      those of {commit} again, as commit {done.oid}, which replaces {before}")
    if wait:
        _wait(api, space, say, poll)
    return f"{api.endpoint}/spaces/{space}"


def _feedback(api: HfApi, plan: Plan, say: Say) -> None:
    """The dataset, private; one that is already there and public needs the operator's own setting."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        private = bool(api.dataset_info(plan.dataset).private)
    except RepositoryNotFoundError:
        api.create_repo(plan.dataset, repo_type="dataset", visibility="private")
        say(f"created    dataset {plan.dataset}, private")
        return
    if not private and plan.variables.get("PROVING_DATASET_PUBLIC") not in ("1", "true"):
        raise UserInputError(
            f"The dataset {plan.dataset} is public: what reviewers say would be, too. Make it private on its Settings page, "
            "name another with --dataset, or say --variable PROVING_DATASET_PUBLIC=1."
        )


def _journal(api: HfApi, plan: Plan, say: Say) -> list[Volume]:
    """The bucket for the event journal, made when it is missing; nothing where the account cannot have one."""
    from huggingface_hub import Volume
    from huggingface_hub.errors import BucketNotFoundError, HfHubHTTPError

    if plan.bucket is None:
        return []
    try:
        if not api.bucket_info(plan.bucket).private:
            raise UserInputError(
                f"The bucket {plan.bucket} is public: what reviewers say would be, too. Make it private on its Settings page, "
                "or leave it out with --no-bucket."
            )
    except BucketNotFoundError:
        try:
            api.create_bucket(plan.bucket, visibility="private")
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status not in NO_BUCKETS:
                raise
            say(
                f"note       no bucket: the Hub refused {plan.bucket} ({status}). Votes that were not uploaded yet end with the "
                "container; a token that may write the namespace, or a plan with storage, changes that."
            )
            return []
        say(f"created    bucket {plan.bucket}, private")
    return [Volume(type="bucket", source=plan.bucket, mount_path=JOURNAL)]


def _mount(api: HfApi, space: str, volumes: Sequence[Volume], say: Say) -> None:
    """Mount what is not mounted yet, beside what is."""
    there = api.get_space_runtime(space).volumes or []
    missing = [one for one in volumes if (one.source, one.mount_path) not in {(v.source, v.mount_path) for v in there}]
    if missing:
        points = {one.mount_path for one in missing}
        api.set_space_volumes(space, [*(one for one in there if one.mount_path not in points), *missing])
        say(f"volume     {', '.join(f'{one.source} at {one.mount_path}' for one in missing)}")


def _settings(api: HfApi, plan: Plan, say: Say) -> None:
    """Variables that differ, the secrets that were asked for, and the hardware, on a Space that is already there."""
    request = plan.request
    there = {key: variable.value for key, variable in api.get_space_variables(request.space).items()}
    for key, value in sorted(plan.variables.items()):
        if there.get(key) != value:
            api.add_space_variable(request.space, key, value)
            say(f"variable   {key}={value}" + (f", before: {there[key]}" if key in there else ""))
    for key in sorted(there.keys() - plan.variables.keys()):
        say(f"variable   {key} is there and not in this plan; it stays")
    for key, value in sorted(request.secrets.items()):
        api.add_space_secret(request.space, key, value)
        say(f"secret     {key} set")
    runtime = api.get_space_runtime(request.space)
    if (runtime.requested_hardware or runtime.hardware) != request.hardware:
        api.request_space_hardware(request.space, cast(Any, request.hardware))
        say(f"hardware   {request.hardware} asked for")
    private = bool(api.space_info(request.space).private)
    if private == request.public:
        say(
            f"note       the Space is {'private' if private else 'public'} and stays so; its Settings page changes that"
        )


def _files(api: HfApi, plan: Plan, before: str) -> str:
    """Commit what differs, all at once on top of `before`; returns the newest commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = _contents(api, plan.request.space, before)
    steps: list[Operation] = [CommitOperationAdd(path, content) for path, content in sorted(plan.files.items())]
    steps += [CommitOperationDelete(path) for path in there if path not in plan.files and path not in KEPT]
    # The client leaves out files that are there already and makes no commit of nothing.
    done = api.create_commit(
        plan.request.space,
        steps,
        repo_type="space",
        commit_message=f"Deploy {plan.source}",
        parent_commit=before,
    )
    return str(done.oid)


def _head(api: HfApi, space: str) -> str | None:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return str(api.space_info(space).sha)
    except RepositoryNotFoundError:
        return None


def _contents(api: HfApi, space: str, revision: str) -> dict[str, str]:
    """Content id of every file of a commit."""
    from huggingface_hub.hf_api import RepoFile

    tree: Iterable[object] = api.list_repo_tree(space, recursive=True, revision=revision, repo_type="space")
    return {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in tree if isinstance(entry, RepoFile)
    }


def _wait(api: HfApi, space: str, say: Say, poll: float) -> None:
    say("waiting    until it runs (Ctrl+C leaves it building)")
    try:
        stage = str(api.wait_for_space(space, timeout=WAIT_SECONDS, poll_interval=poll).stage)
    except TimeoutError as error:
        raise DeployFailed(
            f"{space} still builds after {WAIT_SECONDS / 60:.0f} minutes. Its page shows the log."
        ) from error
    if stage == "RUNNING":
        return
    lines = "".join(_log(api, space, build=stage == "BUILD_ERROR")[-_LAST_LINES:])
    raise DeployFailed(f"{space} does not run: {stage}. The last of its log:\n{lines or '(the Hub gave no log)'}")


def _log(api: HfApi, space: str, *, build: bool) -> list[str]:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return list(api.fetch_space_logs(space, build=build))
    except (HfHubHTTPError, OSError):
        # The failure itself is what is told; a log that cannot be had as well must not hide it.
        return []
