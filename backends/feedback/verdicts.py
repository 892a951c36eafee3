"""Comparisons without their texts, kept beside the rows so that a million of them can be counted at once.

Derived from `rows` and never sent anywhere: it may be dropped at any time and is made again. A published dataset is
counted through the same tables, in a database of its own that nobody else sees. `votes.py` reads them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from math import exp, isfinite, log

from core.dataset import Contender
from core.evidence import OUTCOMES, Style, seconds_of, style_of, without_chance
from core.identity import code_of
from core.topics import bits_of

VERSION = 5
ASKED_CHARACTERS = 500
# Durations and speeds are counted in steps of one per cent, so that a median costs the same for ten votes and a million.
STEPS = 100.0
MEASURED = ("first_token_s", "tokens_per_s", "seconds")

_TABLES = (
    "CREATE TABLE verdict_state (version INTEGER NOT NULL, upto INTEGER NOT NULL, changes INTEGER NOT NULL) STRICT",
    # By hash, as `asked`: an index of texts would keep pieces of those that are gone.
    """CREATE TABLE makers (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT, revision TEXT, adapter TEXT, settings TEXT
    ) STRICT""",
    # Folded to lower case: only searched, never shown.
    """CREATE TABLE asked (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, text TEXT NOT NULL, uses INTEGER NOT NULL, topics INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT",
    # `shown` is the name the reviewer chose last, `at` when it was on a vote; and how many votes of each kind they have.
    """CREATE TABLE people (
        id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, shown TEXT NOT NULL, at REAL NOT NULL,
        chat INTEGER NOT NULL DEFAULT 0, image INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE verdicts (
        row INTEGER PRIMARY KEY, kind TEXT NOT NULL, leaked INTEGER NOT NULL, blind INTEGER NOT NULL,
        left_maker INTEGER, right_maker INTEGER, outcome INTEGER NOT NULL, asked INTEGER NOT NULL, item INTEGER, rater INTEGER,
        campaign TEXT, at REAL NOT NULL, seconds REAL,
        left_length INTEGER, left_headers INTEGER, left_lists INTEGER, left_bold INTEGER,
        right_length INTEGER, right_headers INTEGER, right_lists INTEGER, right_bold INTEGER,
        scores TEXT,
        left_first_token_s INTEGER, left_tokens_per_s INTEGER, left_seconds INTEGER,
        right_first_token_s INTEGER, right_tokens_per_s INTEGER, right_seconds INTEGER,
        gold INTEGER
    ) STRICT""",
    "CREATE INDEX verdicts_by_pair ON verdicts (kind, leaked, left_maker, right_maker, outcome)",
    "CREATE INDEX verdicts_by_day ON verdicts (kind, leaked, at)",
    "CREATE INDEX verdicts_by_campaign ON verdicts (kind, campaign) WHERE campaign IS NOT NULL",
    # How often a maker's answers measured how much, by step.
    """CREATE TABLE speeds (
        maker INTEGER NOT NULL, measured TEXT NOT NULL, step INTEGER NOT NULL, times INTEGER NOT NULL,
        PRIMARY KEY (maker, measured, step)
    ) STRICT, WITHOUT ROWID""",
)


def _counting(change: str, row: str, sign: str) -> str:
    """The trigger that keeps `people`, `asked` and `speeds` true to the votes there are."""
    counts = "".join(
        f"""
        INSERT INTO speeds SELECT {row}.{side}_maker, '{name}', {row}.{side}_{name}, {sign}1
        WHERE {row}.{side}_maker NOT NULL AND {row}.{side}_{name} NOT NULL
        ON CONFLICT DO UPDATE SET times = times {sign} 1;"""
        for side in ("left", "right")
        for name in MEASURED
    )
    # A text that nobody's vote is on any more is gone from here too.
    return f"""CREATE TRIGGER verdict_{change} AFTER {change} ON verdicts BEGIN
        UPDATE people SET chat = chat {sign} ({row}.kind = 'chat'), image = image {sign} ({row}.kind = 'image')
        WHERE id = {row}.rater;
        UPDATE asked SET uses = uses {sign} 1 WHERE id = {row}.asked;{counts}
        DELETE FROM asked WHERE id = {row}.asked AND uses <= 0; END"""  # noqa: S608  (literals)


_TRIGGERS = (_counting("insert", "new", "+"), _counting("delete", "old", "-"))
_TAKEN_BACK = """CREATE TRIGGER verdict_taken_back AFTER INSERT ON events WHEN new.kind != 'saved' BEGIN
    DELETE FROM verdicts WHERE row = new.row;
    UPDATE verdict_state SET changes = changes + 1; END"""
_MARKS = ", ".join("?" * 29)


def prepare(db: sqlite3.Connection, *, beside_rows: bool = True) -> None:
    """Make the tables, or make them anew when an older version left them. Inside a transaction."""
    found = db.execute("SELECT name FROM sqlite_master WHERE name = 'verdict_state'").fetchone()
    if found and db.execute("SELECT version FROM verdict_state").fetchone()[0] == VERSION:
        return
    db.execute("DROP TRIGGER IF EXISTS verdict_taken_back")
    for table in ("verdict_state", "makers", "asked", "items", "people", "speeds", "verdicts"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in (*_TABLES, *_TRIGGERS):
        db.execute(statement)
    if beside_rows:
        db.execute(_TAKEN_BACK)
    db.execute("INSERT INTO verdict_state VALUES (?, 0, 0)", (VERSION,))


def keep(db: sqlite3.Connection, row: int, columns: Mapping[str, object]) -> None:
    """Count a comparison that was saved as row number `row`, in its transaction. Doing it again changes nothing."""
    # Somebody else's dataset may hold an outcome that means nothing here.
    known = columns["outcome"] in OUTCOMES
    if known and db.execute("SELECT 1 FROM verdicts WHERE row = ?", (row,)).fetchone() is None:
        db.execute(f"INSERT INTO verdicts VALUES ({_MARKS})", _values(db, row, columns))  # noqa: S608  (question marks only)
    db.execute("UPDATE verdict_state SET changes = changes + 1")


def _values(db: sqlite3.Connection, row: int, columns: Mapping[str, object]) -> tuple[object, ...]:
    sides = [_style(columns.get(side)) for side in ("left", "right")]
    scores, item = columns.get("scores"), columns.get("item")
    at = seconds_of(columns["created_at"])
    return (
        row,
        columns["kind"],
        int(bool(columns.get("leaked"))),
        int(bool(columns.get("blind"))),
        _maker(db, columns, "left"),
        _maker(db, columns, "right"),
        OUTCOMES.index(str(columns["outcome"])),
        _asked(db, columns.get("prompt")),
        _number(db, "items", "key", str(item)) if item else None,
        _person(db, columns.get("rater"), at),
        columns.get("campaign"),
        at,
        columns.get("decision_seconds"),
        *(value for style in sides for value in style or (None,) * 4),
        json.dumps(scores) if scores else None,
        *(step for side in ("left", "right") for step in _steps(columns.get(f"{side}_timings"))),
        OUTCOMES.index(str(columns["gold"])) if columns.get("gold") in OUTCOMES else None,
    )


def median_of(counts: Sequence[tuple[int, int]]) -> float | None:
    """The median of (step, times) pairs in rising order, half a per cent off at most; None for none."""
    total = sum(times for _, times in counts)
    passed = 0
    for step, times in counts:
        passed += times
        if times and 2 * passed >= total:
            return exp(step / STEPS)
    return None


def keep_in_order(db: sqlite3.Connection, row: int, columns: Mapping[str, object]) -> None:
    """As `keep`, and remember that every comparison up to this one is counted when those before it are."""
    keep(db, row, columns)
    db.execute(
        """UPDATE verdict_state SET upto = :row WHERE upto >=
        coalesce((SELECT max(seq) FROM rows WHERE config = 'comparisons' AND seq < :row), 0)""",
        {"row": row},
    )


def catch_up(db: sqlite3.Connection, most: int = 1_000) -> bool:
    """Count some comparisons that were saved without being counted (by an older version, say); True when none is left.

    A few at a time, so that nobody's vote waits for it.
    """
    upto = db.execute("SELECT upto FROM verdict_state").fetchone()[0]
    rows = db.execute(
        "SELECT seq FROM rows WHERE config = 'comparisons' AND seq > ? ORDER BY seq LIMIT ?", (upto, most)
    ).fetchall()
    if rows:
        for seq, text in db.execute(
            """SELECT seq, columns FROM rows WHERE config = 'comparisons' AND seq > ? AND seq <= ?
            AND NOT EXISTS (SELECT 1 FROM verdicts WHERE row = rows.seq)
            AND NOT EXISTS (SELECT 1 FROM events WHERE events.row = rows.seq AND kind != 'saved')""",
            (upto, rows[-1][0]),
        ).fetchall():
            keep(db, seq, json.loads(text))
        db.execute("UPDATE verdict_state SET upto = ?", (rows[-1][0],))
    return len(rows) < most


def behind(db: sqlite3.Connection) -> bool:
    """Whether there is something to catch up with."""
    found = db.execute(
        """SELECT EXISTS (SELECT 1 FROM rows WHERE config = 'comparisons' AND seq > (SELECT upto FROM verdict_state))"""
    ).fetchone()
    return bool(found[0])


def _style(messages: object) -> Style | None:
    if not isinstance(messages, Sequence) or not messages:
        return None
    return style_of("".join(str(message["content"] or "") for message in messages))


def _steps(timings: object) -> list[int | None]:
    try:
        found = json.loads(timings) if isinstance(timings, str) else {}
    except ValueError:
        found = {}
    values = [found.get(name) if isinstance(found, dict) else None for name in MEASURED]
    return [
        round(STEPS * log(value)) if isinstance(value, int | float) and value > 0 and isfinite(value) else None
        for value in values
    ]


def _maker(db: sqlite3.Connection, columns: Mapping[str, object], side: str) -> int | None:
    told = [_text(columns.get(f"{side}_{name}")) for name in ("model", "revision", "adapter", "settings")]
    if not told[0]:
        return None
    maker = without_chance(Contender(*told))
    values = (maker.model, maker.revision, maker.adapter, maker.settings)
    key = _key(json.dumps(values))
    found = db.execute("SELECT id FROM makers WHERE key = ?", (key,)).fetchone()
    if found is None:
        return db.execute(
            "INSERT INTO makers (key, model, revision, adapter, settings) VALUES (?, ?, ?, ?, ?)", (key, *values)
        ).lastrowid
    number: int = found[0]
    return number


def asked_as(prompt: str) -> tuple[bytes, str, int]:
    """(key, text, topics) of a prompt in `asked`. Prompts that begin alike may be about different things."""
    text, topics = prompt[:ASKED_CHARACTERS].casefold(), bits_of(prompt)
    return _key(f"{topics}:{text}"), text, topics


def _asked(db: sqlite3.Connection, prompt: object) -> int | None:
    whole = ""
    if isinstance(prompt, Sequence) and prompt:
        whole = str(prompt[-1]["content"] or "")
    key, text, topics = asked_as(whole)
    found = db.execute("SELECT id FROM asked WHERE key = ?", (key,)).fetchone()
    if found is None:
        return db.execute(
            "INSERT INTO asked (key, text, uses, topics) VALUES (?, ?, 0, ?)", (key, text, topics)
        ).lastrowid
    number: int = found[0]
    return number


def _person(db: sqlite3.Connection, rater: object, at: float) -> int | None:
    if not isinstance(rater, str) or not rater:
        return None
    code = code_of(rater)
    found = db.execute("SELECT id, shown, at FROM people WHERE code = ?", (code,)).fetchone()
    if found is None:
        return db.execute("INSERT INTO people (code, shown, at) VALUES (?, ?, ?)", (code, rater, at)).lastrowid
    # By the vote's own moment: a published dataset has its rows in another order.
    if found[1] != rater and (at, rater) > (found[2], found[1]):
        db.execute("UPDATE people SET shown = ?, at = ? WHERE id = ?", (rater, at, found[0]))
    number: int = found[0]
    return number


def _number(db: sqlite3.Connection, table: str, column: str, value: str) -> int | None:
    found = db.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()  # noqa: S608  (literals)
    if found is None:
        return db.execute(f"INSERT INTO {table} ({column}) VALUES (?)", (value,)).lastrowid  # noqa: S608
    number: int = found[0]
    return number


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
