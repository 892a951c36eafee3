"""Conversations as records and files: whole, exact to the byte, and safe to take from a stranger."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.chat import GenerationSettings, Message, Reply, Usage
from core.conversation import Conversation, Preferred
from core.errors import UserInputError
from core.refs import ModelRef
from core.transcripts import (
    MOST_FILE,
    change_of,
    conversation_of,
    read_file,
    record_of,
    to_json,
    to_markdown,
    to_preferences,
    to_rows,
)

REF = ModelRef("org/tiny-model", "c" * 40, ModelRef("org/lora", "d" * 40))
EXACT = "  \tlead\r\n\n    code\tstays  \n🙂 <b>&amp; {x}"
SECRET = "salt"


def reply(text: str, name: str) -> Reply:
    return Reply(
        name, text, REF, GenerationSettings(seed=5, stop=("x",)), "CPU", "f32", "plain", "length", Usage(3, 4, 0.1, 1.1)
    )


def talked() -> Conversation:
    """Two answers to one question, a follow-up under the second, an edit, and a preference."""
    made = Conversation(EXACT).ask(EXACT).answer(reply(EXACT, "a1"), prefilled=2, context=2048)
    made = made.back_to_question().answer(reply("b", "a2"))
    made = made.edited("a2", "better")
    edit = made.tip
    assert edit is not None
    made = made.preferring(edit, "a2", Preferred(edit, "a2", "row-1")).through("a2")
    return made.ask("and?").answer(reply("so", "a3")).rated("a3", "row-2", True)


def test_a_file_brings_back_every_branch_to_the_byte() -> None:
    made = talked()
    back = read_file(to_json(made, SECRET), SECRET)
    assert back.turns == made.turns
    assert (back.system, back.tip, back.id, back.preferred) == (made.system, made.tip, made.id, made.preferred)
    assert back.path()[0].message.content == EXACT


def through_a_browser(value: object) -> object:
    """What JSON.parse and JSON.stringify make of a record: one kind of number, exact up to 2**53."""
    if isinstance(value, dict):
        return {name: through_a_browser(each) for name, each in value.items()}
    if isinstance(value, list):
        return [through_a_browser(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return int(float(value)) if float(value).is_integer() else float(value)


@pytest.mark.parametrize("seed", [5, 2**53 + 1])
def test_who_made_an_answer_is_known_after_a_browser_had_it(seed: int) -> None:
    """Every model with a repetition penalty of 1.0 lost its name at a reload: the browser gave back 1."""
    settings = GenerationSettings(temperature=1.0, top_p=0.9, repetition_penalty=1.0, seed=seed)
    made = replace(reply("a", "a1"), settings=settings, usage=Usage(3, 5, 0.0, 2.0))
    whole = Conversation().ask("q").answer(made)
    record = through_a_browser(json.loads(json.dumps(record_of(whole, SECRET))))
    back = conversation_of(record, SECRET).path()[-1].reply  # type: ignore[arg-type]
    assert back == made
    # Equal settings are equal strings, or it would be another contender on the leaderboard.
    assert back is not None and back.settings.as_json() == settings.as_json()


def test_an_answer_that_went_on_keeps_what_it_was() -> None:
    begun = Conversation().ask("q").answer(reply("one", "a1"))
    longer = begun.continued("a1", reply("one two", "a9"))
    back = read_file(to_json(longer, SECRET), SECRET)
    assert back.turns == longer.turns
    assert back.undone().path()[-1].message.content == "one"


@pytest.mark.parametrize("change", ["content", "made", "system", "question", "secret"])
def test_what_was_changed_by_hand_names_no_model(change: str) -> None:
    """Somebody could have a model say in a dataset what it never said."""
    record = record_of(Conversation("s").ask("q").answer(reply("a", "a1")), SECRET)
    question, answer = record["turns"]
    secret = SECRET
    if change == "content":
        answer["content"] = "something else"
    elif change == "made":
        answer["made"]["model"]["repo_id"] = "org/another"
    elif change == "system":
        answer["system"] = "other"
    elif change == "question":
        question["content"] = "another question"
    else:
        secret = "another app"
    back = conversation_of(json.loads(json.dumps(record)), secret)
    assert back.path()[-1].reply is None
    assert back.path()[-1].message.role == "assistant"


def test_only_what_is_new_is_told() -> None:
    before = talked()
    assert len(change_of(before, Conversation(), SECRET).turns) == len(before.turns)
    assert change_of(before, before, SECRET).turns == ()
    after = before.ask("more")
    assert [turn["content"] for turn in change_of(after, before, SECRET).turns] == ["more"]
    rated = before.rated("a1", "row-3", False)
    assert [turn["id"] for turn in change_of(rated, before, SECRET).turns] == ["a1"]


def test_rows_for_training_are_messages_of_every_branch_and_the_pairs() -> None:
    rows = [json.loads(line) for line in to_rows(talked()).splitlines()]
    assert sorted(row["messages"][-1]["content"] for row in rows) == sorted([EXACT, "better", "so"])
    assert all(row["messages"][0] == {"role": "system", "content": EXACT} for row in rows)
    (pair,) = [json.loads(line) for line in to_preferences(talked()).splitlines()]
    assert pair["chosen"] == [{"role": "assistant", "content": "better"}]
    assert pair["rejected"] == [{"role": "assistant", "content": "b"}]
    assert pair["prompt"][-1] == {"role": "user", "content": EXACT}


def test_markdown_says_who_wrote_what() -> None:
    text = to_markdown(talked())
    assert EXACT in text
    assert "org/tiny-model@" + "c" * 40 in text


def test_a_list_of_messages_is_a_conversation() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": EXACT},
        {"role": "assistant", "content": "<img src=x onerror=alert(1)>"},
    ]
    for data in (messages, {"messages": messages}):
        made = read_file(json.dumps(data), SECRET)
        assert made.messages() == tuple(Message(m["role"], m["content"]) for m in messages)  # type: ignore[arg-type]
        assert made.path()[-1].reply is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html><body>not JSON</body></html>", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "no conversation"),
        ('[{"role": "assistant", "content": "x"}]', "Message 1 of the file has the role assistant"),
        ('[{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]', "Message 2"),
        ('[{"role": "tool", "content": "x"}]', "role has to be system, user or assistant"),
        ('[{"role": "system", "content": "x"}]', "no message"),
        ('[{"role": "user", "content": 5}]', "with text as content"),
        ('{"format": "proving-ground/conversation", "turns": 5}', "list of at most"),
        ('{"format": "proving-ground/conversation", "turns": [5]}', "Turn 1"),
        ('{"format": "proving-ground/conversation", "turns": [{"id": "a", "parent": "b"}]}', "does not stand before"),
        ('{"format": "proving-ground/conversation", "turns": [{"id": "a", "role": "system", "content": ""}]}', "role"),
        ('{"format": "proving-ground/conversation", "turns": [{"id": "a", "role": "assistant", "content": ""}]}', "alternate"),
        ('[{"role": "user", "content": "\\ud800"}]', "half of a character pair"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_conversation_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        read_file(text, SECRET)


def test_a_file_of_fifty_megabytes_is_refused_before_it_is_read() -> None:
    with pytest.raises(UserInputError, match=f"at most {MOST_FILE:,}"):
        read_file("[" + " " * 50_000_000, SECRET)


def test_a_crafted_seal_or_reply_changes_nothing() -> None:
    record = record_of(Conversation().ask("q").answer(reply("a", "a1")), SECRET)
    for made in (5, [], {"model": 5}, None):
        record["turns"][1]["made"] = made
        for seal in (5, None, "x", "é"):
            record["turns"][1]["seal"] = seal
            assert conversation_of(record, SECRET).path()[-1].reply is None


def test_a_rating_of_another_is_not_taken_over_without_its_label() -> None:
    record = record_of(replace(talked()), SECRET)
    for turn in record["turns"]:
        turn["rating_id"] = "row-of-somebody"
        turn.pop("label", None)
    assert all(turn.rating_id is None for turn in conversation_of(record, SECRET).turns)
