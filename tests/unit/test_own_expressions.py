"""The app's own regular expressions: none repeats a repetition, which some text could make run longer than anybody lives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CALLS = {"compile", "match", "search", "fullmatch", "sub", "subn", "findall", "finditer", "split"}
# So often in a row costs nothing, whatever stands inside.
FEW = 20
# Repetitions of repetitions that can be read in one way only, because a sign ends each turn; lines have at most 4,000
# characters there.
ONE_WAY = {
    r"\s*([-*_])(\s*\1){2,}\s*",
    r"\s*\|?(\s*:?-{2,}:?\s*\|)+\s*:?-*:?\s*",
}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression that is written out in the source, with its place."""
    for folder in ("backends", "components", "core", "pages"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func) in {f"re.{name}" for name in CALLS}
                    and isinstance(node.args[0], ast.Constant)
                ):
                    found = node.args[0].value
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", found if isinstance(found, str) else found.decode()


def deepest(tree: Any, inside: int = 0) -> int:
    """How many repetitions stand within each other; those that give nothing back do not count."""
    most = inside
    for kind, value in tree:
        if kind in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            parts, more = [value[2]], value[1] > FEW
        elif kind is ops.POSSESSIVE_REPEAT:
            parts, more = [value[2]], False
        elif kind is ops.SUBPATTERN:
            parts, more = [value[3]], False
        elif kind is ops.BRANCH:
            parts, more = value[1], False
        elif kind in (ops.ASSERT, ops.ASSERT_NOT):
            parts, more = [value[1]], False
        else:
            parts, more = [value] if kind is ops.ATOMIC_GROUP else [], False
        most = max([most, inside + more, *(deepest(part, inside + more) for part in parts)])
    return most


def test_no_expression_of_ours_repeats_a_repetition() -> None:
    found = list(expressions())
    assert len(found) > 80
    assert {text for _, text in found if deepest(parser.parse(text)) > 1} == ONE_WAY


@pytest.mark.parametrize("bomb", ["(a+)+$", "(a|b*)*c", "(?:x(?:y{2,})?){3,}", "(?=(a+)*)b"])
def test_this_sees_what_breaks_it(bomb: str) -> None:
    assert deepest(parser.parse(bomb)) > 1
    re.compile(bomb)


@pytest.mark.parametrize("harmless", ["a+b+", "(?:a+){0,3}", "[a-z]*(x|y)*", "(?:a{1,9}b)+"])
def test_and_lets_the_others_be(harmless: str) -> None:
    assert deepest(parser.parse(harmless)) == 1
