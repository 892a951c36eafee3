"""The pages beside gradio's: signing in, the own account, the audit log. Plain HTML with one style and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.audit import Entry
from core.roles import MAY, Account, Role

STYLE = """
:root { color-scheme: light dark; --ink: #23292c; --meta: #525b60; --line: #d2d7d9; --page: #f8f9f9; --box: #fff; --accent: #0f6e67;
  --on-accent: #fff; --red: #a3261c; --red-soft: #fdeeec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7e8; --meta: #9aa3a7; --line: #3c4448; --page: #0f1315; --box: #171c1e;
  --accent: #0f6e67; --red: #f0988f; --red-soft: #331917; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
header { border-bottom: 1px solid var(--line); }
header div { max-width: 1280px; margin: 0 auto; padding: 12px 16px; font-size: 16px; font-weight: 600; }
a { color: var(--accent); } header a { color: inherit; text-decoration: none; }
@media (prefers-color-scheme: dark) { main a { color: #7cc0ba; } }
main { max-width: 400px; margin: 0 auto; padding: 48px 16px; } main.wide { max-width: 1080px; padding-top: 24px; }
section { background: var(--box); border: 1px solid var(--line); border-radius: 8px; padding: 24px; margin-bottom: 16px; }
h1 { font-size: 18px; margin: 0 0 16px; } h2 { font-size: 16px; margin: 0 0 8px; } p { margin: 0 0 12px; }
label { display: block; font-size: 12px; font-weight: 500; color: var(--meta); margin: 0 0 12px; }
input[type=text], input[type=password] { display: block; width: 100%; margin-top: 4px; padding: 9px 10px; font: inherit; color: var(--ink);
  background: var(--page); border: 1px solid var(--line); border-radius: 8px; min-height: 44px; }
button { font: inherit; font-weight: 500; min-height: 44px; padding: 8px 14px; border: 1px solid var(--accent); border-radius: 8px;
  background: var(--accent); color: var(--on-accent); cursor: pointer; }
button.wide { width: 100%; } button.plain { background: none; color: var(--ink); border-color: var(--line); }
:focus-visible { outline: 2px solid #23877f; outline-offset: 2px; }
.meta { color: var(--meta); font-size: 12px; } .row { display: flex; gap: 12px; flex-wrap: wrap; align-items: center; }
.error { color: var(--red); background: var(--red-soft); border-radius: 8px; padding: 10px 12px; }
.key { display: block; font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; padding: 10px; margin-bottom: 12px; user-select: all; }
form + .meta, .scroll + .meta { margin-top: 12px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; font-size: 12px; font-weight: 500; color: var(--meta); }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
td.what { white-space: normal; min-width: 220px; overflow-wrap: anywhere; }
td.when { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--meta); } td.refused, td.failed { color: var(--red); }
@media (max-width: 640px) { main { padding: 16px 12px; } section { padding: 16px; }
  .scroll table, .scroll tbody { display: block; } .scroll thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .scroll tr { display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; padding: 10px 0; border-bottom: 1px solid var(--line); }
  .scroll td { padding: 0; border: 0; white-space: normal; overflow-wrap: anywhere; min-width: 0; }
  td.who { order: 1; font-weight: 500; } td.outcome { order: 2; text-align: right; } td.did { order: 3; } td.as { order: 4; text-align: right; color: var(--meta); }
  td.what { order: 5; grid-column: 1 / -1; } td.what:empty { display: none; } td.when { order: 6; grid-column: 1 / -1; font-size: 12px; } }
"""


def page(title: str, body: str, *, wide: bool = False) -> str:
    """A whole page; `body` is HTML whose values are escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Proving Ground</title><style>{STYLE}</style></head><body>"
        '<header><div><a href="/">Proving Ground</a></div></header>'
        f"<main{' class=wide' if wide else ''}>{body}</main></body></html>"
    )


def sign_in(
    *, csrf: str, target: str, passwords: bool, hub: str, anonymous: Role, error: str = "", user: str = ""
) -> str:
    """The page to sign in on."""
    hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}"><input type="hidden" name="next" value="{escape(target)}">'
    parts = ["<h1>Sign in</h1>"]
    if error:
        parts.append(f'<p class="error" role="alert">{escape(error)}</p>')
    if hub:
        name = "Hugging Face" if hub == "https://huggingface.co" else "the Hub"
        parts.append(
            f'<form method="post" action="/sign-in/hub">{hidden}<button class="wide">Sign in with {name}</button></form>'
            '<p class="meta">It tells this app your name and your organisations.</p>'
        )
    if passwords:
        parts.append(
            f'<form method="post" action="/sign-in">{hidden}<label>User<input type="text" name="user" autocomplete="username" '
            f'value="{escape(user)}" autocapitalize="none" spellcheck="false" required{"" if user else " autofocus"}></label>'
            '<label>Password<input type="password" name="password" autocomplete="current-password" required'
            f"{' autofocus' if user else ''}></label>"
            '<button class="wide">Sign in</button></form>'
        )
    if not hub and not passwords:
        parts.append("<p>Nobody can sign in here: the operator has set up neither passwords nor the Hub.</p>")
    box = f"<section>{''.join(parts)}</section>"
    if anonymous > Role.NOBODY:
        box += f'<p class="meta">Without signing in you may {MAY[Role.VISITOR]}. <a href="/">Go on without</a></p>'
    return page("Sign in", box)


def account(who: Account, *, csrf: str, can_have_key: bool, key: str = "", address: str = "") -> str:
    """Who somebody is here, what they may do, and how their programs say so."""
    may = "".join(f"<li>{MAY[role]}</li>" for role in Role if Role.NOBODY < role <= who.role)
    groups = f'<p class="meta">In {escape(", ".join(who.orgs))}.</p>' if who.orgs else ""
    hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
    name = f" ({escape(who.name)})" if who.name and who.name != who.user else ""
    leave = (
        ""
        if who.how == "proxy"
        else f'<form method="post" action="/sign-out">{hidden}<button class="plain">Sign out</button></form>'
    )
    parts = [
        f"<section><h1>{escape(who.user)}{name}</h1>{groups}<p>Here you are <b>{who.role.title}</b>. You may</p><ul>{may}</ul>"
        f'<div class="row">{leave}<a href="/">Back to the app</a></div></section>'
    ]
    if key:
        parts.append(
            "<section><h2>Your key</h2><p>It is shown once and speaks for you for 90 days, or until your password changes.</p>"
            f'<code class="key">{escape(key)}</code><p>Programs send it with every request:</p>'
            f'<code class="key">Client("{escape(address)}", headers={{"Authorization": "Bearer {escape(key[:10])}…"}})</code></section>'
        )
    elif can_have_key:
        parts.append(
            "<section><h2>Programs and agents</h2><p>A key lets a program or an MCP client act as you, without your password.</p>"
            f'<form method="post" action="/account/key">{hidden}<button class="plain">Make a key</button></form></section>'
        )
    elif who.how == "huggingface":
        parts.append(
            "<section><h2>Programs and agents</h2><p>A program or an MCP client acts as you with your Hub token in its "
            "requests: <code>Authorization: Bearer hf_…</code>. The token is checked at the Hub and not kept.</p></section>"
        )
    if who.role >= Role.ADMIN:
        parts.append(
            '<section><h2>Audit log</h2><p>Who did what here. <a href="/account/audit">Read it</a></p></section>'
        )
    return page("Account", "".join(parts))


def audit(entries: Sequence[Entry], *, more: int = 0) -> str:
    """The audit log as a table, the newest first."""
    rows = "".join(
        f'<tr role="row"><td role="cell" class="when">{escape(entry.at[:19].replace("T", " "))}</td>'
        f'<td role="cell" class="who">{escape(entry.who)}</td><td role="cell" class="as">{escape(entry.role)}</td>'
        f'<td role="cell" class="did">{escape(entry.action)}</td><td role="cell" class="what">{escape(entry.detail)}</td>'
        f'<td role="cell" class="outcome {escape(entry.outcome)}">{escape(entry.outcome)}</td></tr>'
        for entry in entries
    )
    table = (
        # On a phone the rows are no table any more to the eye; to whoever listens they are.
        '<div class="scroll"><table role="table"><thead><tr><th>When, UTC</th><th>Who</th><th>As</th><th>Did</th><th>What</th><th>Outcome</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
        if entries
        else "<p>Nothing yet. Models fetched or pinned, exports, withdrawals, settings and sign-ins will stand here.</p>"
    )
    older = f'<a href="/account/audit?before={more}">Older</a>' if more else ""
    links = f'<p class="meta row">{older}<a href="/account/audit.json">As JSON</a><a href="/">Back to the app</a></p>'
    return page("Audit log", f"<section><h1>Audit log</h1>{table}{links}</section>", wide=True)


def refused(title: str, sentence: str, *, sign_in: str = "", back: bool = True) -> str:
    """A page that says why not, and what to do. `sign_in` is where to sign in, "" where that would not help."""
    links = [f'<a href="{escape(sign_in)}">Sign in</a>'] if sign_in else []
    links += ['<a href="/">Back to the app</a>'] if back else []
    ways = f'<div class="row">{"".join(links)}</div>' if links else ""
    return page(title, f"<section><h1>{escape(title)}</h1><p>{escape(sentence)}</p>{ways}</section>")
