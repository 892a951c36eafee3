"""Choosing a LoRA for the pinned model: what is said before bytes are fetched, and what is pinned afterwards."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import pytest

from components.chip import chip
from core.candidates import Choice
from core.chat import Capabilities
from pages.battle import BASE, PINNED, BattlePage
from pages.chat_adapter import INFO, AdapterPage
from tests.fakes import CHAT_LORA, REF, FakeRouter, FakeStore

ADAPTED = replace(REF, adapter=CHAT_LORA)


def test_one_that_is_here_is_pinned_with_the_model() -> None:
    updates = list(AdapterPage(FakeRouter()).choose(CHAT_LORA.repo_id, REF))
    assert updates[-1].pinned == ADAPTED
    assert updates[-1].adapter.value == str(CHAT_LORA)
    assert not updates[-1].fetch.visible
    assert list(AdapterPage(FakeRouter()).choose("", ADAPTED))[-1].pinned == REF


def test_one_that_is_not_here_says_its_size_and_waits_for_a_click() -> None:
    router = FakeRouter()
    router.ready = False
    page = AdapterPage(router)
    last = list(page.choose(CHAT_LORA.repo_id, REF))[-1]
    assert last.fetch.visible and "5 MB to download" in last.status
    assert last.pinned == gr.skip()
    assert last.wanted == str(CHAT_LORA)
    updates = list(page.fetch(last.wanted, REF))
    assert any("Downloading" in str(update.status) for update in updates)
    assert updates[-1].pinned == ADAPTED


def test_one_for_another_base_leaves_the_pin_as_it_was() -> None:
    updates = []
    with pytest.raises(gr.Error, match=r"trained on other/model"):
        for update in AdapterPage(FakeRouter()).choose("org/wrong", ADAPTED):
            updates.append(update)
    assert updates[-1].pinned == gr.skip()
    assert updates[-1].adapter.value == str(CHAT_LORA)


def test_where_no_adapter_is_loaded_the_chooser_is_off_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    page = AdapterPage(FakeRouter())
    assert page.follow(REF)[0].info == INFO
    monkeypatch.setattr(
        FakeRouter, "capabilities", lambda self, ref: Capabilities(why_not=(("adapters", "Not on this engine."),))
    )
    box = page.follow(REF)[0]
    assert not box.interactive and box.info == "Not on this engine."


def test_weights_in_fewer_bits_say_what_they_save_and_what_is_missing_for_more() -> None:
    page = AdapterPage(FakeRouter())
    box = page.follow(REF)[1]
    assert box.choices == [("As published", ""), ("8 bits: saves 130 MB against 16", "int8")]
    assert box.info == "4 bits need an NVIDIA GPU."
    held = list(page.hold("int8", REF))[-1]
    assert held.pinned == replace(REF, weights="int8") and held.weights.value == "int8"
    assert held.pinned.short == f"tiny-model @ {'c' * 7} int8" and "int8" in chip(held.pinned)
    assert list(page.hold("", held.pinned))[-1].pinned == REF
    updates = []
    with pytest.raises(gr.Error, match="NVIDIA GPU"):
        for update in page.hold("nf4", REF):
            updates.append(update)
    assert updates[-1].weights.value == "" and updates[-1].pinned == gr.skip()


def test_the_chip_and_the_lists_name_model_and_adapter() -> None:
    shown = chip(ADAPTED)
    assert "tiny-model" in shown and "polite-lora" in shown and CHAT_LORA.revision in shown
    box = AdapterPage(FakeRouter()).follow(ADAPTED)[0]
    assert box.choices == [("None", ""), (f"org/polite-lora @ {'a' * 7}", str(CHAT_LORA))]
    assert ADAPTED.short == f"tiny-model @ {'c' * 7} + polite-lora @ {'a' * 7}"


def test_base_and_adapter_are_compared_with_one_choice() -> None:
    battle = BattlePage(FakeRouter(), FakeStore(), "salt", ())
    found = [battle.setup.ref_of(Choice(model), ADAPTED) for model in (PINNED, BASE)]
    assert found == [ADAPTED, REF]


def test_what_the_handlers_give_has_a_place_on_the_page() -> None:
    import app
    from tests.fakes import services

    demo = app.build(services())
    found = {fn.fn.__name__: len(fn.outputs) for fn in demo.fns.values() if of_this_page(fn.fn)}
    assert found == {"choose": 6, "hold": 6, "fetch": 6, "follow": 5}
    demo.close()


def of_this_page(handler: object) -> bool:
    return isinstance(getattr(handler, "__self__", None), AdapterPage)
