"""The modes of the Images tab in the link, a drawing that ends while another is open, and a mask painted by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.test_gallery import SLOW, Site, mode, opened, pytestmark, site
from tests.serving import wait_until

__all__ = ["pytestmark", "site"]


def test_a_mode_is_in_the_link_and_nothing_of_another_shows_in_it(site: Site, page: Page) -> None:
    images, url = site.images, site.url
    opened(page, url)
    page.locator("#image-prompt textarea").fill("a red apple")
    page.locator("#draw").click()
    expect(page.locator("#preview img")).to_be_visible(timeout=SLOW)
    mode(page, "Gallery")
    expect(page).to_have_url(re.compile("mode=gallery"), timeout=SLOW)
    expect(page.locator("#gallery-sheet")).to_contain_text("Every picture you draw", timeout=SLOW)
    # It ends while the gallery is open: it is kept, and its stage stays where it belongs.
    images.gate.set()
    wait_until(lambda: bool(list(site.folder.glob("*/*.png"))), SLOW / 1000, "the picture was not kept")
    mode(page, "Grid")
    expect(page.locator("#grid-draw")).to_be_visible(timeout=SLOW)
    mode(page, "Gallery")
    expect(page.locator("#gallery-sheet")).to_contain_text("a red apple", timeout=SLOW)
    expect(page.locator("#stage")).to_be_hidden()
    page.get_by_role("tab", name="Chat").click()
    expect(page).to_have_url(re.compile("tab=chat"), timeout=SLOW)
    page.get_by_role("tab", name="Images").click()
    expect(page).to_have_url(re.compile("mode=gallery"), timeout=SLOW)
    mode(page, "Draw")
    expect(page.locator("#stage img").first).to_be_visible(timeout=SLOW)
    page.go_back()
    expect(page.locator("#gallery-text")).to_be_visible(timeout=SLOW)
    page.goto(f"{url}?tab=images&mode=compare")
    expect(page.locator("#image-compare")).to_be_visible(timeout=SLOW)
    expect(page.locator("#draw")).to_be_hidden()


def test_a_mask_is_painted_by_keyboard(site: Site, page: Page) -> None:
    site.images.gate.set()
    opened(page, site.url)
    page.locator("#image-prompt textarea").fill("a red apple")
    page.locator("#draw").click()
    expect(page.locator("#stage img").first).to_be_visible(timeout=SLOW)
    page.locator("#start-from").click()
    page.get_by_text("Paint what may change").click()
    surface = page.locator("#source-editor canvas")
    expect(surface).to_be_visible(timeout=SLOW)
    surface.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.keyboard.down(" ")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    expect(page.locator("#source-picture")).to_contain_text("may change", timeout=SLOW)
    expect(page.locator(".pg-brush")).to_be_visible()
    # What was painted is taken back with one key: nothing may change any more.
    page.keyboard.press("z")
    expect(page.locator("#source-picture")).not_to_contain_text("may change", timeout=SLOW)
