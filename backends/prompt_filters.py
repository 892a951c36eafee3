"""The operator's lists of what texts may not say, read from the file that a setting names."""

from __future__ import annotations

from pathlib import Path

from backends.expressions import Expressions
from core.errors import UserInputError
from core.prompt_filter import PromptFilter, read_prompt_filter


def filter_in(path: str, setting: str) -> PromptFilter:
    """The filter in the file `path`; one that refuses nothing for "". Raises `UserInputError` naming `setting`."""
    if not path:
        return PromptFilter()
    try:
        return read_prompt_filter(Path(path).expanduser().read_text(encoding="utf-8"), setting, Expressions)
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"{setting}: {path} cannot be read ({type(error).__name__}). Name a text file in UTF-8."
        ) from error
