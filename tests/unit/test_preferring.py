"""What is said of answers in a conversation, as rows."""

from __future__ import annotations

import json
from dataclasses import replace

from core.chat import GenerationSettings, Reply
from core.conversation import Conversation
from core.preferring import preference_of, rating_of
from core.refs import ModelRef
from core.transcripts import conversation_of, record_of
from tests.fakes import REF

FLAGGED = json.dumps({"answer": {"found": [{"label": "rude"}]}})


def answered(reply_id: str, safety: str | None, before: Conversation, ref: ModelRef = REF) -> Conversation:
    settings = GenerationSettings(max_new_tokens=8, temperature=1.0, top_p=1.0, seed=1)
    reply = Reply(reply_id, f"text of {reply_id}", ref, settings, "fake", "float32", "plain", "stop", None)
    return before.answer(replace(reply, safety=safety))


def test_what_the_text_checks_said_stands_in_every_row_of_a_conversation() -> None:
    asked = Conversation().ask("hello")
    first = answered("one", FLAGGED, asked)
    both = answered("two", None, first.back_to_question())
    turn = both.turn("one")
    assert rating_of(both, turn, False, "rater").provenance.safety == FLAGGED
    assert rating_of(both, both.turn("two"), True, "rater").provenance.safety is None
    pair = preference_of(both, "two", "one", "rater")
    assert json.loads(pair.provenance.safety or "") == {"rejected": json.loads(FLAGGED)}


def test_a_kept_conversation_keeps_what_the_text_checks_said() -> None:
    conversation = answered("one", FLAGGED, Conversation().ask("hello"))
    kept = conversation_of(record_of(conversation, "secret"), "secret")
    reply = kept.turn("one").reply
    assert reply is not None
    assert reply.safety == FLAGGED
