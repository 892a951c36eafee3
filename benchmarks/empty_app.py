"""The peer of the start-up figures: the smallest Gradio app."""

from __future__ import annotations

import os

import gradio as gr


def nothing(text: str) -> str:
    """Give back what came."""
    return text


with gr.Blocks() as demo:
    gr.Textbox(label="Empty", elem_id="ready")
    gr.api(nothing, api_name="nothing")

if __name__ == "__main__":
    demo.launch(server_port=int(os.environ["PORT"]), quiet=True)
