"""Which files of a repository hold weights, and in which format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Format = Literal["safetensors", "gguf", "onnx", "pickle", "tensorflow", "flax", "openvino"]

_BY_SUFFIX: Mapping[str, Format] = {
    "safetensors": "safetensors",
    "gguf": "gguf",
    "onnx": "onnx",
    "bin": "pickle",
    "pt": "pickle",
    "pth": "pickle",
    "ckpt": "pickle",
    "pkl": "pickle",
    "pickle": "pickle",
    "joblib": "pickle",
    "h5": "tensorflow",
    "msgpack": "flax",
}
# The tags the Hub derives from file names.
_BY_TAG: Mapping[str, Format] = {
    "safetensors": "safetensors",
    "gguf": "gguf",
    "onnx": "onnx",
    "pytorch": "pickle",
    "tf": "tensorflow",
    "jax": "flax",
    "openvino": "openvino",
}
# Files of a training run: pickled, but no model is loaded from them.
_NOT_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler", "random_states", "trainer_state")


def file_format(path: str) -> Format | None:
    """The format of one file by its name; None for text, images and everything else."""
    name = path.rpartition("/")[2].lower()
    found = _BY_SUFFIX.get(name.rpartition(".")[2]) if "." in name else None
    if found == "pickle" and name.startswith("openvino"):
        return "openvino"
    return found


def weights_format(path: str) -> Format | None:
    """As `file_format`, but None for files that are not weights, such as an optimizer's state."""
    return None if path.rpartition("/")[2].lower().startswith(_NOT_WEIGHTS) else file_format(path)


def formats_of(paths: Iterable[str]) -> tuple[Format, ...]:
    """The weights formats among `paths`, each once, sorted."""
    return tuple(sorted({found for path in paths if (found := weights_format(path))}))


def formats_by_tags(tags: Iterable[str]) -> tuple[Format, ...]:
    """The weights formats the Hub's tags name, each once, sorted."""
    return tuple(sorted({_BY_TAG[tag] for tag in tags if tag in _BY_TAG}))
