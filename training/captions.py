"""What pictures are called: captions by template, and which combinations are held out of training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from training.colours import WORDS

# The share of possible combinations that no training picture and no caption has.
HELD_OUT = 0.2
_IRREGULAR = {
    "mouse": "mice",
    "wolf": "wolves",
    "leaf": "leaves",
    "knife": "knives",
    "loaf": "loaves",
    "ox": "oxen",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "goose": "geese",
    "tooth": "teeth",
    "foot": "feet",
    "cactus": "cacti",
}


@dataclass(frozen=True)
class Subject:
    """One thing that is drawn: its name, other names for it, its emoji group, and the colours it has by nature."""

    name: str
    group: str
    synonyms: tuple[str, ...] = ()
    natural: frozenset[str] = frozenset()
    # Whether it has one clear colour that can be turned into another.
    recolourable: bool = False

    @property
    def family(self) -> str:
        """What is left without colour words: red apple and green apple are both apples, a cat face is a cat."""
        return family(self.name)


def family(name: str) -> str:
    """The name without its colour words, and without a last `face`."""
    words = [word for word in name.split() if word not in WORDS]
    if len(words) > 1 and words[-1] == "face":
        words.pop()
    return " ".join(words) or name


def held_out(kind: str, value: str, of: str, seed: int) -> bool:
    """Whether a combination (colour, background or count; of a family) stays out of training.

    It depends on the words and the seed alone, not on which other things there are, so that a longer list of concepts
    leaves the split of the others as it was.
    """
    digest = hashlib.sha256(f"{seed}\0{kind}\0{value}\0{of}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64


def naturals(subjects: Iterable[Subject]) -> dict[str, frozenset[str]]:
    """For each family, every colour that a drawing of it has or that a name in it says: never unseen."""
    found: dict[str, set[str]] = {}
    for subject in subjects:
        said = {word for word in subject.name.split() if word in WORDS}
        found.setdefault(subject.family, set()).update(subject.natural | said)
    return {name: frozenset(colours) for name, colours in found.items()}


def plural(name: str) -> str:
    """Two of a thing, good enough for captions."""
    start, _, last = name.rpartition(" ")
    if last in _IRREGULAR:
        many = _IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        many = last + "es"
    elif re.search(r"[^aeiou]y$", last):
        many = last[:-1] + "ies"
    else:
        many = last + "s"
    return f"{start} {many}".strip()


def article(words: str) -> str:
    """The words with `a` or `an` before them."""
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def captions(
    subject: Subject, style: str, *, colour: str = "", background: str = "", count: int = 1, limit: int = 8
) -> tuple[str, ...]:
    """Different captions of one picture, the plainest first; each names what is in it and nothing else.

    `colour` is said when it is given: for a drawing as it is, only its own.
    """
    # A colour before a name that has one already would contradict it.
    said = bool(colour) and not any(word in WORDS for word in subject.name.split())
    found = []
    for name in (subject.name, *subject.synonyms):
        words = f"{colour} {name}" if said else name
        thing, plain = (f"two {plural(words)}", f"two {plural(words)}") if count == 2 else (article(words), words)
        if background:
            thing, plain = f"{thing} on {article(background)} background", f"{plain} on {background}"
        found.append((plain, thing, f"{plain}, {style} style", f"{style} style {plain}", f"{thing}, {style} style"))
    # Every name gets its plainest caption before any gets its second.
    ordered = [row[place] for place in range(5) for row in found]
    return tuple(dict.fromkeys(ordered))[:limit]


def prompts(
    subjects: Iterable[Subject], seed: int, *, unseen: bool, known: Iterable[Subject] | None = None
) -> list[tuple[Subject, str]]:
    """Every (subject, colour) pair that is recoloured, either trained or held out; never a natural colour.

    `known` is everything the model learns, when `subjects` is a part of it.
    """
    from training.colours import HUES

    asked = list(subjects)
    natural = naturals(known if known is not None else asked)
    return [
        (subject, colour)
        for subject in asked
        if subject.recolourable and not any(word in WORDS for word in subject.name.split())
        for colour in HUES
        if colour not in natural[subject.family] and held_out("colour", colour, subject.family, seed) == unseen
    ]
