"""Comparisons without their texts, kept beside the rows so that a million of them can be counted at once.

Derived from `rows` and never sent anywhere: it may be dropped at any time and is made again. A published dataset is
counted through the same tables, in a database of its own that nobody else sees.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from core.dataset import Contender
from core.evidence import (
    Duel,
    Habits,
    Kind,
    SharedVote,
    Style,
    Tally,
    VoteFilter,
    seconds_of,
    style_of,
    without_chance,
)  # fmt: skip

VERSION = 2
ASKED_CHARACTERS = 500
BATCH = 20_000
ITEMS_TOGETHER = 2_000
MOST_PEOPLE = 200
# From the first row to the last, whatever SQLite thinks of its indexes.
WHOLE = "verdicts NOT INDEXED"

_TABLES = (
    "CREATE TABLE verdict_state (version INTEGER NOT NULL, upto INTEGER NOT NULL, changes INTEGER NOT NULL) STRICT",
    """CREATE TABLE makers (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, model TEXT, revision TEXT, adapter TEXT, settings TEXT
    ) STRICT""",
    # Folded to lower case: only searched, never shown.
    "CREATE TABLE asked (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",
    """CREATE TABLE verdicts (
        row INTEGER PRIMARY KEY, kind TEXT NOT NULL, leaked INTEGER NOT NULL, blind INTEGER NOT NULL,
        left_maker INTEGER, right_maker INTEGER, outcome TEXT NOT NULL, asked INTEGER NOT NULL, item TEXT, rater TEXT,
        campaign TEXT, at REAL NOT NULL, seconds REAL,
        left_length INTEGER, left_headers INTEGER, left_lists INTEGER, left_bold INTEGER,
        right_length INTEGER, right_headers INTEGER, right_lists INTEGER, right_bold INTEGER,
        scores TEXT
    ) STRICT""",
    "CREATE INDEX verdicts_by_pair ON verdicts (kind, leaked, left_maker, right_maker, outcome)",
    "CREATE INDEX verdicts_by_day ON verdicts (kind, leaked, at)",
    "CREATE INDEX verdicts_by_item ON verdicts (item, rater) WHERE item IS NOT NULL",
    "CREATE INDEX verdicts_by_rater ON verdicts (kind, rater)",
    "CREATE INDEX verdicts_by_campaign ON verdicts (kind, campaign) WHERE campaign IS NOT NULL",
)
_TAKEN_BACK = """CREATE TRIGGER verdict_taken_back AFTER INSERT ON events WHEN new.kind != 'saved' BEGIN
    DELETE FROM verdicts WHERE row = new.row;
    UPDATE verdict_state SET changes = changes + 1; END"""
_STYLES = ", ".join(f"coalesce({side}_{name}, 0)" for side in ("left", "right") for name in Style._fields)
_MARKS = ", ".join("?" * 22)


def prepare(db: sqlite3.Connection, *, beside_rows: bool = True) -> None:
    """Make the tables, or make them anew when an older version left them. Inside a transaction."""
    found = db.execute("SELECT name FROM sqlite_master WHERE name = 'verdict_state'").fetchone()
    if found and db.execute("SELECT version FROM verdict_state").fetchone()[0] == VERSION:
        return
    db.execute("DROP TRIGGER IF EXISTS verdict_taken_back")
    for table in ("verdict_state", "makers", "asked", "verdicts"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _TABLES:
        db.execute(statement)
    if beside_rows:
        db.execute(_TAKEN_BACK)
    db.execute("INSERT INTO verdict_state VALUES (?, 0, 0)", (VERSION,))


def keep(db: sqlite3.Connection, row: int, columns: Mapping[str, object]) -> None:
    """Count a comparison that was saved as row number `row`, in its transaction. Doing it again changes nothing."""
    sides = [_style(columns.get(side)) for side in ("left", "right")]
    scores = columns.get("scores")
    db.execute(
        f"INSERT OR IGNORE INTO verdicts VALUES ({_MARKS})",  # noqa: S608  (question marks only)
        (
            row,
            columns["kind"],
            int(bool(columns.get("leaked"))),
            int(bool(columns.get("blind"))),
            _maker(db, columns, "left"),
            _maker(db, columns, "right"),
            columns["outcome"],
            _asked(db, columns.get("prompt")),
            columns.get("item"),
            columns.get("rater"),
            columns.get("campaign"),
            seconds_of(columns["created_at"]),
            columns.get("decision_seconds"),
            *(value for style in sides for value in style or (None,) * 4),
            json.dumps(scores) if scores else None,
        ),
    )
    db.execute("UPDATE verdict_state SET changes = changes + 1")


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


class SqliteVotes:
    """`core.evidence.Votes` over these tables. `read` lends a connection."""

    def __init__(self, read: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._read = read

    def stamp(self) -> object:
        """Changes with every vote that is added or taken back."""
        with self._read() as db:
            return tuple(db.execute("SELECT upto, changes FROM verdict_state").fetchone())

    def contenders(self) -> Mapping[int, Contender]:
        """Every maker by its number."""
        with self._read() as db:
            return {
                number: Contender(*rest)
                for number, *rest in db.execute("SELECT id, model, revision, adapter, settings FROM makers")
            }

    def tallies(self, wanted: VoteFilter) -> Sequence[Tally]:
        """Counted by SQLite, from an index alone when nothing but the kind is asked for."""
        where, values = self._where(wanted)
        with self._read() as db:
            return [
                Tally(*found)
                for found in db.execute(
                    f"SELECT left_maker, right_maker, outcome, count(*) FROM {self._from(wanted)} WHERE {where} GROUP BY 1, 2, 3",  # noqa: S608  (_where inserts literals only)
                    values,
                )
            ]

    def duels(self, wanted: VoteFilter) -> Iterator[Sequence[Duel]]:
        """In the order they were saved. The connection is lent for one batch at a time."""
        where, values = self._where(wanted)
        after = -1
        while True:
            with self._read() as db:
                found = db.execute(
                    f"""SELECT left_maker, right_maker, CASE outcome WHEN 'left' THEN 1.0 WHEN 'right' THEN 0.0 ELSE 0.5 END,
                    {_STYLES}, row FROM {WHOLE}
                    WHERE {where} AND left_maker NOT NULL AND right_maker NOT NULL AND row > ? ORDER BY row LIMIT ?""",  # noqa: S608
                    (*values, after, BATCH),
                ).fetchall()
            if not found:
                return
            after = found[-1][-1]
            yield [one[:-1] for one in found]

    def shared(self, wanted: VoteFilter) -> Iterator[Sequence[SharedVote]]:
        """Found item by item, so that what is held is a batch, however many votes there are."""
        where, values = self._where(wanted)
        with self._read() as db:
            items = [
                item
                for (item,) in db.execute(
                    f"SELECT item FROM {WHOLE} WHERE {where} AND item NOT NULL GROUP BY item "  # noqa: S608
                    "HAVING min(rater) != max(rater)",
                    values,
                )
            ]
        for start in range(0, len(items), ITEMS_TOGETHER):
            some = items[start : start + ITEMS_TOGETHER]
            with self._read() as db:
                found = db.execute(
                    f"""SELECT item, rater, left_maker, right_maker, outcome, at, scores
                    FROM verdicts INDEXED BY verdicts_by_item WHERE item IN ({", ".join("?" * len(some))}) AND {where}
                    AND rater NOT NULL AND left_maker NOT NULL AND right_maker NOT NULL""",  # noqa: S608
                    (*some, *values),
                ).fetchall()
            yield [SharedVote(*one) for one in found]

    def habits(self, wanted: VoteFilter) -> Sequence[Habits]:
        """Counted by SQLite in one pass, and one more for the medians."""
        where, values = self._where(wanted)
        with self._read() as db:
            # The middle vote of each reviewer by time taken, or the two middle ones.
            medians = dict(
                db.execute(
                    f"""SELECT rater, avg(seconds) FROM (
                        SELECT rater, seconds, row_number() OVER (PARTITION BY rater ORDER BY seconds) AS place,
                        count(*) OVER (PARTITION BY rater) AS total FROM {WHOLE} WHERE {where} AND seconds NOT NULL
                    ) WHERE place IN ((total + 1) / 2, (total + 2) / 2) GROUP BY rater""",  # noqa: S608
                    values,
                ).fetchall()
            )
            counted = db.execute(
                f"""SELECT rater, count(*), sum(outcome IN ('left', 'right')), sum(outcome = 'left'),
                coalesce(sum(outcome IN ('left', 'right') AND left_length != right_length), 0),
                coalesce(sum(outcome IN ('left', 'right') AND left_length != right_length
                    AND (outcome = 'left') = (left_length > right_length)), 0)
                FROM {WHOLE} WHERE {where} GROUP BY rater ORDER BY 2 DESC, 1""",  # noqa: S608
                values,
            ).fetchall()
        return [Habits._make((*one, medians.get(one[0]))) for one in counted]

    def days(self, wanted: VoteFilter) -> Sequence[tuple[date, int]]:
        """Votes per day in UTC."""
        where, values = self._where(wanted)
        with self._read() as db:
            found = db.execute(
                f"SELECT CAST(at / 86400 AS INTEGER), count(*) FROM {self._from(wanted)} WHERE {where} GROUP BY 1 ORDER BY 1",  # noqa: S608
                values,
            ).fetchall()
        return [(date(1970, 1, 1) + timedelta(days=day), count) for day, count in found]

    def people(self, kind: Kind) -> tuple[Sequence[str], Sequence[str]]:
        """Raters and campaigns, the busiest first."""
        with self._read() as db:
            raters, campaigns = (
                [
                    name
                    for (name,) in db.execute(
                        f"""SELECT {column} FROM verdicts WHERE kind = ? AND {column} IS NOT NULL
                        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_PEOPLE}""",  # noqa: S608  (two literals)
                        (kind,),
                    )
                ]
                for column in ("rater", "campaign")
            )
        return raters, campaigns

    def _from(self, wanted: VoteFilter) -> str:
        """An index answers when only the kind is asked for; else looking up its rows one by one costs more than a scan."""
        return "verdicts" if wanted == VoteFilter(wanted.kind) else WHOLE

    def _where(self, wanted: VoteFilter) -> tuple[str, list[Any]]:
        parts, values = ["kind = ?", "leaked IN (0, 1)" if wanted.leaked else "leaked = 0"], [wanted.kind]
        found: list[Any] = list(values)
        for column, value in (("campaign", wanted.campaign), ("rater", wanted.rater)):
            if value:
                parts.append(f"{column} = ?")
                found.append(value)
        if wanted.blind_only:
            parts.append("blind = 1")
        if wanted.since:
            parts.append("at >= ?")
            found.append(_midnight(wanted.since))
        if wanted.until:
            parts.append("at < ?")
            found.append(_midnight(wanted.until + timedelta(days=1)))
        if wanted.prompt.strip():
            parts.append("asked IN (SELECT id FROM asked WHERE instr(text, ?) > 0)")
            found.append(wanted.prompt.strip().casefold())
        if wanted.models:
            numbers = [str(n) for n, maker in self.contenders().items() if maker.model in wanted.models]
            among = f"({', '.join(numbers)})"
            joined = "OR" if len(wanted.models) == 1 else "AND"
            parts.append(f"(left_maker IN {among} {joined} right_maker IN {among})")
        return " AND ".join(parts), found


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _style(messages: object) -> Style | None:
    if not isinstance(messages, Sequence) or not messages:
        return None
    return style_of("".join(str(message["content"] or "") for message in messages))


def _maker(db: sqlite3.Connection, columns: Mapping[str, object], side: str) -> int | None:
    told = [_text(columns.get(f"{side}_{name}")) for name in ("model", "revision", "adapter", "settings")]
    if not told[0]:
        return None
    maker = without_chance(Contender(*told))
    values = (maker.model, maker.revision, maker.adapter, maker.settings)
    key = json.dumps(values, ensure_ascii=False)
    found = db.execute("SELECT id FROM makers WHERE key = ?", (key,)).fetchone()
    if found is None:
        return db.execute(
            "INSERT INTO makers (key, model, revision, adapter, settings) VALUES (?, ?, ?, ?, ?)", (key, *values)
        ).lastrowid
    number: int = found[0]
    return number


def _asked(db: sqlite3.Connection, prompt: object) -> int | None:
    text = ""
    if isinstance(prompt, Sequence) and prompt:
        text = str(prompt[-1]["content"] or "")[:ASKED_CHARACTERS].casefold()
    found = db.execute("SELECT id FROM asked WHERE text = ?", (text,)).fetchone()
    if found is None:
        return db.execute("INSERT INTO asked (text) VALUES (?)", (text,)).lastrowid
    number: int = found[0]
    return number


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
