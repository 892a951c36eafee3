"""What the audit log is told of a handler: that it was done, refused or failed, and what it did meanwhile, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.access import Access
from components.gate import ACCOUNT
from components.guard import Rule, guard
from core.caller import note
from core.roles import Account, Role
from tests.accounts import access

CORA = Account(Role.CURATOR, "cora", how="password")
VIC = Account(Role.VISITOR, "vic", how="password")


def fetch(name: str) -> str:
    """A handler of one step."""
    if not name:
        raise ValueError("what went wrong")
    return name


def use(name: str) -> Iterator[str]:
    """A handler of many steps that does something at the last one."""
    yield "looking"
    yield "on its way"
    if name:
        note("pinned", name)
    yield "in use" if name else "nothing to use"


def page(folder: Path) -> tuple[gr.Blocks, Access]:
    rules = access(folder)
    with gr.Blocks() as demo:
        visitor = gr.BrowserState("")
        gr.api(fetch, api_name="fetch")
        gr.api(use, api_name="use")
    guard(demo, {"fetch": Rule(Role.CURATOR, "fetched", (0,)), "use": Rule(Role.VISITOR)}, rules, visitor)
    return demo, rules


def call(demo: gr.Blocks, name: str, account: Account, value: str) -> list[Any]:
    """Everything a handler says, as gradio runs it: a stream step by step."""
    event = next(event for event in demo.fns.values() if event.api_name == name)
    request = gr.Request(request=SimpleNamespace(scope={ACCOUNT: account}))  # type: ignore[arg-type]

    async def steps() -> list[Any]:
        said, iterator = [], None
        while True:
            done = await demo.process_api(event, [value], request=request, iterator=iterator)
            if not done["is_generating"]:
                return said if iterator else [*said, *done["data"]]
            said += done["data"]
            iterator = done["iterator"]

    # In a thread of its own: a worker that has driven a browser has a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, steps()).result()


def log(rules: Access) -> list[tuple[str, str, str, str]]:
    assert rules.audit is not None
    return [(one.who, one.action, one.detail, one.outcome) for one in reversed(rules.audit.newest())]


def test_one_act_is_one_entry_done_refused_or_failed(tmp_path: Path) -> None:
    demo, rules = page(tmp_path)
    assert call(demo, "fetch", CORA, "org/model") == ["org/model"]
    with pytest.raises(gr.Error, match="That is for a curator"):
        call(demo, "fetch", VIC, "org/other")
    with pytest.raises(ValueError, match="what went wrong"):
        call(demo, "fetch", CORA, "")
    assert log(rules) == [
        ("cora", "fetched", "org/model", "done"),
        ("vic", "fetched", "org/other", "refused"),
        ("cora", "fetched", "", "failed"),
    ]


def test_what_a_stream_did_at_its_end_is_written_down_once_and_nothing_that_it_did_not(tmp_path: Path) -> None:
    demo, rules = page(tmp_path)
    assert call(demo, "use", VIC, "org/model") == ["looking", "on its way", "in use"]
    assert call(demo, "use", VIC, "") == ["looking", "on its way", "nothing to use"]
    assert log(rules) == [("vic", "pinned", "org/model", "done")]
