"""The image model that comes with the app: its files are in the repository, so there is nothing to prepare."""

from __future__ import annotations

from pathlib import Path

from backends.image.adapter_files import AdapterPlace, in_folder
from core.catalog import LocalFolder
from core.refs import ModelRef

# The owner of what comes with the app.
OWNER = "proving"
IMAGE_FOLDER = "tiny-emoji-diffusion"
# What `pipeline_revision` gives for the folder; a test holds it. It changes only when the model does.
IMAGE_REVISION = "58dd9bec755672544fcd431fa4f021040fb33947"
IMAGE_REF = ModelRef(f"{OWNER}/{IMAGE_FOLDER}", IMAGE_REVISION)
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


def image_adapters() -> tuple[AdapterPlace, ...]:
    """The LoRAs that come with it; none when their files were left out of this installation."""
    return tuple(in_folder(image_path().parent / "loras", OWNER))
