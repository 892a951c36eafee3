"""LoRAs on a chat model: the base is loaded once, each answers as PEFT's own model does, and none reads another's cache."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from backends.chat import fitting
from backends.chat.adapter_files import AdapterDownloads, ChatAdapters
from backends.chat.answers import BufferedAnswer
from backends.chat.plain import LocalChat
from backends.registry import ModelRegistry
from core.chat import GenerationSettings, Message
from core.comparison import contender
from core.errors import AppError, BackendError, NoBackend, UserInputError
from core.refs import ModelRef
from tests.contract.engine_cases import busy, heard, model_files, until
from tests.tiny_chat_adapters import change_config, make_tiny_chat_lora
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
PROMPT = (Message("user", "the cat sat on the mat " * 24),)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def own(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's adapters: two that fit, and some that do not."""
    own = tmp_path_factory.mktemp("adapters")
    make_tiny_chat_lora(own / "pencil", base, seed=1)
    make_tiny_chat_lora(own / "ink", base, seed=2, made_for=REF.repo_id, r=2, target_modules=["k_proj", "o_proj"])
    make_tiny_chat_lora(own / "strange", base, made_for="other/model")
    return own


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, so that a batch rounds to the same tokens as each alone."""
    from backends.chat import loading

    monkeypatch.setattr(loading, "best_dtype", lambda config, device: "float32")


def unresolved(repo_id: str, revision: str) -> ModelRef:
    raise UserInputError(f"There is no model {repo_id}.")


def chat_of(base: Path, own: Path, *, batching: bool = True) -> LocalChat:
    adapters = ChatAdapters(AdapterDownloads("http://127.0.0.1:9", None, own.parent / "cache"), unresolved, own)
    return LocalChat(
        model_files(base, REF),
        ModelRegistry(),
        adapters=adapters,
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=30,
        batching=batching,
    )


@pytest.fixture(params=[True, False], ids=["batched", "plain"])
def chat(request: pytest.FixtureRequest, base: Path, own: Path) -> LocalChat:
    return chat_of(base, own, batching=request.param)


def asked(chat: LocalChat, ref: ModelRef, **given: Any) -> BufferedAnswer:
    return chat.start(ref, PROMPT, GenerationSettings(**{"temperature": 0, "max_new_tokens": 24, **given}))


def by_peft(base: Path, adapter: Path | None, tokens: list[int]) -> list[int]:
    """What PEFT's own model says, greedily."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).eval()
    ids = torch.tensor([tokens])
    made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
    return made[0, len(tokens) :].tolist()


def said_by_peft(chat: LocalChat, base: Path, adapter: Path | None) -> str:
    from backends.chat.prompt import encode

    lease = chat._lease(REF)
    loaded = lease.model.loaded
    text = loaded.decode(by_peft(base, adapter, encode(loaded.tokenizer, PROMPT))).rstrip("\ufffd")
    lease.release()
    return text


def test_base_adapter_and_base_again_are_each_what_a_fresh_engine_says(chat: LocalChat, base: Path, own: Path) -> None:
    """Kept beginnings are of one adapter only: the prompt is many blocks long, so a mix-up would be read."""
    pencil, ink = chat.find_adapter(REF, "local/pencil"), chat.find_adapter(REF, "local/ink")
    expected = {
        ref: said_by_peft(chat, base, folder)
        for ref, folder in ((REF, None), (pencil, own / "pencil"), (ink, own / "ink"))
    }
    assert len(set(expected.values())) == 3, "the adapters change nothing, so nothing would be noticed"
    for ref in (REF, pencil, REF, ink, pencil, ink, REF):
        assert heard(asked(chat, ref)) == expected[ref]


def test_base_and_two_adapters_at_the_same_time(chat: LocalChat, base: Path, own: Path) -> None:
    refs = (REF, chat.find_adapter(REF, "local/pencil"), chat.find_adapter(REF, "local/ink"))
    expected = [said_by_peft(chat, base, folder) for folder in (None, own / "pencil", own / "ink")]
    answers = [asked(chat, ref) for ref in refs * 2]
    assert [heard(answer) for answer in answers] == expected * 2
    lease = chat._lease(refs[0])
    assert len(chat._registry.models()) == 1, "the base is in memory once"
    lease.release()
    until(lambda: not busy())


def test_a_fixed_seed_beside_the_batch_keeps_its_adapter(base: Path, own: Path) -> None:
    chat = chat_of(base, own)
    pencil = chat.find_adapter(REF, "local/pencil")
    plain, batched = asked(chat, pencil, seed=1), asked(chat, REF)
    assert heard(plain) == said_by_peft(chat, base, own / "pencil")
    assert heard(batched) == said_by_peft(chat, base, None)
    assert (plain.reply().path, batched.reply().path) == ("plain", "batched")


def test_the_row_names_the_adapter_by_its_content(chat: LocalChat, own: Path) -> None:
    ref = chat.find_adapter(REF, "local/pencil")
    assert ref.adapter is not None and ref.base == REF
    answer = asked(chat, ref, max_new_tokens=2)
    heard(answer)
    maker = contender(answer.reply())
    assert (maker.model, maker.revision) == (REF.repo_id, REF.revision)
    assert maker.adapter == f"local/pencil@{ref.adapter.revision}"
    assert ref.short == f"tiny @ {'f' * 7} + pencil @ {ref.adapter.revision[:7]}"
    assert chat.find_adapter(REF, str(ref.adapter)) == ref


def test_another_content_under_the_same_name_is_another_adapter(base: Path, tmp_path: Path) -> None:
    make_tiny_chat_lora(tmp_path / "own" / "one", base, seed=3)
    chat = chat_of(base, tmp_path / "own")
    first = chat.find_adapter(REF, "local/one")
    before = heard(asked(chat, first))
    make_tiny_chat_lora(tmp_path / "own" / "one", base, seed=4)
    second = chat.find_adapter(REF, "local/one")
    assert second != first
    assert heard(asked(chat, second)) != before
    with pytest.raises(UserInputError, match="has changed since"):
        chat.find_adapter(REF, str(first.adapter))
    # What is in memory still answers; what is not, is not taken from other bytes.
    assert heard(asked(chat, first)) == before


def test_only_what_fits_is_offered(chat: LocalChat) -> None:
    assert chat.adapters(REF) == ("local/ink", "local/pencil")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base_model_name_or_path": "other/model"}, "was trained on other/model, not on local/tiny"),
        ({"peft_type": "IA3"}, "only LoRA is loaded here"),
        ({"task_type": "SEQ_CLS"}, "not for chat"),
        ({"init_lora_weights": "pissa"}, "changes the base model's own weights"),
        ({"megatron_config": {"a": 1}}, "Megatron"),
    ],
)
def test_what_is_for_something_else_is_refused_before_it_is_loaded(
    base: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    make_tiny_chat_lora(tmp_path / "own" / "one", base)
    change_config(tmp_path / "own" / "one", **change)
    with pytest.raises(UserInputError, match=says):
        chat_of(base, tmp_path / "own").find_adapter(REF, "local/one")


def test_one_that_does_not_fit_after_all_leaves_the_base_as_it_was(base: Path, tmp_path: Path) -> None:
    """Its config names a path, which tells nothing; its shapes are another model's."""
    wide = make_tiny_chat_model(tmp_path / "wide")
    config = wide / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 64', '"intermediate_size": 96'))
    from transformers import AutoConfig, AutoModelForCausalLM

    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(wide)).save_pretrained(wide)
    make_tiny_chat_lora(tmp_path / "own" / "wide", wide)
    make_tiny_chat_lora(tmp_path / "own" / "more", base, target_modules=["q_proj"])
    broken = make_tiny_chat_lora(tmp_path / "own" / "broken", base)
    data = (broken / "adapter_model.safetensors").read_bytes()
    (broken / "adapter_model.safetensors").write_bytes(data[: len(data) // 2])
    change_config(tmp_path / "own" / "more", target_modules=["q_proj", "no_such_proj"], r=8)
    chat = chat_of(base, tmp_path / "own")
    before = heard(asked(chat, REF))
    for name in ("wide", "more", "broken"):
        with pytest.raises((UserInputError, BackendError), match=f"adapter local/{name}"):
            asked(chat, chat.find_adapter(REF, f"local/{name}"))
    assert heard(asked(chat, REF)) == before
    assert all(slot.users == 0 for slot in chat._registry._slots.values())


def test_the_oldest_adapter_goes_when_there_are_too_many(base: Path, tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(fitting.MOST_ADAPTERS + 2)]
    for number, name in enumerate(names):
        make_tiny_chat_lora(tmp_path / "own" / name, base, seed=number)
    chat = chat_of(base, tmp_path / "own")
    refs = [chat.find_adapter(REF, f"local/{name}") for name in names]
    first = [heard(asked(chat, ref)) for ref in refs]
    until(lambda: not busy())
    lease = chat._lease(REF)
    switch = lease.model.loaded.switch
    lease.release()
    assert switch is not None and len(switch.adapters()) <= fitting.MOST_ADAPTERS + 1
    assert refs[0].adapter not in switch.adapters()
    assert [heard(asked(chat, ref)) for ref in refs] == first


def test_many_who_ask_with_a_new_adapter_at_once_load_it_once(base: Path, own: Path) -> None:
    chat = chat_of(base, own)
    pencil = chat.find_adapter(REF, "local/pencil")
    long = asked(chat, REF, max_new_tokens=400)
    next(long.listen())
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(heard(asked(chat, pencil)))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    long.cancel()
    assert len(texts) == 5 and len(set(texts)) == 1
    until(lambda: not busy())


def test_an_engine_without_adapters_says_so(base: Path) -> None:
    chat = LocalChat(
        model_files(base, REF), ModelRegistry(), device=lambda: "cpu", name=lambda: "CPU", orphan_seconds=30
    )
    with pytest.raises(NoBackend):
        chat.find_adapter(REF, "local/pencil")
    with pytest.raises(AppError):
        chat.start(ModelRef(REF.repo_id, REF.revision, ModelRef("a/b", "1" * 40)), PROMPT, GenerationSettings())


def test_the_bytes_on_disk_name_it(own: Path, base: Path) -> None:
    ref = chat_of(base, own).find_adapter(REF, "local/pencil")
    assert ref.adapter is not None
    whole = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        whole.update(hashlib.sha256((own / "pencil" / name).read_bytes()).digest())
    assert ref.adapter.revision == whole.hexdigest()[:40]
