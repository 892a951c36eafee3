"""What a person asks a card for: its commits, what differs, the header of a file, the chat template, the discussions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from components.card_panels import opens
from components.numbers import age_since, bytes_of
from components.numbers import parameters as short_parameters
from core.card_parts import Difference, Discussion, Header, History, Publisher, Template

MOST_COMMITS = 50
MOST_REFS = 40
MOST_TENSORS = 400
_SIGNS = {"added": "+", "removed": "−", "changed": "~"}


def history_list(history: History, refs: Sequence[tuple[str, str]], repo_id: str, chosen: str) -> str:
    """Commits newest first with the chosen one marked, and the branches and tags that point to them."""
    if not history.commits:
        return '<p class="pg-meta">This model came with the app: it has one commit, a hash of its files.</p>'
    names: dict[str, list[str]] = {}
    for name, commit in refs:
        names.setdefault(commit, []).append(name)
    rows = "".join(
        f"<tr{' class=pg-chosen' if commit.id == chosen else ''}><td><code>{commit.id[:7]}</code>{' shown' if commit.id == chosen else ''}</td>"
        f"<td>{escape(commit.title[:120])} {' '.join(_tag(name) for name in names.get(commit.id, [])[:4])}</td>"
        f'<td class="n">{age_since(commit.date)}</td><td>{"" if commit.id == chosen else opens(repo_id, commit.id, "Open")}</td></tr>'
        for commit in history.commits[:MOST_COMMITS]
    )
    more = (
        '<p class="pg-meta">Older commits are on the Hub.</p>'
        if history.more or len(history.commits) > MOST_COMMITS
        else ""
    )
    return f'{refs_line(refs, repo_id, chosen)}<table class="pg-numbers"><tbody>{rows}</tbody></table>{more}'


def refs_line(refs: Sequence[tuple[str, str]], repo_id: str, chosen: str) -> str:
    """Every branch and tag, the chosen ones marked, the others a link to their page."""
    if not refs:
        return ""
    named = " ".join(
        f'<b class="pg-tag pg-here" aria-current="true">{escape(name[:60])}</b>'
        if commit == chosen
        else f'<span class="pg-tag">{opens(repo_id, commit, name[:60])}</span>'
        for name, commit in refs[:MOST_REFS]
    )
    more = f" and {len(refs) - MOST_REFS:,} more" if len(refs) > MOST_REFS else ""
    return f'<p class="pg-refs"><span class="pg-meta">Branches and tags</span> {named}{more}</p>'


def difference_panel(difference: Difference) -> str:
    """Files that came, went or changed, and the card's lines."""
    head = f'<p class="pg-meta">From <code>{difference.before[:7]}</code> to <code>{difference.after[:7]}</code></p>'
    if difference.files:
        rows = "".join(
            f'<tr class="pg-diff-{each.change}"><td>{_SIGNS[each.change]} {escape(each.path)}</td><td>{each.change}</td>'
            f'<td class="n">{_sizes(each.before, each.after)}</td></tr>'
            for each in difference.files
        )
        files = f'<table class="pg-numbers"><tbody>{rows}</tbody></table>'
    else:
        files = '<p class="pg-meta">No file differs.</p>'
    problem = f'<div class="pg-error">{escape(difference.problem)}</div>' if difference.problem else ""
    if difference.card:
        lines = "".join(
            f'<span class="pg-line{_mark(line)}">{escape(line[:1000]) or " "}</span>' for line in difference.card
        )
        card = f'<pre class="pg-patch" tabindex="0"><code>{lines}</code></pre>'
    else:
        card = "" if problem else '<p class="pg-meta">The card is the same.</p>'
    return f"{head}{files}{problem}{card}"


def header_panel(header: Header) -> str:
    """Tensors, dtypes and parameters of one file, and its metadata, with how little was read for it."""
    small = header.size is not None and header.read >= header.size
    total = f" of {bytes_of(header.size)}" if header.size else ""
    read = (
        f"The whole of this small file, {bytes_of(header.read)}, was read."
        if small
        else f"Read {bytes_of(header.read)}{total}; the file was not downloaded."
    )
    dtypes = ", ".join(f"{escape(name)} {short_parameters(count)}" for name, count in header.by_dtype.items()) or "none"
    notes = "".join(f'<p class="pg-notice">{escape(note)}</p>' for note in header.notes)
    rows = "".join(
        f'<tr><td>{escape(tensor.name[:120])}</td><td>{escape(tensor.dtype)}</td><td class="n">{" × ".join(map(str, tensor.shape)) or "scalar"}</td></tr>'
        for tensor in header.tensors[:MOST_TENSORS]
    )
    more = (
        f'<p class="pg-meta">and {len(header.tensors) - MOST_TENSORS:,} more tensors</p>'
        if len(header.tensors) > MOST_TENSORS
        else ""
    )
    said = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value[:400])}{'…' if len(value) > 400 else ''}</td></tr>"
        for name, value in header.metadata.items()
    )
    metadata = (
        f'<details class="pg-fold" open><summary>Metadata of the file</summary><table class="pg-pairs">{said}</table></details>'
        if said
        else ""
    )
    return (
        f'<p><b>{escape(header.path)}</b></p><p class="pg-meta">{len(header.tensors):,} {"tensor" if len(header.tensors) == 1 else "tensors"}, {header.parameters:,} parameters: {dtypes}. '
        f"{read}</p>{notes}{metadata}"
        f'<details class="pg-fold"><summary>Tensors</summary><div class="pg-scroll"><table class="pg-numbers"><tbody>{rows}</tbody></table></div>{more}</details>'
    )


def template_panel(template: Template | None) -> str:
    """The example as the model reads it first, then the template itself."""
    if template is None:
        return '<p class="pg-meta">This model has no chat template.</p>'
    problem = f'<div class="pg-notice">{escape(template.problem)}</div>' if template.problem else ""
    shown = (
        f'<p class="pg-meta">An example conversation as the model reads it:</p><pre class="pg-prompt" tabindex="0" dir="auto"><code>{escape(template.rendered)}</code></pre>'
        if template.rendered is not None
        else ""
    )
    return (
        f'{problem}{shown}<details class="pg-fold"><summary>The template ({escape(template.source)})</summary>'
        f'<pre tabindex="0"><code>{escape(template.text)}</code></pre></details>'
    )


def people_panel(publisher: Publisher | str | None, discussions: Sequence[Discussion] | str) -> str:
    """Who published it, and the open discussions with title, age and link."""
    if isinstance(publisher, str):
        who = f'<div class="pg-error">{escape(publisher)}</div>'
    elif publisher is None:
        who = ""
    else:
        kind = {"user": "a person", "organization": "an organisation"}.get(publisher.kind, "not known to the Hub")
        verified = {True: ", verified by the Hub", False: ", not verified by the Hub", None: ""}[publisher.verified]
        name = f"{publisher.fullname} ({publisher.name})" if publisher.fullname else publisher.name
        models = f", {publisher.models:,} models" if publisher.models is not None else ""
        who = f"<p>Published by <b>{escape(name)}</b>, {kind}{verified}{models}.</p>"
    if isinstance(discussions, str):
        return f'{who}<div class="pg-error">{escape(discussions)}</div>'
    if not discussions:
        return f'{who}<p class="pg-meta">No discussion is open.</p>'
    rows = "".join(
        f'<tr><td><a href="{escape(each.link, quote=True)}" target="_blank" rel="noopener noreferrer nofollow">{escape(each.title)}</a></td>'
        f'<td>{"pull request" if each.pull_request else "discussion"}</td><td class="n">{age_since(each.created)}</td></tr>'
        for each in discussions
    )
    return f'{who}<table class="pg-numbers"><tbody>{rows}</tbody></table>'


def _sizes(before: int | None, after: int | None) -> str:
    if before is None:
        return bytes_of(after)
    return bytes_of(before) if after is None else f"{bytes_of(before)} → {bytes_of(after)}"


def _mark(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return " pg-meta"
    return " pg-added" if line.startswith("+") else " pg-removed" if line.startswith("-") else ""


def _tag(text: str) -> str:
    return f'<span class="pg-tag">{escape(text[:60])}</span>'
