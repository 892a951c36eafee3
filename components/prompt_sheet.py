"""A list of prompts worked through in battles: kept in this browser, asked one after the other, left and taken up again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

# The list and the place in it live in this browser alone. A prompt goes to the server when it is asked.
ON_LOAD = """
const KEY = 'proving-prompt-list';
// Gradio builds the sheet anew whenever its place is shown again; what is open in this tab stays open.
let open = window.provingList === true;
const turn = (on) => { open = on; window.provingList = on; };
const kept = () => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } };
let list = open ? kept() : null;
const keep = () => localStorage.setItem(KEY, JSON.stringify(list));
const count = (mark) => Object.values(list.marks).filter((each) => each === mark).length;
const left = () => list.prompts.findIndex((_, at) => !list.marks[at]);
const say = (text) => { const span = document.createElement('span'); span.textContent = text; return span.innerHTML; };
const form = () => {
  const before = kept();
  const resume = before && before.prompts && before.prompts.length
    ? `<p class="pg-resume">A list of ${before.prompts.length} was left at ${before.at + 1}.
       <button class="pg-small" data-resume>Resume</button> <button class="pg-small" data-forget>Forget it</button></p>` : '';
  return `${resume}<label class="pg-list-text">Prompts, one a line, or between lines of ---; CSV and JSONL with a prompt column
    <textarea rows="4" data-text></textarea></label>
    <p class="pg-list-actions"><button class="pg-small" data-use>Use these prompts</button>
    <label class="pg-small pg-file">From a file<input type="file" accept=".csv,.tsv,.jsonl,.json,.txt" data-file></label></p>`;
};
const bar = () => {
  const voted = count('voted'), skipped = count('skipped'), all = list.prompts.length, over = left() < 0;
  const mark = list.marks[list.at] ? ` · ${list.marks[list.at]}` : '';
  const now = over ? '<p class="pg-list-now">Every prompt was voted on or skipped.</p>'
    : `<p class="pg-list-now">${say(list.prompts[list.at])}</p>`;
  return `<p class="pg-list-head" aria-live="polite"><b>Prompt ${list.at + 1} of ${all}</b>${mark} · ${voted} voted, ${skipped} skipped</p>
    <div class="pg-bar"><i style="width:${100 * (voted + skipped) / all}%"></i></div>${now}
    <p class="pg-list-actions"><button class="pg-small" data-step="-1" ${list.at ? '' : 'disabled'}>Back</button>
    <button class="pg-small" data-ask data-next><kbd>Enter</kbd> Ask this one</button>
    <button class="pg-small" data-skip>Skip</button>
    <button class="pg-small" data-step="1" ${list.at + 1 < all ? '' : 'disabled'}>Forward</button>
    <button class="pg-small" data-stop>Stop</button></p>`;
};
const draw = () => {
  const into = element.querySelector('[data-list]');
  if (into) into.innerHTML = open && list ? bar() : form();
};
const go = (at) => { list.at = Math.max(0, Math.min(list.prompts.length - 1, at)); keep(); draw(); };
const onward = () => {
  const next = list.prompts.findIndex((_, at) => at > list.at && !list.marks[at]);
  go(next >= 0 ? next : left() >= 0 ? left() : list.at);
};
const read = () => {
  const sent = element.querySelector('[data-list]')?.dataset.list;
  const found = sent ? JSON.parse(sent) : null;
  const nonce = element.querySelector('[data-list]')?.dataset.nonce;
  // A list that was read before is not begun again when the sheet is built anew.
  const fresh = nonce && nonce !== window.provingListRead;
  if (fresh) window.provingListRead = nonce;
  if (fresh && found && found.length) { list = {prompts: found, at: 0, asked: -1, marks: {}}; turn(true); keep(); }
  draw();
};
element.addEventListener('click', (e) => {
  const button = e.target.closest('button');
  if (!button) return;
  const does = button.dataset;
  if (does.use !== undefined) trigger('submit', {text: element.querySelector('[data-text]').value, name: ''});
  if (does.resume !== undefined) { list = kept(); turn(true); draw(); }
  if (does.forget !== undefined) { localStorage.removeItem(KEY); draw(); }
  if (does.step) go(list.at + Number(does.step));
  if (does.skip !== undefined) { list.marks[list.at] = 'skipped'; onward(); }
  if (does.stop !== undefined) { keep(); turn(false); draw(); }
  if (does.ask !== undefined) { list.asked = list.at; keep(); trigger('select', {prompt: list.prompts[list.at]}); }
});
element.addEventListener('change', async (e) => {
  const file = e.target.matches('[data-file]') && e.target.files[0];
  if (file) trigger('submit', {text: (await file.slice(0, 5000000).text()), name: file.name});
});
// The page says when a vote was saved: only then is a prompt done.
document.addEventListener('proving-voted', () => {
  if (!element.isConnected || !open || list.asked < 0) return;
  list.marks[list.asked] = 'voted';
  list.at = list.asked;
  list.asked = -1;
  onward();
});
watch('value', read);
read();
"""


def prompt_sheet(prompts: Sequence[str] = (), nonce: str = "") -> str:
    """The sheet's place; the script fills it. `prompts` is a list that was just read, `nonce` tells it from the same list before."""
    return (
        f'<div class="pg-list" data-list="{escape(json.dumps(list(prompts)), quote=True)}" data-nonce="{nonce}"></div>'
    )
