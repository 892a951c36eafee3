"""Axes of a grid read strictly, cells expanded with everything filled in, cost and order, and the plan's text."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from core.axes import MOST_VALUES, Axis, AxisKind, Names, Replacement, Size, read_axis, split_values
from core.errors import ModelNotFound, UserInputError
from core.gallery import Pace
from core.grid import GridPlan, missing, plan_from, plan_of, plan_text, seconds_of
from core.images import ImageCapabilities, ImageSettings, Lora
from core.refs import ModelRef

REF, OTHER = ModelRef("org/tiny-model", "c" * 40), ModelRef("org/other-model", "d" * 40)
STYLE = ModelRef("org/style", "e" * 40)
BASE = ImageSettings("a red apple, red", "red", 64, 64, 20, 3.5, "", 7)


def model(text: str) -> ModelRef:
    for ref in (REF, OTHER):
        if text in (ref.repo_id, str(ref)):
            return ref
    raise ModelNotFound(f"There is no model {text} here.")


NAMES = Names(model, lambda text: Lora(STYLE))


def can(ref: ModelRef) -> ImageCapabilities:
    return ImageCapabilities(
        64, 64, 8, 512, 8, 20, 3.5 if ref == REF else None, ("DDIM", "Euler"), "DDIM", loras=ref == REF,
        why_not=(("loras", "LoRAs do not fit this model."),),
    )  # fmt: skip


def axis(kind: AxisKind, text: str, base: ImageSettings = BASE) -> Axis:
    return read_axis(kind, text, base, NAMES)


def planned(*axes: Axis, base: ImageSettings = BASE) -> GridPlan:
    return plan_of(base, REF, axes, can)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("20", ["20"]),
        (" 10 , 20,30 ", ["10", "20", "30"]),
        ("10-30:5", ["10", "15", "20", "25", "30"]),
        ("10-30:15", ["10", "25"]),
        ("1..4", ["1", "2", "3", "4"]),
        ("1 .. 7 : 3", ["1", "4", "7"]),
        ("4-1", ["4", "3", "2", "1"]),
        ("30-10:10, 5", ["30", "20", "10", "5"]),
        ("1-5 (+2)", ["1", "3", "5"]),
        ("10-4 (-3)", ["10", "7", "4"]),
        ("1-10 [4]", ["1", "4", "7", "10"]),
        ("5\n6", ["5", "6"]),
    ],
)
def test_lists_and_ranges_of_whole_numbers(text: str, labels: list[str]) -> None:
    assert list(axis("steps", text).labels) == labels


def test_decimals_are_exact() -> None:
    assert axis("guidance", "0-1:0.1").values == tuple(Decimal(tenth) / 10 for tenth in range(11))
    assert axis("guidance", "1, 2.50, 7").labels == ("1", "2.5", "7")
    assert axis("guidance", "0..1 [5]").labels == ("0", "0.25", "0.5", "0.75", "1")


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("steps", "", "Steps: there are no values"),
        ("steps", " \n ", "Steps: there are no values"),
        ("steps", "1,,2", "value 2 is empty"),
        ("steps", "1,", "value 2 is empty"),
        ("steps", "ten", "“ten” is neither a number nor a range"),
        ("steps", "10-30:0", "step of “10-30:0” is 0"),
        ("steps", "10-", "neither a number nor a range"),
        ("steps", "1e3", "neither"),
        ("steps", "1...4", "neither"),
        ("steps", "nan", "neither"),
        ("steps", "1.5", "whole numbers"),
        ("steps", "1-3:0.5", "whole numbers"),
        ("steps", "1-1000000000000", r"has 1,000,000,000,000 values; at most 50 fit"),
        ("steps", "1-10 [1]", "between 2 and 50"),
        ("steps", ",".join(map(str, range(MOST_VALUES + 1))), "51 values are too many"),
        ("steps", "20, 10-30:5", "“20” is there twice"),
        ("guidance", "2, 2.0", "“2” is there twice"),
        ("seed", "1.5", "Seed: “1.5” has to be whole"),
        ("size", "64x", "neither"),
        ("prompt", "pear, apple", "“pear” is not in the prompt"),
        ("prompt", '"red, green', "a quote is opened"),
        ("model", "org/unknown", "There is no model org/unknown"),
        ("lora", "0, 1", "No LoRA is chosen"),
        ("steps", "1" * 5_000, "too long"),
    ],
)
def test_what_makes_no_sense_is_named(kind: AxisKind, text: str, says: str) -> None:
    with pytest.raises((UserInputError, ModelNotFound), match=says):
        axis(kind, text)


def test_sizes_are_squares_or_two_sides() -> None:
    assert axis("size", "64, 64x96, 128 × 64, 32-48:8").values == (
        Size(64, 64), Size(64, 96), Size(128, 64), Size(32, 32), Size(40, 40), Size(48, 48),
    )  # fmt: skip


def test_values_in_quotes_may_hold_commas_and_quotes() -> None:
    assert split_values('red, "green, dark", "say ""hi""", ""') == ("red", "green, dark", 'say "hi"', "")


def test_prompt_replacement_is_the_first_value_for_each_of_them_everywhere() -> None:
    """As AUTOMATIC1111's Prompt S/R: the first value is looked for and stays as it is in the first cell."""
    plan = planned(axis("prompt", 'red, green, ""'))
    assert [cell.settings.prompt for cell in plan.cells] == ["a red apple, red", "a green apple, green", "a  apple, "]
    assert [cell.settings.negative_prompt for cell in plan.cells] == ["red", "green", ""]
    assert plan.axes[0].labels == ("red", "green", "(nothing)")
    assert axis("prompt", "red, green").values[0] == Replacement("red", "red")


def test_cells_run_along_x_first_and_share_the_seed() -> None:
    plan = planned(axis("steps", "5, 10"), axis("guidance", "1, 2, 3"), axis("scheduler", "DDIM, Euler"))
    assert plan.shape == (2, 3, 2)
    assert [cell.index for cell in plan.cells] == list(range(12))
    assert plan.cells[1].place == (1, 0, 0)
    assert plan.cells[2].place == (0, 1, 0)
    assert plan.cells[6].place == (0, 0, 1)
    last = plan.cells[11].settings
    assert (last.steps, last.guidance, last.scheduler, last.seed) == (10, 3.0, "Euler", 7)
    assert {cell.settings.seed for cell in plan.cells} == {7}
    assert plan.steps == 6 * 5 + 6 * 10
    assert plan.named(plan.cells[11]) == (("Steps", "10"), ("Guidance", "3"), ("Scheduler", "Euler"))
    assert [cell.settings.seed for cell in planned(axis("seed", "1-3")).cells] == [1, 2, 3]


def test_two_replacements_work_together() -> None:
    plan = planned(axis("prompt", "apple, pear"), axis("prompt", "a red, one green"))
    assert [cell.settings.prompt for cell in plan.cells] == [
        "a red apple, red", "a red pear, red", "one green apple, red", "one green pear, red",
    ]  # fmt: skip


def test_a_lora_axis_changes_one_weight_and_leaves_the_others() -> None:
    other = Lora(ModelRef("org/lines", "f" * 40), 0.3)
    base = replace(BASE, loras=(Lora(STYLE, 1.0), other))
    plan = planned(axis("lora", "org/style = 0-1:0.5", base), base=base)
    assert [cell.settings.loras for cell in plan.cells] == [(Lora(STYLE, w), other) for w in (0.0, 0.5, 1.0)]
    assert planned(axis("lora", "org/style = 0.5")).cells[0].settings.loras == (Lora(STYLE, 0.5),)
    alone = replace(BASE, loras=(other,))
    assert planned(axis("lora", "-1, 1", alone), base=alone).cells[0].settings.loras[0].weight == -1.0
    with pytest.raises(UserInputError, match="Several LoRAs are chosen"):
        axis("lora", "0, 1", base)


def test_a_model_axis_leaves_out_guidance_where_a_model_takes_none() -> None:
    plan = planned(axis("model", "org/tiny-model, org/other-model"))
    assert [(cell.ref, cell.settings.guidance) for cell in plan.cells] == [(REF, 3.5), (OTHER, None)]
    assert plan.axes[0].labels == ("tiny-model @ ccccccc", "other-model @ ddddddd")
    with pytest.raises(UserInputError, match=r"Model other-model @ ddddddd, Guidance 2 cannot .* no guidance"):
        planned(axis("model", "org/tiny-model, org/other-model"), axis("guidance", "2"))


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ([("steps", "5, 500")], "The cell Steps 500 cannot be drawn. Steps has to be between"),
        ([("size", "64, 65")], "Size 65 × 65 cannot be drawn. The width has to be a multiple of 8"),
        ([("scheduler", "DDIM, Magic")], "Scheduler Magic"),
        ([("steps", "1-20"), ("seed", "1-20")], "20 × 20 are 400 pictures; at most 144"),
        ([("steps", "1"), ("steps", "2")], "Two axes change the same"),
        ([("prompt", '"a red apple, red", ""')], "prompt is empty"),
        ([], "at least one axis"),
    ],
)
def test_a_grid_that_cannot_be_drawn_is_refused_before_it_starts(axes: list[tuple[AxisKind, str]], says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        planned(*(axis(kind, text) for kind, text in axes))


def test_what_is_missing_comes_model_by_model() -> None:
    plan = planned(axis("steps", "5, 6"), axis("model", "org/tiny-model, org/other-model"), axis("seed", "1, 2"))
    assert [cell.index for cell in missing(plan, {})] == [0, 1, 4, 5, 2, 3, 6, 7]
    assert [cell.index for cell in missing(plan, {0, 5, 2})] == [1, 4, 3, 6, 7]
    assert missing(plan, range(8)) == ()


def test_seconds_follow_the_last_measured_step_and_the_pixels() -> None:
    plan = planned(axis("size", "64, 128"))
    assert seconds_of(plan.cells, lambda ref: Pace(0.1, 64 * 64)) == pytest.approx(20 * 0.1 + 20 * 0.4)
    assert seconds_of(plan.cells[:1], lambda ref: Pace(0.1, 64 * 64)) == pytest.approx(2.0)
    both = planned(axis("model", "org/tiny-model, org/other-model"))
    assert seconds_of(both.cells, lambda ref: Pace(0.1, 4096) if ref == REF else None) is None


def test_the_plan_comes_back_from_its_text() -> None:
    base = replace(BASE, loras=(Lora(STYLE, 0.5),), prompt_in_file=True)
    plan = planned(axis("steps", "5, 10", base), axis("prompt", "red, dunkelgrün", base), base=base)
    assert plan_from(plan_text(plan)) == plan
    for broken in ("", "[]", "{}", "null", plan_text(plan)[:-20], plan_text(plan).replace("c" * 40, "main")):
        assert plan_from(broken) is None
