"""A model's chat template, and what it makes of an example conversation: rendered apart, never in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.card_parts import Template

WORKER = Path(__file__).with_name("template_worker.py")
SECONDS = 30.0
MOST_TEMPLATE = 200_000
EXAMPLE: tuple[dict[str, str], ...] = (
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "What is a model card?"},
    {"role": "assistant", "content": "A page on which a model's author says what it is and what it is for."},
    {"role": "user", "content": "Who reads it?"},
)
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")


def template_of(tokenizer: Mapping[str, object] | None) -> str | None:
    """The template in a tokenizer_config.json: a text, or the default (else the first) of several that have names."""
    found = (tokenizer or {}).get("chat_template")
    if isinstance(found, list):
        named = [row for row in found if isinstance(row, dict) and isinstance(row.get("template"), str)]
        chosen = next((row for row in named if row.get("name") == "default"), named[0] if named else None)
        found = chosen["template"] if chosen else None
    return found[:MOST_TEMPLATE] if isinstance(found, str) and found.strip() else None


def special_tokens(tokenizer: Mapping[str, object] | None) -> dict[str, str]:
    """The special tokens a template may name, as transformers hands them over."""
    found = {}
    for name in _SPECIAL:
        value = (tokenizer or {}).get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            found[name] = value
    return found


def rendered(text: str, source: str, special: Mapping[str, str]) -> Template:
    """The template and the example as the model would read it. A template without a system role is asked again without."""
    text_, problem = _run(text, EXAMPLE, special)
    if problem is not None and not problem.startswith("The template"):
        without, again = _run(text, EXAMPLE[1:], special)
        if again is None:
            said = f"With a system message it says “{problem}”. Rendered without one."
            return Template(text, source, without, said)
    return Template(text, source, text_, problem)


def _run(
    template: str, messages: tuple[dict[str, str], ...], special: Mapping[str, str]
) -> tuple[str | None, str | None]:
    asked = json.dumps({"template": template, "messages": list(messages), "special": dict(special)}).encode()
    try:
        # -I: no folder of ours on the path; env: nothing of this process is handed over.
        done = subprocess.run(  # noqa: S603  (our own script with our own interpreter; the template is data on stdin)
            [sys.executable, "-I", str(WORKER)], input=asked, capture_output=True, timeout=SECONDS, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"The template did not come to an end within {SECONDS:.0f} seconds."
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return None, "The template used more time or memory than a template may, and was stopped."
    return answer.get("text"), answer.get("problem")
