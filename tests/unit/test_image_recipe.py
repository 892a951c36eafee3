"""Recipes: written and read back exactly, and nothing a hostile file holds gets further."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

import pytest

from core.images import Control, ImageSettings, Lora
from core.recipe import (
    PARAMETERS_KEY,
    RECIPE_KEY,
    Recipe,
    chunks_of,
    parameters_line,
    recipe_from_json,
    recipe_from_parameters,
    recipe_in,
    without_seed,
)
from core.refs import ModelRef

REF = ModelRef("org/model", "b" * 40)
SETTINGS = ImageSettings(
    'a red apple, "ripe": 🍎\non a table',
    "blurry, dark",
    width=512,
    height=640,
    steps=20,
    guidance=7.5,
    scheduler="DPM++ 2M Karras",
    seed=2**60 + 1,
    strength=0.55,
    loras=(Lora(ModelRef("org/lora", "c" * 40), 0.8),),
)
RECIPE = Recipe(SETTINGS, REF, "org/model", "CPU", "float32", "done", (("proving_ground", "1.0"), ("torch", "2")))


def test_json_round_trip_is_exact() -> None:
    assert recipe_in(chunks_of(RECIPE)) == RECIPE
    assert without_seed(RECIPE).settings.seed is None


def test_adapters_and_pictures_that_were_used_are_in_the_recipe() -> None:
    """The pictures by their hashes alone: who draws it again has to give them."""
    control = Control(ModelRef("org/net", "d" * 40), b"picture", 0.8, 0.1, 0.9, "canny")
    settings = replace(
        SETTINGS, image=b"one", mask=b"two", control=control, loras=(Lora(REF, -0.5, "a/b.safetensors"),)
    )
    found = recipe_from_json(chunks_of(replace(RECIPE, settings=settings))[RECIPE_KEY])
    assert found is not None and found.settings.loras == settings.loras
    assert found.settings.control == replace(control, image=b"")
    assert found.inputs == tuple(
        (name, hashlib.sha256(data).hexdigest())
        for name, data in (("image", b"one"), ("mask", b"two"), ("control", b"picture"))
    )
    line = parameters_line(replace(RECIPE, settings=settings))
    assert 'ControlNet 0: "Module: canny, Model: org/net [dddddddd], Weight: 0.8, Guidance Start: 0.1' in line
    read = recipe_from_parameters(line)
    assert read is not None and read.settings.steps == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": "org/net"},
        {"ref": 7},
        {"scale": "much"},
        {"scale": 1e9},
        {"start": None},
        {"preprocess": "depth"},
        {"preprocess": ["canny"]},
    ],
)
def test_a_control_that_makes_no_sense_is_left_out(changes: dict[str, object]) -> None:
    control = Control(REF, b"picture").as_dict() | changes
    found = recipe_from_json(json.dumps(RECIPE.record() | {"control": control, "image": "../../etc", "mask": 5}))
    assert found is not None and found.settings.control is None
    assert [name for name, _ in found.inputs] == ["control"]


def test_the_parameters_line_round_trips_what_it_can_hold() -> None:
    found = recipe_from_parameters(parameters_line(RECIPE))
    assert found is not None
    assert found.settings == replace(SETTINGS, loras=())
    assert found.model == "org/model" and found.source == PARAMETERS_KEY


def test_a_line_of_another_tool_is_read() -> None:
    text = (
        "a cat <lora:x:1>\nNegative prompt: dog\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, "
        'Seed: 42, Size: 512x768, Model hash: abc, Model: dream, Lora hashes: "x: 1, y: 2", Version: v1.10'
    )
    found = recipe_from_parameters(text)
    assert found is not None
    settings = found.settings
    assert (settings.prompt, settings.negative_prompt) == ("a cat <lora:x:1>", "dog")
    assert (settings.steps, settings.scheduler, settings.seed) == (30, "DPM++ 2M Karras", 42)
    assert (settings.width, settings.height, settings.guidance) == (512, 768, 6.5)


def test_a_switch_leaves_the_prompt_out_of_both() -> None:
    chunks = chunks_of(replace(RECIPE, settings=replace(SETTINGS, prompt_in_file=False)))
    assert "apple" not in str(chunks) and "blurry" not in str(chunks)
    found = recipe_in(chunks)
    assert found is not None and found.settings.seed == SETTINGS.seed and found.settings.prompt == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "{}", "null", "NaN", '{"schema": "1"}', "[" * 50_000, '{"schema":1,"a":' * 10_000, "9" * 6_000,
        '{"schema": ' + "9" * 6_000 + "}", "{" * 200_000,
    ],
)  # fmt: skip
def test_what_is_not_a_recipe_is_none(text: str) -> None:
    assert recipe_from_json(text) is None
    assert recipe_from_parameters(text) is None


def test_values_that_make_no_sense_are_left_out() -> None:
    hostile = {
        "schema": 1,
        "prompt": "x" * 90_000,
        "width": -5,
        "height": True,
        "steps": 1e9,
        "guidance": 10**400,
        "seed": "1; DROP",
        "strength": [],
        "scheduler": {"a": 1},
        "model": "../../etc/passwd",
        "revision": "main",
        "loras": [{"ref": "x"}, 5, {"ref": "org/l@" + "d" * 40, "weight": "big"}],
        "versions": {"\ud800": "\ud800" * 100},
    }
    found = recipe_from_json(json.dumps(hostile))
    assert found is not None
    settings = found.settings
    assert len(settings.prompt) == 20_000
    assert settings == ImageSettings(settings.prompt)
    assert found.ref is None
    found.record(), parameters_line(found).encode()


def test_a_long_line_is_read_in_no_time() -> None:
    started = time.perf_counter()
    for text in ("a " * 49_000, "Steps: 1, " + "a" * 90_000, "Steps: 1, " + 'b: "' * 900, "Steps: 1\n" * 10_000):
        recipe_in({PARAMETERS_KEY: text, RECIPE_KEY: text})
    assert time.perf_counter() - started < 1
