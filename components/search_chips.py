"""The filters that are set, as chips that take one away each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

ON_LOAD = """
element.addEventListener('click', (e) => {
  const chip = e.target.closest('[data-drop]');
  if (chip) trigger('select', JSON.parse(chip.dataset.drop));
});
"""


def chips(active: Sequence[tuple[str, str, str]]) -> str:
    """One chip for each filter: its field, what it says, and the words it came from; then one to clear all."""
    if not active:
        return ""
    made = "".join(
        f'<button class="pg-filter{" pg-from-words" if words else ""}" data-drop="{_data(field, words)}" '
        f'aria-label="Remove {escape(said, quote=True)}">{escape(said)} <span aria-hidden="true">×</span></button>'
        for field, said, words in active
    )
    clear = f'<button class="pg-small" data-drop="{_data("all", "")}">Clear all</button>' if len(active) > 1 else ""
    return f'<div class="pg-filters-set" role="group" aria-label="Filters">{made}{clear}</div>'


def _data(field: str, words: str) -> str:
    return escape(json.dumps({"field": field, "words": words}), quote=True)
