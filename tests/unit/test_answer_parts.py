"""Answers in their parts: reasoning and tools are told from words, and nothing of an answer is lost or read into it."""

from __future__ import annotations

import json

import pytest

from components.answer_parts import parts_of, reasoning_html, tool_html
from components.transcript import answer_message


def told(answer: str) -> list[tuple[str, str, bool]]:
    return [(part.kind, part.text, part.whole) for part in parts_of(answer)]


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("  plain\n\ttext ", [("text", "  plain\n\ttext ", True)]),
        ("", [("text", "", True)]),
        ("<think>\nHm.\n</think>\n\nFour.", [("reasoning", "\nHm.\n", True), ("text", "\n\nFour.", True)]),
        # Still thinking; and a template that wrote the opening tag itself.
        ("<think>\nHm", [("reasoning", "\nHm", False)]),
        ("Hm.\n</think>\nFour.", [("reasoning", "Hm.\n", True), ("text", "\nFour.", True)]),
        ("<reasoning>a</reasoning>b<think>c</think>d", [
            ("reasoning", "a", True), ("text", "b", True), ("reasoning", "c", True), ("text", "d", True)]),
        # What stands in code is spoken of, not meant.
        ("Use `<think>` first.", [("text", "Use `<think>` first.", True)]),
        ("```xml\n<think>x</think>\n```\nSo.", [("text", "```xml\n<think>x</think>\n```\nSo.", True)]),
        ("It ends with `</think>` there.", [("text", "It ends with `</think>` there.", True)]),
        ('<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call>', [("tool", '\n{"name": "a", "arguments": {}}\n', True)]),
        ('[TOOL_CALLS][{"name": "a"', [("tool", '[{"name": "a"', False)]),
        # Llama and Mistral write their marks as special tokens, which are no text.
        ('{"name": "a", "parameters": {"x": 1}}', [("tool", '{"name": "a", "parameters": {"x": 1}}', True)]),
        ('{"name": "Ada", "age": 36}', [("text", '{"name": "Ada", "age": 36}', True)]),
        ('{"name": "Ada", "parameters": "tall"}', [("text", '{"name": "Ada", "parameters": "tall"}', True)]),
    ],
)  # fmt: skip
def test_the_parts_of_an_answer(answer: str, parts: list[tuple[str, str, bool]]) -> None:
    assert told(answer) == parts


def test_a_tool_is_refused_politely_and_what_it_was_asked_is_shown() -> None:
    (part,) = parts_of('<tool_call>{"name": "<b>", "arguments": {"city": "<Ulm>"}}</tool_call>')
    html = tool_html(part)
    assert "asks for the tool <b>&lt;b&gt;</b>" in html
    assert "No tools are given to it here, so nothing is run" in html
    assert "&lt;Ulm&gt;" in html and "<Ulm>" not in html
    (broken,) = parts_of("<tool_call>weather(Ulm)</tool_call>")
    assert "weather(Ulm)" in tool_html(broken)
    deep = "[" * 100_000
    assert "nothing is run" in tool_html(parts_of(f"<tool_call>{deep}</tool_call>")[0])


def test_reasoning_is_folded_once_it_is_whole() -> None:
    (written,) = parts_of("<think>one <i>two")
    assert "<details" in reasoning_html(written) and " open" in reasoning_html(written)
    whole = reasoning_html(parts_of("<think>one <i>two</think>x")[0])
    assert " open" not in whole and "Reasoning · 2 words" in whole and "&lt;i&gt;" in whole


def test_the_chatbot_gets_words_as_text_and_the_rest_as_html() -> None:
    shown = answer_message("<think>a</think>\n**b**")["content"]
    assert [part["type"] for part in shown] == ["component", "text"]
    assert shown[1]["text"] == "\n**b**"
    assert json.dumps(shown).count("**b**") == 1
