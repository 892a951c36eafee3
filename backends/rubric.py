"""The operator's rubric, read from the file the setting names."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserInputError
from core.rubric import DEFAULT, Rubric, read_rubric


def rubric_of(path: str) -> Rubric:
    """The rubric in a JSON file; the one that comes with the app where no file is named. Raises `UserInputError`."""
    if not path:
        return DEFAULT
    try:
        return read_rubric(Path(path).expanduser().read_text(encoding="utf-8"), "PROVING_RUBRIC")
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"PROVING_RUBRIC: {path} cannot be read ({type(error).__name__}). Name a JSON file in UTF-8."
        ) from error
