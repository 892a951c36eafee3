"""A zip of pictures with their recipes: the PNG files as they were drawn, and recipes.jsonl beside them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.gallery import KeptPicture

RECIPES = "recipes.jsonl"


def file_name(picture: KeptPicture) -> str:
    """When it was drawn, its seed and the start of its id: sorts by time, unique, and says nothing else."""
    moment = picture.created_at[:19].replace("-", "").replace(":", "").replace("T", "-")
    seed = picture.recipe.settings.seed
    return f"{moment}-seed{'' if seed is None else seed}-{picture.id[:8]}.png"


def line_of(picture: KeptPicture) -> str:
    """One line of recipes.jsonl: the file, when, starred, seconds, and the recipe as it stands in the file."""
    record = {
        "file": f"pictures/{file_name(picture)}",
        "created_at": picture.created_at,
        "starred": picture.starred,
        "seconds": picture.seconds,
        "recipe": picture.recipe.record(),
    }
    return json.dumps(record, ensure_ascii=False)


def write_zip(target: Path, files: Iterable[tuple[KeptPicture, Path]]) -> Iterator[int]:
    """Write the archive, saying after each picture how many are in; files that are gone meanwhile are left out."""
    lines: list[str] = []
    # A PNG is compressed already; storing it costs no time and leaves the bytes as they are.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for picture, path in files:
            try:
                archive.write(path, f"pictures/{file_name(picture)}")
            except FileNotFoundError:
                continue
            lines.append(line_of(picture))
            yield len(lines)
        archive.writestr(RECIPES, "".join(f"{line}\n" for line in lines), zipfile.ZIP_DEFLATED)
