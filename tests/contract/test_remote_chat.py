"""The remote engine against a scripted server on loopback: every fault, over real HTTP."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import PROVIDERS
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING

from backends.attached import AttachedFiles
from backends.chat.answers import BufferedAnswer
from backends.remote.chat import RemoteChat
from backends.remote.probe import Served
from backends.remote.target import Target, target_of
from core.chat import GenerationSettings, Message
from core.errors import AppError, GenerationFailed, NoBackend, QuotaExceeded, UserInputError
from core.refs import ModelRef
from tests.fakes import png
from tests.openai_server import (
    CUT,
    DONE,
    END,
    NAME,
    Hold,
    OpenAiServer,
    Status,
    chunk,
    closed_port,
    same_words,
    serving,
    whole,
)
from tests.serving import wait_until

CLOSED = "http://127.0.0.1:9"
ASKED = (Message("user", "Say it."),)
Make = Callable[..., RemoteChat]


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with serving() as started:
        yield started


def engine(url: str, token: str = "", **more: object) -> RemoteChat:
    target = target_of(url, token)
    assert isinstance(target, Target)
    settings = {"orphan_seconds": 30.0, "patience": (0.0, 0.0), **more}
    return RemoteChat(target, endpoint=CLOSED, **settings)  # type: ignore[arg-type]


def start(server: OpenAiServer, settings: GenerationSettings | None = None, **more: object) -> BufferedAnswer:
    remote = engine(server.url, **more)
    return remote.start(remote.pin(NAME), ASKED, settings or GenerationSettings(temperature=0))


def heard(answer: BufferedAnswer) -> str:
    return "".join(delta.text for delta in answer.listen())


def failed(answer: BufferedAnswer) -> AppError:
    with pytest.raises(AppError) as raised:
        list(answer.listen())
    return raised.value


def test_the_words_come_in_order_and_the_reply_says_only_what_is_known(server: OpenAiServer) -> None:
    server.always = whole("Zwölf", "\t😀", " birds\r\n", usage=(11, 3))
    answer = start(server, GenerationSettings(temperature=0.5, top_p=0.9, seed=7, max_new_tokens=40))
    deltas = list(answer.listen())
    assert "".join(delta.text for delta in deltas) == "Zwölf\t😀 birds\r\n"
    assert [delta.finish for delta in deltas][-1] == "stop"
    reply = answer.reply()
    assert (reply.backend, reply.path, reply.dtype) == (f"remote {server.host}", "remote", "")
    assert (reply.ref.repo_id, reply.ref.revision, reply.ref.host) == (NAME, "", server.host)
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 3)
    assert reply.settings == GenerationSettings(temperature=0.5, top_p=0.9, seed=7, max_new_tokens=40)
    sent = server.streams()[0].json
    assert sent["model"] == NAME and sent["messages"] == [{"role": "user", "content": "Say it."}]
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"], sent["seed"]) == (40, 0.5, 0.9, 7)
    assert "top_k" not in sent and "stop" not in sent


def test_a_random_seed_is_sent_and_recorded_and_unknown_defaults_stay_unknown(server: OpenAiServer) -> None:
    answer = start(server, GenerationSettings())
    heard(answer)
    settings = answer.reply().settings
    assert settings.seed is not None and server.streams()[0].json["seed"] == settings.seed
    assert (settings.temperature, settings.top_p, settings.top_k) == (None, None, None)


def test_characters_split_over_packets_arrive_whole(server: OpenAiServer) -> None:
    """Not only bytes of a character: JSON may hold U+2028 as it is, at which a reader by `splitlines` would cut."""
    text = "a😀\u2028ü\u0085\x0b z"
    stream = b"".join(whole(text, usage=None))
    server.always = [stream[at : at + 1] for at in range(len(stream))]
    answer = start(server)
    assert heard(answer) == text
    assert answer.reply().usage is None


def test_comments_odd_spaces_and_a_server_that_does_not_stream_are_read_too(server: OpenAiServer) -> None:
    server.always = [
        b": ping\n\nevent: message\r\n",
        chunk("a").replace(b"data: ", b"data:"),
        b"id: 3\n",
        chunk("b", finish="stop"),
        END,
    ]
    assert heard(start(server)) == "ab"
    server.always = Status(200, {"choices": [{"message": {"content": "whole\nanswer"}, "finish_reason": "stop"}]})
    assert heard(start(server)) == "whole\nanswer"


def test_stop_strings_are_kept_to_even_where_the_server_does_not(server: OpenAiServer) -> None:
    hold = Hold()
    server.always = [chunk("one\n"), chunk("\nUser: two"), hold]
    answer = start(server, GenerationSettings(temperature=0, stop=("\n\nUser:",)))
    assert heard(answer) == "one"
    assert answer.reply().finish == "stop"
    asked = server.streams()[0]
    assert asked.json["stop"] == ["\n\nUser:"]
    assert asked.gone.wait(20), "the connection stayed open after the stop string"


def test_a_server_that_forgets_its_limit_is_cut(server: OpenAiServer) -> None:
    server.always = [*(chunk("x" * 4_000) for _ in range(20)), Hold()]
    answer = start(server, GenerationSettings(temperature=0, max_new_tokens=1))
    assert 10_000 < len(heard(answer)) < 20_000
    assert answer.reply().finish == "length"


@pytest.mark.parametrize("stage", ["before the headers", "before the first word", "in the middle"])
def test_a_cancel_closes_the_connection_at_once(server: OpenAiServer, stage: str) -> None:
    hold = Hold()
    late = threading.Event()
    server.always = [hold] if stage == "before the first word" else [chunk("half"), hold]
    if stage == "before the headers":
        pieces = server.always

        def wait(payload: object) -> object:
            hold.reached.set()
            late.wait(30)
            return pieces

        server.always = wait
    answer = start(server)
    assert hold.reached.wait(20)
    if stage == "in the middle":
        wait_until(lambda: answer.reply().content == "half", 60, "the first half did not arrive")
    answer.cancel()
    deltas = list(answer.listen())
    assert deltas[-1].finish == "cancelled"
    wait_until(lambda: not working(answer), 60, "the thread of a cancelled answer went on")
    late.set()
    assert server.streams()[0].gone.wait(20), "the server was not told"
    assert answer.reply().content == ("half" if stage == "in the middle" else "")


def working(answer: BufferedAnswer) -> bool:
    return any(thread.name == f"remote-{answer.id[:8]}" for thread in threading.enumerate())


def test_nobody_listening_any_more_closes_the_connection_after_the_grace_time(server: OpenAiServer) -> None:
    hold = Hold()
    server.always = [chunk("half"), hold]
    answer = start(server, orphan_seconds=0.0)
    assert hold.reached.wait(20)
    listening = answer.listen()
    next(listening)
    listening.close()  # type: ignore[attr-defined]
    assert server.streams()[0].gone.wait(20)
    assert answer.reply().finish == "cancelled"


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Status(401, {"error": {"message": "Invalid API key"}}), NoBackend, "asks for a key.*PROVING_REMOTE_TOKEN"),
        (Status(403, {"detail": "no"}), NoBackend, "PROVING_REMOTE_TOKEN"),
        (Status(404, {"error": "model not found"}), NoBackend, "Choose another model"),
        (Status(402, {"error": "pay"}), QuotaExceeded, "credit"),
        (Status(400, {"message": "This model's maximum context length is 16 tokens"}), UserInputError, "longer than"),
        (Status(422, {"detail": [{"msg": "bad top_p"}]}), GenerationFailed, "Change the settings.*bad top_p"),
        (Status(500, "<html>Internal</html>"), GenerationFailed, r"failed while it was answering \(500\)"),
        (Status(429, {"error": "slow"}, (("retry-after", "3600"),)), QuotaExceeded, "Wait 3600 s"),
        (Status(307, "", (("location", "http://127.0.0.1:1/"),)), NoBackend, "another address"),
    ],
)
def test_every_refusal_is_a_sentence_with_a_next_step(
    server: OpenAiServer, fault: Status, error: type[AppError], says: str
) -> None:
    server.always = fault
    answer = start(server)
    raised = failed(answer)
    assert type(raised) is error
    with pytest.raises(error, match=says):
        list(answer.listen())
    assert server.host in str(raised)
    assert "<html>" not in str(raised)
    assert len(server.streams()) == 1, "asked again for what asking again cannot change"


@pytest.mark.parametrize(
    "fault", [Status(503, {"error": "loading"}), Status(502, "<html>"), Status(429, "busy"), [CUT]]
)
def test_what_passes_is_tried_again_before_the_first_word(server: OpenAiServer, fault: object) -> None:
    server.script = [fault, fault]
    answer = start(server)
    assert heard(answer) == "Hello there"
    assert len(server.streams()) == 3


def test_it_is_not_tried_for_ever(server: OpenAiServer) -> None:
    server.always = Status(503, {"error": "loading"})
    assert "503" in str(failed(start(server)))
    assert len(server.streams()) == 3


def test_a_cancel_ends_the_wait_before_another_try(server: OpenAiServer) -> None:
    server.always = Status(503, {"error": "loading"})
    answer = start(server, patience=(600.0,))
    wait_until(lambda: server.streams(), 60, "nothing was asked")
    answer.cancel()
    wait_until(lambda: not working(answer), 60, "the thread waits on")
    assert len(server.streams()) == 1


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (CUT, "lost.*kept"),
        (END, "lost.*kept"),
        (b'data: {"error": "CUDA out of memory"}\n\n', "failed.*CUDA out of memory"),
        (b'data: {"error": {"message": "gone", "code": 500}}\n\n', "failed.*gone"),
        (b'data: {"choices": [{"del\n\n', "no answer.*kept"),
        (b"data: 17\n\n", "no answer.*kept"),
    ],
)
def test_what_had_arrived_is_kept_when_it_ends_badly_and_nothing_is_asked_twice(
    server: OpenAiServer, end: object, says: str
) -> None:
    server.always = [chunk("The first "), chunk("half"), end]
    answer = start(server)
    assert failed(answer)
    with pytest.raises(GenerationFailed, match=says):
        list(answer.listen())
    assert answer.reply().content == "The first half"
    assert answer.reply().finish is None
    assert len(server.streams()) == 1


def test_an_answer_that_is_whole_stays_whole_when_the_connection_is_lost_after_it(server: OpenAiServer) -> None:
    server.always = [chunk("all"), chunk(finish="stop"), CUT]
    answer = start(server)
    assert heard(answer) == "all"
    assert answer.reply().finish == "stop"


def test_a_server_that_falls_silent_is_left(server: OpenAiServer) -> None:
    server.always = [chunk("half"), Hold()]
    answer = start(server, silence_seconds=4.0)
    assert "said nothing for" in str(failed(answer))
    assert answer.reply().content == "half"


def test_a_host_that_is_not_there_is_a_sentence(server: OpenAiServer) -> None:
    remote = engine(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(GenerationFailed, match=r"cannot be reached.*PROVING_REMOTE_URL"):
        remote.models()


def test_stream_options_are_left_out_where_they_are_refused(server: OpenAiServer) -> None:
    def picky(payload: dict[str, object]) -> object:
        if "stream_options" in payload:
            return Status(422, {"detail": "Unexpected fields in the request: {'stream_options'}"})
        return whole("fine")

    server.always = picky
    remote = engine(server.url)
    for _ in range(2):
        assert heard(remote.start(remote.pin(NAME), ASKED, GenerationSettings())) == "fine"
    assert ["stream_options" in asked.json for asked in server.streams()] == [True, False, False]


def test_two_hundred_short_requests_all_come_back_and_leave_no_thread(server: OpenAiServer) -> None:
    server.always = lambda payload: whole(payload["messages"][0]["content"], "!")
    remote = engine(server.url)
    ref = remote.pin(NAME)
    for batch in range(10):
        answers = [
            remote.start(ref, (Message("user", f"{batch}-{number}"),), GenerationSettings()) for number in range(20)
        ]
        assert [heard(answer) for answer in answers] == [f"{batch}-{number}!" for number in range(20)]
    wait_until(lambda: not any(t.name.startswith("remote-") for t in threading.enumerate()), 60, "threads were left")


# What it can do.


def test_the_probe_finds_out_and_says_it(server: OpenAiServer) -> None:
    server.models["data"].append({"id": "my-lora", "parent": NAME, "owned_by": "vllm"})
    remote = engine(server.url)
    ref = remote.pin(NAME)
    assert "before the first answer" in remote.capabilities(ref).notes[0]
    stages = [step.stage for step in remote.prepare(ref)]
    assert stages[-1] == "ready" and stages.count("prepare") == 5
    can = remote.capabilities(ref)
    assert (can.seed, can.logprobs, can.images, can.reasoning, can.max_context) == (True, True, True, False, 4096)
    assert can.adapters == ("my-lora",)
    probes = len(server.asked)
    assert [step.stage for step in remote.prepare(ref)] == ["ready"]
    assert len(server.asked) == probes, "what is known was asked again"


def test_a_seed_that_is_taken_and_not_kept_to_is_found_out(server: OpenAiServer) -> None:
    words = iter(range(100))
    server.tried = lambda payload: {"choices": [{"message": {"content": f"w{next(words)}", "reasoning_content": "hm"}}]}
    remote = engine(server.url)
    ref = remote.pin(NAME)
    list(remote.prepare(ref))
    can = remote.capabilities(ref)
    assert (can.seed, can.logprobs, can.reasoning) == (False, False, True)
    assert "two answers" in can.reason("seed")
    with pytest.raises(UserInputError, match="seed"):
        remote.start(ref, ASKED, GenerationSettings(seed=3))
    answer = remote.start(ref, ASKED, GenerationSettings())
    heard(answer)
    assert answer.reply().settings.seed is None
    assert "seed" not in server.streams()[0].json


def test_a_server_that_answers_the_same_whatever_the_seed_is_found_out(server: OpenAiServer) -> None:
    server.tried = lambda payload: {"choices": [{"message": {"content": "always"}}]}
    remote = engine(server.url)
    ref = remote.pin(NAME)
    list(remote.prepare(ref))
    assert not remote.capabilities(ref).seed
    assert "whatever the seed" in remote.capabilities(ref).reason("seed")


def test_what_the_server_refuses_is_off_with_its_reason(server: OpenAiServer) -> None:
    def strict(payload: dict[str, object]) -> object:
        allowed = {"model", "messages", "max_tokens", "temperature"}
        if set(payload) - allowed or not isinstance(payload["messages"][0]["content"], str):  # type: ignore[index]
            return Status(422, {"detail": "unexpected"})
        return {"choices": [{"message": {"content": "x"}}]}

    server.tried = strict
    remote = engine(server.url)
    ref = remote.pin(NAME)
    list(remote.prepare(ref))
    can = remote.capabilities(ref)
    assert (can.seed, can.logprobs, can.images) == (False, False, False)
    assert "refuses it (422)" in can.reason("images")
    heard(remote.start(ref, ASKED, GenerationSettings(stop=("x",))))
    assert "stop" not in server.streams()[0].json


def test_a_busy_server_is_not_called_unable(server: OpenAiServer) -> None:
    server.tried = lambda payload: Status(503, {"error": "loading"})
    remote = engine(server.url)
    ref = remote.pin(NAME)
    list(remote.prepare(ref))
    can = remote.capabilities(ref)
    assert can.seed
    assert "not found out" in can.reason("images")


def test_top_k_is_sent_where_it_is_known_and_refused_where_it_would_be_dropped(server: OpenAiServer) -> None:
    remote = engine(server.url)
    heard(remote.start(remote.pin(NAME), ASKED, GenerationSettings(top_k=5, repetition_penalty=1.1)))
    sent = server.streams()[0].json
    assert (sent["top_k"], sent["repetition_penalty"]) == (5, 1.1)
    heard(remote.start(remote.pin(NAME), ASKED, GenerationSettings(template_kwargs=(("effort", "high"),))))
    assert server.streams()[1].json["chat_template_kwargs"] == {"effort": "high"}
    server.models["data"][0]["owned_by"] = "somebody"
    unknown = engine(server.url)
    with pytest.raises(UserInputError, match="top k"):
        unknown.start(unknown.pin(NAME), ASKED, GenerationSettings(top_k=5))
    for settings in (GenerationSettings(thinking=True), GenerationSettings(template_kwargs=(("effort", "high"),))):
        with pytest.raises(UserInputError, match="options of the chat template"):
            unknown.start(unknown.pin(NAME), ASKED, settings)


# Which model.


def test_an_answer_goes_on_where_the_server_is_known_to_do_so_and_is_refused_elsewhere(server: OpenAiServer) -> None:
    """Elsewhere the beginning would be taken for a whole turn, and another answer would follow it."""
    begun = (*ASKED, Message("assistant", "  It is"))
    server.always = whole(" said.")
    remote = engine(server.url)
    assert heard(remote.start(remote.pin(NAME), begun, GenerationSettings(temperature=0, thinking=False))) == " said."
    sent = server.streams()[-1].json
    assert sent["messages"][-1] == {"role": "assistant", "content": "  It is"}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert sent["chat_template_kwargs"]["enable_thinking"] is False
    assert remote.capabilities(remote.pin(NAME)).continues
    server.models["data"][0]["owned_by"] = "somebody"
    other = engine(server.url)
    with pytest.raises(UserInputError, match="goes on with an answer"):
        other.start(other.pin(NAME), begun, GenerationSettings(temperature=0))
    assert not other.capabilities(other.pin(NAME)).continues


def test_the_commit_is_the_one_the_server_tells_and_none_where_it_tells_none(server: OpenAiServer) -> None:
    commit = "c" * 40
    server.models["data"] = [{"id": "org/model", "owned_by": "org/model"}]
    server.info["/info"] = {"model_id": "org/model", "model_sha": commit, "max_total_tokens": 2048}
    remote = engine(server.url)
    ref = remote.pin("org/model")
    assert ref == ModelRef("org/model", commit, host=server.host) == remote.pin(f"org/model@{commit}")
    assert remote.capabilities(ref).max_context == 2048
    server.info["/info"]["model_sha"] = "main"
    assert engine(server.url).pin("org/model").revision == ""
    # Hugging Face's own server puts the revision into the name.
    server.models["data"] = [{"id": f"org/model@{commit}"}, {"id": "org/other"}]
    remote = engine(server.url)
    ref = remote.pin(f"org/model@{commit}")
    assert (ref.repo_id, ref.revision) == ("org/model", commit)
    heard(remote.start(ref, ASKED, GenerationSettings()))
    assert server.streams()[0].json["model"] == f"org/model@{commit}"


def test_another_commit_behind_the_same_name_is_not_answered_under_the_old_pin(
    server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.remote import models

    monkeypatch.setattr(models, "FRESH_SECONDS", 0.0)
    server.models["data"] = [{"id": "org/model", "owned_by": "org/model"}]
    server.info["/info"] = {"model_sha": "c" * 40}
    remote = engine(server.url)
    ref = remote.pin("org/model")
    server.info["/info"] = {"model_sha": "d" * 40}
    with pytest.raises(NoBackend, match="ddddddd now"):
        remote.start(ref, ASKED, GenerationSettings())
    server.models["data"] = [{"id": "org/else"}]
    with pytest.raises(NoBackend, match="does not serve org/model"):
        remote.start(ref, ASKED, GenerationSettings())
    assert not server.streams()


def test_names_that_are_not_served_are_refused_unless_no_list_is_kept(server: OpenAiServer) -> None:
    with pytest.raises(NoBackend, match=f"does not serve org/absent.*{NAME}"):
        engine(server.url).pin("org/absent")
    server.models = Status(404, {"detail": "Not Found"})
    remote = engine(server.url)
    ref = remote.pin("org/absent")
    assert heard(remote.start(ref, ASKED, GenerationSettings())) == "Hello there"
    assert server.streams()[0].json["model"] == "org/absent"


def test_a_list_with_odd_entries_is_read_as_far_as_it_goes(server: OpenAiServer) -> None:
    server.models = {
        "data": [None, 7, {}, {"id": 3}, {"id": "a\nb"}, {"id": "x" * 500}, {"id": "ok", "max_model_len": "9"}]
    }
    assert [ref.repo_id for ref in engine(server.url).models()] == ["ok"]
    for broken in ({"data": None}, {"object": "list"}):
        server.models = broken
        assert engine(server.url).models() == ()
    server.models = [1]
    with pytest.raises(GenerationFailed, match="OpenAI-compatible"):
        engine(server.url).models()


def test_only_refs_of_this_host_are_answered(server: OpenAiServer) -> None:
    remote = engine(server.url)
    for ref in (ModelRef("org/model", "a" * 40), ModelRef(NAME, "", host="elsewhere:1")):
        for use in (remote.capabilities, remote.plan, lambda ref: list(remote.prepare(ref))):
            with pytest.raises(NoBackend):
                use(ref)
        with pytest.raises(NoBackend):
            remote.start(ref, ASKED, GenerationSettings())
    assert server.asked == []


# Keys.


def test_the_machines_token_goes_nowhere(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub sends HF_TOKEN to any base_url when it is given no key."""
    monkeypatch.setattr("huggingface_hub.inference._providers._common.get_token", lambda: "hf_canary")
    monkeypatch.setattr("huggingface_hub.inference._providers.hf_inference.get_token", lambda: "hf_canary")
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: "hf_canary")
    remote = engine(server.url)
    ref = remote.pin(NAME)
    list(remote.prepare(ref))
    heard(remote.start(ref, ASKED, GenerationSettings()))
    assert len(server.asked) > 5
    for asked in server.asked:
        assert "authorization" not in asked.headers
        assert "canary" not in str(asked.headers)


def test_the_operators_key_is_sent_and_never_told(server: OpenAiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.always = Status(401, {"error": {"message": "Incorrect API key provided: sk-canary"}})
    remote = engine(server.url, "sk-canary")
    error = failed(remote.start(remote.pin(NAME), ASKED, GenerationSettings()))
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-canary"}
    assert "refuses the key" in str(error)
    assert "canary" not in str(error) + caplog.text


def test_a_key_does_not_follow_a_redirect(server: OpenAiServer) -> None:
    with serving() as other:
        server.always = Status(307, "", (("location", f"{other.url}/chat/completions"),))
        remote = engine(server.url, "sk-canary")
        assert "another address" in str(failed(remote.start(remote.pin(NAME), ASKED, GenerationSettings())))
        assert other.asked == []


def test_a_visitors_url_is_no_name_of_a_model(server: OpenAiServer) -> None:
    """InferenceClient takes a URL where it expects a model, and would send the operator's key there."""
    target = target_of("together", "sk-canary")
    assert target is not None
    provider = RemoteChat(target, endpoint=CLOSED, orphan_seconds=30)
    with pytest.raises(UserInputError):
        provider.pin(server.url)
    server.models = Status(404)
    remote = engine(server.url)
    ref = remote.pin("http://127.0.0.1:1/v1")
    assert "no answer" in str(failed(remote.start(ref, ASKED, GenerationSettings())))
    assert not server.streams()


def test_a_provider_is_asked_through_inference_clients_own_code(
    server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name of the model, its key, its address; nothing is tried out there, because every request is billed."""
    helper = PROVIDERS["together"]["conversational"]
    monkeypatch.setattr(helper, "base_url", f"http://{server.host}")
    mapping = InferenceProviderMapping(
        provider="together", hf_model_id="org/model", providerId="theirs", task="conversational", status="live"
    )
    monkeypatch.setitem(HARDCODED_MODEL_INFERENCE_MAPPING, "together", {"org/model": mapping})  # type: ignore[arg-type]
    monkeypatch.setattr("backends.remote.probe.provided", lambda *args: (Served("org/listed"),))
    target = target_of("together", "sk-own")
    assert target is not None
    remote = RemoteChat(target, endpoint=CLOSED, orphan_seconds=30, patience=())
    ref = remote.pin("org/model")
    assert [step.stage for step in remote.prepare(ref)] == ["ready"]
    assert server.asked == []
    assert "every request there costs" in remote.capabilities(ref).notes[0]
    assert heard(remote.start(ref, ASKED, GenerationSettings(temperature=0.5, seed=3))) == "Hello there"
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer sk-own"
    assert (asked.json["model"], asked.json["seed"], asked.json["temperature"]) == ("theirs", 3, 0.5)
    unmapped = remote.pin("org/other")
    assert "The Hub" in str(failed(remote.start(unmapped, ASKED, GenerationSettings())))
    monkeypatch.setattr("huggingface_hub.inference._providers._common._fetch_inference_provider_mapping", lambda m: [])
    assert "Choose another model" in str(failed(remote.start(unmapped, ASKED, GenerationSettings())))
    assert len(server.asked) == 1
    assert {ref.repo_id for ref in remote.models()} == {"org/listed", "org/model", "org/other"}


def test_a_providers_models_are_the_hubs_list(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def list_models(self: HfApi, **query: object) -> list[ModelInfo]:
        asked.update(query, token=self.token, endpoint=self.endpoint)
        return [ModelInfo(id="org/one", tags=[]), ModelInfo(id="org/two", tags=[])]

    monkeypatch.setattr(HfApi, "list_models", list_models)
    target = target_of("together", "sk-own")
    assert target is not None
    remote = RemoteChat(target, endpoint=CLOSED, orphan_seconds=30)
    assert [ref.repo_id for ref in remote.models()] == ["org/one", "org/two"]
    assert asked["inference_provider"] == "together" and asked["pipeline_tag"] == "text-generation"
    assert (asked["token"], asked["endpoint"]) == (False, CLOSED)


def test_a_hub_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def list_models(self: HfApi, **query: object) -> list[ModelInfo]:
        raise httpx2.ConnectError("refused")

    monkeypatch.setattr(HfApi, "list_models", list_models)
    target = target_of("together", "sk-own")
    assert target is not None
    with pytest.raises(AppError):
        RemoteChat(target, endpoint=CLOSED, orphan_seconds=30).models()


def test_done_is_never_taken_for_a_chunk(server: OpenAiServer) -> None:
    server.always = [chunk("a"), b"data: {}\n\n", chunk("b"), DONE]
    answer = start(server)
    assert heard(answer) == "ab"
    assert answer.reply().finish == "stop"


def test_a_picture_goes_to_a_host_that_has_shown_that_it_reads_them(server: OpenAiServer, tmp_path: Path) -> None:
    pictures = AttachedFiles(tmp_path / "attached")
    image = pictures.take(png(1))
    remote = engine(server.url, png=pictures.png)
    ref = remote.pin(NAME)
    asked = (Message("system", "Be brief."), Message("user", "What is it?", (image,)))
    # Not before it was found out: whoever takes a picture and leaves it out would answer about nothing.
    assert not remote.capabilities(ref).images
    with pytest.raises(UserInputError, match="has not shown that"):
        remote.start(ref, asked, GenerationSettings())
    for _ in remote.prepare(ref):
        pass
    assert remote.capabilities(ref).images
    assert heard(remote.start(ref, asked, GenerationSettings())) == "Hello there"
    system, user = server.streams()[-1].json["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    shown, text = user["content"]
    assert shown["type"] == "image_url" and text == {"type": "text", "text": "What is it?"}
    kind, _, data = shown["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(data) == pictures.png(image)
    # What the server says against it is a sentence.
    server.always = Status(400, {"error": {"message": "At most 0 image(s) may be provided"}})
    assert "At most 0 image" in str(failed(remote.start(ref, asked, GenerationSettings())))


def test_a_picture_is_never_sent_to_a_host_that_reads_text_alone(server: OpenAiServer, tmp_path: Path) -> None:
    server.tried = lambda payload: same_words(payload) | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    pictures = AttachedFiles(tmp_path / "attached")
    remote = engine(server.url, png=pictures.png)
    ref = remote.pin(NAME)
    for _ in remote.prepare(ref):
        pass
    with pytest.raises(UserInputError, match="Choose a model that reads pictures"):
        remote.start(ref, (Message("user", "What?", (pictures.take(png(1)),)),), GenerationSettings())
    assert server.streams() == []
