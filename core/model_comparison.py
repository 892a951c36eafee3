"""Two to four models side by side: one line for each thing worth comparing, and whether they differ in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.card_parts import Lineage
from core.catalog import ModelCard
from core.evaluations import Evaluation, evaluations_of
from core.languages import language_name
from core.licenses import license_of
from core.lineage import strictest
from core.memory import size
from core.refs import ModelRef
from core.weights import formats_of

FEWEST, MOST = 2, 4
_MOST_BENCHMARKS = 40
_MOST_FINDINGS = 4
_SHOWN_LANGUAGES = 8
UNKNOWN = "–"
Group = Literal["Licence", "Size", "What it is", "Evaluation", "Findings", "Activity"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One model of a comparison. `card` is None until it was read, or where `problem` says why it cannot be."""

    ref: ModelRef
    card: ModelCard | None = None
    lineage: Lineage | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a cell for each model, in their order. `number` aligns the cells as numbers."""

    group: Group
    name: str
    cells: tuple[str, ...]
    number: bool = False

    @property
    def differs(self) -> bool:
        """Whether two models that are known say different things."""
        return len({cell for cell in self.cells if cell}) > 1


def lines_of(models: Sequence[Compared], age: Callable[[str | None], str]) -> tuple[Line, ...]:
    """The whole table; the cells of a model that is not read yet are "". `age` says how long ago a moment was."""

    def line(group: Group, name: str, cell: Callable[[ModelCard], str], *, number: bool = False) -> Line:
        return Line(group, name, tuple("" if m.card is None else cell(m.card) or UNKNOWN for m in models), number)

    lines = [
        line("Licence", "Licence", _license),
        Line("Licence", "Licence chain", tuple(_chain(model) for model in models)),
        line("Licence", "Access", lambda card: "asks for access" if card.gated else "open"),
        line("Size", "Parameters", _parameters, number=True),
        line("Size", "Memory", lambda card: card.summary.memory_note or UNKNOWN),
        line("Size", "Runs here", _runs),
        line("Size", "Files", _files, number=True),
        line("Size", "Weights formats", lambda card: ", ".join(formats_of(f.path for f in card.files))),
        line("What it is", "Task", lambda card: card.summary.task or UNKNOWN),
        line("What it is", "Library", lambda card: card.summary.library or UNKNOWN),
        line("What it is", "Architecture", _architecture),
        line("What it is", "Context length", _context, number=True),
        line("What it is", "Chat template", _template),
        line("What it is", "Languages", _languages),
        *_evaluations(models),
        line("Findings", "Findings", _findings),
        line("Activity", "Downloads", lambda card: _count(card.summary.downloads), number=True),
        line("Activity", "Likes", lambda card: _count(card.summary.likes), number=True),
        line("Activity", "Updated", lambda card: age(card.summary.updated or card.record.updated), number=True),
        line("Activity", "Created", lambda card: age(card.summary.created or card.record.created), number=True),
    ]
    return tuple(each for each in lines if any(cell not in ("", UNKNOWN) for cell in each.cells))


def _license(card: ModelCard) -> str:
    stated = license_of(card.metadata, card.record.tags)
    return f"{stated.name or 'none stated'} · {stated.license_class.replace('-', ' ')}"


def _chain(model: Compared) -> str:
    if model.card is None:
        return ""
    if model.lineage is None:
        return "not read yet"
    if not model.lineage.ancestors:
        return model.lineage.problem or "an original: its card names no base model"
    steps = [
        f"{each.repo_id}: {each.license or each.problem or 'no licence stated'}"
        + (f" ({each.license_class.replace('-', ' ')})" if each.license_class else "")
        for each in model.lineage.ancestors
    ]
    binding = strictest(model.lineage)
    if binding and binding.license_class:
        steps.append(f"strictest above: {binding.license_class.replace('-', ' ')}")
    return "; ".join([*steps, *([model.lineage.problem] if model.lineage.problem else [])])


def _parameters(card: ModelCard) -> str:
    total = sum(card.record.parameters.values()) if card.record.parameters else card.summary.params
    return f"{total:,}" if total else UNKNOWN


def _runs(card: ModelCard) -> str:
    row = card.summary
    if row.runs_here:
        return f"yes, on {row.runs_on}"
    return f"{'no' if row.runs_here is False else 'not known'}: {row.why_not}" if row.why_not else UNKNOWN


def _files(card: ModelCard) -> str:
    known = [file.size for file in card.files if file.size is not None]
    return f"{len(card.files):,} · {size(sum(known))}" if card.files else UNKNOWN


def _architecture(card: ModelCard) -> str:
    named = (card.record.config or {}).get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return first if isinstance(first, str) else card.summary.architecture or UNKNOWN


def _context(card: ModelCard) -> str:
    config = card.record.config or {}
    nested = config.get("text_config")
    for part in (nested if isinstance(nested, dict) else config, config):
        for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
            value = part.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return f"{value:,} tokens"
    return UNKNOWN


def _template(card: ModelCard) -> str:
    known = card.record.tokenizer
    if known is None and card.summary.chat_template is None:
        return UNKNOWN
    return "yes" if card.summary.chat_template or (known or {}).get("chat_template") else "no"


def _languages(card: ModelCard) -> str:
    codes = card.summary.languages
    more = f" and {len(codes) - _SHOWN_LANGUAGES} more" if len(codes) > _SHOWN_LANGUAGES else ""
    return ", ".join(language_name(code) for code in codes[:_SHOWN_LANGUAGES]) + more if codes else UNKNOWN


def _findings(card: ModelCard) -> str:
    order = {"high": 0, "medium": 1, "low": 2, "info": 3}
    found = sorted(card.findings, key=lambda finding: order[finding.severity])
    if not found:
        return "none"
    said = [f"{finding.severity}: {finding.sentence}" for finding in found[:_MOST_FINDINGS]]
    return " ".join([*said, *([f"And {len(found) - _MOST_FINDINGS} more."] if len(found) > _MOST_FINDINGS else [])])


def _evaluations(models: Sequence[Compared]) -> list[Line]:
    measured: list[dict[str, Evaluation]] = []
    for model in models:
        found: dict[str, Evaluation] = {}
        if model.card is not None:
            card = model.card
            for each in evaluations_of(card.metadata, card.record.results, card.markdown, card.repo_id):
                found.setdefault(each.benchmark, each)
        measured.append(found)
    # What more of them state comes first: that can be compared.
    names = sorted({name for found in measured for name in found}, key=lambda n: (-sum(n in f for f in measured), n))
    return [
        Line(
            "Evaluation",
            name,
            tuple(
                "" if model.card is None else _measured(found[name]) if name in found else UNKNOWN
                for model, found in zip(models, measured, strict=True)
            ),
        )
        for name in names[:_MOST_BENCHMARKS]
    ]


def _measured(each: Evaluation) -> str:
    how = [
        *([each.metric] if each.metric else []),
        *([f"{each.shots}-shot"] if each.shots is not None else []),
        *([each.config] if each.config else []),
        each.who,
        *([each.source] if each.source else [each.place]),
    ]
    return f"{each.value:g} ({', '.join(how)})"


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else UNKNOWN
