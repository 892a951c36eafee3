"""The ballot under a battle: which is better, how clearly, why, and the rubric's questions side by side; one small script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from core.rubric import Question, Rubric

LETTERS = "ABCD"

# Everything that was marked goes with the vote, in one event; what is typed as a reason is a text box of the page.
ON_LOAD = """
const pressed = (name) => [...element.querySelectorAll(`[data-${name}][aria-pressed="true"]`)].map((b) => b.dataset[name]);
const scores = () => [...element.querySelectorAll('[data-question] input:checked')].map((box) => {
  const at = box.closest('[data-question]').dataset;
  return {question: at.question, side: Number(at.side), value: box.value};
});
element.addEventListener('click', (e) => {
  const button = e.target.closest('button');
  if (!button) return;
  const sheet = element.querySelector('[data-battle]');
  if (button.dataset.vote) {
    if (sheet.dataset.sent) return;
    sheet.dataset.sent = '1';
    // A vote that was refused can be cast again.
    setTimeout(() => { delete sheet.dataset.sent; }, 2000);
    trigger('submit', {
      battle: sheet.dataset.battle, outcome: button.dataset.vote, strength: pressed('strength')[0] || '',
      reasons: pressed('reason'), scores: scores(),
    });
  } else if (button.dataset.strength) {
    const on = button.getAttribute('aria-pressed') === 'true';
    for (const each of element.querySelectorAll('[data-strength]')) each.setAttribute('aria-pressed', 'false');
    button.setAttribute('aria-pressed', String(!on));
  } else if (button.dataset.reason) {
    button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') !== 'true'));
  } else if (button.dataset.again !== undefined) trigger('retry', {battle: sheet.dataset.battle});
  else if (button.dataset.void !== undefined) trigger('clear', {battle: sheet.dataset.battle});
});
"""


def ballot(battle_id: str, sides: int, rubric: Rubric) -> str:
    """The ballot of a finished battle. Nothing in it depends on who answered."""
    if sides == 2:
        votes = [
            ("left", "vote-left", "1", "A is better"), ("right", "vote-right", "2", "B is better"),
            ("tie", "vote-tie", "3", "Tie"), ("both_bad", "vote-bad", "0", "Both bad"),
        ]  # fmt: skip
    else:
        votes = [
            *((str(n), f"vote-{n}", str(n), f"{LETTERS[n - 1]} is best") for n in range(1, sides + 1)),
            ("tie", "vote-tie", "t", "Tie"),
            ("both_bad", "vote-bad", "0", "All bad"),
        ]
    buttons = "".join(
        f'<button class="pg-vote" id="{elem_id}" data-vote="{value}" data-vote-key="{key}" aria-keyshortcuts="{key}">'
        f"<kbd>{key}</kbd> {label}</button>"
        for value, elem_id, key, label in votes
    )
    return (
        f'<div class="pg-ballot-sheet" data-battle="{escape(battle_id, quote=True)}">'
        f'<div class="pg-votes-row" role="group" aria-label="Your vote">{buttons}</div>'
        f"{_marks(rubric)}{questions(rubric, LETTERS[:sides])}</div>"
    )


def _marks(rubric: Rubric) -> str:
    strength = "".join(
        f'<button class="pg-mark" data-strength="{value}" aria-pressed="false" data-mark-key="{key}" '
        f'aria-keyshortcuts="{key}">{value}</button>'
        for value, key in (("slightly", "s"), ("clearly", "c"))
    )
    reasons = "".join(
        f'<button class="pg-mark" data-reason="{escape(reason, quote=True)}" aria-pressed="false">{escape(reason)}</button>'
        for reason in rubric.reasons
    )
    why = f'<span class="pg-marks" role="group" aria-label="Why">{reasons}</span>' if reasons else ""
    return (
        '<div class="pg-marks-row"><span class="pg-marks" role="group" aria-label="How much better">'
        f"{strength}</span>{why}</div>"
    )


def questions(rubric: Rubric, heads: Sequence[str], given: Mapping[tuple[str, int], str] | None = None) -> str:
    """The rubric's questions, folded, with a scale under each of `heads`; "" is the head of an answer that stands alone.

    `given` are the answers that stand already, by question and place.
    """
    if not rubric.questions:
        return ""
    named = "".join(f"<th>{head}</th>" for head in heads)
    rows = "".join(
        f'<tr><th scope="row">{escape(question.text)}<span class="pg-meta">{escape(question.guidelines)}</span></th>'
        + "".join(
            f"<td{f' data-head={head}' if head else ''}>{_choices(question, side, head, (given or {}).get((question.name, side)))}</td>"
            for side, head in enumerate(heads)
        )
        + "</tr>"
        for question in rubric.questions
    )
    title = "Score each answer (optional)" if any(heads) else "Score this answer (optional)"
    head = f"<thead><tr><th></th>{named}</tr></thead>" if any(heads) else ""
    return (
        f'<details class="pg-rubric" id="rubric"{" open" if given else ""}><summary>{title}</summary>'
        f"<table>{head}<tbody>{rows}</tbody></table></details>"
    )


def _choices(question: Question, side: int, head: str, given: str | None) -> str:
    boxes = "".join(
        f'<label><input type="radio" name="score-{question.name}-{side}" value="{escape(choice, quote=True)}"'
        f"{' checked' if choice == given else ''}><span>{escape(choice)}</span></label>"
        for choice in question.choices
    )
    name = escape(f"{question.text}, {head}" if head else question.text, quote=True)
    return (
        f'<span class="pg-scale" role="radiogroup" aria-label="{name}" data-question="{question.name}" '
        f'data-side="{side}">{boxes}</span>'
    )


def no_vote(battle_id: str) -> str:
    """What stands in the ballot's place after a side failed: the same whichever it was, and whatever went wrong."""
    return (
        f'<div class="pg-ballot-sheet pg-no-vote" data-battle="{escape(battle_id, quote=True)}">'
        "<p><b>A side could not answer, so there is no vote.</b> Retry asks all of them again, drawn anew. Void ends the "
        "battle and shows what went wrong.</p>"
        '<p><button class="pg-vote" data-again id="battle-retry">Retry</button> '
        '<button class="pg-vote" data-void id="battle-void">Void</button></p></div>'
    )
