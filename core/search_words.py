"""What the words of a search mean: those that name a task, a language, a licence or a size become filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from core.catalog import SearchQuery
from core.languages import BY_NAME, language_name
from core.licenses import CLASS_OF, COMMERCIAL, LICENSE_CLASSES, LicenseClass, display_name
from core.tasks import TASKS

_PIECE = re.compile(r'(-?)"([^"]*)"|(\S+)')
_SIZE = re.compile(r"(<=?|>=?|≤|≥)?(\d+(?:\.\d+)?)([kmbt])", re.IGNORECASE)
_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_BELOW = ("under", "below", "<", "<=", "≤", "max")
_ABOVE = ("over", "above", ">", ">=", "≥", "min")
# "7b" is a class of sizes: models of that name hold from 6.5 to 8.2 billion parameters.
_ABOUT = (0.85, 1.18)
_TASK_WORDS: Mapping[str, str] = {
    word: task
    for task, words in {
        "summarization": "summarise summarize summarising summarizing summariser summarizer summary summarisation summarization",
        "translation": "translate translation translator translating",
        "text-classification": "classify classifier sentiment",
        "token-classification": "ner",
        "question-answering": "qa",
        "feature-extraction": "embedding embeddings",
        "text-ranking": "reranker rerank",
        "automatic-speech-recognition": "asr transcribe transcription speech-to-text",
        "text-to-speech": "tts",
        "image-to-text": "captioning ocr",
        "image-text-to-text": "vlm",
        "text-to-image": "txt2img",
        "image-to-image": "img2img",
        "text-generation": "llm llms",
        "fill-mask": "mlm",
        "image-segmentation": "segmentation",
        "depth-estimation": "depth",
        "time-series-forecasting": "forecasting",
    }.items()
    for word in words.split()
}
_FORMATS = ("safetensors", "gguf", "onnx", "diffusers")


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that words of the text stand for: the field it fills, its value, what it says, and the words."""

    field: str
    value: Any
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Words:
    """A text taken apart: words to look for (lower case), words that exclude, and the filters among them."""

    plain: tuple[str, ...]
    exclude: tuple[str, ...]
    chips: tuple[Chip, ...]


def read_words(text: str) -> Words:
    """Take a search text apart. What stands in quotes is a word whatever it names; a leading "-" excludes."""
    plain: list[str] = []
    exclude: list[str] = []
    chips: list[Chip] = []
    pieces = [(match[1], match[2], match[3]) for match in _PIECE.finditer(text.lower())]
    at = 0
    while at < len(pieces):
        minus, quoted, bare = pieces[at]
        following = pieces[at + 1][2] if at + 1 < len(pieces) else ""
        at += 1
        if not bare:
            if word := quoted.strip():
                (exclude if minus else plain).append(word)
        elif len(bare) > 1 and bare.startswith("-"):
            exclude.append(bare[1:])
        elif bare in (*_BELOW, *_ABOVE) and following and (size := _SIZE.fullmatch(following)):
            chips.append(_size_chip(bare, size, f"{bare} {following}"))
            at += 1
        elif chip := _chip(bare):
            chips.append(chip)
        elif bare.strip("-"):
            plain.append(bare)
    return Words(tuple(dict.fromkeys(plain)), tuple(dict.fromkeys(exclude)), tuple(chips))


def understood(query: SearchQuery) -> tuple[SearchQuery, Words]:
    """The query with its words turned into filters, and the words as they were taken.

    A filter that was chosen already stays: its word is then a word to look for. The text that remains is the plain words.
    """
    words = read_words(query.text)
    filled: dict[str, Any] = {}
    used: list[Chip] = []
    plain = list(words.plain)
    defaults = {field.name: field.default for field in fields(SearchQuery)}
    for chip in words.chips:
        names = ("min_params", "max_params") if chip.field == "params" else (chip.field,)
        if chip.field in filled or any(getattr(query, name) != defaults[name] for name in names):
            # A size that was chosen already wins; so does anything else, and then the word may stand in a name.
            chosen = filled.get(chip.field) or getattr(query, names[0])
            if chip.field != "params" and chosen != chip.value:
                plain += [word for word in chip.words.split() if word not in plain]
            continue
        used.append(chip)
        filled[chip.field] = chip.value
    bounds = filled.pop("params", None)
    if bounds:
        filled |= {"min_params": bounds[0], "max_params": bounds[1]}
    exclude = tuple(dict.fromkeys((*query.exclude, *words.exclude)))
    asked = replace(query, text=" ".join(plain), exclude=exclude, **filled)
    return asked, Words(tuple(plain), exclude, tuple(used))


def without_chip(text: str, words: str) -> str:
    """`text` with the words of a chip in quotes, so that they are looked for and filter nothing."""
    pattern = re.compile(rf"(?<!\S){re.escape(words)}(?!\S)", re.IGNORECASE)
    return pattern.sub(lambda found: f'"{found[0]}"', text, count=1)


def stem(word: str) -> str:
    """The part of a word that its plural shares: "tickets" is found by "ticket"."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def read_count(text: str) -> int | None:
    """A parameter count as people write it: "3B", "360M", "1.5b" or a plain number; None when it is none."""
    cleaned = text.strip().lower().replace(",", "").replace("_", "")
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", cleaned):
        value = float(match[1]) * _UNITS.get(match[2], 1)
        return int(value) if value < 2**63 else None
    return None


def _chip(word: str) -> Chip | None:
    if size := _SIZE.fullmatch(word):
        return _size_chip(size[1] or "", size, word)
    if task := _TASK_WORDS.get(word) or (word if word in TASKS and word != "other" else None):
        return Chip("task", task, f"task: {task.replace('-', ' ')}", word)
    if code := BY_NAME.get(word):
        return Chip("language", code, f"language: {language_name(code)}", word)
    if word in _FORMATS:
        return Chip("weights_format", word, f"format: {word}", word)
    if word in ("commercial", "commercially"):
        return Chip("license_classes", COMMERCIAL, "licence: commercial use", word)
    if word in LICENSE_CLASSES and word != "unknown":
        kind: LicenseClass = next(name for name in LICENSE_CLASSES if name == word)
        return Chip("license_classes", (kind,), f"licence: {word}", word)
    name = {"apache": "apache-2.0", "apache2": "apache-2.0"}.get(word, word)
    if name in CLASS_OF and name not in ("other", "unknown", "cc", "gemma", "h-research"):
        # "gemma" and "llama3" name models far more often than their licences.
        return None if name.startswith("llama") else Chip("license", name, f"licence: {display_name(name)}", word)
    return None


def _size_chip(sign: str, size: re.Match[str], words: str) -> Chip:
    value = float(size[2]) * _UNITS[size[3].lower()]
    shown = f"{size[2]}{size[3].upper()}"
    if sign in _BELOW:
        return Chip("params", (None, int(value)), f"at most {shown}", words)
    if sign in _ABOVE:
        return Chip("params", (int(value), None), f"at least {shown}", words)
    return Chip("params", (int(value * _ABOUT[0]), int(value * _ABOUT[1])), f"about {shown}", words)
