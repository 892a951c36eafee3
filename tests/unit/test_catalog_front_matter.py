"""READMEs from strangers: whatever the file holds, the answer is plain values, the text, and a sentence or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.hub.front_matter import MOST_DEPTH, read_readme

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join('*' + chr(97 + n) for _ in range(10))}]\n" for n in range(9)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000))
LONG = "a: &a " + "x" * 500_000 + "\nb: [" + ",".join("*a" for _ in range(50_000)) + "]\n"


def test_an_ordinary_card():
    card = read_readme(b"---\nlicense: mit\nlanguage:\n- en\n---\n# Title\n")
    assert card == ({"license": "mit", "language": ["en"]}, "# Title\n", None)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\nbody",
        b"\n\n---\nlicense: mit\n---\nbody",
        b"---   \nlicense: mit\n---\t\nbody",
        b"---\rlicense: mit\r---\rbody",
        "---\nlicense: mit\n---\nbody".encode("utf-16"),
        "---\nlicense: mit\n---\nbody".encode("utf-32"),
        "\ufeff---\nlicense: mit\n---\nbody",
    ],
)
def test_disguises_of_an_ordinary_card(content):
    assert read_readme(content) == ({"license": "mit"}, "body", None)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"", ""),
        (b"# Only text", "# Only text"),
        (b"---\nlicense: mit\nno end", "---\nlicense: mit\nno end"),
        (b"---\n---\nbody", "body"),
        (b"---\n# nothing\n---\nbody", "body"),
        (b"text\n---\na: b\n---\n", "text\n---\na: b\n---\n"),
    ],
)
def test_no_metadata_is_no_error(content, body):
    assert read_readme(content) == ({}, body, None)


def test_values_mean_what_the_hub_takes_them_for():
    block = """language: no
also: [yes, on, off, n, true, False]
date: 2024-01-01
numbers: [1, -2, 1.5, 1e3, 0x10, 1_000, 1:30, .inf, .nan, 123456789012345678901234567890]
nothing: [~, null, "", Null]
quoted: ["1", 'true', "null"]
tagged: !!python/object/apply:os.system [id]
binary: !!binary aGk=
1: one
true: yes
"""
    metadata, _, error = read_readme(f"---\n{block}---\n")
    assert error is None
    assert metadata == {
        "language": "no",
        "also": ["yes", "on", "off", "n", True, False],
        "date": "2024-01-01",
        "numbers": [1, -2, 1.5, "1e3", "0x10", "1_000", "1:30", ".inf", ".nan", "123456789012345678901234567890"],
        "nothing": [None, None, "", None],
        "quoted": ["1", "true", "null"],
        "tagged": ["id"],
        "binary": "aGk=",
        "1": "one",
        "true": "yes",
    }


def test_aliases_that_are_honest_work():
    metadata, _, error = read_readme("---\na: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2\n---\n")
    assert (metadata, error) == ({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}, None)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (BOMB, "more than 200,000 entries"),
        (LONG, "more than 200,000 entries"),
        (CHAIN, f"nested more than {MOST_DEPTH} levels"),
        ("a: &a\n  - *a\n", "refers to itself"),
        ("a: *missing\n", "refers to itself"),
        ("a: " + "[" * 50_000 + "\n", "nested more than"),
        ("- " * 50_000 + "x\n", "nested more than"),
        ("a: " + "{a: " * 50_000 + "\n", "nested more than"),
        ("? [a]\n: b\n", "used as a name"),
        ("- a\n- b\n", "not a list of names"),
        ("just text\n", "not a list of names"),
        ("42\n", "not a list of names"),
        ("a: b: c\n", "not valid YAML (line 2)"),
        ("ok: 1\n\ta: b\n", "not valid YAML (line"),
        ("a: \x00\n", "not valid YAML"),
        ("a: [1\n", "not valid YAML"),
        ("a:" * 200_000 + "\n", "not valid YAML"),
        ("a: " + "x" * 1_000_001 + "\n", "more than 1,000,000 characters"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_text_is_shown_all_the_same(block, why):
    metadata, body, error = read_readme(f"---\n{block}---\n# The text")
    assert metadata == {}
    assert body == "# The text"
    assert error is not None
    assert why in error
    assert error.startswith("The card's metadata cannot be read: ")


def test_malformed_bytes_are_replaced():
    metadata, body, error = read_readme(b"---\na: \xff\n---\n\xfe\x80 text")
    assert (metadata, body, error) == ({"a": "\ufffd"}, "\ufffd\ufffd text", None)


def test_five_megabytes_of_text():
    text = "word " * 1_000_000
    assert read_readme(f"---\nlicense: mit\n---\n{text}") == ({"license": "mit"}, text, None)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_nothing_makes_it_raise(content):
    read_readme(content)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"abc01-:{}[]&*!?|>'\"#%@,\n\t ~<=\ud800\x85\u2028", "---\n", "<<: ", "&a", "*a"]),
        max_size=60,
    )
)
def test_no_yaml_makes_it_raise(parts):
    metadata, _, _ = read_readme("---\n" + "".join(parts) + "\n---\n")
    json.dumps(metadata, allow_nan=False)
