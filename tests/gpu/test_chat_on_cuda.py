"""LoRAs, and weights in fewer bits, on a CUDA device; skipped with the reason where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.chat import GenerationSettings, Message
from tests.tiny_chat_adapters import make_tiny_chat_lora
from tests.tiny_models import make_tiny_chat_model

pytestmark = pytest.mark.gpu
ASKED = (Message("user", "one two three"),)
GREEDY = GenerationSettings(16, temperature=0.0)


def test_base_adapter_and_base_again_on_cuda(tmp_path: Path) -> None:
    from backends.router import build_chat

    folder = make_tiny_chat_model(tmp_path / "tiny")
    make_tiny_chat_lora(tmp_path / "data" / "adapters" / "pencil", folder, seed=3)
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    texts = []
    for model in ("", "+local/pencil", "", "+local/pencil"):
        answer = router.start(router.pin(model), ASKED, GREEDY)
        texts.append("".join(delta.text for delta in answer.listen()))
        assert answer.reply().path == "batched"
    assert texts[:2] == texts[2:] and texts[0] != texts[1]


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_weights_in_fewer_bits_on_cuda(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from backends.router import build_chat

    folder = make_tiny_chat_model(tmp_path / "tiny")
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    answer = router.start(router.pin(f"#{kind}"), ASKED, GREEDY)
    for _ in answer.listen():
        pass
    assert answer.reply().dtype == kind
