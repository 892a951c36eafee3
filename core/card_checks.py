"""Findings from a card's text, its metadata and the model's own config: what is missing, vague, outdated or a trap."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from core.card_sections import NINE, Section, code_of
from core.catalog import Finding, ModelCard
from core.lineage import parents_of
from core.refs import shown
from core.weights import formats_of

_CHATTY = re.compile(r"(?:^|[-_./ ])(?:instruct|chat|it|assistant|dpo|rlhf)(?:[-_. ]|$)", re.IGNORECASE)
_VAGUE = re.compile(r"hallucinat|inaccura|factual|incorrect|wrong", re.IGNORECASE)
_BIAS = re.compile(r"\bbias(?:es|ed)?\b|prejudice|stereotyp", re.IGNORECASE)
_QUANTISED = re.compile(r"gguf|gptq|awq|exl2|-\d-?bit|int4|int8|fp8|nf4", re.IGNORECASE)
# What transformers 5.23, huggingface_hub 2.4 and diffusers 0.42 no longer have, and what stands in its place.
REMOVED: tuple[tuple[str, str, str], ...] = (
    (r"\bAutoModelForVision2Seq\b", "AutoModelForVision2Seq", "AutoModelForImageTextToText"),
    (r"\bAutoModelWithLMHead\b", "AutoModelWithLMHead", "AutoModelForCausalLM"),
    (r"\bTF[A-Z]\w+\.from_pretrained|\bfrom transformers import (?:[^\n]*, *)?TF[A-Z]", "TensorFlow classes", "PyTorch ones"),
    (r"\bFlax[A-Z]\w+\.from_pretrained|\bfrom transformers import (?:[^\n]*, *)?Flax", "Flax classes", "PyTorch ones"),
    (r"from transformers import (?:[^\n]*, *)?AdamW\b", "transformers.AdamW", "torch.optim.AdamW"),
    (r"\bConversation\(|pipeline\(\s*[\"']conversational", "the conversational pipeline", "text-generation"),
    (
        r"pipeline\(\s*(?:task\s*=\s*)?[\"'](?:summarization|text2text-generation|question-answering|translation\w*|"
        r"visual-question-answering|image-to-text|image-to-image)[\"']",
        "a pipeline task that was taken out",
        "the model's own class and generate",
    ),
    (r"from_pretrained\([^)]*load_in_[48]bit\s*=", "load_in_4bit and load_in_8bit", "quantization_config"),
    (r"\buse_auth_token\s*=", "use_auth_token", "token"),
    (r"\bhuggingface-cli\b", "huggingface-cli", "hf"),
    (r"\b(?:InferenceApi|HfFolder|cached_download)\b", "InferenceApi, HfFolder and cached_download", "InferenceClient, get_token and hf_hub_download"),
    (r"\.enable_vae_(?:slicing|tiling)\(", "enable_vae_slicing and enable_vae_tiling", "vae.enable_slicing"),
)  # fmt: skip
_REMOVED = tuple((re.compile(pattern), old, new) for pattern, old, new in REMOVED)


def text_findings(card: ModelCard, sections: Sequence[Section]) -> Iterator[Finding]:
    """Findings from the author's text. When the text itself could not be read, that is the finding."""
    source = f"README.md @ {card.revision[:7]}"
    if not card.markdown.strip():
        if text_unread(card):
            sentence = "What the card's text says, and what it leaves out, could not be checked: the text was not read."
            yield Finding("sections-unchecked", "info", sentence, source)
        else:
            sentence = (
                "There is no card text: purpose, limits, training data and evaluation are all untold. Ask the author."
            )
            yield Finding("card-empty", "high", sentence, source)
        return
    states = {each.id: each for each in sections}
    absent = [states[name].title for name in NINE if states[name].state == "absent"]
    thin = [states[name].title for name in NINE if states[name].state == "thin"]
    if absent:
        severity = "medium" if len(absent) >= 4 else "low"
        sentence = f"{len(absent)} of the nine sections of a model card are absent: {_listed(absent)}."
        yield Finding("sections-absent", severity, sentence, source)  # type: ignore[arg-type]
    if thin:
        sentence = f"{_listed(thin)} {'says' if len(thin) == 1 else 'say'} next to nothing: fewer words than two sentences have."
        yield Finding("sections-thin", "low", sentence, source)
    if states["bias"].state == "absent" and _BIAS.search(card.markdown):
        sentence = "Bias is mentioned in passing only: there is no section on it, and nothing of what was tested."
        yield Finding("bias-thin", "low", sentence, source)
    elif states["bias"].state == "absent":
        sentence = (
            "Nothing is said of bias, risks or ethics. Test the model on your own cases before people depend on it."
        )
        yield Finding("bias-absent", "medium", sentence, source)
    elif states["bias"].state == "thin":
        sentence = "Bias and ethics are mentioned in a few words only, without what was tested."
        yield Finding("bias-thin", "low", sentence, f"{source}, {shown(states['bias'].heading)}")
    yield from _limits(states["uses"], source)
    yield from _data(card, states["data"], source)
    yield from _code(card, source)


def text_unread(card: ModelCard) -> bool:
    """Whether there may be a text that was not read: behind a gate, not downloaded, or the Hub was away."""
    return not card.markdown.strip() and any(
        "card's text" in notice or "its card appears" in notice for notice in card.notices
    )


def config_findings(card: ModelCard) -> Iterator[Finding]:
    """Findings from config, tokenizer and generation config, and from the names of files."""
    yield from _template(card)
    yield from _tokens(card)
    yield from _base(card)


def _limits(section: Section, source: str) -> Iterator[Finding]:
    sentences = [
        text for text in re.split(r"[.!?\n]+", section.text) if re.search(r"limit|hallucinat|may |might ", text)
    ]
    if section.state == "absent" or not sentences:
        return
    if all(_VAGUE.search(text) for text in sentences) and section.words < 60:
        sentence = (
            "The limits only say that the model may be wrong, which is true of every model. Nothing tells what it was not "
            "made or tested for."
        )
        yield Finding("limits-vague", "low", sentence, f"{source}, {shown(section.heading) or 'limits'}")


def _data(card: ModelCard, section: Section, source: str) -> Iterator[Finding]:
    if not card.metadata.get("datasets") and section.state != "present":
        named = parents_of(card.metadata, card.record.tags)
        made = f" beyond that of {named.parents[0]}" if named.parents else ""
        sentence = f"The training data{made} is not disclosed: no dataset is named, and no section describes it."
        yield Finding("data-undisclosed", "medium", sentence, f"{source}, datasets")


def _code(card: ModelCard, source: str) -> Iterator[Finding]:
    code = code_of(card.markdown)[:200_000]
    if not code.strip():
        yield Finding(
            "no-code", "low", "The card shows no code to run the model with. Take the snippet of this page.", source
        )
        return
    for pattern, old, new in _REMOVED:
        if pattern.search(code):
            sentence = f"The card's example uses {old}, which current libraries no longer have. Use {new} instead."
            yield Finding("code-outdated", "low", sentence, f"{source}, code")


def _template(card: ModelCard) -> Iterator[Finding]:
    tags = {tag.lower() for tag in card.record.tags}
    asked = _CHATTY.search(card.repo_id.rpartition("/")[2]) or tags & {"conversational", "chat"}
    if card.summary.task not in (None, "text-generation", "image-text-to-text") or not asked:
        return
    names = {entry.path for entry in card.files}
    source = f"tokenizer_config.json @ {card.revision[:7]}"
    known = card.record.tokenizer is not None or card.record.gguf is not None
    has = (
        "chat_template.jinja" in names
        or (card.record.tokenizer or {}).get("chat_template")
        or (card.record.gguf or {}).get("chat_template")
    )
    if has:
        return
    if not known and "tokenizer_config.json" in names:
        yield Finding("template-unchecked", "info", "Whether there is a chat template was not told.", source)
    elif "adapter_config.json" not in names:
        sentence = (
            "The model is named as one to chat with, but has no chat template: every program will guess how turns are "
            "written, and answers get worse. Look for the format in the card."
        )
        yield Finding("no-template", "medium", sentence, source)


def _tokens(card: ModelCard) -> Iterator[Finding]:
    config, tokenizer, generation = card.record.config, card.record.tokenizer, card.record.generation
    at = card.revision[:7]
    if tokenizer is not None and "eos_token" in tokenizer:
        pad, eos = _token(tokenizer.get("pad_token")), _token(tokenizer.get("eos_token"))
        if pad is None and (config or {}).get("pad_token_id") is None:
            sentence = "No pad token is set: batches and fine-tuning fail until one is chosen."
            yield Finding("pad-missing", "low", sentence, f"tokenizer_config.json, pad_token @ {at}")
        elif pad is not None and pad == eos:
            sentence = (
                "The pad token is the end token: a fine-tuning that masks padding also masks the end, and the model "
                "learns to go on without stopping."
            )
            yield Finding("pad-is-eos", "low", sentence, f"tokenizer_config.json, pad_token @ {at}")
    source = f"generation_config.json @ {at}"
    if generation is None:
        if any(entry.path == "generation_config.json" for entry in card.files):
            sentence = "Whether the generation config holds traps was not checked: the file was not read."
            yield Finding("generation-unchecked", "info", sentence, source)
        return
    sampling = {
        name: generation[name] for name in ("temperature", "top_p", "top_k") if generation.get(name) is not None
    }
    if sampling and generation.get("do_sample") is False:
        sentence = f"Sampling values are set ({_listed(sorted(sampling))}) while do_sample is false: they do nothing."
        yield Finding("generation-ignored", "low", sentence, source)
    ends, stated = _ids(generation.get("eos_token_id")), _ids((config or {}).get("eos_token_id"))
    if ends and stated and not stated & ends:
        sentence = (
            "generation_config.json and config.json name different end tokens: answers may run on past their end."
        )
        yield Finding("generation-eos", "medium", sentence, source)
    length = generation.get("max_length")
    if isinstance(length, int) and not isinstance(length, bool) and 0 < length <= 64:
        sentence = (
            f"max_length is {length}: answers are cut after very few tokens unless the caller sets max_new_tokens."
        )
        yield Finding("generation-short", "low", sentence, source)


def _base(card: ModelCard) -> Iterator[Finding]:
    named = parents_of(card.metadata, card.record.tags)
    source = f"README.md, base_model @ {card.revision[:7]}"
    if named.local:
        sentence = (
            f"base_model is “{shown(named.local[0])}”, a place on the author's machine: nobody can tell what it was."
        )
        yield Finding("base-local", "medium", sentence, source)
    if named.parents or named.local:
        return
    paths = [entry.path for entry in card.files]
    adapter = "adapter_config.json" in paths or card.metadata.get("library_name") == "peft"
    quantised = (
        formats_of(paths) == ("gguf",)
        or _QUANTISED.search(card.repo_id)
        or (card.record.config or {}).get("quantization_config")
    )
    if adapter or quantised:
        what = "an adapter" if adapter else "a quantised copy"
        sentence = (
            f"This is {what} of another model, and the card does not name it: licence and origin cannot be followed."
        )
        yield Finding("base-unnamed", "medium", sentence, source)


def _token(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def _ids(value: object) -> set[int]:
    return {each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int)}


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
