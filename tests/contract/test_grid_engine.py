"""A small grid through the real engine on the bundled model: kept, on the contact sheet, and drawn again to the pixel."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from backends.gallery.store import SqlitePictures
from backends.image.build import build_images
from backends.image.png import text_chunks
from core.gallery import GalleryQuery
from core.identity import owner_of
from pages.image_controls import Controls
from pages.image_grid import GridPage
from pages.images import ImagesPage
from tests.fakes import FakeCatalog

VISITOR = "a" * 32


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


@pytest.mark.bundled
def test_a_grid_of_the_bundled_model(tmp_path: Path) -> None:
    router = build_images(data_dir=tmp_path, endpoint="http://127.0.0.1:9")
    store = SqlitePictures(tmp_path / "pictures", 50)
    page = GridPage(ImagesPage(router, FakeCatalog()), router, store, "salt")
    owner = owner_of("salt", VISITOR)
    axes = ("steps", "prompt", "", "1, 2", "apple, cat", "", [], [], [])
    controls = Controls(width=64, height=64, steps=20, guidance=3.5, seed="7")
    assert "4 pictures" in page.estimate("a red apple", None, *axes, *controls)
    last = list(page.draw(VISITOR, "a red apple", None, *axes, *controls))[-1]
    assert "4 pictures in" in last.status

    cells = store.cells(owner, last.grid)
    files = [store.png(owner, cells[index].id) for index in range(4)]
    assert len({pixels(png) for png in files}) == 4
    assert [cells[index].recipe.settings.prompt for index in range(4)] == ["a red apple"] * 2 + ["a red cat"] * 2
    assert all(cells[index].recipe.versions for index in range(4))
    assert store.find(owner, GalleryQuery("cat steps:2")).found == 1
    assert "at the speed last measured here" in page.estimate("a red apple", None, *axes, *controls)

    # The same recipe and commit on the same processor: the same pixels.
    kept = cells[3].recipe
    assert kept.ref is not None
    again = router.start(kept.ref, kept.settings)
    assert list(again.listen())[-1].finish == "done"
    assert pixels(again.pictures()[0].png) == pixels(files[3])

    sheet = Path(list(page.save_sheet(VISITOR, last.plan, last.grid))[-1][0]).read_bytes()
    told = json.loads(text_chunks(sheet)["proving_ground_grid"])
    assert [cell["recipe"] for cell in told["cells"]] == [cells[index].recipe.record() for index in range(4)]
    opened = Image.open(io.BytesIO(sheet)).convert("RGB")
    # Three times as large, pixel by pixel: a picture of the grid stands on its sheet unchanged.
    large = Image.open(io.BytesIO(files[0])).convert("RGB").resize((192, 192), Image.Resampling.NEAREST)
    found = any(
        opened.crop((x, y, x + 192, y + 192)).tobytes() == large.tobytes()
        for y in range(opened.height - 192)
        for x in range(opened.width - 192)
        if opened.getpixel((x, y)) == large.getpixel((0, 0))
        and opened.getpixel((x + 191, y + 191)) == large.getpixel((191, 191))
    )
    assert found
