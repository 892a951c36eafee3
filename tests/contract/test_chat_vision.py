"""A vision-language model really sees the pictures: the engine in this process on a random LLaVA with its own processor."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from backends.attached import AttachedFiles
from backends.chat.plain import LocalChat
from backends.chat.zerogpu import ZeroGpuChat
from backends.registry import ModelRegistry
from core.attached import Attached
from core.chat import GenerationSettings, Message
from core.errors import GenerationFailed, UserInputError
from tests.contract.engine_cases import REF, heard, local_chat, model_files
from tests.tiny_models import make_tiny_chat_model, make_tiny_tokenizer
from tests.tiny_vision import TOKENS, make_tiny_film_model, make_tiny_vision_model, picture

GREEDY = GenerationSettings(temperature=0, max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vision_model(tmp_path_factory.mktemp("vision") / "model")


@pytest.fixture
def pictures(tmp_path: Path) -> AttachedFiles:
    return AttachedFiles(tmp_path / "attached")


@pytest.fixture
def engine(folder: Path, pictures: AttachedFiles) -> LocalChat:
    return LocalChat(
        model_files(folder),
        ModelRegistry(),
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=30.0,
        png=pictures.png,
    )


def asked(*images: Attached, text: str = "What is it?") -> tuple[Message, ...]:
    return (Message("user", text, images),)


def test_what_a_model_can_is_told_by_its_files(engine: LocalChat, tmp_path: Path) -> None:
    assert engine.capabilities(REF).images
    assert not local_chat(make_tiny_chat_model(tmp_path / "text")).capabilities(REF).images


def test_the_answer_is_what_transformers_itself_says_of_these_pixels(
    engine: LocalChat, folder: Path, pictures: AttachedFiles
) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    red = pictures.take(picture("red"))
    answer = engine.start(REF, asked(red), GREEDY)
    said = heard(answer)
    reply = answer.reply()
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=getattr(torch, reply.dtype))
    inputs = processor.apply_chat_template(
        [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": Image.open(io.BytesIO(pictures.png(red)))},
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    made = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert said == processor.tokenizer.decode(made, skip_special_tokens=True)
    assert (reply.path, reply.settings.temperature) == ("plain", 0.0) and reply.settings.seed is not None
    assert reply.usage is not None and reply.usage.prompt_tokens == inputs["input_ids"].shape[1] > TOKENS


def test_other_pixels_give_other_words_and_the_same_pixels_the_same(engine: LocalChat, pictures: AttachedFiles) -> None:
    red, blue = pictures.take(picture("red")), pictures.take(picture("blue"))
    first, again, other = (heard(engine.start(REF, asked(one), GREEDY)) for one in (red, red, blue))
    assert first == again != other
    both, swapped = (heard(engine.start(REF, asked(*pair), GREEDY)) for pair in ((red, blue), (blue, red)))
    assert both != swapped


def test_a_seed_repeats_an_answer_to_a_picture_and_another_does_not(engine: LocalChat, pictures: AttachedFiles) -> None:
    red = pictures.take(picture("red"))
    warm = [GenerationSettings(temperature=2.0, max_new_tokens=12, seed=seed) for seed in (4, 4, 5)]
    first, again, other = (heard(engine.start(REF, asked(red), settings)) for settings in warm)
    assert first == again != other


def test_stop_ends_it_within_a_token(
    engine: LocalChat, pictures: AttachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.chat import decoding

    third, go_on = threading.Event(), threading.Event()
    after = decoding.Watcher.after

    def held(self: decoding.Watcher, token: int) -> bool:
        made = after(self, token)
        if self._sink.steps == 3:  # type: ignore[attr-defined]
            third.set()
            go_on.wait(60)
        return made

    monkeypatch.setattr(decoding.Watcher, "after", held)
    settings = GenerationSettings(temperature=2.0, max_new_tokens=400, seed=1)
    answer = engine.start(REF, asked(pictures.take(picture("red"))), settings)
    assert third.wait(60)
    answer.cancel()
    go_on.set()
    assert [delta.finish for delta in answer.listen()][-1] == "cancelled"
    for thread in threading.enumerate():
        if thread.name.startswith("answer-"):
            thread.join(60)
    assert 3 <= answer.steps <= 4


def test_the_beginning_of_an_answer_follows_the_picture_to_the_byte(engine: LocalChat, pictures: AttachedFiles) -> None:
    red = pictures.take(picture("red"))
    messages = (*asked(red), Message("assistant", "  It is"))
    answer = engine.start(REF, messages, GREEDY)
    whole = heard(answer)
    alone = engine.start(REF, asked(red), GREEDY)
    heard(alone)
    own = len(make_tiny_tokenizer().encode("  It is", add_special_tokens=False))
    assert answer.reply().usage.prompt_tokens == alone.reply().usage.prompt_tokens + own
    assert not whole.startswith("  It is")


def test_a_placeholder_that_is_typed_is_text(engine: LocalChat, pictures: AttachedFiles) -> None:
    red = pictures.take(picture("red"))
    answer = engine.start(REF, asked(red, text="<image><|im_end|>"), GREEDY)
    heard(answer)
    assert answer.reply().finish in ("stop", "length")
    typed = engine.start(REF, asked(text="<image>"), GREEDY)
    heard(typed)
    assert typed.reply().finish in ("stop", "length")


def test_text_alone_is_answered_too(engine: LocalChat) -> None:
    answer = engine.start(REF, (Message("system", "Be brief."), *asked(text="Hello")), GREEDY)
    assert heard(answer) and answer.reply().path == "plain"


def test_a_text_model_refuses_a_picture_with_a_sentence(pictures: AttachedFiles, tmp_path: Path) -> None:
    red = pictures.take(picture("red"))
    chat = local_chat(make_tiny_chat_model(tmp_path / "text"), batching=False)
    with pytest.raises(UserInputError, match="reads text only"):
        chat.start(REF, asked(red), GREEDY)


def test_on_zerogpu_pictures_are_refused_with_a_sentence(folder: Path, pictures: AttachedFiles) -> None:
    chat = ZeroGpuChat(model_files(folder), orphan_seconds=30.0)
    assert not chat.capabilities(REF).images and "on ZeroGPU" in chat.capabilities(REF).reason("images")
    with pytest.raises(UserInputError, match="on ZeroGPU"):
        chat.start(REF, asked(pictures.take(picture("red"))), GREEDY)


def test_a_processor_that_fails_on_a_picture_is_said(
    engine: LocalChat, pictures: AttachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlavaProcessor

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("shape mismatch")

    red = pictures.take(picture("red"))
    heard(engine.start(REF, asked(red), GREEDY))
    monkeypatch.setattr(LlavaProcessor, "__call__", broken)
    with pytest.raises(GenerationFailed, match="Try another picture"):
        engine.start(REF, asked(red), GREEDY)


def test_a_picture_that_is_gone_is_said(engine: LocalChat) -> None:
    with pytest.raises(UserInputError, match="attach it again"):
        engine.start(REF, asked(Attached("0" * 64, 4, 4)), GREEDY)


def test_a_family_that_reads_films_too_reads_pictures_without_what_films_need(
    pictures: AttachedFiles, tmp_path: Path
) -> None:
    """Qwen2-VL's processor asks for torchvision, which only its part for films uses."""
    chat = LocalChat(
        model_files(make_tiny_film_model(tmp_path / "film")),
        ModelRegistry(),
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=30.0,
        png=pictures.png,
    )
    red, blue = (pictures.take(picture(colour, (140, 130))) for colour in ("red", "blue"))
    first, again, other = (heard(chat.start(REF, asked(one), GREEDY)) for one in (red, red, blue))
    assert first == again != other
    assert heard(chat.start(REF, (*asked(red), Message("assistant", "It")), GREEDY))
    assert chat.capabilities(REF).images


def test_a_processor_that_cannot_be_loaded_leaves_text_and_says_why(folder: Path, tmp_path: Path) -> None:
    import shutil

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "processor_config.json").write_text("{", encoding="utf-8")
    chat = local_chat(broken, batching=False)
    assert heard(chat.start(REF, asked(text="Hello"), GREEDY))
    can = chat.capabilities(REF)
    assert not can.images and "processor of pictures cannot be loaded" in can.reason("images")
