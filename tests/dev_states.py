"""States of the Feedback tab, to be looked at by hand: real stores, brought where a person seldom sees them.

`python -m tests.dev_page PORT STATE` serves one; `STATES` names them.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from app import Services
from backends.evidence.publish import HubExports
from backends.evidence.service import EvidenceOf
from backends.feedback.build import at_risk, build_feedback
from backends.feedback.store import SqliteFeedbackStore
from core.chat import Message
from core.comparison import item_of
from core.dataset import ComparisonRow, Config, Contender, ImagePreferenceRow, PreferenceRow, RatingRow, Row
from core.evidence import Facts, Votes
from core.feedback import StoredRow
from tests.contract.outbox_rows import pictured, provenance
from tests.fakes import FakeRouter, png, services
from tests.hub_server import HubServer, RateLimited, Status

REPO = "alice/team-votes"
CONSENT = (
    "Your votes are published under CC0 as part of a dataset, with a pseudonym and never your name.\n"
    "You can take them back at any time."
)
ASKED = (
    "Summarise this ticket in two sentences: the customer cannot sign in since the last update.",
    "Write a polite reply to a guest whose room was not ready.",
    "Which of these two clauses is stricter, and why?",
    "Explain to a ten-year-old why the sea is salty.",
    "Turn this list of purchases into a table by month.",
    "def mean(xs): return sum(xs) / len(xs)  # What is wrong with it?",
)
SAID = (
    "The customer has not been able to sign in since Tuesday's update. Reset the session and tell them by mail.",
    "The customer cannot sign in.\n\n- since the update\n- on every device\n\n**Reset the session** and write to them.",
    "I am sorry to hear that. Could you tell me a little more about what happened?",
)


def _maker(name: str, commit: str, heat: float, first: float, speed: float) -> Contender:
    timings = {"first_token_s": first, "seconds": 2.0, "tokens": 64, "tokens_per_s": speed}
    return Contender(
        name, commit * 40, None, json.dumps({"max_new_tokens": 256, "temperature": heat}), json.dumps(timings)
    )


MAKERS = (
    _maker("HuggingFaceTB/SmolLM2-135M-Instruct", "a", 0.2, 0.11, 31.0),
    _maker("HuggingFaceTB/SmolLM2-135M-Instruct", "a", 0.9, 0.12, 30.0),
    _maker("HuggingFaceTB/SmolLM2-1.7B-Instruct", "b", 0.2, 0.62, 7.1),
    _maker("Qwen/Qwen2.5-0.5B-Instruct", "c", 0.2, 0.24, 18.4),
)
SIZES = {
    "SmolLM2-135M-Instruct": 134_515_008,
    "SmolLM2-1.7B-Instruct": 1_711_376_384,
    "Qwen2.5-0.5B-Instruct": 494_032_768,
}


def spoken(votes: int, seed: int = 3) -> list[Row]:
    """What four reviewers said over three weeks; one of them mostly takes the left side."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(votes):
        left, right = rng.sample(MAKERS, 2)
        order = (MAKERS[2], MAKERS[3], MAKERS[0], MAKERS[1])
        better = "left" if order.index(left) < order.index(right) else "right"
        rater = ("Ada (r-1f00)", "r-2a7c", "r-93d4", "r-c00l")[number % 4]
        outcome = (
            rng.choice(["left"] * 6 + [better])
            if number % 4 == 3
            else rng.choice([better] * 5 + ["left", "right", "tie", "both_bad"])
        )
        asked = (Message("user", ASKED[rng.randrange(len(ASKED))]),)
        says = rng.sample(SAID, 2)
        about = provenance(
            rater=rater, blind=True, leaked=number % 40 == 39, source="battle", comparison_id=f"battle-{number}",
            item=item_of(asked, (left, right)), decision_seconds=2.0 + 20 * rng.random(), backend="CPU", dtype="float32",
            created_at=f"2026-11-{1 + number * 20 // max(votes, 1):02}T10:{number % 60:02}:00.000000+00:00",
            reasons=("correct", "follows the prompt")[: rng.randrange(3)],
            comment="Says what to do next." if number % 7 == 0 else None,
        )  # fmt: skip
        answers = [(Message("assistant", text),) for text in says]
        # Of some questions the right answer is known; the last reviewer does not look for it.
        gold = better if number // 4 % 4 == 0 else None
        rows.append(ComparisonRow(about, "chat", asked, answers[0], answers[1], outcome, left, right, gold=gold))
        if outcome in ("left", "right"):
            won = 0 if outcome == "left" else 1
            makers = (left, right)
            rows.append(
                PreferenceRow(
                    replace(about, id=f"{about.id}-p", shown_left="chosen" if won == 0 else "rejected"), asked,
                    answers[won], answers[1 - won], makers[won], makers[1 - won],
                )
            )  # fmt: skip
    for number in range(4):
        rows.append(
            RatingRow(
                provenance(rater="r-2a7c", source="thumb", comment="Wrong year." if number == 1 else None),
                (Message("user", ASKED[number]),), (Message("assistant", SAID[number % 3]),), number != 1, MAKERS[0],
            )
        )  # fmt: skip
    rows.append(ImagePreferenceRow(provenance(rater="r-93d4"), "a red fox in the snow", png(1), png(200)))
    return rows


def _temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="proving-state-"))


class _Slow:
    """A source of rows that takes seconds."""

    def __init__(self, store: SqliteFeedbackStore) -> None:
        self._store = store

    def rows(self, config: Config) -> Iterator[StoredRow]:
        for row in self._store.rows(config):
            time.sleep(0.05)
            yield row

    def votes(self) -> Votes:
        time.sleep(4)
        return self._store.votes()


_HUBS: list[HubServer] = []


def _hub(**user: object) -> HubServer:
    hub = HubServer()
    hub.start()
    hub.add_user("alice", "hf_alice", **user)
    _HUBS.append(hub)
    return hub


def _opened(folder: Path, hub: HubServer | None, **more: object) -> SqliteFeedbackStore:
    dataset, endpoint = (REPO, hub.url) if hub else ("", "http://127.0.0.1:9")
    return build_feedback(folder, **{"dataset": dataset, "token": "hf_alice", "endpoint": endpoint, **more})  # type: ignore[arg-type]


def empty() -> SqliteFeedbackStore:
    """Nothing has been said yet."""
    return _opened(_temporary(), None)


def consent() -> SqliteFeedbackStore:
    """An operator's text, and nothing said yet."""
    return _opened(_temporary(), None, consent=CONSENT)


def votes() -> SqliteFeedbackStore:
    """Many votes, in the folder."""
    store = _opened(_temporary(), None)
    store.save([*spoken(160), *pictured(png(1), png(90), rater="r-93d4")])
    store.upload_now()
    return store


def few() -> SqliteFeedbackStore:
    """Too few votes to tell anything."""
    store = _opened(_temporary(), None)
    store.save(spoken(6))
    return store


def slow() -> SqliteFeedbackStore:
    """Whatever reads the rows takes its time: what stands on the screen meanwhile."""
    return votes()


def pushed() -> SqliteFeedbackStore:
    """Everything is in a private dataset on the Hub."""
    store = _opened(_temporary(), _hub())
    store.save(spoken(60))
    store.upload_now()
    return store


def waiting() -> SqliteFeedbackStore:
    """Some rows are in the dataset, newer ones wait out the pause between two commits."""
    store = pushed()
    store.save(spoken(4, seed=9))
    return store


def offline() -> SqliteFeedbackStore:
    """The Hub does not answer."""
    store = _opened(_temporary(), None, dataset=REPO)
    store.save(spoken(6))
    store.upload_now()
    return store


def limited() -> SqliteFeedbackStore:
    """The Hub asks to wait."""
    hub = _hub()
    hub.fail_next("*", RateLimited(240), times=None)
    store = _opened(_temporary(), hub)
    store.save(spoken(6))
    store.upload_now()
    return store


def revoked() -> SqliteFeedbackStore:
    """The token does not hold any more."""
    store = _opened(_temporary(), _hub(expired=True))
    store.save(spoken(6))
    store.upload_now()
    return store


def refused() -> SqliteFeedbackStore:
    """A shard of that name is there already, with other bytes."""
    hub = _hub()
    hub.add_dataset(REPO, private=True)
    hub.fail_next("*", Status(500), times=None)
    store = _opened(_temporary(), hub)
    store.save(spoken(4))
    batch = next(one for one in store._batches.claim() if one.config == "comparisons")
    hub.clear_faults()
    hub.commit(REPO, "dataset", {str(batch.path): b"PAR1 something else"})
    store.upload_now()
    return store


def public() -> SqliteFeedbackStore:
    """A public dataset, before anybody has looked at the first rows."""
    hub = _hub()
    hub.add_dataset(REPO, private=False)
    store = _opened(_temporary(), hub, public=True)
    store.save(spoken(3))
    store.upload_now()
    return store


def recovered() -> SqliteFeedbackStore:
    """The database was damaged; what could be read was put into a new one."""
    folder = _temporary()
    store = _opened(folder, None)
    store.save(spoken(60))
    store.close()
    path = folder / "feedback.sqlite"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xee" * 4096)
    return _opened(folder, None)


def space() -> SqliteFeedbackStore:
    """A Space whose disk ends with it."""
    store = _opened(_temporary(), None, warnings=at_risk(""))
    store.save(spoken(6))
    return store


STATES: dict[str, Callable[[], SqliteFeedbackStore]] = {
    made.__name__: made
    for made in (
        empty, consent, few, votes, slow, pushed, waiting, offline, limited, revoked, refused, public, recovered, space,
    )
}  # fmt: skip


def services_in(state: str, router: FakeRouter) -> Services:
    """Scripted services whose feedback store is real and in that state."""
    store = STATES[state]()
    made: Services = services(router)
    # Where nothing waits, the Hub takes an export too; where something does, pushing one shows how it fails.
    endpoint = _HUBS[-1].url if state == "pushed" else "http://127.0.0.1:9"
    evidence = EvidenceOf(
        _Slow(store) if state == "slow" else store,
        lambda: (store.status().dataset, store.status().last_commit),
        lambda model, revision: Facts(parameters=SIZES.get(model.rpartition("/")[2])),
        hub=HubExports(token="hf_alice", endpoint=endpoint) if state in ("pushed", "waiting") else None,
        destination=lambda view: f"{REPO}-{view}",
    )
    return replace(made, store=store, evidence=evidence)
