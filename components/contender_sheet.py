"""The contenders of a battle as they are chosen: a line for each, more of it on request; one small script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from core.candidates import FEWEST_SIDES, MOST_POOL, MOST_SIDES, Choice, Setup

# What is chosen is sent in an event of its own, whenever a field is left. Send carries none of it.
ON_LOAD = f"""
const rows = () => [...element.querySelectorAll('[data-contender]')];
const pool = () => element.querySelector('[data-pool]').checked;
const send = () => trigger('submit', {{
  choices: rows().map((row) => Object.fromEntries(
    [...row.querySelectorAll('[data-field]')].map((field) => [field.dataset.field, field.value]))),
  max_new_tokens: element.querySelector('[data-limit]').value,
  pool: pool(), flat: element.querySelector('[data-flat]').checked,
}});
const number = () => {{
  const all = rows();
  all.forEach((row, at) => {{
    row.querySelector('[data-number]').textContent = at + 1;
    row.querySelector('[data-remove]').hidden = all.length <= {FEWEST_SIDES};
  }});
  element.querySelector('[data-add]').disabled = all.length >= (pool() ? {MOST_POOL} : {MOST_SIDES});
}};
element.addEventListener('change', (e) => {{ if (e.target.matches('input, select, textarea')) {{ number(); send(); }} }});
element.addEventListener('click', (e) => {{
  if (e.target.closest('[data-add]')) {{
    const all = rows();
    const made = all[all.length - 1].cloneNode(true);
    all[all.length - 1].after(made);
    number(); send();
    made.querySelector('[data-field="model"]').focus();
  }}
  const remove = e.target.closest('[data-remove]');
  if (remove) {{ remove.closest('[data-contender]').remove(); number(); send(); }}
}});
"""

_KINDS = (("", "as published"), ("int8", "8 bits"), ("nf4", "4 bits"))


def options(names: Iterable[tuple[str, str]]) -> str:
    """The list a contender's model can be picked from, as (what is filled in, what is said of it); others can be typed."""
    listed = "".join(f'<option value="{escape(name, quote=True)}">{escape(said)}</option>' for name, said in names)
    return f'<datalist id="battle-models">{listed}</datalist>'


def contenders(setup: Setup) -> str:
    """The sheet with a setup filled in."""
    lines = "".join(_contender(number, choice, len(setup.choices)) for number, choice in enumerate(setup.choices, 1))
    limit = str(setup.max_new_tokens) if setup.max_new_tokens else ""
    return (
        '<div class="pg-contenders"><p class="pg-meta">Two to four models, adapters, quantisations, settings or system '
        "prompts. Which stands where is drawn anew for each battle; an empty field is as under Settings.</p>"
        f'<div data-lines>{lines}</div><p class="pg-contenders-all">'
        f'<button class="pg-small" data-add{" disabled" if len(setup.choices) >= MOST_SIDES else ""}>Add a contender'
        "</button>"
        f'<label>Max new tokens, the same for all <input type="number" data-limit min="1" max="32768" value="{limit}" '
        'placeholder="as under Settings"></label>'
        f'<label><input type="checkbox" data-pool{" checked" if setup.pool else ""}> Pool: draw two each time, the least '
        "compared pair first</label>"
        f'<label><input type="checkbox" data-flat{" checked" if setup.flat else ""}> Show answers as plain text</label>'
        "</p></div>"
    )


def _contender(number: int, choice: Choice, of: int) -> str:
    def field(name: str, label: str, value: object, more: str = "") -> str:
        text = "" if value is None else escape(str(value), quote=True)
        return f'<label>{label}<input data-field="{name}" value="{text}" {more}></label>'

    kinds = "".join(
        f'<option value="{kind}"{" selected" if kind == choice.weights else ""}>{label}</option>'
        for kind, label in _KINDS
    )
    hidden = " hidden" if of <= FEWEST_SIDES else ""
    return (
        '<fieldset class="pg-contender" data-contender><legend>Contender <span data-number>'
        f"{number}</span></legend>"
        + field("model", "Model", choice.model, 'list="battle-models" placeholder="The pinned model"')
        + field(
            "temperature",
            "Temperature",
            _plain(choice.temperature),
            'inputmode="decimal" placeholder="as under Settings"',
        )
        + field("adapter", "Adapter", choice.adapter, 'placeholder="none; owner/name or local/folder"')
        + f'<label>Weights<select data-field="weights">{kinds}</select></label>'
        + f'<button class="pg-small" data-remove{hidden}>Remove</button><details><summary>More</summary><div>'
        + field("top_p", "Top-p", _plain(choice.top_p), 'inputmode="decimal" placeholder="as under Settings"')
        + field("top_k", "Top-k", _plain(choice.top_k), 'inputmode="numeric" placeholder="the model\'s own"')
        + field(
            "repetition_penalty",
            "Repetition penalty",
            _plain(choice.repetition_penalty),
            'inputmode="decimal" placeholder="the model\'s own"',
        )
        + '<label class="pg-wide">Options of its chat template<textarea data-field="template" rows="1" placeholder="'
        f'name=value, one a line; for example enable_thinking=false">{escape(choice.template)}</textarea></label>'
        '<label class="pg-wide">System prompt of its own<textarea data-field="system" rows="2" placeholder="the '
        f"conversation's\">{escape(choice.system)}</textarea></label></div></details></fieldset>"
    )


def _plain(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
