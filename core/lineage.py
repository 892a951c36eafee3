"""What a card says its model was made from, and which licence of the whole chain binds whoever uses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.card_parts import RELATIONS, Ancestor, Lineage, Relation
from core.errors import UserInputError
from core.licenses import LicenseClass
from core.refs import check_repo_id

MOST_PARENTS = 20
# From what binds least to what binds most. An own-terms licence (Llama, Gemma) allows commercial use under conditions of
# its own; where nothing is known, nothing may be assumed, which is weaker evidence but not a milder term.
STRICTNESS: Mapping[LicenseClass, int] = {
    "permissive": 0,
    "copyleft": 1,
    "use-restricted": 2,
    "own-terms": 3,
    "non-commercial": 4,
    "research-only": 5,
}


@dataclass(frozen=True, slots=True)
class Named:
    """The parents a card names. `local` are names that no repository of the Hub can have, such as a path."""

    parents: tuple[str, ...]
    relation: Relation | None
    local: tuple[str, ...] = ()


def parents_of(metadata: Mapping[str, object], tags: Iterable[str] = ()) -> Named:
    """The models in `base_model` (else in the Hub's tags), and how this one was made from them."""
    stated = metadata.get("base_model")
    texts = [item.strip() for item in (stated if isinstance(stated, list) else [stated]) if isinstance(item, str)]
    marks = [tag.removeprefix("base_model:") for tag in tags if tag.startswith("base_model:")]
    told = next((mark.partition(":")[0] for mark in marks if ":" in mark), None)
    if not any(texts):
        texts = [mark for mark in marks if ":" not in mark]
    parents, local = [], []
    for text in dict.fromkeys(texts[:MOST_PARENTS]):
        name = text.removeprefix("https://huggingface.co/").rstrip("/")
        try:
            parents.append(check_repo_id(name))
        except UserInputError:
            if text:
                local.append(text[:200])
    said = metadata.get("base_model_relation")
    relation = next((known for known in RELATIONS if known in (said, told)), None)
    return Named(tuple(parents), relation or _guessed(metadata, tags, parents), tuple(local))


def _guessed(metadata: Mapping[str, object], tags: Iterable[str], parents: Sequence[str]) -> Relation | None:
    """As the Hub guesses it where the card does not say."""
    if not parents:
        return None
    words = {tag for tag in tags if isinstance(tag, str)}
    own = metadata.get("tags")
    words |= {tag for tag in own if isinstance(tag, str)} if isinstance(own, list) else set()
    if "gguf" in words:
        return "quantized"
    if words & {"adapter", "peft", "lora"} or metadata.get("library_name") == "peft":
        return "adapter"
    return "merge" if len(parents) > 1 else "finetune"


def strictest(lineage: Lineage) -> Ancestor | None:
    """The ancestor whose licence binds most, the nearest of several; None when no licence above is known."""
    known = [(STRICTNESS.get(a.license_class or "unknown", -1), -a.depth, a) for a in lineage.ancestors]
    best = max(known, key=lambda found: found[:2], default=None)
    return best[2] if best and best[0] >= 0 else None


def stricter(above: LicenseClass | None, own: LicenseClass | None) -> bool:
    """Whether a parent's licence binds more than the one a child states."""
    if above is None or above not in STRICTNESS:
        return False
    return own is None or own not in STRICTNESS or STRICTNESS[above] > STRICTNESS[own]


def chain_of(lineage: Lineage) -> str:
    """`a ← b ← c` for a sentence, parent after child, through the first parent named at each step."""
    names: list[str] = []
    child = ""
    for ancestor in lineage.ancestors:
        if not names or ancestor.child == child:
            names.append(ancestor.repo_id)
            child = ancestor.repo_id
    return " ← ".join(names)
