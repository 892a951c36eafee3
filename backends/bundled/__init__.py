"""The chat model that comes with the app: SmolLM2-135M-Instruct, made once from an installed package."""

from backends.bundled.constants import BASE_MODEL, CONTEXT, FOLDER, REF, REVISION
from backends.bundled.making import folder_in, is_prepared, prepare, prepare_in
from backends.bundled.source import installed

__all__ = [
    "BASE_MODEL",
    "CONTEXT",
    "FOLDER",
    "REF",
    "REVISION",
    "folder_in",
    "installed",
    "is_prepared",
    "prepare",
    "prepare_in",
]
