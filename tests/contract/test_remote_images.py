"""The remote image engine against a scripted server on loopback, and what it takes of each provider's settings."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub.hf_api import InferenceProviderMapping
from PIL import Image

from backends.image.png import text_chunks
from backends.remote.images import RemoteImages
from backends.remote.target import Target, target_of
from core.errors import GenerationFailed, NoBackend, QuotaExceeded, UserInputError
from core.images import ImageSettings
from core.recipe import recipe_in
from core.refs import ModelRef
from tests.openai_server import OpenAiServer, Status, serving
from tests.serving import wait_until

CLOSED = "http://127.0.0.1:9"
SETTING = "PROVING_REMOTE_IMAGE_URL"


def picture_file(width: int = 96, height: int = 64, kind: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), 7).save(out, kind)
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with serving() as started:
        started.models = Status(404, {"detail": "Not Found"})
        started.picture = lambda payload: Status(200, picture_file())
        yield started


def engine(value: str, token: str = "", **more: Any) -> RemoteImages:
    target = target_of(value, token, "text-to-image", SETTING)
    assert isinstance(target, Target)
    return RemoteImages(target, endpoint=CLOSED, **{"orphan_seconds": 30.0, "patience": (0.0, 0.0), **more})


def endpoint(server: OpenAiServer, **more: Any) -> tuple[RemoteImages, ModelRef]:
    remote = engine(f"http://{server.host}/", **more)
    return remote, remote.pin("endpoint")


def drawings(server: OpenAiServer) -> list[dict[str, Any]]:
    return [asked.json for asked in server.asked if asked.method == "POST"]


def test_a_picture_comes_back_as_png_with_its_recipe(server: OpenAiServer) -> None:
    remote, ref = endpoint(server)
    settings = ImageSettings("a red apple", "blue", 96, 64, 7, 2.5, "", 11)
    drawing = remote.start(ref, settings)
    steps = list(drawing.listen())
    assert steps[-1].finish == "done"
    (picture,) = drawing.pictures()
    assert (picture.ref, picture.backend, picture.dtype) == (ref, f"remote {server.host}", "")
    assert picture.settings == settings
    recipe = recipe_in(text_chunks(picture.png))
    assert recipe is not None
    assert (recipe.settings.prompt, recipe.settings.seed, recipe.settings.steps) == ("a red apple", 11, 7)
    assert (recipe.model, recipe.ref, recipe.backend) == ("endpoint", None, f"remote {server.host}")
    assert json.loads(text_chunks(picture.png)["proving_ground"])["revision"] is None
    assert drawings(server) == [
        {
            "inputs": "a red apple",
            "parameters": {
                "negative_prompt": "blue",
                "height": 64,
                "width": 96,
                "num_inference_steps": 7,
                "guidance_scale": 2.5,
                "seed": 11,
            },
        }
    ]


def test_what_is_left_open_is_left_to_the_host_and_the_size_is_the_pictures_own(server: OpenAiServer) -> None:
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star"))
    list(drawing.listen())
    made = drawing.pictures()[0].settings
    assert (made.width, made.height, made.steps, made.guidance) == (96, 64, None, None)
    assert made.seed is not None
    assert drawings(server) == [{"inputs": "a star", "parameters": {"seed": made.seed}}]


def test_a_batch_is_one_request_for_each_seed(server: OpenAiServer) -> None:
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star", seed=5, batch=3))
    numbers = [step.number for step in drawing.listen()]
    assert numbers[-1] == 3
    assert [picture.settings.seed for picture in drawing.pictures()] == [5, 6, 7]
    assert [asked["parameters"]["seed"] for asked in drawings(server)] == [5, 6, 7]


@pytest.mark.parametrize("file", [picture_file(kind="JPEG"), picture_file(kind="WEBP"), picture_file(mode="L")])
def test_other_formats_become_png(server: OpenAiServer, file: bytes) -> None:
    server.picture = lambda payload: Status(200, file)
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star"))
    list(drawing.listen())
    opened = Image.open(io.BytesIO(drawing.pictures()[0].png))
    assert (opened.format, opened.mode, opened.size) == ("PNG", "RGB", (96, 64))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Status(401, {"error": "no"}), NoBackend, "PROVING_REMOTE_IMAGE_TOKEN"),
        (Status(404, {"error": "no"}), NoBackend, "404"),
        (Status(429, {"error": "no"}, (("retry-after", "30"),)), QuotaExceeded, "30 s"),
        (Status(500, {"error": "CUDA out of memory"}), GenerationFailed, "CUDA out of memory"),
        (Status(200, b"not a picture"), GenerationFailed, "not a picture"),
        (Status(200, picture_file()[:60]), GenerationFailed, "not a picture"),
        (Status(200, picture_file(9000, 9000, mode="1")), GenerationFailed, "too large"),
        (Status(200, picture_file(kind="TIFF")), GenerationFailed, "no picture"),
    ],
)
def test_every_refusal_is_a_sentence(server: OpenAiServer, answer: Status, error: type[Exception], says: str) -> None:
    server.picture = lambda payload: answer
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star"))
    with pytest.raises(error, match=says):
        list(drawing.listen())
    assert drawing.pictures() == ()


def test_a_host_that_is_starting_is_asked_again(server: OpenAiServer) -> None:
    answers = [Status(503, {"error": "loading"}), Status(502, ""), Status(200, picture_file())]
    server.picture = lambda payload: answers.pop(0)
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star"))
    assert list(drawing.listen())[-1].finish == "done"


def test_stop_ends_it_at_once_and_keeps_what_is_ready(server: OpenAiServer) -> None:
    reached, late = threading.Event(), threading.Event()

    def second_is_slow(payload: dict[str, Any]) -> Status:
        if payload["parameters"]["seed"] == 6:
            reached.set()
            late.wait(30)
        return Status(200, picture_file())

    server.picture = second_is_slow
    remote, ref = endpoint(server)
    drawing = remote.start(ref, ImageSettings("a star", seed=5, batch=3))
    assert reached.wait(20)
    drawing.cancel()
    assert list(drawing.listen())[-1].finish == "stopped"
    name = f"drawing-{drawing.id[:8]}"
    wait_until(lambda: name not in {thread.name for thread in threading.enumerate()}, 60, "the thread waits on")
    late.set()
    assert [picture.settings.seed for picture in drawing.pictures()] == [5]


def test_what_only_this_machine_can_do_is_refused_before_anything_is_sent(server: OpenAiServer) -> None:
    remote, ref = endpoint(server)
    asked = len(server.asked)
    for wrong in (ImageSettings("x", image=b"x"), ImageSettings("x", scheduler="Euler"), ImageSettings("x", width=63)):
        with pytest.raises(UserInputError):
            remote.start(ref, wrong)
    with pytest.raises(NoBackend):
        remote.start(ModelRef("local/x", "a" * 40), ImageSettings("x"))
    with pytest.raises(NoBackend, match="does not serve other"):
        remote.pin("other")
    assert len(server.asked) == asked


def test_the_key_is_the_operators_or_none(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.inference._providers.hf_inference.get_token", lambda: "hf_canary")
    remote, ref = endpoint(server)
    list(remote.start(ref, ImageSettings("x")).listen())
    assert all("authorization" not in asked.headers for asked in server.asked)
    keyed = engine(f"http://{server.host}", "sk-canary")
    list(keyed.start(keyed.pin("endpoint"), ImageSettings("x")).listen())
    assert server.asked[-1].headers["authorization"] == "Bearer sk-canary"


# Providers: what their API takes, through InferenceClient's own code.


def provider(server: OpenAiServer, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[RemoteImages, ModelRef]:
    """A provider whose own address is the scripted server; the Hub's mapping is given instead of asked for."""
    from huggingface_hub.inference import _providers
    from huggingface_hub.inference._providers import _common

    helper = _providers.PROVIDERS[name]["text-to-image"]  # type: ignore[index]
    monkeypatch.setattr(helper, "base_url", f"http://{server.host}")
    mapping = InferenceProviderMapping(
        provider=name, hf_model_id="org/model", providerId="theirs", task="text-to-image", status="live"
    )
    monkeypatch.setitem(_common.HARDCODED_MODEL_INFERENCE_MAPPING, name, {"org/model": mapping})  # type: ignore[arg-type]
    monkeypatch.setattr("backends.remote.probe.provided", lambda *args: ())
    remote = engine(name, "sk-own")
    return remote, remote.pin("org/model")


def as_openai(payload: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"b64_json": base64.b64encode(picture_file()).decode()}]}


def test_together_gets_its_own_names(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.picture = as_openai
    remote, ref = provider(server, "together", monkeypatch)
    drawing = remote.start(ref, ImageSettings("a star", "red", 96, 64, 5, 3.0, "", 9))
    assert list(drawing.listen())[-1].finish == "done"
    sent = drawings(server)[0]
    assert (sent["model"], sent["steps"], sent["seed"], sent["negative_prompt"]) == ("theirs", 5, 9, "red")
    assert drawing.pictures()[0].ref == ModelRef("org/model", "", host=remote.host)


def test_what_a_provider_does_not_take_is_off_with_its_reason_and_never_recorded(
    server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """huggingface_hub drops the number of steps on its way to this provider without a word."""
    server.picture = as_openai
    remote, ref = provider(server, "nscale", monkeypatch)
    can = remote.capabilities(ref)
    assert (can.fixed, can.guidance, can.negative_prompt) == (("steps", "seed"), None, False)
    assert "does not take a number of steps" in can.reason("steps")
    for wrong in (ImageSettings("x", steps=9), ImageSettings("x", seed=3), ImageSettings("x", negative_prompt="y")):
        with pytest.raises(UserInputError, match="does not take"):
            remote.start(ref, wrong)
    drawing = remote.start(ref, ImageSettings("x", width=512, height=512, steps=can.steps))
    list(drawing.listen())
    made = drawing.pictures()[0].settings
    assert (made.steps, made.seed, made.guidance) == (None, None, None)
    assert drawings(server)[0]["size"] == "512x512"
    assert "num_inference_steps" not in drawings(server)[0]


def test_a_providers_odd_answer_is_a_sentence(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, ref = provider(server, "together", monkeypatch)
    for answer in ({"data": []}, {"data": [{"b64_json": "%%%"}]}, {"error": "x"}, [1]):
        server.picture = lambda payload, answer=answer: answer
        with pytest.raises((GenerationFailed, NoBackend)):
            list(remote.start(ref, ImageSettings("x")).listen())


def test_a_url_is_no_name_of_a_providers_model(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, _ = provider(server, "together", monkeypatch)
    with pytest.raises(UserInputError):
        remote.pin(f"http://{server.host}/steal")
    assert drawings(server) == []
