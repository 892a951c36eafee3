"""A picture from the visitor's disk to a model that sees it, in a real browser: attached, asked about, kept and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import Page, expect

from backends.attached import AttachedFiles
from backends.chat.plain import LocalChat
from backends.feedback.build import build_feedback
from backends.pins import PinBook
from backends.registry import ModelRegistry
from backends.router import Router
from tests.contract.engine_cases import model_files
from tests.fakes import REF, FakeCatalog, services
from tests.serving import served
from tests.tiny_vision import make_tiny_vision_model, picture

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    attached = AttachedFiles(tmp_path / "attached")
    engine = LocalChat(
        model_files(make_tiny_vision_model(tmp_path / "model"), REF),
        ModelRegistry(),
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=30.0,
        png=attached.png,
    )
    router = Router((engine,), catalog=FakeCatalog(), pins=PinBook(tmp_path / "pins.json"), start=REF)
    store = build_feedback(tmp_path, dataset="", token=None, endpoint="http://127.0.0.1:9")
    try:
        with served(replace(services(), router=router, store=store, attached=attached), tmp_path / "served") as address:
            yield address
    finally:
        store.close()


def photo(folder: Path, colour: str) -> Path:
    """A picture as a camera writes it: with its own words in the file."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    file = folder / f"{colour}.jpg"
    file.write_bytes(picture(colour, (400, 300), "JPEG", exif=exif))
    return file


def test_a_picture_is_attached_asked_about_answered_again_judged_and_exported(
    page: Page, url: str, tmp_path: Path
) -> None:
    page.goto(f"{url}?tab=chat")
    attach = page.locator("#chat-attach")
    expect(attach.get_by_role("button", name="Attach a picture")).to_be_visible()
    attach.locator("input[type=file]").set_input_files([photo(tmp_path, "red"), photo(tmp_path, "blue")])
    expect(attach.locator("img")).to_have_count(2)
    attach.get_by_role("button", name="Remove picture 2").click()
    expect(attach.locator("img")).to_have_count(1)
    assert not list(Path(get_upload_folder()).rglob("red.jpg")), "the upload, with what the camera wrote, stayed"

    page.locator("#chat-text textarea").fill("What is it?")
    page.locator("#send").click()
    answers = page.locator("#chatbot .pg-figures [data-copy]")
    expect(answers).to_have_count(1)
    expect(attach.locator("img")).to_have_count(0)
    expect(page.locator("#chatbot .pg-pictures img")).to_have_count(1)
    width = page.locator("#chatbot .pg-pictures img").evaluate("(image) => image.complete && image.naturalWidth")
    assert width == 360
    page.locator("#regenerate").click()
    expect(page.locator("#chatbot .pg-siblings").last).to_contain_text("2/2")

    # An edited question keeps its picture, and so does the branch that was there.
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("And its colour?")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot")).to_contain_text("And its colour?")
    expect(page.locator("#chatbot .pg-pictures img")).to_have_count(1)
    expect(page.locator("#stop")).to_be_hidden()

    page.locator(".pg-kept summary").click()
    with page.expect_download() as saved:
        page.locator("[data-export=json]").click()
    record = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
    asked = [turn for turn in record["turns"] if turn["role"] == "user"]
    assert [turn["content"] for turn in asked] == ["What is it?", "And its colour?"]
    assert asked[0]["images"] == asked[1]["images"]
    assert list(record["pictures"]) == [asked[0]["images"][0]["sha256"]]

    # After a reload the conversation is there with its picture, from the browser's copy and the app's disk.
    page.reload()
    expect(page.locator("#chatbot .pg-pictures img")).to_have_count(1)
    assert len(list((tmp_path / "attached").glob("*.png"))) == 1
