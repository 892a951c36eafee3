"""How the image model is judged: intervals, choices, the judge itself, and the section of the card."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic_drawings import synthetic
from training.captions import Subject
from training.card import END, START, section, write_section
from training.colours import on_background, recolour
from training.drawings import Drawings
from training.evaluation import CHOICES, Share, choices, choose_prompts, has_colour, right_ones, what_is_known
from training.judge import train_judge
from training.sheet import contact_sheet, nearest, nearest_sheet


# As scipy.stats.binomtest(...).proportion_ci(method="wilson") gave them.
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(80, 100, 0.711171, 0.866633), (0, 20, 0.0, 0.161125), (20, 20, 0.838875, 1.0)]
)
def test_the_interval_of_a_share(hits: int, of: int, low: float, high: float) -> None:
    share = Share(hits, of)
    assert share.interval == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))
    assert share.value == hits / of
    assert f"{hits} of {of}" in str(share)


def test_nothing_measured_says_nothing() -> None:
    assert Share(0, 0).interval == (0.0, 1.0)


def many() -> Drawings:
    subjects = tuple(Subject(f"thing {n}", f"group {n % 5}") for n in range(60))
    return Drawings(subjects, (), np.zeros((0, 64, 64, 4), np.uint8))


def test_twenty_choices_with_the_right_one_and_five_of_its_group() -> None:
    made = many()
    for right in range(60):
        among = choices(made, right, range(60), random.Random(right))
        assert len(set(among)) == CHOICES == 20
        assert right in among
        group = made.subjects[right].group
        assert sum(made.subjects[n].group == group for n in among if n != right) >= 5
    assert choices(made, 3, range(60), random.Random(1)) == choices(made, 3, range(60), random.Random(1))


def test_half_of_the_prompts_are_unseen() -> None:
    made = many()
    pairs = [(n, colour) for n in range(60) for colour in ("red", "blue")]
    trained, apart = set(pairs[::2]), set(pairs[1::2])
    asked = choose_prompts(made, range(60), trained, apart, "noto", 40, 7)
    assert [one.unseen for one in asked] == [False] * 20 + [True] * 20
    assert {(one.subject, one.colour) for one in asked if one.unseen} <= apart
    assert {(one.subject, one.colour) for one in asked if not one.unseen and one.colour} <= trained
    assert asked[0].text == f"thing {asked[0].subject}, noto style"
    assert asked == choose_prompts(made, range(60), trained, apart, "noto", 40, 7)


def test_the_judge_knows_shapes_of_a_style_it_never_saw_in_colours_it_never_saw() -> None:
    made = synthetic()
    judge = train_judge(made, ["flat", "glossy", "twemoji", "emojione"], range(8), 0)
    real = made.of(["noto"])
    truth = [made.drawings[n].subject for n in real]
    plain = np.stack([on_background(made.pixels[n]) for n in real])
    assert judge.scores(plain).shape == (8, 8)
    assert all(right_ones(judge, made, plain, truth, 0))
    purple = np.stack([on_background(recolour(made.pixels[n], "purple")) for n in real])
    assert sum(right_ones(judge, made, purple, truth, 0)) >= 7
    # It can also be wrong: what shows something else is not the right concept.
    wrong = right_ones(judge, made, np.roll(plain, 1, axis=0), truth, 0)
    assert sum(wrong) <= 1


def test_a_colour_is_there_or_not() -> None:
    made = synthetic()
    blue = on_background(recolour(made.pixels[0], "blue"))
    assert has_colour(blue, "blue")
    assert not has_colour(blue, "red")
    assert not has_colour(np.full((64, 64, 3), 255, np.uint8), "red")


def test_the_nearest_training_picture() -> None:
    made = synthetic()
    among = np.stack([on_background(pixels) for pixels in made.pixels])
    assert nearest(among[5], among) == (5, 0.0)
    noisy = np.clip(among[9].astype(int) + 6, 0, 255).astype(np.uint8)
    assert nearest(noisy, among[[0, 9, 20]])[0] == 1
    assert (
        nearest_sheet(list(among[:3]), ["a", "b", "c"], among).size
        == contact_sheet(list(among[:6]), list("abcdef")).size
    )


def found() -> dict:
    shares = {"plain": Share(40, 50), "coloured": Share(30, 50), "seen": Share(70, 100), "unseen": Share(45, 100)}
    return {
        "style": "noto", "judged_by": ["flat", "twemoji"], "ceiling": Share(304, 333),
        "concepts": 333, "shares": shares, "with_colour": shares, "seed": 0,
        "timing": {"seconds": 0.5, "cpu": 0.9, "threads": 2, "peak_mb": 800.0, "drawing_mb": 60.0},
    }  # fmt: skip


def test_the_cards_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Name\n\n## Data\n\nWhat it is.\n", encoding="utf-8")
    write_section(card, section(found()))
    once = card.read_text(encoding="utf-8")
    assert once.startswith("# Name\n\n## Data\n\nWhat it is.\n")
    assert "45.0% (45 of 100" in once
    assert "200 prompts" in once
    assert "](sheet.png)" in once
    assert "](nearest.png)" in once
    write_section(card, section(found()))
    assert card.read_text(encoding="utf-8") == once
    assert once.count(START) == once.count(END) == 1


def test_a_model_whose_split_is_unknown_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="what the model learned is not known"):
        what_is_known(tmp_path, synthetic(), "noto")
