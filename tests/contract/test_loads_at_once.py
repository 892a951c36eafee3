"""Models loaded in several threads at once come out whole, and the process stays able to make more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backends.bundled.image import IMAGE_REF, image_path
from core.refs import ModelRef
from tests.tiny_models import make_tiny_chat_model


def test_loads_that_overlap_leave_no_empty_model_behind(tmp_path: Path) -> None:
    """Two diffusers loads that overlapped left accelerate's patch in place: every later model had no weights."""
    import torch

    from backends.chat.loading import load as load_chat
    from backends.image.loading import load as load_pipeline

    folder = make_tiny_chat_model(tmp_path / "tiny")
    tiny = ModelRef("local/tiny", "a" * 40)

    def chat() -> str:
        return str(next(load_chat(tiny, folder, "cpu").model.parameters()).device)

    def picture() -> str:
        return str(next(load_pipeline(IMAGE_REF, image_path(), "cpu", None).base.unet.parameters()).device)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(work) for _ in range(6) for work in (picture, chat)]
        assert {job.result() for job in jobs} == {"cpu"}
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
