"""Topics of prompts by their words, and votes filtered by them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.chat import Message
from core.evidence import VoteFilter
from core.topics import LONG, NAMES, TOPICS, Topic, bit_of, bits_of, topics_of
from tests.contract.outbox_rows import comparison
from tests.fake_evidence import RowsInMemory
from tests.fakes import FakeStore


@pytest.mark.parametrize(
    ("prompt", "topics"),
    [
        ("Write a Python function that reverses a list", {"code"}),
        ("def mean(xs): return sum(xs) / len(xs)  # what is wrong?", {"code"}),
        ("SELECT name FROM users; why is it slow?", {"code"}),
        ("Is C++ faster?", {"code"}),
        ("What is 17 * 23?", {"maths"}),
        ("Solve the equation for x", {"maths"}),
        ("Write a haiku about the sea", {"writing"}),
        ("Write a polite e-mail to a guest", {"writing"}),
        ("Summarise this ticket in one sentence", {"summary"}),
        ("Translate to French: good morning", {"translation"}),
        ("Translate this poem into German and summarize it", {"writing", "summary", "translation"}),
        ("Why is the sea salty?", set()),
        # Words that only hold others.
        ("Who was Javanese?", set()),
        ("A classy answer about mathers and letterheads", set()),
        ("Open from 2010-2012, as of 12/11/2026", set()),
        ("12 - 5 = 7, is it?", {"maths"}),
        ("x" * LONG, {"long"}),
        ("", set()),
    ],
)
def test_topics_are_words(prompt: str, topics: set[Topic]) -> None:
    assert topics_of(prompt) == topics
    assert bits_of(prompt) == sum(bit_of(topic) for topic in topics)


def test_every_topic_has_a_name() -> None:
    assert tuple(NAMES) == TOPICS


def test_votes_are_filtered_by_topic_whatever_stands_after_the_first_characters() -> None:
    store = FakeStore()
    asked = {"code": "Fix this Python", "none": "Why is the sea salty?", "late": "x " * 300 + "in Python"}
    for name, prompt in asked.items():
        store.save([replace(comparison("left", id=name), prompt=(Message("user", prompt),))])
    votes = RowsInMemory(store).votes()

    def count(topic: Topic | None) -> int:
        return sum(one.times for one in votes.tallies(VoteFilter(topic=topic)))

    assert (count(None), count("code"), count("long"), count("maths")) == (3, 2, 1, 0)
