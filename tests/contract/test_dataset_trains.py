"""The dataset the app wrote goes into TRL's trainers as it is: the snippet of its own card, run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.dataset import RatingRow
from tests.contract.outbox_rows import full_preference, open_store, pictured, preference, rating
from tests.tiny_models import make_tiny_chat_model
from tests.tiny_vision import make_tiny_vision_model, picture


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder dataset with an all-null-ish and a full row, and ratings, in several shards."""
    store, delivery = open_store(tmp_path / "data")
    for rows in ([preference(), rating(True)], [full_preference(), rating(False)]):
        store.save(rows)
        delivery.send()
    store.close()
    return tmp_path / "data" / "dataset"


@pytest.mark.parametrize("kind", ["DPO", "KTO", "Reward"])
def test_card_s_snippet_trains_one_step(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import torch

    model = make_tiny_chat_model(tmp_path / "model")
    card = (dataset / "README.md").read_text()
    [snippet] = [code for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if f"{kind}Trainer" in code]
    # Only what one step on a test machine needs: which model, which device, no files.
    name = kind.lower()
    replaced = snippet.replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(model)).replace(
        f'{kind}Config(output_dir="{name}")',
        f'{kind}Config(output_dir={str(tmp_path / name)!r}, use_cpu=True, report_to=[], save_strategy="no", max_steps=1, '
        "learning_rate=0.1, per_device_train_batch_size=2, disable_tqdm=True)",
    )
    assert replaced.count(str(model)) == 1 and "max_steps" in replaced
    monkeypatch.chdir(dataset.parent)
    ran: dict[str, object] = {}
    threads = torch.get_num_threads()
    exec(compile(replaced, "README.md", "exec"), ran)
    torch.set_num_threads(threads)
    trainer = ran["trainer"]
    assert trainer.state.global_step == 1
    assert "train_loss" in trainer.state.log_history[-1]


@pytest.mark.parametrize(("kind", "config"), [("DPO", "vision_preferences"), ("KTO", "vision_ratings")])
def test_rows_on_pictures_train_a_vision_language_model_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, config: str
) -> None:
    """Pictures in the middle of a conversation stay where they were: the collator fills them into the parts in order."""
    import torch
    import trl
    from datasets import load_dataset
    from trl import data_utils

    store, delivery = open_store(tmp_path / "data")
    store.save(list(pictured(picture("red"), picture("blue"), picture("green"))))
    store.save([replace(row, label=False) if isinstance(row, RatingRow) else row for row in pictured(picture("red"))])
    delivery.send()
    store.close()
    filled = []
    prepare = data_utils.prepare_multimodal_messages

    def noted(messages: list[dict[str, object]], images: list[object] | None = None) -> list[dict[str, object]]:
        made = prepare(messages, images)
        filled.append([sum(part["type"] == "image" for part in message["content"]) for message in made])
        return made

    module = f"trl.trainer.{kind.lower()}_trainer"
    monkeypatch.setattr(f"{module}.prepare_multimodal_messages", noted)
    threads = torch.get_num_threads()
    trainer = getattr(trl, f"{kind}Trainer")(
        model=str(make_tiny_vision_model(tmp_path / "model")),
        args=getattr(trl, f"{kind}Config")(
            output_dir=str(tmp_path / "out"), use_cpu=True, report_to=[], save_strategy="no", max_steps=1,
            learning_rate=0.1, per_device_train_batch_size=2, disable_tqdm=True, max_length=None,
        ),
        train_dataset=load_dataset(
            str(tmp_path / "data" / "dataset"), config, split="train", cache_dir=str(tmp_path / "cache")
        ),
    )  # fmt: skip
    trainer.train()
    torch.set_num_threads(threads)
    assert trainer.state.global_step == 1 and "train_loss" in trainer.state.log_history[-1]
    assert [1, 0, 2] in filled and [1] in filled
