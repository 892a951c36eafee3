"""Weights in fewer bits on a processor: what they save, how near they come, and what is refused with its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backends.chat.loading import load
from backends.chat.weights import check_published, method_of, offers
from backends.router import Router, build_chat
from core.chat import GenerationSettings, Message
from core.comparison import contender
from core.errors import NoBackend, UserInputError
from core.refs import ModelRef
from tests.contract.engine_cases import heard
from tests.markov_model import make_markov_model
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
ASKED = (Message("user", "the cat"),)
GREEDY = GenerationSettings(temperature=0, max_new_tokens=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def router(folder: Path, tmp_path: Path) -> Router:
    return build_chat(data_dir=tmp_path, chat_model=str(folder), endpoint="http://127.0.0.1:9")


def bytes_of(model: object) -> int:
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("inputs", "packed"), [(8, False), (24, False), (64, True)])
def test_a_layer_that_pytorch_would_read_past_its_end_is_widened_first(
    monkeypatch: pytest.MonkeyPatch, inputs: int, packed: bool
) -> None:
    """With AVX-512 eight inputs were read as sixteen, which ended the process now and then."""
    import torch

    from backends.chat.weights import _int8_class

    asked: list[int] = []
    multiply = torch._weight_int8pack_mm

    def recorded(rows: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        asked.append(weight.shape[1])
        return multiply(rows, weight, scale) if packed else rows.new_zeros(rows.shape[0], weight.shape[0])

    monkeypatch.setattr(torch, "_weight_int8pack_mm", recorded)
    layer = torch.nn.Linear(inputs, 5).bfloat16()
    rows = torch.randn(3, inputs).bfloat16()
    given, expected = _int8_class()(layer)(rows).float(), layer(rows).float()
    assert asked == ([inputs] if packed else [])
    assert torch.allclose(given, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_takes_less_memory_and_scores_nearly_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    import torch

    from backends.chat import loading

    monkeypatch.setattr(loading, "best_dtype", lambda config, device: dtype)
    whole, held = load(REF, folder, "cpu"), load(replace(REF, weights="int8"), folder, "cpu")
    assert (whole.dtype, held.dtype) == (dtype, "int8")
    assert bytes_of(held.model) < bytes_of(whole.model)
    if dtype == "bfloat16":
        (offer,) = (offer for offer in offers(folder, {}, "cpu") if offer.kind == "int8")
        assert offer.saves_bytes == pytest.approx(bytes_of(whole.model) - bytes_of(held.model), rel=0.15)
    ids = torch.arange(3, 60)[None]
    # One row, a few, and more than are multiplied in 8 bits.
    for length in (1, 9, 57):
        with torch.inference_mode():
            expected, given = (each.model(input_ids=ids[:, :length]).logits.float() for each in (whole, held))
        assert float((expected - given).norm() / expected.norm()) < 0.05
        assert not torch.equal(expected, given)


def test_a_model_in_fewer_bits_answers_in_a_batch_and_says_so(router: Router) -> None:
    ref = router.pin("#int8")
    assert (ref.weights, ref.published) == ("int8", router.start_model())
    answer = router.start(ref, ASKED, GREEDY)
    heard(answer)  # type: ignore[arg-type]
    reply = answer.reply()
    assert (reply.path, reply.why, reply.dtype) == ("batched", "", "int8")
    other = router.start(router.start_model(), ASKED, GREEDY)
    heard(other)  # type: ignore[arg-type]
    told, plainly = contender(reply), contender(other.reply())
    assert json.loads(told.settings or "") == json.loads(plainly.settings or "") | {
        "weights": "int8", "seed": reply.settings.seed,
    }  # fmt: skip
    assert router.pin(ref.asked) == ref
    assert router.held(ref, "") == router.start_model()


def test_what_a_model_is_sure_of_is_the_same_in_fewer_bits(tmp_path: Path) -> None:
    folder = make_markov_model(tmp_path / "model", "ABCDEFGHIJ")
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    assert heard(router.start(router.pin("#int8"), ASKED, GREEDY)) == "ABCDEFGHIJ"  # type: ignore[arg-type]


def test_what_is_not_possible_here_is_refused_with_its_reason(router: Router) -> None:
    said = {offer.kind: offer.why_not for offer in router.weights(router.start_model())}
    assert said["int8"] == "" and "NVIDIA GPU" in said["nf4"]
    with pytest.raises(UserInputError, match="NVIDIA GPU and the package bitsandbytes"):
        router.pin("#nf4")
    with pytest.raises(UserInputError, match="cannot be held as int3"):
        router.pin("#int3")
    with pytest.raises(UserInputError, match="as published"):
        router.find_adapter(router.pin("#int8"), "local/any")


def test_on_zerogpu_weights_are_as_published(folder: Path, tmp_path: Path) -> None:
    router = build_chat(data_dir=tmp_path, chat_model=str(folder), endpoint="http://127.0.0.1:9", zero_gpu=True)
    assert router.weights(router.start_model()) == ()
    with pytest.raises(NoBackend, match="as they are published"):
        router.pin("#int8")
    with pytest.raises(NoBackend, match="fewer bits"):
        router.start(replace(router.start_model(), weights="int8"), ASKED, GREEDY)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"quant_method": "gptq", "bits": 4}, "GPTQ.*package gptqmodel and an NVIDIA GPU"),
        ({"quant_method": "awq"}, "AWQ"),
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "new-thing"}, "new-thing.*not known to this app"),
    ],
)
def test_a_repository_that_is_published_quantised_says_what_it_needs(config: dict[str, object], says: str) -> None:
    assert method_of({}) == ""
    with pytest.raises(NoBackend, match=says):
        check_published({"quantization_config": config}, "org/model", "cpu")


def test_such_a_repository_is_refused_on_loading(tmp_path: Path) -> None:
    folder = make_tiny_chat_model(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    with pytest.raises(NoBackend, match="published quantised"):
        load(REF, folder, "cpu")
