"""Drawing with the bundled image model: preview, stop, remix from a dropped file, and a blind choice that becomes a row."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.serving import running_app, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.bundled, pytest.mark.timeout(900)]
SLOW = 180_000


def test_draw_stop_remix_and_compare(page: Page, data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with running_app(data_dir, log) as (url, _):
        page.goto(f"{url}?tab=images")
        expect(page.locator("#image-model input")).to_have_value(re.compile("tiny-emoji-diffusion"), timeout=SLOW)
        page.locator("#image-prompt textarea").fill("a red apple")
        page.locator("#draw").click()
        expect(page.locator("#preview img")).to_be_visible(timeout=SLOW)
        expect(page.locator("#stage img").first).to_be_visible(timeout=SLOW)
        expect(page.locator("#recipe")).to_contain_text("a red apple")

        # A part of it painted over and drawn anew: the rest is the first picture's own, pixel for pixel.
        first = pixels(page, page.locator("#stage img").first)
        page.locator("#start-from").click()
        page.get_by_text("Paint what may change").click()
        surface = page.locator("#source-editor canvas")
        surface.scroll_into_view_if_needed()
        box = surface.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.75)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.75, steps=4)
        page.mouse.up()
        expect(page.locator("#source-picture")).to_contain_text("may change")
        page.locator("#image-prompt textarea").fill("a yellow star")
        page.locator("#draw").click()
        expect(page.locator("#recipe")).to_contain_text("a part of it redrawn", timeout=SLOW)
        second = pixels(page, page.locator("#stage img").first)
        changed = [
            at for at in range(64 * 64) if first.getpixel((at % 64, at // 64)) != second.getpixel((at % 64, at // 64))
        ]
        assert changed
        assert all(at // 64 >= 32 and at % 64 <= 40 for at in changed)
        page.get_by_role("button", name="Remove picture").click()
        expect(page.locator("#source-editor canvas")).to_have_count(0)

        # One with many steps, stopped half-way: the last preview is kept and marked.
        page.locator("#image-prompt textarea").fill("a red apple")
        page.get_by_role("button", name="Settings").click()
        sides = page.locator("#image-settings input[type=number]")
        for number in (0, 1):  # large, so that the drawing is still on its way when Stop is clicked
            sides.nth(number).fill("256")
            sides.nth(number).blur()
        page.locator("#image-steps input[type=number]").fill("100")
        page.locator("#draw").click()
        expect(page.locator("#preview img")).to_be_visible(timeout=SLOW)
        page.locator("#image-stop").click()
        expect(page.locator("#image-status")).to_contain_text("Stopped.", timeout=SLOW)
        expect(page.locator("#recipe")).to_contain_text("stopped")
        for number in (0, 1):
            sides.nth(number).fill("64")
            sides.nth(number).blur()

        # A file that was drawn before brings its recipe with it.
        with page.expect_download() as download:
            page.locator('#stage [aria-label="Download"], #stage [title="Download"]').first.click()
        dropped = tmp_path / "dropped.png"
        download.value.save_as(dropped)
        assert b"a red apple" in dropped.read_bytes()
        page.locator("#image-prompt textarea").fill("something else")
        page.locator("#dropped input[type=file]").set_input_files(dropped)
        expect(page.locator("#recipe")).to_contain_text("a red apple")
        expect(page.locator("#image-prompt textarea")).to_have_value("something else")
        page.locator("#remix").click()
        expect(page.locator("#image-prompt textarea")).to_have_value("a red apple")
        for number in (0, 1):
            sides.nth(number).fill("64")
            sides.nth(number).blur()

        page.locator("#images-mode").get_by_text("Compare blind").click()
        page.locator("#image-battle-prompt textarea").fill("a yellow star")
        page.locator("#image-compare").click()
        expect(page.locator("#image-vote-left")).to_be_visible(timeout=SLOW)
        expect(page.locator("#image-left img")).to_be_visible()
        page.keyboard.press("1")
        expect(page.locator("#image-reveal")).to_contain_text("tiny-emoji-diffusion")
        expect(page.locator("#image-battle-status")).to_contain_text("Saved")
        shards = data_dir / "dataset" / "data" / "image_preferences"
        wait_until(lambda: list(shards.glob("*.parquet")), 60, "no shard after the vote")
    from datasets import load_dataset

    (row,) = list(
        load_dataset(str(data_dir / "dataset"), "image_preferences", split="train", cache_dir=str(tmp_path / "c"))
    )
    assert row["prompt"] == "a yellow star"
    assert row["chosen"].size == row["rejected"].size == (64, 64)
    assert row["chosen"].tobytes() != row["rejected"].tobytes()
    assert row["chosen_model"] == "proving/tiny-emoji-diffusion"
    assert "Traceback" not in log.read_text()


def pixels(page: Page, shown: Locator) -> Image.Image:
    """The picture behind an `img`, as the server has it."""
    expect(shown).to_have_attribute("src", re.compile("file="))
    answer = page.request.get(shown.get_attribute("src") or "")
    assert answer.ok
    return Image.open(io.BytesIO(answer.body())).convert("RGB")
