"""What a prompt is about, by its words: few topics with rules anybody can read, for filtering votes. A prompt may have several."""

from __future__ import annotations

import re
from typing import Literal, get_args

Topic = Literal["code", "maths", "writing", "summary", "translation", "long"]

TOPICS: tuple[Topic, ...] = get_args(Topic)
NAMES: dict[Topic, str] = {
    "code": "Code",
    "maths": "Maths",
    "writing": "Writing",
    "summary": "Summaries",
    "translation": "Translation",
    "long": "Long prompts",
}
LONG = 500  # characters, as the “longer query” of Chatbot Arena


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


_RULES: dict[Topic, re.Pattern[str]] = {
    "code": re.compile(
        r"```|\b(?:def|class) \w+ ?[(:]|#include\b|\bconsole\.log\b|</\w+>|\bSELECT\b.+\bFROM\b|"
        r"(?i:\b(?:python|javascript|typescript|java|rust|golang|c\+\+|sql|html|css|bash|regex|"
        r"source code|stack trace|unit tests?|compile[rs]?|debug(?:ging)?|refactor)(?!\w))"
    ),
    "maths": re.compile(
        r"\d\s*[+*^×÷=]\s*\d|\d\s+[-−/]\s+\d|\\(?:frac|sum|int|sqrt)\b|"
        r"(?i:\b(?:equations?|integrals?|derivatives?|theorems?|proofs?|probabilit(?:y|ies)|algebra|geometry|"
        r"arithmetic|calculus|maths?|mathematics|calculate|square root)\b)"
    ),
    "writing": _words(
        "poems?", "story", "stories", "haikus?", "essays?", "lyrics", "slogans?", "e-?mails?", "letters?", "blog posts?",
        "cover letter", "repl(?:y|ies) to", "dialogues?",
    ),
    "summary": _words("summari[sz]e[sd]?", "summari[sz]ing", "summary", "summaries", "tl;dr", "in one sentence", "key points", "abstract of"),
    "translation": _words("translat(?:e[sd]?|ing|ions?)"),
}  # fmt: skip


def topics_of(prompt: str) -> frozenset[Topic]:
    """The topics of a prompt; none is as good an answer as any."""
    found: set[Topic] = {topic for topic, rule in _RULES.items() if rule.search(prompt)}
    if len(prompt) >= LONG:
        found.add("long")
    return frozenset(found)


def bits_of(prompt: str) -> int:
    """The topics as one number, a bit for each in the order of `TOPICS`."""
    found = topics_of(prompt)
    return sum(1 << place for place, topic in enumerate(TOPICS) if topic in found)


def bit_of(topic: Topic) -> int:
    """The number whose one bit is this topic."""
    return 1 << TOPICS.index(topic)
