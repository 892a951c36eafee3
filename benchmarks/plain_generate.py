"""The peer of the speed figure: `model.generate` with a streamer, alone in a process with the same settings."""

from __future__ import annotations

import json
import sys
import time
from threading import Thread


def main() -> None:
    """Answer the prompt on each line of standard input (JSON); print [tokens, seconds to the first text, seconds in all]."""
    folder, dtype, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True).eval()
    for line in sys.stdin:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": json.loads(line)}], add_generation_prompt=True, return_tensors="pt"
        )
        arguments = {**inputs, "max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=120, skip_special_tokens=True)
        started = time.monotonic()
        thread = Thread(target=model.generate, kwargs={**arguments, "streamer": streamer})
        thread.start()
        first = None
        for piece in streamer:
            if piece and first is None:
                first = time.monotonic() - started
        thread.join()
        print(json.dumps([tokens, first, time.monotonic() - started]), flush=True)


if __name__ == "__main__":
    main()
