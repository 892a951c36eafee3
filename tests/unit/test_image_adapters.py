"""LoRAs and ControlNets on the page: offered, fetched, weighed, and refused with the reason."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from core.errors import UserInputError
from core.images import ImageSettings, Lora
from core.recipe import Recipe
from core.refs import ModelRef
from pages.image_adapters import ROWS, AdaptersPanel
from pages.image_source import Source
from tests.fakes import CONTROLNET, LORA, NEW_LORA, REF, FakeImages, png

OTHER = ModelRef("org/other-model", "b" * 40)
PLAIN = ImageSettings("a star")


def known() -> dict[str, Any]:
    return {adapter.id: adapter for adapter in (LORA, CONTROLNET)}


def chosen(*loras: tuple[str, float]) -> tuple[Any, ...]:
    rows = [lora for lora, _ in loras] + [""] * (ROWS - len(loras))
    return (*rows, *([weight for _, weight in loras] + [1.0] * (ROWS - len(loras))))


def applied(control: str, file: bytes | None, source: Source | None, rows: tuple[Any, ...]) -> ImageSettings:
    return AdaptersPanel.applied(PLAIN, source, known(), control, file, "canny", 0.8, 0.0, 0.5, *rows)


def test_what_fits_the_model_is_offered_and_a_model_that_takes_none_says_why() -> None:
    panel = AdaptersPanel(FakeImages())
    offered = panel.offer(REF)
    assert LORA.id in {value for _, value in offered[2].choices}
    assert offered[1] == ""
    refused = panel.offer(OTHER)
    assert "LoRAs do not fit this model" in refused[1]
    assert refused[2].interactive is False


def test_what_is_chosen_stays_while_it_fits() -> None:
    panel = AdaptersPanel(FakeImages())
    assert panel.offer(REF, "", LORA.id, "", "", "")[2].value == LORA.id
    assert panel.offer(OTHER, "", LORA.id, "", "", "")[2].value == ""


def test_weights_and_control_reach_the_engine() -> None:
    settings = applied(CONTROLNET.id, png(), None, chosen((LORA.id, 0.6)))
    assert settings.loras == (Lora(LORA.ref, 0.6, LORA.file),)
    assert settings.control is not None
    assert (settings.control.ref, settings.control.scale, settings.control.end) == (CONTROLNET.ref, 0.8, 0.5)
    from_source = applied(CONTROLNET.id, None, Source(png(3), png(3)), chosen())
    assert from_source.control is not None
    assert from_source.control.image == png(3)
    assert applied("", None, None, chosen()) == PLAIN


@pytest.mark.parametrize(
    ("control", "rows", "says"),
    [
        (CONTROLNET.id, chosen(), "needs a picture"),
        ("", chosen((LORA.id, 1.0), (LORA.id, 0.5)), "chosen twice"),
        ("", chosen(("org/elsewhere@" + "c" * 40, 1.0)), "does not belong"),
    ],
)
def test_choices_that_cannot_be_used_are_refused(control: str, rows: tuple[Any, ...], says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        applied(control, None, None, rows)


def test_an_adapter_of_the_hub_is_checked_fetched_and_chosen() -> None:
    panel = AdaptersPanel(FakeImages())
    steps = list(panel.add(NEW_LORA.ref.repo_id, "lora", REF, "", "", "", ""))
    assert any("Downloading" in str(step[0]) for step in steps)
    assert steps[-1][3].value == NEW_LORA.id
    for name, says in (("", "Type the adapter"), ("org/x.ckpt", "pickle"), ("org/for-sdxl", "SDXL")):
        with pytest.raises(gr.Error, match=says):
            list(panel.add(name, "lora", REF, "", "", "", ""))


def test_a_recipe_brings_its_loras_or_says_which_is_missing() -> None:
    panel = AdaptersPanel(FakeImages())
    used = panel.used(Recipe(ImageSettings("x", loras=(Lora(LORA.ref, 0.4, LORA.file),))), REF)
    assert used[1].value == LORA.id
    assert used[1 + ROWS].value == 0.4
    with pytest.raises(UserInputError, match="Add it from the Hub"):
        panel.used(Recipe(ImageSettings("x", loras=(Lora(OTHER, 1.0),))), REF)
