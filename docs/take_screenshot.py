"""Take README's picture from the running app: python docs/take_screenshot.py (with the bundled model prepared)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.find_chromium import chromium  # noqa: E402
from tests.serving import running_app  # noqa: E402

PROMPT = "A customer writes that her parcel is two days late. Write her a short, friendly reply."


def main() -> None:
    """Compare two settings of the bundled model and keep what the screen shows before the vote."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "models").symlink_to(ROOT / "data" / "models")
        with (
            running_app(data, data / "app.log", HF_ENDPOINT="http://127.0.0.1:9") as (url, _),
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
            page.goto(f"{url}?tab=chat&__theme=light")
            page.locator("#chip summary").wait_for()
            page.get_by_text("Compare blind").click()
            page.locator("#battle-text textarea").fill(PROMPT)
            page.locator("#compare").click()
            page.locator("#vote-left").wait_for(timeout=180_000)
            page.screenshot(path=ROOT / "docs" / "compare.png")
            browser.close()


if __name__ == "__main__":
    main()
