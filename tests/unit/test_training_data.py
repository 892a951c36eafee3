"""What the image model is trained on: pinned files, colours, captions, and a split that does not leak."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic_drawings import synthetic
from training import items as items_module
from training.captions import Subject, captions, family, held_out, naturals, plural, prompts
from training.colours import HUES, dominant, hue_name, on_background, present, recolour, two_copies
from training.drawings import drawn_well, key_of, read, write
from training.items import Item, items, leaked, picture
from training.packages import BASE_STYLES, DRAWINGS, NAMES, check
from training.presets import PRESETS

SEED = 0


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "noto.tgz"
    file.write_bytes(b"drawings")
    right = "sha512-" + base64.b64encode(hashlib.sha512(b"drawings").digest()).decode()
    check(file, right)
    file.write_bytes(b"other drawings")
    with pytest.raises(ValueError, match="not the file that is pinned"):
        check(file, right)


def test_every_package_is_pinned_with_a_licence() -> None:
    for package in (NAMES, *DRAWINGS):
        assert re.fullmatch(r"\d+\.\d+\.\d+", package.version)
        assert len(base64.b64decode(package.integrity.removeprefix("sha512-"))) == 64
    # What the weights learn from asks for no attribution in every copy.
    assert {one.licence for one in DRAWINGS if one.style in BASE_STYLES} == {"MIT", "Apache-2.0"}


@pytest.mark.parametrize("colour", HUES)
def test_a_recoloured_drawing_has_the_colour_and_keeps_its_shape(colour: str) -> None:
    made = synthetic()
    red = made.pixels[0]
    turned = recolour(red, colour)
    assert hue_name(dominant(turned)[0]) == colour
    assert present(turned) == {colour}
    assert np.array_equal(turned[..., 3], red[..., 3])


def test_two_copies_stand_beside_each_other() -> None:
    twice = two_copies(synthetic().pixels[0])
    assert np.array_equal(twice[:, :32], twice[:, 32:])
    assert twice[..., 3].any()
    assert tuple(on_background(twice, (1, 2, 3))[0, 0]) == (1, 2, 3)


def test_empty_and_flat_renders_are_left_out() -> None:
    empty = np.zeros((64, 64, 4), np.uint8)
    square = np.full((64, 64, 4), 255, np.uint8)
    assert not drawn_well(empty)
    assert not drawn_well(square)
    assert key_of("2764-FE0F") == "2764"


def test_captions_name_what_is_in_the_picture() -> None:
    apple = Subject("red apple", "food-drink", ("apple",))
    assert captions(apple, "noto")[:4] == ("red apple", "apple", "a red apple", "an apple")
    # A second colour would contradict the name.
    assert captions(apple, "noto", colour="blue")[0] == "red apple"
    cat = Subject("cat", "animals-nature")
    assert captions(cat, "flat", colour="orange")[1] == "an orange cat"
    assert captions(cat, "flat", count=2)[0] == "two cats"
    assert captions(cat, "flat", background="orange")[1] == "a cat on an orange background"
    assert "cat, flat style" in captions(cat, "flat")
    assert [plural(word) for word in ("box", "cherry", "mouse", "toy", "hot dog")] == [
        "boxes", "cherries", "mice", "toys", "hot dogs"
    ]  # fmt: skip


def test_the_split_depends_on_the_words_and_the_seed_alone() -> None:
    pairs = [(colour, f"thing {n}") for colour in HUES for n in range(300)]
    out = [held_out("colour", *pair, SEED) for pair in pairs]
    assert out == [held_out("colour", *pair, SEED) for pair in pairs]
    assert out != [held_out("colour", *pair, SEED + 1) for pair in pairs]
    assert 0.17 < sum(out) / len(out) < 0.23
    assert family("green apple") == family("red apple") == "apple"
    assert family("cat face") == family("cat") == "cat"
    assert family("blue heart") == "heart"


def test_no_training_picture_and_no_caption_is_a_held_out_combination() -> None:
    made = synthetic()
    apart = prompts(made.subjects, SEED, unseen=True)
    learned = items(made, PRESETS["tiny"], SEED)
    said = {caption for item in learned for caption in item.captions}
    assert apart
    for subject, colour in apart:
        assert not [caption for caption in said if f"{colour} {subject.name}" in caption]
    shown = {(made.drawings[item.drawing].subject, item.colour) for item in learned}
    assert not shown & {(made.subjects.index(subject), colour) for subject, colour in apart}
    # And by the pixels: no picture of the thing on white shows a colour that is held out for it.
    for item in learned:
        subject = made.subjects[made.drawings[item.drawing].subject]
        if item.background:
            continue
        rgb = picture(made, item)
        opaque = np.where((rgb < 238).any(-1, keepdims=True), 255, 0).astype(np.uint8)
        colours = present(np.concatenate([rgb, opaque], -1))
        assert not colours & {colour for one, colour in apart if one == subject}
    trained = set(prompts(made.subjects, SEED, unseen=False))
    assert not trained & set(apart)


def test_a_colour_that_a_thing_has_by_nature_is_never_unseen() -> None:
    subjects = (
        Subject("apple", "food-drink", (), frozenset({"red"}), True),
        Subject("green apple", "food-drink", (), frozenset({"green"}), True),
    )
    assert naturals(subjects)["apple"] == {"red", "green"}
    asked = {
        (subject.name, colour) for unseen in (True, False) for subject, colour in prompts(subjects, 3, unseen=unseen)
    }
    assert asked == {("apple", colour) for colour in HUES if colour not in ("red", "green")}


def test_a_leak_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    made = synthetic()
    subject, colour = prompts(made.subjects, SEED, unseen=True)[0]
    item = Item(made.of(["noto"], [made.subjects.index(subject)])[0], ("x",), colour)
    assert leaked(made, item, naturals(made.subjects), SEED) == f"{colour} {subject.name}"
    monkeypatch.setattr(items_module, "leaked", lambda *_: f"{colour} {subject.name}")
    with pytest.raises(ValueError, match="held out"):
        items(made, PRESETS["tiny"], SEED)


def test_drawings_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = synthetic()
    write(made, tmp_path)
    again = read(tmp_path)
    assert again.subjects == made.subjects
    assert again.drawings == made.drawings
    assert np.array_equal(again.pixels, made.pixels)
