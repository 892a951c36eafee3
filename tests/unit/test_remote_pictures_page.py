"""The Images tab with an engine on another machine: its models by name and host, and controls that say why they are off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends.image.build import build_images
from core.images import ImageSettings, Picture, Timings
from core.refs import ModelRef
from pages.image_battle import named as contender_named
from pages.image_controls import SEED_INFO, ControlsPanel, taken
from tests.fakes import REF, FakeCatalog, FakeImages, FakeRouter
from tests.openai_server import OpenAiServer, Status, serving


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with serving() as started:
        started.models = Status(404)
        yield started


def test_a_model_of_the_host_is_listed_with_it_and_can_be_chosen(tmp_path: Path, server: OpenAiServer) -> None:
    images = build_images(data_dir=tmp_path, endpoint="http://127.0.0.1:9", remote_url=f"http://{server.host}")
    panel = ControlsPanel(images, FakeCatalog())
    remote = ModelRef("endpoint", "", host=server.host)
    assert (f"endpoint on {server.host}", "remote:endpoint") in panel.here(images.start_model())
    chosen = panel.choose("remote:endpoint", images.start_model())
    assert chosen == remote
    assert f"Prompts are sent to {server.host}" in panel.fit("tab=images", remote, None)[6]
    assert [asked.method for asked in server.asked] == ["GET"], "a prompt was sent before Draw"
    assert panel.choose("remote:endpoint", remote) != remote, "what is chosen is not chosen again"


def test_a_host_that_does_not_answer_is_said_in_the_list(tmp_path: Path, server: OpenAiServer) -> None:
    server.models = Status(503, {"error": "starting"})
    images = build_images(data_dir=tmp_path, endpoint="http://127.0.0.1:9", remote_url=f"http://{server.host}")
    label, value = ControlsPanel(images, FakeCatalog()).here(images.start_model())[-1]
    assert server.host in label and value == ""


def test_what_the_host_does_not_take_is_off_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    images = FakeImages()
    can = replace(
        images.capabilities(REF),
        fixed=("steps", "seed"),
        guidance=None,
        why_not=tuple((name, f"The host does not take {name}.") for name in ("steps", "seed", "guidance")),
    )
    monkeypatch.setattr(images, "capabilities", lambda ref: can)
    panel = ControlsPanel(images, FakeCatalog())
    _, width, _, steps, guidance, *_ = panel.fit("tab=images", REF, None)
    assert (width.interactive, steps.interactive, guidance.interactive) == (True, False, False)
    assert steps.info == "The host does not take steps."
    seed = panel.fit_seed(REF)
    assert (seed.interactive, seed.info, seed.value) == (False, "The host does not take seed.", "")
    assert taken("width", can) == {"interactive": True, "info": None}


def test_a_seed_is_asked_for_where_it_is_taken() -> None:
    box = ControlsPanel(FakeImages(), FakeCatalog()).fit_seed(REF)
    assert (box.interactive, box.info) == (True, SEED_INFO)


def test_a_contender_whose_settings_are_the_hosts_own_is_named_without_them() -> None:
    made = Picture("id", b"", REF, ImageSettings("a star"), "remote h", "", Timings(0.0, 1.0), "done")
    assert "unknown steps, its own scheduler, seed unknown" in contender_named(made)


def test_names_lead_back_to_the_same_model() -> None:
    assert FakeRouter().pin(REF.asked) == REF
    assert ModelRef("a/b", "c" * 40, host="h").asked == f"remote:a/b@{'c' * 40}"
