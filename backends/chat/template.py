"""What a chat template reads besides the messages: its own switches, found in its text; nothing of it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

MOST_TEMPLATE = 500_000
_FILES = ("chat_template.jinja", "chat_template.json")
# What transformers itself hands to every template.
_GIVEN = frozenset(
    {
        "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "raise_exception",
        "strftime_now",
    }
)  # fmt: skip
_TOKEN = re.compile(r"(?:bos|eos|unk|sep|pad|cls|mask|[a-z]+)_token")
# A block of transformers' own that jinja2 does not know: it marks what the model said and passes it on.
_GENERATION = re.compile(r"\{%[-+]?\s*(?:end)?generation\s*[-+]?%\}")


@lru_cache(maxsize=64)
def names_in(template: str) -> frozenset[str]:
    """The variables a template reads that are set from outside: `enable_thinking`, `reasoning_effort`, `date_string` …

    Empty for a template that cannot be parsed: loading the model says what is wrong with it.
    """
    from jinja2 import Environment, TemplateError, meta

    if len(template) > MOST_TEMPLATE:
        return frozenset()
    environment = Environment(autoescape=True, extensions=["jinja2.ext.loopcontrols"])
    try:
        found = meta.find_undeclared_variables(environment.parse(_GENERATION.sub("", template)))
    except (TemplateError, RecursionError, ValueError):
        return frozenset()
    return frozenset(
        name for name in found - _GIVEN - environment.globals.keys() if not (_TOKEN.fullmatch(name) or name == "dict")
    )


def names_of(tokenizer: Any) -> frozenset[str]:
    """As `names_in`, of the template that `apply_chat_template` uses without tools."""
    return names_in(tokenizer.get_chat_template()) if tokenizer.chat_template else frozenset()


def templates_of(folder: Path) -> tuple[str, ...]:
    """The templates in a model's folder, wherever they stand; () when it has none."""
    texts: list[str] = []
    for name in _FILES:
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        texts += [text] if name.endswith(".jinja") else _in_json(text)
    try:
        texts += _in_json((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return tuple(texts)
    return tuple(texts)


def _in_json(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    stated = found.get("chat_template") if isinstance(found, Mapping) else None
    # A tokenizer with several has a list of {name, template}.
    listed = stated if isinstance(stated, list) else [stated]
    templates = [each.get("template") if isinstance(each, Mapping) else each for each in listed]
    return [template for template in templates if isinstance(template, str) and template]
