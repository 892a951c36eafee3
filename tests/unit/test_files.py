"""Which files are fetched: what inference needs, once, and no pickle."""

from __future__ import annotations

import pytest

from core.catalog import FileEntry
from core.errors import UnsafeContentError, UserInputError
from core.files import inference_files

CLUTTER = [
    "README.md", ".gitattributes", "LICENSE", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.onnx",
    "onnx/model.onnx", "original/consolidated.00.pth", "consolidated.safetensors", "model.fp16.safetensors",
    "model-00001-of-00002.fp16.safetensors", "model.gguf", "logo.png", "training_args.bin", "model.tflite", "train.py",
    "runs/events.json", "onnx/config.json", "adapter_model.safetensors",
]  # fmt: skip
SETTINGS = ["chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def chosen(*paths: str) -> list[str]:
    return [entry.path for entry in inference_files([FileEntry(path, 1) for path in paths])]


def test_settings_first_then_the_one_file_of_weights() -> None:
    assert chosen(*CLUTTER, "model.safetensors", *SETTINGS) == [*SETTINGS, "model.safetensors"]


def test_shards_come_with_their_index_and_only_when_the_whole_file_is_not_there() -> None:
    shards = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert chosen(*CLUTTER, *shards, "config.json") == ["config.json", *shards]
    assert chosen(*shards, "model.safetensors", "config.json") == ["config.json", "model.safetensors"]


def test_more_chat_templates_are_kept() -> None:
    assert "additional_chat_templates/tools.jinja" in chosen(
        "model.safetensors", "config.json", "additional_chat_templates/tools.jinja"
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt", "model.pkl"])
def test_pickle_alone_is_refused_as_unsafe(name: str) -> None:
    with pytest.raises(UnsafeContentError, match="pickle"):
        chosen("config.json", name)


def test_pickle_is_taken_only_where_it_is_allowed_and_nothing_better_is_there() -> None:
    def allowed(*paths: str) -> list[str]:
        return [entry.path for entry in inference_files([FileEntry(path, 1) for path in paths], pickle=True)]

    shards = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    assert allowed(*CLUTTER, "config.json") == ["config.json", "pytorch_model.bin"]
    assert allowed(*shards, "config.json") == ["config.json", *shards]
    assert allowed(*CLUTTER, "config.json", "model.safetensors") == ["config.json", "model.safetensors"]
    with pytest.raises(UnsafeContentError, match="PROVING_ALLOW_PICKLE=1"):
        allowed("config.json", "weights.ckpt")


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["README.md"], "no model weights"),
        ([], "no model weights"),
        (["model.gguf"], "gguf only"),
        (["adapter_model.safetensors", "adapter_config.json"], "not a whole model"),
        (["training_args.bin"], "no model weights"),
    ],
)
def test_nothing_to_load_is_said_so(paths: list[str], says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        chosen(*paths)
