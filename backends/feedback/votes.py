"""Votes as the evidence asks for them: counted by SQLite, or handed over in batches of plain numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from backends.feedback.verdicts import median_of
from core.dataset import Contender
from core.evidence import OUTCOMES, Ballot, Duel, Kind, Measured, Scored, Style, Tally, VoteFilter
from core.identity import code_of
from core.topics import bit_of

BATCH = 20_000
MOST_PEOPLE = 200
# From the first row to the last, whatever SQLite thinks of its indexes.
WHOLE = "verdicts NOT INDEXED"
_STYLES = ", ".join(f"coalesce({side}_{name}, 0)" for side in ("left", "right") for name in Style._fields)
_BALLOT = (
    "coalesce(item, -1), coalesce(rater, -1), coalesce(left_maker, -1), coalesce(right_maker, -1), outcome, at, "
    "coalesce(seconds, -1.0), coalesce(left_length, -1), coalesce(right_length, -1), coalesce(gold, -1)"
)


class SqliteVotes:
    """`core.evidence.Votes` over the tables of `verdicts.py`. `read` lends a connection."""

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

    def raters(self) -> Mapping[int, str]:
        """Every reviewer by number, under the name on the newest vote."""
        with self._read() as db:
            return dict(db.execute("SELECT id, shown FROM people").fetchall())

    def measured(self, makers: Sequence[int]) -> Measured:
        """Medians over every answer of these makers that was compared and measured, whatever the filter."""
        with self._read() as db:
            found = db.execute(
                f"""SELECT measured, step, sum(times) FROM speeds WHERE maker IN ({", ".join("?" * len(makers))})
                GROUP BY 1, 2 ORDER BY 1, 2""",  # noqa: S608  (question marks only)
                tuple(makers),
            ).fetchall()
        medians = {name: median_of([row[1:] for row in rows]) for name, rows in groupby(found, itemgetter(0))}
        return Measured(medians.get("first_token_s"), medians.get("tokens_per_s"), medians.get("seconds"))

    def tallies(self, wanted: VoteFilter) -> Sequence[Tally]:
        """Counted by SQLite, from an index alone when nothing but the kind is asked for."""
        where, values = self._where(wanted)
        with self._read() as db:
            return [
                Tally(left, right, OUTCOMES[outcome], times)
                for left, right, outcome, times in db.execute(
                    f"SELECT left_maker, right_maker, outcome, count(*) FROM {self._from(wanted)} WHERE {where} GROUP BY 1, 2, 3",  # noqa: S608  (_where inserts literals only)
                    values,
                )
            ]

    def duels(self, wanted: VoteFilter) -> Iterator[Sequence[Duel]]:
        """In the order they were saved. The connection is lent for one batch at a time."""
        won = (
            f"CASE outcome WHEN {OUTCOMES.index('left')} THEN 1.0 WHEN {OUTCOMES.index('right')} THEN 0.0 ELSE 0.5 END"
        )
        selected = f"left_maker, right_maker, {won}, {_STYLES}"
        return self._batches(selected, wanted, "AND left_maker NOT NULL AND right_maker NOT NULL")

    def ballots(self, wanted: VoteFilter) -> Iterator[Sequence[Ballot]]:
        """In the order they were saved, a batch at a time."""
        return self._batches(_BALLOT, wanted, "")

    def scored(self, wanted: VoteFilter) -> Iterator[Sequence[Scored]]:
        """Only those that answer questions of a rubric."""
        return self._batches(
            "item, rater, left_maker, right_maker, at, scores",
            wanted,
            "AND scores NOT NULL AND item NOT NULL AND rater NOT NULL AND left_maker NOT NULL AND right_maker NOT NULL",
        )

    def _batches(self, selected: str, wanted: VoteFilter, more: str) -> Iterator[Sequence[Any]]:
        where, values = self._where(wanted)
        after = -1
        while True:
            with self._read() as db:
                found = db.execute(
                    f"SELECT {selected}, row FROM {WHOLE} WHERE {where} {more} AND row > ? ORDER BY row LIMIT ?",  # noqa: S608  (literals)
                    (*values, after, BATCH),
                ).fetchall()
            if not found:
                return
            after = found[-1][-1]
            yield [one[:-1] for one in found]

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
            raters = db.execute(
                f"SELECT shown FROM people WHERE {kind} > 0 ORDER BY {kind} DESC, 1 LIMIT ?",  # noqa: S608  (one of two)
                (MOST_PEOPLE,),
            ).fetchall()
            campaigns = db.execute(
                """SELECT campaign FROM verdicts WHERE kind = ? AND campaign NOT NULL
                GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?""",
                (kind, MOST_PEOPLE),
            ).fetchall()
        return [name for (name,) in raters], [name for (name,) in campaigns]

    def _from(self, wanted: VoteFilter) -> str:
        """An index answers when only the kind is asked for; else looking up its rows one by one costs more than a scan."""
        return "verdicts" if wanted == VoteFilter(wanted.kind) else WHOLE

    def _where(self, wanted: VoteFilter) -> tuple[str, list[Any]]:
        parts, values = ["kind = ?", "leaked IN (0, 1)" if wanted.leaked else "leaked = 0"], [wanted.kind]
        found: list[Any] = list(values)
        if wanted.campaign:
            parts.append("campaign = ?")
            found.append(wanted.campaign)
        if wanted.rater:
            parts.append("rater = (SELECT id FROM people WHERE code = ?)")
            found.append(code_of(wanted.rater))
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
        if wanted.topic:
            parts.append("asked IN (SELECT id FROM asked WHERE topics & ? != 0)")
            found.append(bit_of(wanted.topic))
        if wanted.models:
            numbers = [str(n) for n, maker in self.contenders().items() if maker.model in wanted.models]
            among = f"({', '.join(numbers)})"
            joined = "OR" if len(wanted.models) == 1 else "AND"
            parts.append(f"(left_maker IN {among} {joined} right_maker IN {among})")
        return " AND ".join(parts), found


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
