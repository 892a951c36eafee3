"""The peer of the batch: transformers' own `generate_batch` on the same prompts, in a process without any server."""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """For every JSON list of prompts on standard input print the seconds they took together."""
    folder, dtype, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True).eval()
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1)
    # Its own guess at these is made for GPUs: on a processor it takes most of the memory.
    size = ContinuousBatchingConfig(page_size=32, num_blocks=512, max_batch_tokens=256, auto_switch_to_flash=False)
    for line in sys.stdin:
        prompts = [
            list(
                tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)[
                    "input_ids"
                ]
            )
            for text in json.loads(line)
        ]
        started = time.monotonic()
        made = model.generate_batch(prompts, config, continuous_batching_config=size, progress_bar=False)
        seconds = time.monotonic() - started
        assert all(len(each.generated_tokens) == tokens for each in made.values()), "an answer is short"
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
