"""The peer of the picture figures: the bare pipeline, alone in a process with the same weights, type and threads."""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """Draw once for every line on standard input; print the seconds."""
    folder, dtype, prompt, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    for number, _ in enumerate(sys.stdin):
        started = time.monotonic()
        pipe(
            prompt, num_inference_steps=steps, generator=torch.Generator("cpu").manual_seed(number), guidance_scale=3.5
        )
        print(json.dumps(time.monotonic() - started), flush=True)


if __name__ == "__main__":
    main()
