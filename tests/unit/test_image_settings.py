"""Image settings: defaults filled in, and every value that cannot be drawn refused in a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import UserInputError
from core.images import Control, ImageCapabilities, ImageSettings, Lora, check_image_settings, fitted_size
from core.refs import ModelRef

CAN = ImageCapabilities(512, 512, 128, 2048, 8, 20, 7.5, ("Euler", "DDIM"), "Euler", image_to_image=True, inpaint=True)
ASKED = ImageSettings("an apple")


def test_what_is_not_given_becomes_the_models_own() -> None:
    filled = check_image_settings(ASKED, CAN)
    assert (filled.width, filled.height, filled.steps, filled.guidance) == (512, 512, 20, 7.5)
    assert (filled.scheduler, filled.seed, filled.strength) == ("Euler", None, None)
    assert check_image_settings(replace(ASKED, image=b"x"), CAN).strength == 0.7
    assert check_image_settings(replace(ASKED, image=b"x", mask=b"y"), CAN).strength == 1.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": "  "}, "The prompt is empty"),
        ({"prompt": "x" * 20_001}, "20,001 characters"),
        ({"steps": 0}, "Steps has to be between 1 and 200; it is 0"),
        ({"steps": 10_000}, "Steps has to be between 1 and 200"),
        ({"width": 515}, "multiple of 8 for this model; it is 515. The nearest is 512"),
        ({"height": 20_000}, "Height has to be between 128 and 2048"),
        ({"guidance": float("nan")}, "Guidance has to be between 0 and 50"),
        ({"seed": -1}, "Seed has to be between 0 and 9223372036854775791"),
        ({"batch": 0}, "Batch"),
        ({"scheduler": "Nothing"}, "Choose one of: Euler, DDIM"),
        ({"mask": b"m"}, "no picture under it"),
        ({"image": b"i", "strength": 0.02}, "leaves none to draw"),
        ({"image": b"i", "strength": 1.5}, "Strength"),
        ({"loras": (Lora(ModelRef("org/lora", "a" * 40)),)}, "cannot do that"),
        ({"control": Control(ModelRef("org/net", "a" * 40), b"c")}, "cannot do that"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        check_image_settings(replace(ASKED, **changes), CAN)


ABLE = replace(CAN, loras=True, controlnet=True)
LORA = Lora(ModelRef("org/lora", "a" * 40))
CONTROL = Control(ModelRef("org/net", "b" * 40), b"picture")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"loras": (LORA,) * 9}, "9 LoRAs were asked for; at most 8"),
        ({"loras": (LORA, replace(LORA, weight=0.5))}, "org/lora is there twice"),
        ({"loras": (replace(LORA, weight=float("nan")),)}, "weight of org/lora has to be between -10 and 10"),
        ({"control": replace(CONTROL, image=b"")}, "Give it a control picture"),
        ({"control": replace(CONTROL, scale=float("inf"))}, "scale has to be between 0 and 2"),
        ({"control": replace(CONTROL, start=0.5, end=0.5)}, "Its end has to come after its start"),
    ],
)
def test_adapters_that_cannot_be_used_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        check_image_settings(replace(ASKED, **changes), ABLE)
    fine = replace(ASKED, loras=(LORA, replace(LORA, file="other.safetensors")), control=CONTROL)
    assert check_image_settings(fine, ABLE).control == CONTROL


def test_a_feature_that_is_off_says_why() -> None:
    cannot = replace(CAN, inpaint=False, why_not=(("inpaint", "This family has no inpainting."),))
    with pytest.raises(UserInputError, match="This family has no inpainting"):
        check_image_settings(replace(ASKED, image=b"i", mask=b"m"), cannot)


@pytest.mark.parametrize(
    ("size", "fitted"), [((512, 512), (512, 512)), ((4000, 2000), (2048, 1024)), ((100, 60), (216, 128))]
)
def test_a_picture_is_drawn_at_nearly_its_own_shape(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_size(*size, CAN) == fitted


def test_equal_settings_are_equal_text_and_the_prompt_is_not_in_it() -> None:
    text = replace(ASKED, image=b"picture").as_json()
    assert text == replace(ASKED, prompt="another", image=b"picture").as_json()
    assert "apple" not in text and "picture" not in text
