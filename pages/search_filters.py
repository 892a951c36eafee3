"""The filters of the Search tab: their controls, what they ask for together, and the chips that say what is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from core.arguments import check_characters
from core.catalog import LOOK_AT, RELATIONS, SORTS, SearchQuery
from core.errors import UserInputError
from core.languages import LANGUAGES
from core.licenses import CLASS_OF, COMMERCIAL, LICENSE_CLASSES, display_name
from core.search_address import short_params
from core.search_check import FORMATS, QUANTIZATIONS, check_query
from core.search_words import read_count, understood
from core.tasks import MODALITIES

ROWS = 30
SORT_LABELS = {
    "trending": "Trending",
    "downloads": "Downloads",
    "likes": "Likes",
    "created": "Newest",
    "updated": "Updated",
    "params": "Parameters",
}
RELATION_LABELS = {
    "none": "Originals only",
    "adapter": "Adapters",
    "finetune": "Fine-tunes",
    "quantized": "Quantised",
    "merge": "Merges",
}
CLASS_LABELS = {
    "permissive": "Permissive",
    "copyleft": "Copyleft",
    "use-restricted": "Use-restricted (OpenRAIL)",
    "own-terms": "Own terms (Llama, Gemma)",
    "non-commercial": "Non-commercial",
    "research-only": "Research only",
    "unknown": "Unknown",
}
SIZES = ["500M", "1B", "3B", "8B", "14B", "32B", "70B"]
PROVIDERS = [
    "cerebras", "cohere", "fal-ai", "featherless-ai", "fireworks-ai", "groq", "hf-inference", "hyperbolic", "nebius",
    "novita", "nscale", "replicate", "sambanova", "scaleway", "together",
]  # fmt: skip
COMMERCIAL_USE = "commercial"


@dataclass(frozen=True)
class FilterView:
    """The controls, in the order in which handlers get their values. Each is named as the field of `SearchQuery`."""

    text: gr.Textbox
    task: gr.Dropdown
    license_classes: gr.Dropdown
    max_params: gr.Dropdown
    runs_here: gr.Checkbox
    sort: gr.Dropdown
    source: gr.Dropdown
    kind: gr.Dropdown
    library: gr.Textbox
    language: gr.Dropdown
    license: gr.Dropdown
    weights_format: gr.Dropdown
    quantization: gr.Dropdown
    min_params: gr.Dropdown
    author: gr.Textbox
    base_model: gr.Textbox
    relation: gr.Dropdown
    dataset: gr.Textbox
    paper: gr.Textbox
    min_downloads: gr.Number
    min_likes: gr.Number
    updated_since: gr.Textbox
    gated: gr.Dropdown
    provider: gr.Dropdown
    has_card: gr.Checkbox
    chat_template: gr.Checkbox
    adult: gr.Checkbox

    @property
    def all(self) -> list[Any]:
        """Every control, in order."""
        return [getattr(self, each.name) for each in fields(self)]


NAMES = tuple(each.name for each in fields(FilterView))


def build_filters() -> FilterView:
    """Layout only: what is used every time in two rows, the rest folded."""
    with gr.Row(elem_classes="pg-toolbar pg-search-box", equal_height=True):
        text = gr.Textbox(
            label="Search",
            placeholder="What it is for, a name, an owner: support tickets summarise <3b apache",
            elem_id="search-text",
            scale=8,
            min_width=240,
            max_lines=1,
        )
        kind = gr.Dropdown(
            [("Models", "model"), ("Datasets", "dataset"), ("Spaces", "space")],
            value="model", label="What", scale=2, min_width=130, elem_id="search-kind",
        )  # fmt: skip
        source = gr.Dropdown(
            [("Everywhere", "auto"), ("The Hub", "hub"), ("This machine", "local")],
            value="auto", label="Where", scale=2, min_width=140, elem_id="search-where",
        )  # fmt: skip
        sort = gr.Dropdown(
            [(SORT_LABELS[key], key) for key in SORTS], value="trending", label="Sort", scale=2, min_width=140
        )
    with gr.Row(elem_classes="pg-toolbar", equal_height=True):
        task = gr.Dropdown(
            [("Any task", ""), *((f"{group}: {each.replace('-', ' ')}", each) for group, tasks in MODALITIES.items() for each in tasks)],
            value="", label="Task", filterable=True, scale=3, min_width=180, elem_id="search-task",
        )  # fmt: skip
        license_classes = gr.Dropdown(
            [("Commercial use allowed", COMMERCIAL_USE), *((CLASS_LABELS[kind], kind) for kind in LICENSE_CLASSES)],
            value=[], multiselect=True, label="Licence", scale=4, min_width=220, elem_id="search-license",
        )  # fmt: skip
        max_params = gr.Dropdown(
            [("Any size", ""), *((f"≤ {size}", size) for size in SIZES)],
            value="", label="Parameters at most", allow_custom_value=True, scale=2, min_width=130, elem_id="search-max",
        )  # fmt: skip
        runs_here = gr.Checkbox(label="Runs here", scale=1, min_width=120, elem_id="search-here")
    with gr.Accordion("More filters", open=False, elem_id="search-more"):
        with gr.Row():
            weights_format = gr.Dropdown([("Any", ""), *((each, each) for each in FORMATS)], value="", label="Weights format", min_width=150, elem_id="search-format")  # fmt: skip
            quantization = gr.Dropdown([("Any", ""), *((each, each) for each in QUANTIZATIONS)], value="", label="Quantisation", min_width=150)  # fmt: skip
            min_params = gr.Dropdown([("Any size", ""), *((f"≥ {size}", size) for size in SIZES)], value="", label="Parameters at least", allow_custom_value=True, min_width=150)  # fmt: skip
        with gr.Row():
            language = gr.Dropdown([("Any", ""), *((f"{name} ({code})", code) for code, name in LANGUAGES.items())], value="", label="Language", allow_custom_value=True, min_width=150)  # fmt: skip
            license_id = gr.Dropdown([("Any", ""), *((display_name(each), each) for each in CLASS_OF)], value="", label="Licence id", min_width=150)  # fmt: skip
            library = gr.Textbox(label="Library", placeholder="transformers", max_lines=1, min_width=150)
            author = gr.Textbox(label="Author or organisation", placeholder="HuggingFaceTB", max_lines=1, min_width=150)
        with gr.Row():
            base_model = gr.Textbox(label="Base model", placeholder="owner/name", max_lines=1, min_width=150)
            relation = gr.Dropdown([("Any", ""), *((RELATION_LABELS[each], each) for each in RELATIONS)], value="", label="Relation to its base", min_width=150)  # fmt: skip
            dataset = gr.Textbox(label="Trained on dataset", placeholder="owner/name", max_lines=1, min_width=150)
            paper = gr.Textbox(label="Paper (arXiv id)", placeholder="2302.13971", max_lines=1, min_width=150)
        with gr.Row():
            min_downloads = gr.Number(value=0, minimum=0, precision=0, label="Downloads at least", min_width=150)
            min_likes = gr.Number(value=0, minimum=0, precision=0, label="Likes at least", min_width=150)
            updated_since = gr.Textbox(label="Updated since", placeholder="2026-01-31", max_lines=1, min_width=150)
            gated = gr.Dropdown([("Any", "any"), ("Asks for access", "yes"), ("Open", "no")], value="any", label="Access", min_width=150)  # fmt: skip
        with gr.Row():
            provider = gr.Dropdown([("Any", ""), ("Any provider serves it", "all"), *((each, each) for each in PROVIDERS)], value="", label="Inference provider", allow_custom_value=True, min_width=150)  # fmt: skip
            has_card = gr.Checkbox(label="Has a card", min_width=150, elem_id="search-card")
            chat_template = gr.Checkbox(label="Has a chat template", min_width=150)
            adult = gr.Checkbox(label="Also not for all audiences", min_width=150)
    return FilterView(
        text, task, license_classes, max_params, runs_here, sort, source, kind, library, language, license_id,
        weights_format, quantization, min_params, author, base_model, relation, dataset, paper, min_downloads, min_likes,
        updated_since, gated, provider, has_card, chat_template, adult,
    )  # fmt: skip


def query_of(values: Sequence[Any], *, offset: int = 0, look_at: int = LOOK_AT) -> SearchQuery:
    """A checked query from the controls' values; raises `UserInputError` naming the vocabulary a value is outside of."""
    given = dict(zip(NAMES, values, strict=True))
    text = given.pop("text") or ""
    if not isinstance(text, str):
        raise UserInputError("The search text has to be text.")
    check_characters(text, "The search text")
    classes = given.pop("license_classes") or []
    wanted: dict[str, Any] = {"license_classes": classes_of(classes if isinstance(classes, list) else [classes])}
    for name in ("min_params", "max_params"):
        wanted[name] = params_of(name, given.pop(name))
    for name in ("min_downloads", "min_likes"):
        number = given.pop(name) or 0
        wanted[name] = int(number) if isinstance(number, int | float) and number == number else 0
    for name in ("runs_here", "has_card", "chat_template", "adult"):
        wanted[name] = bool(given.pop(name))
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise UserInputError(f"{name} has to be text.")
        wanted[name] = (value or "").strip()
    return check_query(SearchQuery(text.strip(), limit=ROWS, offset=offset, look_at=look_at, **wanted))


def values_of(query: SearchQuery) -> list[Any]:
    """What the controls show for `query`, in their order."""
    shown: dict[str, Any] = {name: getattr(query, name) for name in NAMES}
    shown["license_classes"] = _class_values(query.license_classes)
    for name in ("min_params", "max_params"):
        value = getattr(query, name)
        shown[name] = "" if value is None else short_params(value)
    return [shown[name] for name in NAMES]


def classes_of(chosen: Sequence[Any]) -> tuple[Any, ...]:
    """Licence classes, with the one word for all that allow commercial use written out."""
    found: list[str] = []
    for each in chosen:
        if not isinstance(each, str):
            raise UserInputError("license_class has to be text.")
        found += COMMERCIAL if each == COMMERCIAL_USE else [each] if each else []
    return tuple(dict.fromkeys(found))


def params_of(name: str, value: Any) -> int | None:
    """A parameter count from what was typed; None when nothing was."""
    if value in (None, ""):
        return None
    count = read_count(str(value))
    if count is None:
        raise UserInputError(f"{name} has to be a number such as 3B, 360M or 1500000000.")
    return count


def active(query: SearchQuery) -> list[tuple[str, str, str]]:
    """What is set, for the chips: the field (or "words"), what it says, and the words of the text it came from."""
    said: list[tuple[str, str, str]] = []
    _, words = understood(query)
    said += [("words", chip.label, chip.words) for chip in words.chips]
    defaults = SearchQuery()
    for name in NAMES:
        value = getattr(query, name)
        if name in ("text", "sort", "source") or value == getattr(defaults, name):
            continue
        said.append((name, _says(name, value), ""))
    said += [("exclude", f"without: {word}", word) for word in words.exclude]
    return said


def without(query: SearchQuery, name: str) -> SearchQuery:
    """`query` with one filter taken away."""
    return replace(query, **{name: getattr(SearchQuery(), name)})


_WORDS = {
    "base_model": "base", "dataset": "trained on", "min_downloads": "downloads ≥", "min_likes": "likes ≥",
    "updated_since": "updated since", "provider": "served by", "weights_format": "format", "quantization": "quantised:",
    "library": "library", "author": "by", "paper": "arXiv", "language": "language", "kind": "kind:",
}  # fmt: skip


def _says(name: str, value: Any) -> str:
    if name == "license_classes":
        return "licence: " + ("commercial use" if set(value) == set(COMMERCIAL) else ", ".join(value))
    if name in ("min_params", "max_params"):
        return f"{'at least' if name == 'min_params' else 'at most'} {short_params(value)} parameters"
    fixed = {
        "runs_here": "runs here", "has_card": "has a card", "chat_template": "has a chat template",
        "adult": "also not for all audiences",
    }  # fmt: skip
    if name in fixed:
        return fixed[name]
    if name == "gated":
        return "asks for access" if value == "yes" else "open access"
    if name == "relation":
        return RELATION_LABELS[value].lower()
    if name == "task":
        return f"task: {value.replace('-', ' ')}"
    if name == "license":
        return f"licence: {display_name(value)}"
    shown = (
        f"{value:,}" if isinstance(value, int) else LANGUAGES.get(value, value) if name == "language" else str(value)
    )
    return f"{_WORDS[name]} {shown}"


def _class_values(classes: Sequence[str]) -> list[str]:
    if set(COMMERCIAL) <= set(classes):
        return [COMMERCIAL_USE, *(each for each in classes if each not in COMMERCIAL)]
    return list(classes)
