"""The chat engine on ZeroGPU: placed before the launch, answering in forked workers, within what a call may cost."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from backends.chat import zerogpu as engine
from backends.chat.answers import BufferedAnswer
from backends.chat.zerogpu import Job, ZeroGpuChat, seconds_needed
from backends.downloads import Downloads
from backends.model_files import ModelFiles
from core.catalog import LocalFolder
from core.chat import Delta, GenerationSettings, Message
from core.errors import GenerationFailed, QuotaExceeded, UserInputError
from core.refs import ModelRef
from tests.markov_model import make_markov_model
from tests.serving import wait_until
from tests.tiny_models import make_tiny_chat_model
from tests.zerogpu.crossing import check_plain, crossing
from tests.zerogpu.device_api import DeviceApi, Refusal
from tests.zerogpu.emulation import by_a_handler, launched, token_of

LONG = "".join(chr(c) for c in range(ord("A"), ord("Z") + 1))
ASKED = (Message("user", "Say it."),)
GREEDY = GenerationSettings(temperature=0)
ENDLESS = GenerationSettings(temperature=0, max_new_tokens=2000)
PLACED = ModelRef("local/placed", "a" * 40)
LATER = ModelRef("local/later", "b" * 40)
RANDOM = ModelRef("local/random", "c" * 40)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[ModelRef, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        PLACED: make_markov_model(folder / "placed", LONG, loop=True),
        LATER: make_markov_model(folder / "later", "xyz"),
        RANDOM: make_tiny_chat_model(folder / "random"),
    }


@pytest.fixture(scope="module")
def chat(folders: dict[ModelRef, Path]) -> ZeroGpuChat:
    """The engine with `PLACED` and `RANDOM` placed, as after the launch of a page."""
    own = tuple(LocalFolder(ref, folder, ready=True, bundled=False) for ref, folder in folders.items())
    chat = ZeroGpuChat(ModelFiles(folders[PLACED].parent, own, Downloads("http://127.0.0.1:9")), orphan_seconds=30)
    chat.place(PLACED)
    chat.place(RANDOM)
    launched()
    return chat


def heard(answer: BufferedAnswer) -> str:
    return "".join(delta.text for delta in answer.listen())


def until_said(listener: object, text: str) -> None:
    said = ""
    while text not in said:
        delta = next(listener)  # type: ignore[call-overload]
        assert delta.finish is None, delta
        said += delta.text


def test_a_placed_model_answers_as_it_does_in_this_process(
    chat: ZeroGpuChat, folders: dict[ModelRef, Path], device_api: DeviceApi
) -> None:
    from backends.chat.decoding import decode
    from backends.chat.turns import Turns

    settings = GenerationSettings(temperature=0.9, top_p=0.95, seed=11, max_new_tokens=24)
    answer = by_a_handler(lambda: chat.start(RANDOM, ASKED, settings))
    assert isinstance(answer, BufferedAnswer)
    text = heard(answer)
    reply = answer.reply()
    assert (reply.content, reply.backend, reply.path, reply.dtype) == (text, "ZeroGPU", "zerogpu", "bfloat16")
    assert reply.usage is not None and reply.usage.completion_tokens > 1
    # The same weights in the same dtype, computed by one thread here.
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loaded = engine._loaded(RANDOM, folders[RANDOM])
        said = Said()
        from backends.chat.prompt import encode

        prompt = encode(loaded.tokenizer, ASKED)
        decode(loaded, prompt, reply.settings, said, Turns())
    finally:
        torch.set_num_threads(threads)
    assert said.text == text
    device_api.wait_released()
    assert not any(grant.failed for grant in device_api.grants)


class Said:
    cancelled = False
    goes_on_from = ()

    def __init__(self) -> None:
        self.text = ""

    def step(self) -> None:
        pass

    def put(self, text: str) -> None:
        self.text += text


def test_a_model_chosen_after_the_launch_answers_in_a_worker_that_is_older_than_it(
    chat: ZeroGpuChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = {key: known for key, known in engine._MODELS.models.items() if known.device == "cuda"}
    monkeypatch.setattr(engine._MODELS, "models", placed)
    heard(chat.start(PLACED, ASKED, GenerationSettings(temperature=0, max_new_tokens=2)))
    assert [step.stage for step in by_a_handler(lambda: list(chat.prepare(LATER)))][-1] == "ready"
    answer = by_a_handler(lambda: chat.start(LATER, ASKED, GREEDY))
    assert isinstance(answer, BufferedAnswer)
    assert heard(answer) == "xyz"
    # The worker has it on its GPU; nothing of that comes back, and here there is none.
    assert engine._MODELS.models[(LATER.repo_id, LATER.revision)].device == "cpu"


def test_what_is_placed_needs_no_files_any_more(chat: ZeroGpuChat, folders: dict[ModelRef, Path]) -> None:
    """`spaces` deletes the files in the Hub's cache whose tensors it has packed."""
    away = folders[PLACED].rename(folders[PLACED].with_name("away"))
    try:
        assert chat.plan(PLACED).ready and chat.capabilities(PLACED).max_context == 2048
        assert [step.stage for step in chat.prepare(PLACED)] == ["ready"]
        settings = GenerationSettings(temperature=0, max_new_tokens=3)
        assert chat.gpu_seconds([(PLACED, ASKED, settings)])
        assert heard(chat.start(PLACED, ASKED, settings)) == "ABC"
    finally:
        away.rename(folders[PLACED])


def test_words_arrive_while_it_writes_and_stop_ends_it_in_the_worker(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    answer = chat.start(PLACED, ASKED, ENDLESS)
    listener = answer.listen()
    until_said(listener, "ABC")
    answer.cancel()
    assert [delta.finish for delta in listener] == ["cancelled"]
    device_api.wait_released()
    assert not device_api.grants[0].failed
    # Far fewer than the 2,000 it was asked for: it did not go on alone.
    assert answer.steps < 2000
    assert heard(chat.start(PLACED, ASKED, GenerationSettings(temperature=0, max_new_tokens=3))) == "ABC"


def test_two_answers_are_written_in_one_call_and_stopped_one_by_one(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    first, second = chat.start_together([(PLACED, ASKED, ENDLESS), (PLACED, ASKED, ENDLESS)])
    until_said(first.listen(), "A")
    other = second.listen()
    until_said(other, "A")
    first.cancel()
    until_said(other, LONG * 2)
    assert first.reply().finish == "cancelled" and second.reply().finish is None
    second.cancel()
    device_api.wait_released()
    assert len(device_api.grants) == 1


def test_two_models_answer_in_one_call(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    short = GenerationSettings(temperature=0, max_new_tokens=26)
    answers = chat.start_together([(PLACED, ASKED, short), (LATER, ASKED, GREEDY)])
    assert [heard(answer) for answer in answers] == [LONG, "xyz"]
    assert [answer.reply().finish for answer in answers] == ["length", "stop"]
    device_api.wait_released()
    assert len(device_api.grants) == 1


def test_the_visitor_is_asked_for_the_time_that_was_shown(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    settings = GenerationSettings(temperature=0, max_new_tokens=40)
    shown = chat.gpu_seconds([(PLACED, ASKED, settings)])
    heard(chat.start(PLACED, ASKED, settings))
    assert shown is not None and abs(device_api.grants[0].asked_seconds - shown) <= 1
    longer = chat.gpu_seconds([(PLACED, ASKED, GenerationSettings(max_new_tokens=400))])
    both = chat.gpu_seconds([(PLACED, ASKED, settings), (RANDOM, ASKED, settings)])
    assert longer is not None and both is not None and longer > both > shown


def test_the_time_follows_from_the_model_the_prompt_and_the_new_tokens() -> None:
    def needed(**changes: object) -> int:
        given = {"prompt": (0,) * 10, "settings": {"max_new_tokens": 200}, "weight_bytes": 10**9, "placed": True}
        return seconds_needed([Job("a", "b", "c", stop="", **{**given, **changes})])  # type: ignore[arg-type]

    base = needed()
    assert needed(settings={"max_new_tokens": 800}) > base
    assert needed(weight_bytes=30 * 10**9) > base
    assert needed(prompt=(0,) * 30_000) > base
    assert needed(placed=False, weight_bytes=10**10) > needed(weight_bytes=10**10)
    assert 5 <= base <= 15, "a call of 200 tokens asks for seconds, not for the default minute"


def test_what_crosses_is_plain(chat: ZeroGpuChat, monkeypatch: pytest.MonkeyPatch) -> None:
    crossed = crossing(engine, "write", monkeypatch)
    heard(chat.start(PLACED, ASKED, GenerationSettings(temperature=0, max_new_tokens=30)))
    check_plain(crossed)


def test_a_quota_that_is_used_up_is_said_with_what_to_change(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    device_api.refuse = lambda seconds: Refusal(wait_seconds=-1, result="illegal-duration")
    with pytest.raises(QuotaExceeded, match=r"more GPU time than one call may have.*fewer new tokens"):
        heard(chat.start(PLACED, ASKED, GREEDY))
    device_api.refuse = lambda seconds: Refusal(left=2)
    with pytest.raises(QuotaExceeded, match="Sign in to Hugging Face"):
        heard(chat.start(PLACED, ASKED, GREEDY))
    device_api.refuse = lambda seconds: Refusal(result="pending-overquota-exceeded")
    with pytest.raises(QuotaExceeded, match="has running"):
        heard(chat.start(PLACED, ASKED, GREEDY))
    device_api.refuse = lambda seconds: None
    assert heard(chat.start(LATER, ASKED, GREEDY)) == "xyz"


def test_a_quota_that_refuses_a_visitor_says_until_when(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    """With the visitor's token, which is how the page on a Space calls."""
    device_api.refuse = lambda seconds: Refusal(left=4, wait_seconds=3 * 3600 + 120, auth="regular")

    def ask() -> BufferedAnswer:
        return chat.start(PLACED, ASKED, GREEDY)

    answer = by_a_handler(ask, token_of("ada"))
    assert isinstance(answer, BufferedAnswer)
    with pytest.raises(QuotaExceeded, match=r"4 s are left.*fewer new tokens.*3 h 2 min") as raised:
        heard(answer)
    assert raised.value.retry_after == 3 * 3600 + 120
    device_api.refuse = lambda seconds: None
    answer = by_a_handler(ask, token_of("ada"))
    assert isinstance(answer, BufferedAnswer)
    listener = answer.listen()
    until_said(listener, "A")
    answer.cancel()
    assert device_api.grants[-1].token == token_of("ada"), "the quota is the visitor's, not the page's"


def test_a_worker_that_is_killed_is_said_and_the_next_answer_comes(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    answer = chat.start(PLACED, ASKED, ENDLESS)
    listener = answer.listen()
    until_said(listener, "AB")
    device_api.end_workers()
    with pytest.raises(GenerationFailed, match="ended before the answer"):
        for _ in listener:
            pass
    assert answer.reply().content.startswith("AB")
    assert heard(chat.start(LATER, ASKED, GREEDY)) == "xyz"


def test_what_cannot_be_asked_takes_no_gpu_time(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    with pytest.raises(UserInputError, match="at most 2,048"):
        chat.start(PLACED, (Message("user", "cat " * 3000),), GREEDY)
    with pytest.raises(UserInputError, match="empty"):
        chat.start_together([(PLACED, ASKED, GREEDY), (PLACED, (Message("user", " "),), GREEDY)])
    assert device_api.grants == []


def test_an_error_in_the_worker_comes_as_its_sentence(chat: ZeroGpuChat, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.chat import decoding

    parent = os.getpid()

    def broken(*_: object) -> None:
        assert os.getpid() != parent
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(decoding, "_generate", broken)
    with pytest.raises(Exception, match="not enough memory for this answer"):
        heard(chat.start(PLACED, ASKED, GREEDY))


def test_four_visitors_at_once_wait_for_two_gpus_and_all_are_answered(chat: ZeroGpuChat, device_api: DeviceApi) -> None:
    short = GenerationSettings(temperature=0, max_new_tokens=26)
    answers = [chat.start(PLACED, ASKED, short) for _ in range(4)]
    assert [heard(answer) for answer in answers] == [LONG] * 4
    device_api.wait_released()
    assert len(device_api.grants) == 4


def test_nothing_is_left_behind(chat: ZeroGpuChat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "flags"))
    (tmp_path / "flags").mkdir()
    answer = chat.start(PLACED, ASKED, ENDLESS)
    listener = answer.listen()
    until_said(listener, "A")
    answer.cancel()
    deltas: list[Delta] = list(listener)
    assert deltas[-1].finish == "cancelled"
    wait_until(lambda: not any(t.name.startswith("answer-") for t in threading.enumerate()), 60, "still at work")
    heard(chat.start(LATER, ASKED, GREEDY))
    wait_until(lambda: not any(t.name.startswith("answer-") for t in threading.enumerate()), 60, "still at work")
    assert list((tmp_path / "flags").iterdir()) == []
