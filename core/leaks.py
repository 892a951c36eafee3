"""Whether an answer gives its maker away: a model that says what it is called, or who made it, is not blind any more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.refs import ModelRef

# What assistants call themselves and who makes them. A name of the battle's own contenders is added to these.
_KNOWN = (
    "alibaba", "anthropic", "aya", "baichuan", "bloom", "chatglm", "chatgpt", "claude", "cohere", "command r", "deepmind",
    "deepseek", "ernie", "falcon", "gemini", "gemma", "glm", "google", "gpt", "granite", "grok", "hugging face", "hunyuan",
    "ibm", "internlm", "kimi", "lfm", "liquid ai", "llama", "llava", "meta ai", "meta", "microsoft", "minicpm", "minimax",
    "mistral", "mixtral", "moonshot", "nemotron", "nvidia", "olmo", "openai", "openchat", "openelm", "phi", "pythia",
    "qwen", "smollm", "smolvlm", "stablelm", "starcoder", "step", "tongyi", "tulu", "vicuna", "xai", "yi", "zephyr",
    "zhipu", "allen institute for ai", "ai2", "technology innovation institute", "tii",
)  # fmt: skip
# Words in a repository's name that say nothing of whose it is.
_PLAIN = frozenset(
    [
        "ai",
        "and",
        "base",
        "bit",
        "chat",
        "code",
        "coder",
        "dpo",
        "exp",
        "fast",
        "final",
        "fp16",
        "gguf",
        "hf",
        "inc",
        "instruct",
        "int4",
        "int8",
        "it",
        "labs",
        "large",
        "lm",
        "lora",
        "medium",
        "mini",
        "model",
        "models",
        "nano",
        "new",
        "org",
        "org2",
        "preview",
        "pro",
        "proving",
        "research",
        "rl",
        "sft",
        "small",
        "team",
        "test",
        "the",
        "tiny",
        "turbo",
        "ultra",
        "user",
        "v1",
        "v2",
        "v3",
        "vision",
        "vl",
        "xl",
    ]
)
# How a model speaks of itself, then what may stand before the name: “I am a large language model called …, made by …”.
_DESCRIBED = (
    r"(?:(?:an?|the|your|called|named|known|as|ai|artificial|intelligence|language|large|small|model|models|assistant|chatbot|"
    r"chat|bot|helpful|virtual|digital|open|source|based|on|been|trained|created|developed|made|built|designed|released|by|"
    r"from|family|of|series|version|team|researchers|company|at|in|and)[\s,:\"'“*_-]+){0,14}"
)
_SELF = (
    r"\b(?:i\s+am|i['’]m|i\s+was|i\s+have|i['’]ve|my\s+name\s+is|my\s+name['’]s|call\s+me|"
    r"my\s+(?:creators?|makers?|developers?)\s+(?:is|are)|you\s+are\s+(?:talking|chatting|speaking)\s+(?:to|with)|"
    r"as\s+an?\s+(?:\w+\s+){0,3}?(?:ai|model|assistant|chatbot))[\s,:\"'“*_-]+"
)


def gives_itself_away(answer: str, prompt: str, makers: Sequence[ModelRef]) -> bool:
    """Whether `answer` names a contender of the battle, or says of itself that it is, or was made by, one that is known.

    A contender's name that stands in the prompt too counts only where the answer claims it: whoever asks about llamas is
    told of llamas.
    """
    text, asked = answer.casefold(), prompt.casefold()
    own = {word for ref in makers for word in _words(_named(ref))}
    if any(_has(name, text) and not _has(name, asked) for name in own):
        return True
    owners = {word for ref in makers for word in _words(ref.repo_id.rpartition("/")[0])}
    known = "|".join(_pattern(name) for name in sorted({*own, *owners, *_KNOWN}, key=len, reverse=True))
    claims = rf"{_SELF}{_DESCRIBED}(?:{known})|\bas\s+(?:{known})\s*,\s*(?:i|made|created|developed|trained)\b"
    return re.search(claims, text) is not None


def _named(ref: ModelRef) -> str:
    """What a model and the adapter on it are called, without whose they are."""
    names = [each.repo_id.rpartition("/")[2] for each in (ref, ref.adapter) if each is not None]
    return " ".join(names)


def _words(name: str) -> set[str]:
    """The words of a name that tell whose it is."""
    found = set()
    for part in re.split(r"[/._\s-]+", name):
        # SmolLM2 calls itself SmolLM, Qwen2.5 calls itself Qwen.
        for word in (part.casefold(), re.sub(r"\d.*$", "", part).casefold()):
            if len(word) >= 4 and word not in _PLAIN and not re.fullmatch(r"\d+(\.\d+)?[bmk]?|v\d+", word):
                found.add(word)
    return found


def _has(name: str, text: str) -> bool:
    return re.search(_pattern(name), text) is not None


def _pattern(name: str) -> str:
    # A number may follow without a gap (Qwen2), a letter may not (metadata is not Meta).
    return rf"(?<!\w){re.escape(name)}(?![^\W\d_])"
