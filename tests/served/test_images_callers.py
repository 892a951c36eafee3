"""A program that gives up its call of `generate_image` stops the drawing: by cancelling, by leaving, or by dying."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from gradio_client import Client

from core.images import ImageSettings, Step
from core.refs import ModelRef
from tests.fakes import FakeDrawing, FakeImages, services
from tests.serving import served, wait_until

SECONDS = 120


class Endless(FakeDrawing):
    """Draws its first step until it is stopped."""

    def __init__(self, ref: ModelRef, settings: ImageSettings) -> None:
        super().__init__(ref, settings)
        self.over = threading.Event()

    def listen(self) -> Iterator[Step]:
        yield Step(1, 1000)
        if not self.over.wait(SECONDS):
            raise TimeoutError
        yield Step(1, 1000, finish="stopped")

    def cancel(self) -> None:
        super().cancel()
        self.over.set()


class EndlessImages(FakeImages):
    """Every drawing is endless, unless its prompt says otherwise."""

    def start(self, ref: ModelRef, settings: ImageSettings) -> FakeDrawing:
        drawing = super().start(ref, settings)
        if settings.prompt.startswith("endless"):
            drawing = self.drawings[drawing.id] = Endless(ref, settings)
        return drawing

    def endless(self) -> list[Endless]:
        """Those that never end by themselves, the newest last."""
        return [drawing for drawing in self.drawings.values() if isinstance(drawing, Endless)]


@pytest.fixture(scope="module")
def images() -> EndlessImages:
    return EndlessImages()


@pytest.fixture(scope="module")
def url(images: EndlessImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(services(images=images), tmp_path_factory.mktemp("callers")) as address:
        yield address
        for drawing in images.endless():
            drawing.cancel()


def whole(prompt: str) -> dict[str, list[object]]:
    """A call over plain HTTP, which has to name every parameter."""
    return {"data": [prompt, "", "", 0, 0, 0, -1, "", -1, None, None, -1, None]}


def begun(images: EndlessImages, prompt: str) -> Endless:
    wait_until(lambda: any(one.settings.prompt == prompt for one in images.endless()), SECONDS, "it never began")
    return next(one for one in images.endless() if one.settings.prompt == prompt)


def test_a_call_that_is_cancelled_stops_drawing(images: EndlessImages, url: str) -> None:
    client = Client(url, verbose=False)
    job = client.submit("endless, cancelled", api_name="/generate_image")
    drawing = begun(images, "endless, cancelled")
    assert not drawing.stopped
    job.cancel()
    assert drawing.over.wait(SECONDS)
    # The next call of the same client is served as ever.
    _, recipe = client.predict("a star", api_name="/generate_image")
    assert recipe["prompt"] == "a star"


def test_a_caller_whose_connection_is_gone_stops_drawing(images: EndlessImages, url: str) -> None:
    with httpx.Client(timeout=SECONDS) as http:
        asked = http.post(f"{url}gradio_api/call/generate_image", json=whole("endless, gone"))
        event = asked.json()["event_id"]
        with http.stream("GET", f"{url}gradio_api/call/generate_image/{event}") as stream:
            drawing = begun(images, "endless, gone")
            assert stream.status_code == 200
            assert not drawing.stopped
    assert drawing.over.wait(SECONDS)


def test_a_caller_who_stays_is_not_disturbed(url: str) -> None:
    with httpx.Client(timeout=SECONDS) as http:
        asked = http.post(f"{url}gradio_api/call/generate_image", json=whole("a star"))
        text = http.get(f"{url}gradio_api/call/generate_image/{asked.json()['event_id']}").text
    assert "event: complete" in text
    recipe = json.loads(text.rpartition("data: ")[2])[1]
    assert recipe["finish"] == "done"
