"""The peer for many visitors: a plain `gr.ChatInterface` around `model.generate` with a streamer, as guides write it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Thread

import gradio as gr
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

FOLDER, TOKENS = os.environ["PEER_MODEL"], int(os.environ["PEER_TOKENS"])
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(
    FOLDER, dtype=getattr(torch, os.environ["PEER_DTYPE"]), use_safetensors=True
).eval()


def chat(message: str, history: list[dict[str, str]]) -> Iterator[str]:
    """The whole text so far, again and again."""
    inputs = tokenizer.apply_chat_template(
        [*history, {"role": "user", "content": message}], add_generation_prompt=True, return_tensors="pt"
    )
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=600, skip_special_tokens=True)
    arguments = {**inputs, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False, "streamer": streamer}
    Thread(target=model.generate, kwargs=arguments).start()
    text = ""
    for piece in streamer:
        text += piece
        yield text


# "1" is what gradio does when nobody says otherwise: one answer after the other.
demo = gr.ChatInterface(chat, concurrency_limit=int(os.environ["PEER_AT_ONCE"]))

if __name__ == "__main__":
    demo.launch(server_port=int(os.environ["PORT"]), quiet=True)
