"""The public API and the MCP tools, called as programs call them."""

from __future__ import annotations

import ast
import base64
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from core.dataset import PreferenceRow, RatingRow
from tests.fakes import CHAT_LORA, LORA, OTHER, REF, FakeCatalog, FakeRouter, FakeStore, png, services
from tests.serving import served

NAMES = {
    "/search_models", "/model_card", "/chat", "/generate_image", "/submit_preference", "/submit_rating",
    "/feedback_status", "/leaderboard",
}  # fmt: skip
PARAMETERS = {
    "/search_models": [
        "query", "kind", "task", "library", "language", "license", "license_class", "author", "base_model",
        "min_params", "max_params", "min_downloads", "gated", "has_card", "weights_format", "runs_here", "sort",
        "limit", "source", "relation", "dataset", "paper", "min_likes", "updated_since", "quantization", "provider",
        "chat_template", "adult", "exclude", "offset", "look_at",
    ],
    "/model_card": ["repo_id", "revision", "kind", "split"],
    "/chat": [
        "message", "history", "model", "system", "max_new_tokens", "temperature", "top_p", "seed", "adapter", "top_k",
        "repetition_penalty", "stop", "details", "template_kwargs", "images",
    ],
    "/submit_preference": [
        "prompt", "chosen", "rejected", "chosen_model", "rejected_model", "reasons", "comment", "rater", "id",
        "consent_version",
    ],
    "/submit_rating": ["prompt", "completion", "label", "model", "reasons", "comment", "rater", "id", "consent_version"],
    "/generate_image": [
        "prompt", "negative_prompt", "model", "width", "height", "steps", "guidance", "scheduler", "seed", "image",
        "mask", "strength", "loras",
    ],
    "/feedback_status": [],
    "/leaderboard": [
        "kind", "campaign", "models", "prompt", "rater", "since", "until", "blind_only", "leaked", "merge", "style",
        "topic",
    ],
}  # fmt: skip

ROUTER, STORE, CATALOG = FakeRouter(), FakeStore(), FakeCatalog()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(replace(services(ROUTER, STORE), catalog=CATALOG), tmp_path_factory.mktemp("api")) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def test_exactly_the_contract_is_listed_in_its_order(client: Client) -> None:
    listed = client.view_api(return_format="dict")["named_endpoints"]
    assert set(listed) == NAMES
    for name, parameters in PARAMETERS.items():
        assert [p["parameter_name"] for p in listed[name]["parameters"]] == parameters
        assert listed[name]["description"]
        types = [p["python_type"]["type"] for p in listed[name]["parameters"] + listed[name]["returns"]]
        assert "Any" not in types, (name, types)


def test_search_models(client: Client) -> None:
    found = client.predict("tiny", task="text-generation", api_name="/search_models")
    assert [record["repo_id"] for record in found] == [REF.repo_id, OTHER.repo_id]
    assert set(found[0]) >= {
        "repo_id", "revision", "kind", "task", "library", "license", "license_class", "params", "downloads", "likes",
        "updated", "gated", "has_card", "weights_formats", "runs_here", "memory_bytes", "source", "looked_at", "complete",
    }  # fmt: skip
    assert found[0]["runs_here"] is None
    assert found[0]["memory_bytes"] is None
    asked = client.predict(
        "tickets -old", license_class="commercial", max_params="3B", exclude="worse", api_name="/search_models"
    )
    assert asked
    query = CATALOG.queries[-1]
    assert query.license_classes == ("permissive", "copyleft", "use-restricted")
    assert (query.text, query.max_params, query.exclude) == ("tickets -old", 3_000_000_000, ("worse",))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"language": "Klingon!"}, "language has to be a code"),
        ({"license_class": "permissive,free"}, "license_class has to be one of"),
        ({"min_params": "many"}, "min_params has to be a number"),
        ({"runs_here": "yes"}, "runs_here has to be true or false"),
        ({"kind": "paper"}, "kind has to be one of"),
        ({"gated": "maybe"}, "gated has to be one of"),
        ({"sort": "stars"}, "sort has to be one of"),
        ({"source": "moon"}, "source has to be"),
        ({"limit": 0}, "limit has to be between"),
        ({"limit": "abc"}, "limit has to be a whole number"),
        ({"query": None}, "query has to be text"),
    ],
)
def test_a_search_outside_the_vocabulary_is_refused_with_a_sentence(
    client: Client, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(AppError, match=says):
        client.predict(**arguments, api_name="/search_models")


def test_model_card(client: Client) -> None:
    card = client.predict(REF.repo_id, api_name="/model_card")
    assert card["revision"] == REF.revision
    assert card["findings"][0]["id"] == "license-missing"
    assert set(card["findings"][0]) == {"id", "severity", "sentence", "source"}
    assert card["files"] == [{"file": "model.safetensors", "size": 1_000_000, "scan": None}]
    assert "<em>text</em>" in card["card_html"]
    assert card["verdict"]["sentence"].startswith("Usable for a commercial product: ")
    assert {section["id"]: section["state"] for section in card["sections"]}["citation"] == "absent"
    assert [row["repo_id"] for row in card["lineage"]] == [REF.repo_id]
    assert card["evaluations"] == []
    with pytest.raises(AppError, match="not a repository id"):
        client.predict("../etc/passwd", api_name="/model_card")


def test_chat_streams_the_whole_text_so_far(client: Client) -> None:
    updates = list(client.submit("  hi\t🙂", system="be brief", temperature=0, seed=3, stop=["END"], api_name="/chat"))
    assert updates[-1] == "You said:   hi\t🙂"
    assert all(later.startswith(earlier) for earlier, later in pairwise(updates))
    ref, messages, settings = ROUTER.asked[-1]
    assert ref == REF
    assert [m.role for m in messages] == ["system", "user"]
    assert (settings.temperature, settings.seed, settings.stop, settings.top_p) == (0, 3, ("END",), None)


def test_chat_tells_what_made_the_answer_when_asked(client: Client) -> None:
    updates = list(
        client.submit(
            "hi", adapter=CHAT_LORA.repo_id, temperature=0, seed=3, details=True, template_kwargs={"effort": "high"},
            api_name="/chat",
        )
    )  # fmt: skip
    assert all(set(update) == {"text"} for update in updates[:-1])
    last = updates[-1]
    assert (last["text"], last["finish"], last["how"], last["why"]) == ("You said: hi", "stop", "plain", None)
    assert (last["model"], last["revision"], last["adapter"]) == (REF.repo_id, REF.revision, str(CHAT_LORA))
    assert (last["settings"]["seed"], last["settings"]["temperature"]) == (3, 0)
    assert last["settings"]["template_kwargs"] == {"effort": "high"}
    assert (last["backend"], last["dtype"]) == ("CPU", "float32")
    assert last["usage"]["prompt_tokens"] == 10 and last["usage"]["tokens_per_second"] > 0
    assert ROUTER.asked[-1][0].adapter == CHAT_LORA


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"message": ""}, "empty"),
        ({"message": "x", "adapter": "a/b"}, "was trained on other/model, not on org/tiny-model"),
        ({"message": "x", "details": "yes"}, "details has to be true or false"),
        ({"message": "x", "temperature": -2}, "Temperature has to be between"),
        ({"message": "x", "max_new_tokens": 0}, "Max new tokens"),
        ({"message": "x", "model": "no/such"}, "There is no model"),
        ({"message": "x", "history": [{"role": "robot", "content": "y"}]}, "role has to be"),
        ({"message": "x", "history": [{"role": "user"}]}, "history, entry 1"),
        ({"message": "x", "stop": "END"}, "stop has to be a list of texts"),
        ({"message": "x", "template_kwargs": "high"}, "template_kwargs has to be a record"),
        ({"message": "x", "template_kwargs": {"messages": "high"}}, "messages is no option"),
        ({"message": "x", "template_kwargs": {"effort": ["high"]}}, "option effort has to be text"),
        ({"message": None}, "message has to be text; it is null"),
        ({"message": "x", "temperature": "hot"}, "temperature has to be a number"),
        ({"message": "x", "max_new_tokens": "8"}, "max_new_tokens has to be a whole number"),
    ],
)
def test_chat_refuses_with_a_sentence(client: Client, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(AppError, match=says):
        client.predict(**arguments, api_name="/chat")


def test_a_model_that_is_not_here_is_not_fetched_by_a_stranger(client: Client) -> None:
    ROUTER.ready = False
    try:
        with pytest.raises(AppError, match="not on this machine"):
            client.predict("x", api_name="/chat")
    finally:
        ROUTER.ready = True


def test_generate_image_gives_a_file_with_its_text_intact_and_the_recipe(client: Client) -> None:
    path, recipe = client.predict("a red apple", steps=4, seed=11, api_name="/generate_image")
    data = Path(path).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"a red apple of org/tiny-model" in data
    assert (recipe["seed"], recipe["steps"], recipe["width"], recipe["scheduler"]) == (11, 4, 64, "DDIM")
    assert (recipe["model"], recipe["revision"]) == (REF.repo_id, REF.revision)


def test_generate_image_starts_from_an_uploaded_file_or_from_text(client: Client, tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    start.write_bytes(png(4))
    text = "data:image/png;base64," + base64.b64encode(png(4)).decode()
    for given in (handle_file(str(start)), text):
        _, recipe = client.predict(
            "a red apple", image=given, strength=0.5, loras=[{"ref": LORA.ref.repo_id, "weight": 0.3}],
            api_name="/generate_image",
        )  # fmt: skip
        assert recipe["image"] == hashlib.sha256(png(4)).hexdigest()
        assert recipe["strength"] == 0.5
        assert recipe["loras"][0]["weight"] == 0.3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "x", "steps": 10_000}, "Steps has to be between"),
        ({"prompt": "x", "width": 63}, "multiple of 8"),
        ({"prompt": "x", "scheduler": "Magic"}, "cannot use the scheduler"),
        ({"prompt": "x", "model": "no/such"}, "There is no model"),
        ({"prompt": "x", "image": "not base64!"}, "is no base64 text"),
        ({"prompt": "x", "image": {"path": "/etc/passwd"}}, "has to be a file uploaded with this call"),
        ({"prompt": "x", "loras": [{"weight": 1}]}, "Each of loras has to be"),
        ({"prompt": "x", "loras": [{"ref": "no/such"}]}, "is not on this machine"),
    ],
)
def test_generate_image_refuses_with_a_sentence(client: Client, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(AppError, match=says):
        client.predict(**arguments, api_name="/generate_image")


def test_submit_preference_and_the_same_call_twice(client: Client) -> None:
    arguments = {
        "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": " q\t"}],
        "chosen": "good",
        "rejected": [{"role": "assistant", "content": "bad"}],
        "chosen_model": REF.repo_id,
        "reasons": ["clear"],
        "rater": "ada",
        "id": "0b1f8a52-7c7e-4a53-9d38-0d6b4e5c9b11",
    }
    before = len(STORE.kept)
    first = client.predict(**arguments, api_name="/submit_preference")
    assert first == {"id": arguments["id"], "state": "saved"}
    assert client.predict(**arguments, api_name="/submit_preference") == first
    assert len(STORE.kept) == before + 1
    # "saved" is never said of a row that was not kept.
    with pytest.raises(AppError, match="says something else"):
        client.predict(**{**arguments, "chosen": "other"}, api_name="/submit_preference")
    with pytest.raises(AppError, match="says something else"):
        client.predict("q", "a", True, id=arguments["id"], api_name="/submit_rating")
    row = STORE.kept[arguments["id"]]
    assert isinstance(row, PreferenceRow)
    columns = row.columns()
    assert columns["source"] == "api"
    assert columns["blind"] is False
    assert (columns["chosen_model"], columns["chosen_revision"]) == (REF.repo_id, REF.revision)
    assert columns["rejected_model"] is None
    assert columns["prompt"] == arguments["prompt"]


def test_submit_rating(client: Client) -> None:
    saved = client.predict("q", "a", False, api_name="/submit_rating")
    row = STORE.kept[saved["id"]]
    assert isinstance(row, RatingRow)
    assert row.label is False
    assert saved["state"] == "saved"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "prompt is empty"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "are the same"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "id": "7"}, "UUID"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "reasons": "tone"}, "reasons has to be a list of texts"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "comment": None}, "comment has to be text"),
        ({"prompt": [{"role": "assistant", "content": "q"}], "chosen": "a", "rejected": "b"}, "end with the user"),
        ({"prompt": "q", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"}, "only the assistant"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "chosen_model": "a b"}, "There is no model|not a repository"),
    ],
)
def test_submit_preference_refuses_with_a_sentence(client: Client, arguments: dict[str, Any], says: str) -> None:
    before = dict(STORE.kept)
    with pytest.raises(AppError, match=says):
        client.predict(**arguments, api_name="/submit_preference")
    assert STORE.kept == before


def test_feedback_status(client: Client) -> None:
    status = client.predict(api_name="/feedback_status")
    assert set(status) >= {
        "saved", "waiting", "pushed", "refused", "dataset", "last_commit", "last_error", "oldest_waiting_s",
    }  # fmt: skip
    assert status["saved"] == len(STORE.kept)


def test_leaderboard(client: Client) -> None:
    from tests.contract.test_evidence_published import votes

    rows = votes(60)
    STORE.save(rows)
    try:
        board = client.predict(api_name="/leaderboard")
        assert [set(record) >= {
            "contender", "model", "revision", "adapter", "settings", "rating", "low", "high", "votes", "rank",
        } for record in board] == [True] * 3  # fmt: skip
        assert [record["settings"]["temperature"] for record in board if record["model"] == "org/model-a"] == [0.1, 0.9]
        assert "seed" not in board[0]["settings"]
        merged = client.predict(merge=["settings"], style=True, api_name="/leaderboard")
        assert [record["model"] for record in merged] == ["org/model-a", "org/model-b"]
        assert client.predict("image", api_name="/leaderboard") == []
        assert client.predict(campaign="none such", api_name="/leaderboard") == []
        assert client.predict(topic="code", api_name="/leaderboard") == []
        for wrong, says in (
            ({"kind": "video"}, "chat or image"),
            ({"merge": ["seeds"]}, "can be merged"),
            ({"since": "yesterday"}, "2026-11-21"),
            ({"blind_only": "yes"}, "true or false"),
            ({"models": "org/model-a"}, "list of texts"),
            ({"topic": "cooking"}, "topic has to be code"),
        ):
            with pytest.raises(AppError, match=says):
                client.predict(**wrong, api_name="/leaderboard")
    finally:
        for row in rows:
            STORE.withdraw(row.provenance.id)


def test_the_same_are_mcp_tools_and_work(url: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def talk() -> tuple[set[str], Any, Any, Any]:
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            answer = await session.call_tool("chat", {"message": "hello"})
            status = await session.call_tool("feedback_status", {})
            drawn = await session.call_tool("generate_image", {"prompt": "a pear", "seed": 3})
            return {tool.name for tool in tools}, answer, status, drawn

    # In a thread of its own: Playwright keeps a loop running in this one when the browser tests came first.
    with ThreadPoolExecutor(1) as pool:
        names, answer, status, drawn = pool.submit(anyio.run, talk).result()
    # gradio's MCP tells of a file by its address; what lies there is the file itself, recipe and all.
    address = "".join(part.text for part in drawn.content if part.type == "text")
    link = re.search(r"http://[^\s'\"]+\.png", address)
    assert link
    assert b"a pear of org/tiny-model" in httpx.get(link.group(0)).content
    assert names == {name.removeprefix("/") for name in NAMES}
    assert "You said: hello" in answer.content[0].text
    assert ast.literal_eval(status.content[0].text)["saved"] == len(STORE.kept)


def test_an_api_caller_that_leaves_cancels_its_answer(client: Client) -> None:
    import threading

    held = threading.Event()
    ROUTER.gate = lambda: held.wait(0.02) and None
    script = ROUTER.script
    ROUTER.script = lambda messages, settings: ["word "] * 2_000
    try:
        job = client.submit("go on for ever", api_name="/chat")
        next(iter(job))
        job.cancel()
        answer = list(ROUTER.answers.values())[-1]
        assert answer.cancelled.wait(20)
    finally:
        ROUTER.gate, ROUTER.script = None, script
