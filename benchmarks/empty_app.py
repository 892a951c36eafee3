"""The peer of the start-up figures: the smallest Gradio app."""

from __future__ import annotations

import os

import gradio as gr

with gr.Blocks() as demo:
    gr.Textbox(label="Empty", elem_id="ready")

if __name__ == "__main__":
    demo.launch(server_port=int(os.environ["PORT"]), quiet=True)
