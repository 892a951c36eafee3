"""gradio's own client, through which queued MCP tools are called, let through the gate; the ticket says for whom it speaks."""

from __future__ import annotations

from functools import cache

import gradio as gr

from components.access import Access
from components.gate import OWN_CLIENT


def let_through(demo: gr.Blocks, access: Access) -> None:
    """After the launch: the MCP server of `demo` calls its tools with a header that only this process knows."""
    server = demo.mcp_server_obj
    if server is None or access.open:
        return

    @cache
    def client() -> object:
        from gradio_client import Client  # type: ignore[import-untyped]

        return Client(
            server.local_url,
            download_files=False,
            verbose=False,
            analytics_enabled=False,
            ssl_verify=False,
            _skip_components=False,
            # Without a token of its own gradio's client would send the operator's, and every caller would be the operator.
            headers={"x-gradio-user": "mcp", OWN_CLIENT.decode(): access.own_client, "x-hf-authorization": ""},
        )

    server._get_or_create_client = client
