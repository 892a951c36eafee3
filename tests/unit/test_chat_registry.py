"""Models in memory: one load for everybody, the oldest idle one out, never one in use."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from backends.chat.loading import faster_dtype, load
from backends.chat.metadata import capabilities_of
from backends.registry import ModelRegistry
from core.errors import BackendError, NoBackend, OutOfMemory, UnsafeContentError
from core.refs import ModelRef
from tests.tiny_models import make_tiny_chat_model

A, B, C = (ModelRef(f"org/{name}", name * 40) for name in "abc")


def test_many_who_ask_share_one_load() -> None:
    registry: ModelRegistry[object] = ModelRegistry()
    loads, entered, go = [], threading.Event(), threading.Event()

    def slow() -> object:
        loads.append(1)
        entered.set()
        go.wait(60)
        return object()

    models: list[object] = []
    threads = [threading.Thread(target=lambda: models.append(registry.lease(A, slow).model)) for _ in range(5)]
    for thread in threads:
        thread.start()
    entered.wait(60)
    go.set()
    for thread in threads:
        thread.join(60)
    assert len(loads) == 1
    assert len(set(map(id, models))) == 1 and len(models) == 5


def test_the_least_recently_used_idle_one_goes_and_never_one_in_use() -> None:
    registry: ModelRegistry[str] = ModelRegistry(most=2)
    a = registry.lease(A, lambda: "a")
    registry.lease(B, lambda: "b").release()
    c = registry.lease(C, lambda: "c")
    assert registry.models() == (A, C)
    registry.lease(B, lambda: "b").release()
    assert set(registry.models()) == {A, B, C}, "both others are in use: better one too many than one lost"
    a.release()
    a.release()
    assert not registry.drop(C)
    c.release()
    assert registry.drop(C)


def test_a_failed_load_leaves_nothing_behind_and_can_be_tried_again() -> None:
    registry: ModelRegistry[str] = ModelRegistry()

    def broken() -> str:
        raise BackendError("damaged")

    for _ in range(2):
        with pytest.raises(BackendError, match="damaged"):
            registry.lease(A, broken)
    assert registry.models() == ()
    assert registry.lease(A, lambda: "a").model == "a"


def test_memory_that_is_not_there_is_asked_of_idle_models_first() -> None:
    free = [100]
    registry: ModelRegistry[str] = ModelRegistry(most=9, free_bytes=lambda: free[0] - 40 * len(registry.models()))
    registry.lease(A, lambda: "a", lambda: 40).release()
    kept = registry.lease(B, lambda: "b", lambda: 40)
    registry.lease(C, lambda: "c", lambda: 40).release()
    assert registry.models() == (B, C)
    kept.release()
    with pytest.raises(OutOfMemory, match="Choose a smaller model"):
        registry.lease(A, lambda: "a", lambda: 1000)


# Loading from a folder.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_chat_model(tmp_path / "model")


def change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_what_a_config_tells_without_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    able = capabilities_of(folder, "org/a")
    assert (able.max_context, able.chat_template, able.notes) == (2048, True, ())
    (folder / "chat_template.jinja").unlink()
    able = capabilities_of(folder, "org/a")
    assert not able.chat_template
    assert "continues your text" in able.notes[0]


def test_custom_code_is_refused_unless_transformers_knows_the_model_itself(folder: Path) -> None:
    change(folder, auto_map={"AutoModelForCausalLM": "modeling.Evil"})
    (folder / "modeling.py").write_text("raise SystemExit('ran')")
    assert "not run" in capabilities_of(folder, "org/a").notes[0]
    assert type(load(A, folder, "cpu").model).__module__.startswith("transformers.")
    change(folder, model_type="evil")
    for ask in (lambda: capabilities_of(folder, "org/a"), lambda: load(A, folder, "cpu")):
        with pytest.raises(UnsafeContentError, match="auto_map"):
            ask()


def test_an_unknown_architecture_is_a_sentence(folder: Path) -> None:
    change(folder, model_type="nextgen", architectures=["NextGenForCausalLM"])
    with pytest.raises(NoBackend, match="does not know the architecture “nextgen”"):
        load(A, folder, "cpu")


def test_a_model_that_writes_no_text_is_refused(folder: Path) -> None:
    change(folder, architectures=["BertForMaskedLM"])
    with pytest.raises(NoBackend, match="does not write text"):
        capabilities_of(folder, "org/a")


@pytest.mark.parametrize("damage", ["cut", "header", "gone"])
def test_damaged_weights_are_a_sentence(folder: Path, damage: str) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    if damage == "gone":
        weights.unlink()
    else:
        weights.write_bytes(content[:-64] if damage == "cut" else b"\xff" * 8 + content[8:])
    with pytest.raises(BackendError, match=r"damaged|missing"):
        load(A, folder, "cpu")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_a_missing_tokenizer_or_config_is_a_sentence(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(BackendError, match=r"tokenizer of .* is missing|no config\.json"):
        load(A, folder, "cpu")


def test_pickle_beside_it_is_never_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BackendError, match="missing"):
        load(A, folder, "cpu")


def test_the_dtype_is_one_of_the_two_and_measured_once(folder: Path) -> None:
    assert load(A, folder, "cpu").dtype == faster_dtype(32, 64) in ("float32", "bfloat16")
