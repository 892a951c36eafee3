"""Names of exact models: a repository, the commit in it, and an adapter on top; or what a remote host calls one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from core.errors import NotPinnedError, UserInputError

COMMIT = re.compile(r"[0-9a-f]{40}")
# The Hub's own rule for repository names (huggingface_hub.utils.validate_repo_id), one namespace at most.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,250}")
# How a person or a program says that the remote engine is meant: remote:<the name it serves the model under>.
REMOTE = "remote:"
# What stands between a model and the adapter on top of it: no name of the Hub has it.
PLUS = "+"
# What stands between a model and how its weights are held.
HELD = "#"
_MOST_SERVED_NAME = 200


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One exact model. `revision` is a 40-hex commit, never a branch.

    With a `host` it is a model that this host serves under the name `repo_id`, which only the remote engine runs; its
    `revision` is the commit where the host says it, else "" (recorded as unknown).

    `weights` says how its weights are held: "" as they are published, else in fewer bits ("int8", "nf4"), which makes it
    another model in memory, with answers of its own.

    Raises `UserInputError` for a malformed repository id and `NotPinnedError` for anything but a full commit.
    """

    repo_id: str
    revision: str
    adapter: ModelRef | None = None
    host: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        if self.host:
            check_served_name(self.repo_id)
            if not self.revision:
                return
        else:
            check_repo_id(self.repo_id)
        if not COMMIT.fullmatch(self.revision):
            raise NotPinnedError(
                f"{self.repo_id} is not pinned: its revision has to be a 40-character commit. Open its card and choose "
                "Use this model, which pins the commit shown there."
            )

    def __str__(self) -> str:
        if self.host:
            return f"{self.repo_id}{f'@{self.revision}' if self.revision else ''} on {self.host}"
        return f"{self.repo_id}@{self.revision}"

    @property
    def base(self) -> ModelRef:
        """The model without its adapter."""
        return replace(self, adapter=None) if self.adapter else self

    @property
    def published(self) -> ModelRef:
        """The model as its files are: without an adapter, its weights as published."""
        return replace(self, adapter=None, weights="") if self.adapter or self.weights else self

    @property
    def asked(self) -> str:
        """What a person or a program types to mean this model again: `repo_id@revision`, or `remote:` and its name.

        Weights in fewer bits stand after a hash, an adapter after a plus: `repo_id@revision#int8`,
        `repo_id@revision+adapter@revision`.
        """
        if not self.host:
            held = f"{self}{HELD}{self.weights}" if self.weights else str(self)
            return f"{held}{PLUS}{self.adapter}" if self.adapter else held
        return f"{REMOTE}{self.repo_id}{f'@{self.revision}' if self.revision else ''}"

    @property
    def short(self) -> str:
        """`name @ 3f2a91c`, as the pinned chip shows it; of a remote model whose commit is not known `name on host`.

        With an adapter `name @ 3f2a91c + adapter @ 77aa01b`.
        """
        name = self.repo_id.rpartition("/")[2]
        if self.weights:
            return f"{self.published.short} {self.weights}"
        if self.adapter:
            return f"{self.base.short} {PLUS} {self.adapter.short}"
        return f"{name} @ {self.revision[:7]}" if self.revision else f"{name} on {self.host}"


def check_repo_id(repo_id: str) -> str:
    """Return `repo_id` if the Hub could have a repository of that name, else raise `UserInputError`."""
    parts = repo_id.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts) or "--" in repo_id or ".." in repo_id:
        raise UserInputError(
            f"“{shown(repo_id)}” is not a repository id. Write it as owner/name, with letters, digits, '-', '_' and '.', "
            "for example HuggingFaceTB/SmolLM2-135M-Instruct."
        )
    return repo_id


def check_served_name(name: str) -> str:
    """Return `name` if a server may call a model so, else raise `UserInputError`. Servers also use paths and tags."""
    if not name.strip() or len(name) > _MOST_SERVED_NAME or not name.isprintable():
        raise UserInputError(f"“{shown(name)}” is not a name of a model. Choose one that the remote engine lists.")
    return name


def remote_name(model: str) -> str | None:
    """The name in `remote:<name>`; None when `model` does not ask for the remote engine."""
    text = model.strip()
    return text[len(REMOTE) :].strip() if text.startswith(REMOTE) else None


def check_revision(revision: str) -> str:
    """Return `revision` if it can name a commit, branch or tag, else raise `UserInputError`."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        raise UserInputError(f"“{shown(revision)}” is not a revision. Give a commit, a branch such as main, or a tag.")
    return revision


def split_model(text: str) -> tuple[str, str]:
    """Read `repo_id` or `repo_id@revision`; the revision is "" when none is given."""
    repo_id, _, revision = text.strip().partition("@")
    check_repo_id(repo_id)
    if revision:
        check_revision(revision)
    return repo_id, revision


def shown(text: str, most: int = 80) -> str:
    """`text` fit for a sentence: control characters replaced, cut at `most` characters."""
    clean = "".join(c if c.isprintable() else "·" for c in text[: most + 1])
    return clean[:most] + "…" if len(clean) > most else clean
