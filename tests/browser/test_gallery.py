"""Grid and gallery at a person's hands, on scripted drawings: stop, reload, resume, select, take along, delete, send."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backends.gallery.store import SqlitePictures
from backends.image.png import text_chunks
from core.images import ImageSettings, Step
from core.refs import ModelRef
from tests.fakes import FakeDrawing, FakeImages, png, services
from tests.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SLOW = 120_000
# The braces are a template's in some frameworks; here they are words.
PROMPT = "a red apple {{constructor}} ${value}"


class GatedDrawing(FakeDrawing):
    """A drawing of more than five steps that ends when the gate opens, or it is stopped."""

    def __init__(self, ref: ModelRef, settings: ImageSettings, gate: threading.Event) -> None:
        super().__init__(ref, settings)
        self.gate = gate

    def listen(self) -> Iterator[Step]:
        yield Step(1, 2, preview=png(9))
        while (self.settings.steps or 0) > 5 and not self.stopped and not self.gate.wait(0.05):
            pass
        yield Step(2, 2, finish="stopped" if self.stopped else "done")


class GatedImages(FakeImages):
    """Draws at once, but for long drawings, which wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def start(self, ref: ModelRef, settings: ImageSettings) -> FakeDrawing:
        made = super().start(ref, settings)
        self.drawings[made.id] = drawing = GatedDrawing(ref, made.settings, self.gate)
        return drawing


@dataclass
class Site:
    """The page served on scripted drawings, and what stands behind it."""

    url: str
    images: GatedImages
    store: SqlitePictures
    folder: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Asked for before `page`, so that the server is there until the page is closed."""
    images, store = GatedImages(), SqlitePictures(tmp_path / "pictures", 50)
    with served(replace(services(images=images), pictures=store), tmp_path) as url:
        yield Site(url, images, store, tmp_path / "pictures")
    store.close()


def mode(page: Page, name: str) -> None:
    page.locator("#images-mode").get_by_text(name, exact=True).click()


def values(page: Page, letter: str, text: str) -> None:
    field = page.locator(f"#grid-values-{letter} input, #grid-values-{letter} textarea")
    field.fill(text)
    field.blur()


def opened(page: Page, url: str) -> None:
    page.set_default_timeout(SLOW)
    page.goto(f"{url}?tab=images")
    expect(page.locator("#image-about")).to_contain_text("CPU", timeout=SLOW)


def test_a_grid_is_stopped_resumed_kept_and_nobody_elses(site: Site, page: Page, browser: Browser) -> None:
    images, url = site.images, site.url
    opened(page, url)
    mode(page, "Gallery")
    expect(page.locator("#gallery-sheet")).to_contain_text("Every picture you draw is kept here", timeout=SLOW)
    mode(page, "Grid")
    values(page, "x", "1, two")
    expect(page.locator("#grid-cost")).to_contain_text("“two” is neither a number nor a range", timeout=SLOW)
    page.locator("#grid-prompt textarea").fill(PROMPT)
    values(page, "x", "1, 40")
    values(page, "y", "1..2")
    expect(page.locator("#grid-cost")).to_contain_text("2 × 2 = 4 pictures · 82 steps", timeout=SLOW)
    page.locator("#grid-draw").click()
    expect(page.locator("#grid-status")).to_contain_text("Picture 2 of 4", timeout=SLOW)
    expect(page.locator("#grid-sheet .pg-drawing img")).to_be_visible(timeout=SLOW)
    page.locator("#grid-stop").click()
    expect(page.locator("#grid-status")).to_contain_text("Stopped. 1 of 4 are drawn", timeout=SLOW)

    # A page that comes back finds the grid where it stood, and its axes in the fields.
    page.reload()
    expect(page.locator("#image-about")).to_contain_text("CPU", timeout=SLOW)
    mode(page, "Grid")
    expect(page.locator("#grid-sheet .pg-drawn")).to_have_count(1, timeout=SLOW)
    expect(page.locator("#grid-values-x input, #grid-values-x textarea")).to_have_value("1, 40", timeout=SLOW)
    images.gate.set()
    page.locator("#grid-resume").click()
    expect(page.locator("#grid-status")).to_contain_text("4 pictures in", timeout=SLOW)
    expect(page.locator("#grid-sheet .pg-drawn")).to_have_count(4)
    page.locator("#grid-sheet .pg-drawn").first.click()
    expect(page.locator("#grid-picture img")).to_be_visible(timeout=SLOW)
    expect(page.locator("#recipe")).to_contain_text(PROMPT)
    with page.expect_download(timeout=SLOW) as download:
        page.locator("#grid-save-sheet").click()
    told = json.loads(text_chunks(Path(download.value.path()).read_bytes())["proving_ground_grid"])
    assert [cell["recipe"]["steps"] for cell in told["cells"]] == [1, 40, 1, 40]
    with page.expect_download(timeout=SLOW) as download:
        page.locator("#grid-save-table").click()
    assert download.value.suggested_filename == "grid.csv"

    gallery(page)
    nobody_else(browser, site)


def gallery(page: Page) -> None:
    """Four cells and the one that was stopped: select, take along, delete, and send one to Draw."""
    mode(page, "Gallery")
    tiles = page.locator("#gallery-sheet .pg-tile")
    expect(tiles).to_have_count(5, timeout=SLOW)
    expect(tiles.first).to_contain_text(PROMPT)
    tiles.nth(2).locator("[data-star]").click(force=True)
    expect(page.locator("#gallery-line")).to_contain_text("1 starred", timeout=SLOW)
    # Two clicks without waiting: both count.
    tiles.nth(0).locator("[data-mark]").check(force=True)
    tiles.nth(1).locator("[data-mark]").check(force=True)
    expect(page.locator("#gallery-line")).to_contain_text("2 selected", timeout=SLOW)
    page.locator("#gallery-compare").click()
    expect(page.locator("#gallery-picture img")).to_have_count(2, timeout=SLOW)
    with page.expect_download(timeout=SLOW) as download:
        page.locator("#gallery-download").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        lines = [json.loads(line) for line in archive.read("recipes.jsonl").decode().splitlines()]
        assert sorted(archive.namelist()) == sorted(["recipes.jsonl", *(line["file"] for line in lines)])
    assert [(line["recipe"]["steps"], line["recipe"]["seed"]) for line in lines] == [(40, 2), (1, 2)]
    page.locator("#gallery-delete").click()
    page.locator("#gallery-sure").click()
    expect(tiles).to_have_count(3, timeout=SLOW)
    # What is left was not selected, though it stands where the selected ones stood.
    expect(page.locator("#gallery-sheet [data-mark]:checked")).to_have_count(0, timeout=SLOW)
    page.locator("#gallery-text input, #gallery-text textarea").fill("stopped steps:40")
    expect(tiles).to_have_count(1, timeout=SLOW)
    tiles.first.locator("[data-open]").click()
    page.locator("#gallery-send").click()
    expect(page.locator("#image-prompt textarea")).to_have_value(PROMPT, timeout=SLOW)
    expect(page.locator("#gallery")).to_be_hidden()


def nobody_else(browser: Browser, site: Site) -> None:
    """A stranger sees nothing, and a file of the gallery has no address, not even for who knows its name."""
    picture = next(site.folder.glob("*/*.png"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{site.url}gradio_api/file={picture}", timeout=60)
    assert refused.value.code in (403, 404)
    other = browser.new_context(viewport={"width": 390, "height": 844})
    try:
        stranger = other.new_page()
        opened(stranger, site.url)
        mode(stranger, "Gallery")
        expect(stranger.locator("#gallery-sheet")).to_contain_text("Every picture you draw is kept here", timeout=SLOW)
    finally:
        other.close()
