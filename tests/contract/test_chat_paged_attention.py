"""Attention by request: the scores of the library's own attention over everybody, without its mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.chat.loaded import LoadedModel
from backends.chat.loading import load
from backends.chat.paged import PagedBatch, Shape
from core.refs import ModelRef
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
# In steps of sixteen tokens: the first prompt is read in pieces, the others beside it, and answers beside both.
SHAPE = Shape(tokens=1024, step_tokens=16, requests=4)
PROMPTS = ([3 + each % 40 for each in range(50)], [7, 5, 11], [9], [30 - each % 20 for each in range(24)])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Two heads share the keys of one."""
    folder: Path = make_tiny_chat_model(tmp_path_factory.mktemp("tiny"))
    model = load(REF, folder, "cpu")
    assert model.model.config.num_key_value_heads < model.model.config.num_attention_heads
    return LoadedModel(REF, model.model.float(), model.tokenizer, "float32", "cpu", model.max_context)


def scores_of(loaded: LoadedModel, steps: int = 8) -> dict[str, list[Any]]:
    """Every request's rows of scores, each answered with the same tokens."""
    batch = PagedBatch(loaded, SHAPE)
    rows: dict[str, list[Any]] = {str(number): [] for number in range(len(PROMPTS))}

    def keeping(name: str) -> Callable[[Any], int]:
        def choose(scores: Any) -> int:
            rows[name].append(scores[0].clone())
            return 2 + len(rows[name])

        return choose

    for name, prompt in zip(rows, PROMPTS, strict=True):
        batch.add(name, prompt, len(prompt) + 20, keeping(name))
    for _ in range(steps):
        batch.step()
    return rows


def test_each_request_gets_the_scores_that_attention_over_everybody_gives_it(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    calls: list[int] = []
    by_request = scores_of(loaded)
    ours = ALL_ATTENTION_FUNCTIONS["sdpa"]
    assert ours is not sdpa_attention_forward

    def library(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return sdpa_attention_forward(*arguments, **named)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "sdpa", library)
    over_everybody = scores_of(loaded)
    assert calls, "the library's attention was not asked"
    assert all(len(rows) >= 2 for rows in by_request.values())
    for name, rows in by_request.items():
        assert len(rows) == len(over_everybody[name])
        for one, other in zip(rows, over_everybody[name], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_request_among_others_gets_the_scores_it_gets_alone(
    loaded: LoadedModel,
) -> None:
    import torch

    prompt = torch.tensor([PROMPTS[1] + [3, 4]])
    with torch.no_grad():
        alone = loaded.model(input_ids=prompt, use_cache=False).logits[0, -3:]
    for expected, given in zip(alone, scores_of(loaded)["1"], strict=False):
        torch.testing.assert_close(given, expected.float(), rtol=1e-4, atol=1e-5)


def test_outside_a_paged_cache_nothing_changes(loaded: LoadedModel) -> None:
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from backends.chat.paged_attention import install

    install()
    layer = loaded.model.model.layers[0].self_attn
    shape = (2, 4, 5, 8)
    query, key, value = (torch.randn(shape, generator=torch.Generator().manual_seed(each)) for each in range(3))
    layer_like = type("Layer", (torch.nn.Module,), {"is_causal": True, "layer_idx": layer.layer_idx})()
    given, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](layer_like, query, key, value, None, scaling=0.5)
    expected, _ = sdpa_attention_forward(layer_like, query, key, value, None, scaling=0.5)
    assert torch.equal(given, expected)
