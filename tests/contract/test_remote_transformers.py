"""The remote engine against a real server: `transformers serve` on loopback, on tiny real models."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from backends.chat.answers import BufferedAnswer
from backends.remote.chat import RemoteChat
from backends.remote.target import Target, target_of
from core.chat import GenerationSettings, Message
from core.errors import AppError
from tests.serving import wait_until
from tests.transformers_server import LOOPS, SAYS, TEXT, TINY, Serving

# The server imports torch and transformers anew, which a loaded machine takes its time for.
pytestmark = pytest.mark.timeout(600)
ASKED = (Message("user", "Say it."),)
GREEDY = GenerationSettings(temperature=0, max_new_tokens=24)


@pytest.fixture(scope="module")
def remote(transformers_serve: Serving) -> RemoteChat:
    target = target_of(transformers_serve.url, "")
    assert isinstance(target, Target)
    return RemoteChat(target, endpoint="http://127.0.0.1:9", orphan_seconds=30)


def heard(answer: BufferedAnswer) -> str:
    return "".join(delta.text for delta in answer.listen())


def test_its_models_can_be_chosen_and_their_commit_is_not_known(remote: RemoteChat) -> None:
    assert {ref.repo_id for ref in remote.models()} == {TINY, SAYS, LOOPS}
    assert {ref.revision for ref in remote.models()} == {""}


def test_the_words_come_whole_with_its_own_count(remote: RemoteChat) -> None:
    answer = remote.start(remote.pin(SAYS), ASKED, GREEDY)
    assert heard(answer) == TEXT
    reply = answer.reply()
    assert reply.finish == "stop"
    assert reply.usage is not None and reply.usage.prompt_tokens > 3 and reply.usage.completion_tokens > 3


def test_what_it_can_do_is_found_out(remote: RemoteChat) -> None:
    ref = remote.pin(TINY)
    assert [step.stage for step in remote.prepare(ref)][-1] == "ready"
    can = remote.capabilities(ref)
    assert can.seed
    assert not can.logprobs and "leaves them out" in can.reason("logprobs")
    # This server takes a picture for a text model and drops it without a word.
    assert not can.images and "does not show" in can.reason("images")


def test_a_model_the_server_does_not_sample_with_is_told_apart(remote: RemoteChat) -> None:
    ref = remote.pin(SAYS)
    list(remote.prepare(ref))
    assert not remote.capabilities(ref).seed
    assert "whatever the seed" in remote.capabilities(ref).reason("seed")


def test_a_seed_is_kept_to_and_two_seeds_differ(remote: RemoteChat) -> None:
    def said(seed: int) -> str:
        settings = GenerationSettings(temperature=30.0, top_p=1.0, max_new_tokens=16, seed=seed)
        return heard(remote.start(remote.pin(TINY), ASKED, settings))

    assert said(3) == said(3) != said(4)


def test_length_and_stop_strings(remote: RemoteChat) -> None:
    short = remote.start(remote.pin(TINY), ASKED, GenerationSettings(temperature=0, max_new_tokens=3))
    heard(short)
    assert short.reply().finish == "length"
    cut = remote.start(remote.pin(SAYS), ASKED, GenerationSettings(temperature=0, max_new_tokens=24, stop=("bi",)))
    assert heard(cut) == TEXT.partition("bi")[0]
    assert cut.reply().finish == "stop"


def test_a_cancel_reaches_the_server_and_the_next_is_answered(remote: RemoteChat) -> None:
    answer = remote.start(remote.pin(LOOPS), ASKED, GenerationSettings(temperature=0, max_new_tokens=32_768))
    wait_until(lambda: answer.reply().content, 120, "no word arrived")
    answer.cancel()
    assert list(answer.listen())[-1].finish == "cancelled"
    name = f"remote-{answer.id[:8]}"
    wait_until(lambda: name not in {thread.name for thread in threading.enumerate()}, 60, "the thread goes on")
    assert heard(remote.start(remote.pin(SAYS), ASKED, GREEDY)) == TEXT


def test_many_short_requests_at_once(remote: RemoteChat) -> None:
    answers = [remote.start(remote.pin(SAYS), ASKED, GREEDY) for _ in range(8)]
    assert [heard(answer) for answer in answers] == [TEXT] * 8


def test_a_setting_it_would_not_know_is_refused_here(remote: RemoteChat) -> None:
    with pytest.raises(AppError, match="top k"):
        remote.start(remote.pin(TINY), ASKED, GenerationSettings(top_k=3))


def test_its_log_holds_no_token(transformers_serve: Serving) -> None:
    assert "hf_" not in Path(transformers_serve.log).read_text(errors="replace")
