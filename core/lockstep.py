"""Releasing two streams in step, so that speed does not tell which model is which."""

from __future__ import annotations


def released(texts: tuple[str, ...], finished: tuple[bool, ...], shown: int) -> int:
    """How many characters of every side may be on the screen now.

    The pace is the slowest side's: a side that is still writing holds the others back, one that has finished does not
    (its text simply ends earlier). Never fewer than are `shown` already.
    """
    writing = [len(text) for text, done in zip(texts, finished, strict=True) if not done]
    limit = min(writing) if writing else max((len(text) for text in texts), default=0)
    return max(shown, limit)


def stride(shown: int) -> int:
    """How many characters of every side the next message of a battle carries, from how many were shown before alone.

    It follows from the place in the text and from nothing that a model did: the same two answers make the same messages,
    however fast either was written. Long answers take longer strides, so that a fast engine is not held back for long.
    """
    return 16 if shown < 512 else 32 if shown < 2048 else 64
