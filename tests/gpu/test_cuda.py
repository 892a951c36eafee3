"""The engine on a CUDA device; skipped with the reason where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.chat import GenerationSettings, Message
from tests.tiny_models import make_tiny_chat_model

pytestmark = pytest.mark.gpu


def test_an_answer_on_cuda_is_the_one_generate_gives(tmp_path: Path) -> None:
    import torch

    from backends.router import build_chat

    folder = make_tiny_chat_model(tmp_path / "tiny")
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    ref = router.start_model()
    assert list(router.prepare(ref))[-1].stage == "ready"
    answer = router.start(ref, (Message("user", "one two three"),), GenerationSettings(16, temperature=0.0))
    text = "".join(delta.text for delta in answer.listen())
    reply = answer.reply()
    assert reply.backend == torch.cuda.get_device_name()
    assert reply.dtype in ("bfloat16", "float16")
    assert text == reply.content


def test_the_same_seed_draws_the_same_answer_on_cuda(tmp_path: Path) -> None:
    from backends.router import build_chat

    folder = make_tiny_chat_model(tmp_path / "tiny")
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    ref = router.start_model()
    settings = GenerationSettings(24, temperature=1.0, seed=11)
    texts = {
        "".join(delta.text for delta in router.start(ref, (Message("user", "go"),), settings).listen())
        for _ in range(2)
    }
    assert len(texts) == 1
