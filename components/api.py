"""Registering a handler as an API endpoint and MCP tool, with the types it really has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import gradio as gr


def expose(handler: Callable[..., Any], *, concurrency_limit: int | None) -> None:
    """List the bound method `handler` under its own name.

    gradio reads a signature without evaluating it, so postponed annotations would all be documented as Any, and a tuple
    would be one output. A stream is documented as what each of its updates is.
    """
    function = getattr(handler, "__func__", handler)
    hints = get_type_hints(function)
    returned = hints.get("return")
    if get_origin(returned) is Iterator:
        hints["return"] = get_args(returned)[0]
    function.__annotations__ = hints
    gr.api(handler, api_name=function.__name__, concurrency_limit=concurrency_limit)
