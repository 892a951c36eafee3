"""What config.json tells of a model before its weights are in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends import bundled
from backends.chat.template import names_in, templates_of
from backends.chat.vision import sees
from backends.model_files import ModelFiles
from core.chat import Capabilities, GenerationSettings, check_settings
from core.errors import NoBackend, UnsafeContentError, UserInputError
from core.files import PICKLED, pickle_files, weight_files
from core.refs import ModelRef, shown
from core.template_kwargs import THINKING

_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def read_config(folder: Path, name: str) -> Mapping[str, Any]:
    """config.json of `folder`; `name` is the model's, for the sentence. Raises `NoBackend` when it is no use."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoBackend(f"{name} has no config.json, so transformers cannot load it. Choose another model.") from error
    except (OSError, ValueError) as error:
        raise NoBackend(f"The config.json of {name} cannot be read. Delete the copy and download it again.") from error
    if not isinstance(config, dict):
        raise NoBackend(f"The config.json of {name} is not a set of settings. Choose another model.")
    return config


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse what cannot chat here: custom code, and models that do not write text."""
    kind = config.get("model_type")
    if config.get("auto_map") and not _known(kind):
        raise UnsafeContentError(
            f"{name} needs Python code from its own repository (auto_map) to run, which this app never does. Choose a "
            "model that transformers knows by itself."
        )
    architectures = [str(each) for each in config.get("architectures") or ()]
    if not kind and not architectures:
        raise NoBackend(f"The config.json of {name} names no architecture. Choose another model.")
    if architectures and not any(each.endswith(_WRITES_TEXT) for each in architectures):
        raise NoBackend(
            f"{name} does not write text (its architecture is {shown(architectures[0])}). Choose a text-generation model."
        )


def capabilities(files: ModelFiles, ref: ModelRef) -> Capabilities:
    """What chatting with `ref` allows, wherever its files are; fetches config.json when it is not here."""
    if ref == bundled.REF and files.folder(ref) is None:
        return Capabilities(max_context=bundled.CONTEXT)
    return capabilities_of(files.describing(ref), str(ref))


def capabilities_of(folder: Path, name: str) -> Capabilities:
    """What chatting with the model of `folder` allows."""
    config = read_config(folder, name)
    check_config(config, name)
    notes = []
    if config.get("auto_map"):
        notes.append("The repository brings code of its own. It is not run; transformers' own implementation is used.")
    names = [path.name for path in folder.iterdir()]
    if pickle_files(names) and not weight_files(names):
        notes.append(PICKLED)
    templates = templates_of(folder)
    if not templates:
        notes.append("This model has no chat template: it continues your text instead of answering it.")
    sampling, source = recommended(folder)
    reads = frozenset().union(*map(names_in, templates))
    return Capabilities(
        max_context=max_context_of(config),
        chat_template=bool(templates),
        notes=tuple(notes),
        thinking=not reads.isdisjoint(THINKING),
        template_kwargs=tuple(sorted(reads)),
        sampling=sampling,
        sampling_from=source,
        images=bool(templates) and sees(folder, config),
    )


def recommended(folder: Path) -> tuple[GenerationSettings | None, str]:
    """How the model's author samples, and where that stands: generation_config.json, else what the card says in code."""
    stated = _json_of(folder / "generation_config.json")
    found = {name: stated.get(name) for name in ("temperature", "top_p", "top_k", "repetition_penalty")}
    if stated.get("do_sample") or found["temperature"] is not None:
        source = "generation_config.json"
    else:
        try:
            card = (folder / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None, ""
        found = {name: _number_in(card, name) for name in ("temperature", "top_p", "top_k")}
        source = "the card"
    numbers = {name: value for name, value in found.items() if isinstance(value, int | float) and value == value}
    if not numbers:
        return None, ""
    if "top_k" in numbers:
        numbers["top_k"] = int(numbers["top_k"])
    try:
        return check_settings(GenerationSettings(**numbers)), source  # type: ignore[arg-type]
    except UserInputError:
        # What an author states and no engine takes is no recommendation.
        return None, ""


def _number_in(card: str, name: str) -> float | None:
    match = re.search(rf"\b{name}['\"]?\s*[=:]\s*([0-9]+(?:\.[0-9]+)?)", card)
    return float(match[1]) if match else None


def _json_of(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Absent or unreadable: there is nothing to go by, and loading the model says more.
        return {}
    return found if isinstance(found, dict) else {}


def max_context_of(config: Mapping[str, Any]) -> int | None:
    """The most tokens of prompt and answer together, as the config states them."""
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, Mapping) else {}):
        for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
            value = part.get(key)
            if isinstance(value, int) and value > 0:
                return value
    return None


def _known(kind: object) -> bool:
    # Imported only for repositories with code of their own: it brings torch with it.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES
