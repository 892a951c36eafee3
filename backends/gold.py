"""The operator's gold questions, read from the file the setting names."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserInputError
from core.gold import NOTHING, Gold, read_gold


def gold_of(path: str) -> Gold:
    """The questions in a CSV or JSONL file; none where no file is named. Raises `UserInputError`."""
    if not path:
        return NOTHING
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"PROVING_GOLD: {path} cannot be read ({type(error).__name__}). Name a CSV or JSONL file in UTF-8."
        ) from error
    try:
        return read_gold(text, path.lower())
    except UserInputError as error:
        raise UserInputError(f"PROVING_GOLD: {error}") from error
