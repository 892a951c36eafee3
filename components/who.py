"""Who one is, at the right of the header: a link to sign in, or the name and role; and where the audit log is."""

from __future__ import annotations

import gradio as gr

# Every visitor is served the same page, so the page asks who it is for. What comes back is put in as text.
_ASK = """
const place = element.querySelector('.pg-who') || element;
fetch('account/me', {headers: {accept: 'application/json'}}).then((reply) => reply.json()).then((me) => {
  const link = document.createElement('a');
  const here = window.location.pathname + window.location.search;
  if (me.user) { link.href = 'account'; link.textContent = me.user + ' · ' + me.role; }
  else if (me.can_sign_in) { link.href = 'sign-in?next=' + encodeURIComponent(here); link.textContent = 'Sign in'; }
  else if (me.role === 'admin') {
    link.href = 'account/audit'; link.target = '_blank'; link.rel = 'noopener'; link.textContent = 'Audit log';
    document.querySelector('footer')?.append(link);
    return;
  } else return;
  // In the Hub's frame the browser keeps no cookie of ours: sign in, and stay, in a tab of its own.
  if (window.parent !== window) { link.target = '_blank'; link.rel = 'noopener'; }
  link.className = 'pg-tag';
  place.replaceChildren(link);
}).catch(() => {});
"""


def who() -> gr.HTML:
    """The place in the header; one component, and no event."""
    return gr.HTML('<span class="pg-who"></span>', elem_id="who", js_on_load=_ASK)
