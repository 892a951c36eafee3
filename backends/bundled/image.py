"""The image model that comes with the app: its files are in the repository, so there is nothing to prepare."""

from __future__ import annotations

from pathlib import Path

from core.catalog import LocalFolder
from core.refs import ModelRef

IMAGE_FOLDER = "tiny-emoji-diffusion"
# What `pipeline_revision` gives for the folder; a test holds it. It changes only when the model does.
IMAGE_REVISION = "b4c96d65cdeee621ce307c9514761abc24a94b6b"
IMAGE_REF = ModelRef(f"proving/{IMAGE_FOLDER}", IMAGE_REVISION)
IMAGE_STEPS = 20
IMAGE_GUIDANCE = 3.5


def image_path() -> Path:
    """Where its files lie."""
    return Path(__file__).parents[2] / "models" / IMAGE_FOLDER


def image_folders() -> tuple[LocalFolder, ...]:
    """The model as search and cards find it; none when its files were left out of this installation."""
    path = image_path()
    if not (path / "model_index.json").is_file():
        return ()
    return (LocalFolder(IMAGE_REF, path, ready=True, bundled=True),)
