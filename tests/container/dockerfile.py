"""A Dockerfile and a .dockerignore, read as far as ours go: stages, instructions, what the context holds."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One FROM and what follows it, in order: (instruction, its text)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def stages(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first FROM with their defaults, and the stages."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    before: dict[str, str] = {}
    found: list[Stage] = []
    for line in filter(str.strip, logical):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, *named = rest.split()
            found.append(Stage(named[1] if named else str(len(found)), base))
        elif found:
            found[-1].steps.append((word, rest.strip()))
        else:
            assert word == "ARG", line
            name, _, default = rest.partition("=")
            before[name] = default
    return before, found


def pairs(text: str) -> dict[str, str]:
    """`A=b C="d e"` as ENV and ARG write it."""
    return dict(one.partition("=")[::2] for one in shlex.split(text))


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """The text with $NAME and ${NAME} put in; an unknown one is empty."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), text)


def mounts(text: str) -> tuple[list[dict[str, str]], str]:
    """The --mount options of a RUN, and its command."""
    found = []
    while text.startswith("--mount="):
        option, _, text = text.removeprefix("--mount=").partition(" ")
        found.append(dict(part.partition("=")[::2] for part in option.split(",")))
        text = text.lstrip()
    return found, text


def command(text: str) -> list[str]:
    """CMD or HEALTHCHECK CMD in its JSON form."""
    return [str(part) for part in json.loads(text[text.index("[") :])]


def context(root: Path, paths: Iterable[str]) -> list[str]:
    """Which of the paths the .dockerignore of `root` lets through; the last pattern that fits decides."""
    patterns = [
        line.strip() for line in (root / ".dockerignore").read_text().splitlines() if line.strip() and line[0] != "#"
    ]

    def kept(path: str) -> bool:
        keep = True
        for pattern in patterns:
            wanted = pattern.startswith("!")
            bare = pattern.removeprefix("!").rstrip("/")
            parts = path.split("/")
            heads = ["/".join(parts[: number + 1]) for number in range(len(parts))]
            if any(
                fnmatch.fnmatch(head, bare) or fnmatch.fnmatch(f"/{head}", bare.replace("**", "*")) for head in heads
            ):
                keep = wanted
        return keep

    return [path for path in paths if kept(path)]
