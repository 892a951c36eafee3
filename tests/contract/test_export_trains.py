"""Every view of an export goes into its trainer as `load_dataset` gives it: one step each, no map call in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.evidence.export import export
from core.export import ExportOrder
from tests.contract.outbox_rows import full_preference, open_store, pictured, preference, rating
from tests.tiny_models import make_tiny_chat_model
from tests.tiny_vision import make_tiny_vision_model, picture


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory):
    """A store with pairs and ratings, some columns null in the first rows and filled in later ones."""
    store, _ = open_store(tmp_path_factory.mktemp("data"))
    store.save([preference(str(number)) for number in range(3)])
    store.save([full_preference(), rating(True), rating(False)])
    yield store
    store.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_chat_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("view", "trainer", "format"),
    [
        ("dpo", "DPO", "parquet"),
        ("kto", "KTO", "parquet"),
        ("reward", "Reward", "jsonl"),
        ("sft", "SFT", "jsonl"),
    ],
)
def test_one_step(source, model: Path, tmp_path: Path, view, trainer: str, format) -> None:
    import datasets

    datasets.disable_progress_bars()
    *_, last = export(source, ExportOrder(view, format, 0.0), tmp_path / "out", dataset="here", commit=None)
    assert last.train >= 4
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    _one_step(trainer, model, rows, tmp_path)


@pytest.mark.parametrize(("view", "trainer"), [("dpo", "DPO"), ("kto", "KTO"), ("sft", "SFT")])
def test_one_step_of_a_model_that_sees(source, tmp_path: Path, view, trainer: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    source.save(list(pictured(picture("red"), picture("blue"), picture("green"))))
    source.save(list(pictured(picture("red"))))
    *_, last = export(source, ExportOrder(view, "parquet", 0.0), tmp_path / "out", dataset="here", commit=None)
    assert last.pictured >= 2
    cache = str(tmp_path / "cache")
    rows = datasets.load_dataset(str(tmp_path / "out"), f"vision_{view}", split="train", cache_dir=cache)
    _one_step(trainer, make_tiny_vision_model(tmp_path / "model"), rows, tmp_path, max_length=None)


def _one_step(trainer: str, model: Path, rows: object, folder: Path, **settings: object) -> None:
    import torch
    import trl

    arguments = getattr(trl, f"{trainer}Config")(
        output_dir=str(folder / "trained"), use_cpu=True, report_to=[], save_strategy="no", max_steps=1,
        per_device_train_batch_size=2, disable_tqdm=True, learning_rate=0.1, **settings,
    )  # fmt: skip
    threads = torch.get_num_threads()
    training = getattr(trl, f"{trainer}Trainer")(model=str(model), args=arguments, train_dataset=rows)
    training.train()
    torch.set_num_threads(threads)
    assert training.state.global_step == 1
    assert "train_loss" in training.state.log_history[-1]
