"""Names of exact models: a repository, the commit in it, and an adapter on top."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import NotPinnedError, UserInputError

COMMIT = re.compile(r"[0-9a-f]{40}")
# The Hub's own rule for repository names (huggingface_hub.utils.validate_repo_id), one namespace at most.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,250}")


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One exact model. `revision` is a 40-hex commit, never a branch.

    Raises `UserInputError` for a malformed repository id and `NotPinnedError` for anything but a full commit.
    """

    repo_id: str
    revision: str
    adapter: ModelRef | None = None

    def __post_init__(self) -> None:
        check_repo_id(self.repo_id)
        if not COMMIT.fullmatch(self.revision):
            raise NotPinnedError(
                f"{self.repo_id} is not pinned: its revision has to be a 40-character commit. Open its card and choose "
                "Use this model, which pins the commit shown there."
            )

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}"

    @property
    def short(self) -> str:
        """`name @ 3f2a91c`, as the pinned chip shows it."""
        return f"{self.repo_id.rpartition('/')[2]} @ {self.revision[:7]}"


def check_repo_id(repo_id: str) -> str:
    """Return `repo_id` if the Hub could have a repository of that name, else raise `UserInputError`."""
    parts = repo_id.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts) or "--" in repo_id or ".." in repo_id:
        raise UserInputError(
            f"“{shown(repo_id)}” is not a repository id. Write it as owner/name, with letters, digits, '-', '_' and '.', "
            "for example HuggingFaceTB/SmolLM2-135M-Instruct."
        )
    return repo_id


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
