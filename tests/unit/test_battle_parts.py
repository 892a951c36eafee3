"""The parts of a battle that need no page: rubric, leaks, prompt lists, plain text, pools."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from core.errors import UserInputError
from core.leaks import gives_itself_away
from core.plain_text import flattened
from core.pool import least_compared
from core.prompt_list import read_prompts
from core.refs import ModelRef
from core.rubric import DEFAULT, read_rubric

SMOL = ModelRef("HuggingFaceTB/SmolLM2-135M-Instruct", "a" * 40)
OWN = ModelRef("proving/tiny-chat", "b" * 40, ModelRef("acme/parrotine-lora", "c" * 40))


@pytest.mark.parametrize(
    "answer",
    [
        "I am SmolLM2, how can I help?",
        "My name is smollm.",
        "I'm an AI assistant called Qwen.",
        "I was trained by Hugging Face.",
        "As a large language model developed by Google, I cannot.",
        "As ChatGPT, I can help.",
        "I have been developed by the team at Hugging Face.",
        "Parrotine says hello.",
        "Ich bin SmolLM2-135M-Instruct.",
    ],
)
def test_a_model_that_names_itself_or_its_maker_leaks(answer: str) -> None:
    assert gives_itself_away(answer, "Who are you?", (SMOL, OWN))


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ("Paris is the capital of France.", "What is the capital of France?"),
        ("I am an assistant. Metadata describes data; a llama is an animal.", "What is metadata?"),
        ("Google and Meta are companies. Android was developed by Google.", "Name two companies."),
        ("I am happy to explain what Google does, as big as a llama.", "What is big?"),
        ("SmolLM2 is a small model.", "What is SmolLM2?"),
        ("The tiny chat model answers.", "Say something."),
        ("I am not sure. Bloom means to flower.", "What does bloom mean?"),
        ("", ""),
    ],
)
def test_what_is_only_spoken_of_is_no_leak(answer: str, prompt: str) -> None:
    assert not gives_itself_away(answer, prompt, (SMOL, OWN))


def test_an_answer_that_claims_the_name_it_was_asked_for_leaks() -> None:
    assert gives_itself_away("Yes, I am SmolLM2.", "Are you SmolLM2?", (SMOL,))


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("one\n\n two \nthree", "", ("one", " two ", "three")),
        ("first\nline\n---\nsecond", "", ("first\nline", "second")),
        ('{"prompt": "a"}\n{"text": "b"}', "", ("a", "b")),
        ('"a"\n{"messages": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}', "x.jsonl", ("a", "b")),
        ('[{"prompt": "a"}, "b"]', "x.json", ("a", "b")),
        ('id,Prompt\n1,"a, b"\n2,"line\nline"', "x.csv", ("a, b", "line\nline")),
        ("a\tb\nc\td", "x.tsv", ("a", "c")),
        ("\ufeffprompt\nä", "x.csv", ("ä",)),
    ],
)  # fmt: skip
def test_prompt_lists_are_read(text: str, name: str, found: tuple[str, ...]) -> None:
    assert read_prompts(text, name) == found


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "", "no prompt"),
        ("x\n" * 201, "", "at most 200"),
        ("x" * 20_001, "", "Prompt 1 has 20,001"),
        ('{"a": 1}', "x.jsonl", "Line 1 has no prompt"),
        ("{oops", "x.jsonl", "Line 1 is no JSON"),
        ('prompt\n"never closed', "x.csv", "cannot be read"),
        ("half \ud800 pair", "", "half of a character pair"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(text: str, name: str, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        read_prompts(text, name)


def test_plain_text_keeps_the_words_and_the_code() -> None:
    text = (
        "## Title\n\n- **one** and _two_\n> said\n\n```python\n# x = 2 * 3 * 4\n```\n[link](http://a) `code`\n---\n"
        "| a | b |\n|---|---|\n2 * 3 * 4, snake_case_name"
    )
    assert flattened(text) == (
        "Title\n\n- one and two\nsaid\n\n# x = 2 * 3 * 4\nlink code\n| a | b |\n2 * 3 * 4, snake_case_name"
    )


def test_every_pair_of_a_pool_has_its_turn_and_a_new_one_comes_first() -> None:
    counts: Counter[tuple[int, int]] = Counter()
    for _ in range(6):
        counts[least_compared(4, counts, lambda many: 0)] += 1
    assert set(counts.values()) == {1} and len(counts) == 6
    assert 4 in least_compared(5, counts, lambda many: many - 1)


def test_a_rubric_is_read_and_versioned_by_what_it_says() -> None:
    asked = {"questions": [{"name": "clear", "text": "Clear?", "choices": ["yes", "no"]}], "reasons": ["short"]}
    first, again = (read_rubric(json.dumps(asked), "f") for _ in range(2))
    assert first == again and first.questions[0].choices == ("yes", "no")
    asked["questions"][0]["text"] = "Is it clear?"  # type: ignore[index]
    assert read_rubric(json.dumps(asked), "f").version != first.version
    assert read_rubric(json.dumps(asked | {"version": "2"}), "f").version == "2"
    assert [question.name for question in DEFAULT.questions] == ["helpfulness", "faithfulness", "tone", "format"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("{", "no JSON"),
        ([], "has to be an object"),
        ({"questions": [{"name": "a", "text": "A"}] * 2}, "same name"),
        ({"questions": [{"name": f"q{n}", "text": "A"} for n in range(6)]}, "at most 5"),
        ({"questions": [{"name": "A B", "text": "A"}]}, "question 1 needs a name"),
        ({"questions": [{"name": "a", "text": ""}]}, "question 1 needs a text"),
        ({"questions": [{"name": "a", "text": "A", "choices": ["one"]}]}, "2 to 9"),
        ({"reasons": ["same", "same"]}, "reasons has to be"),
        ({"more": 1}, "has to be an object"),
    ],
)
def test_a_rubric_that_is_wrong_is_named(found: object, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        read_rubric(found if isinstance(found, str) else json.dumps(found), "PROVING_RUBRIC")
