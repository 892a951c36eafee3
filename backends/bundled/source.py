"""Finds the GGUF file inside the installed package without importing the package, whose dependencies are not here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from backends.bundled.constants import PACKAGE


@dataclass(frozen=True, slots=True)
class Source:
    """The installed file the model is made from."""

    path: Path
    package: str
    version: str


def installed() -> Source | None:
    """The package's GGUF file; None when the package is not installed or lacks it."""
    try:
        found = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    for file in found.files or ():
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return Source(path, found.metadata["Name"], found.version)
    return None
