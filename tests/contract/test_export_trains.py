"""Every view of an export goes into its trainer as `load_dataset` gives it: one step each, no map call in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.evidence.export import export
from core.export import ExportOrder
from tests.contract.outbox_rows import full_preference, open_store, preference, rating
from tests.tiny_models import make_tiny_chat_model


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
    import torch
    import trl

    datasets.disable_progress_bars()
    *_, last = export(source, ExportOrder(view, format, 0.0), tmp_path / "out", dataset="here", commit=None)
    assert last.train >= 4
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    arguments = getattr(trl, f"{trainer}Config")(
        output_dir=str(tmp_path / "trained"), use_cpu=True, report_to=[], save_strategy="no", max_steps=1,
        per_device_train_batch_size=2, disable_tqdm=True, learning_rate=0.1,
    )  # fmt: skip
    threads = torch.get_num_threads()
    training = getattr(trl, f"{trainer}Trainer")(model=str(model), args=arguments, train_dataset=rows)
    training.train()
    torch.set_num_threads(threads)
    assert training.state.global_step == 1
    assert "train_loss" in training.state.log_history[-1]
