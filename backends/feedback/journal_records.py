"""Lines of the event journal: rows, pictures, what happened to them, consents and names, from SQLite and back into it."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from backends.feedback.erasing import shown_in, stub
from backends.feedback.pictures import keep
from backends.feedback.segments import Record

# (row, code) of what a segment holds: a row by its number here, or the name of a reviewer.
Held = tuple[int | None, str | None]
log = logging.getLogger(__name__)


def rows_after(db: sqlite3.Connection, seq: int, most: int) -> list[int]:
    """Numbers of the rows that came since, at most `most` (-1: all)."""
    return [found for (found,) in db.execute("SELECT seq FROM rows WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most))]


def is_on_the_hub(db: sqlite3.Connection, seq: int) -> bool:
    """Whether a dataset on the Hub has the row; the folder dataset ends with the same disk as SQLite."""
    found = db.execute(
        """SELECT EXISTS (SELECT 1 FROM placements JOIN destinations ON destinations.id = destination
        WHERE row = ? AND state = 'pushed' AND name LIKE 'http%')""",
        (seq,),
    ).fetchone()
    return bool(found[0])


def row_records(db: sqlite3.Connection, seqs: Iterable[int], *, whole: bool = True) -> Iterator[Record]:
    """The rows and their pictures; of one that was taken back, and of all unless `whole`, only what stays of it."""
    for seq in seqs:
        row_id, config, text, created_at, saved_at, picture_bytes, at, gone = db.execute(
            """SELECT id, config, columns, created_at, saved_at, picture_bytes,
            (SELECT at FROM events WHERE row = rows.seq AND kind = 'saved'),
            EXISTS (SELECT 1 FROM events WHERE row = rows.seq AND kind = 'withdrawn') FROM rows WHERE seq = ?""",
            (seq,),
        ).fetchone()
        if gone or not whole:
            text, picture_bytes = stub(text), 0
        if picture_bytes:
            yield from _pictures(db, json.loads(text))
        yield {
            "kind": "row",
            "id": row_id,
            "config": config,
            "columns": text,
            "at": at,
            "created_at": created_at,
            "saved_at": saved_at,
            "picture_bytes": picture_bytes,
        }


def events_after(db: sqlite3.Connection, seq: int) -> list[tuple[int, Record]]:
    """What happened to rows since, each with the row's number; that one was saved stands with the row."""
    found = db.execute(
        """SELECT rows.seq, rows.id, kind, at, by_row FROM events JOIN rows ON rows.seq = events.row
        WHERE events.seq > ? AND kind != 'saved' ORDER BY events.seq""",
        (seq,),
    )
    return [
        (row, {"kind": "event", "row": row_id, "what": kind, "at": at, "by": by}) for row, row_id, kind, at, by in found
    ]


def note_records(db: sqlite3.Connection, seq: int) -> tuple[list[Record], list[str]]:
    """Consents and names that came or changed since; and the reviewers whose names are among them."""
    records: list[Record] = []
    codes = []
    noted = db.execute("SELECT kind, key FROM journal_notes WHERE seq > ? ORDER BY seq", (seq,)).fetchall()
    for kind, key in noted:
        if kind == "text":
            found = db.execute("SELECT text, first_shown FROM consent_texts WHERE version = ?", (key,)).fetchone()
            records.append({"kind": kind, "version": key, "text": found[0], "first_shown": found[1]})
        elif kind == "consent":
            rater, version = json.loads(key)
            found = db.execute("SELECT at FROM consents WHERE rater = ? AND version = ?", (rater, version)).fetchone()
            records.append({"kind": kind, "rater": rater, "version": version, "at": found[0]})
        else:
            found = db.execute("SELECT name FROM reviewers WHERE code = ?", (key,)).fetchone()
            records.append({"kind": kind, "code": key, "name": found[0] if found else ""})
            codes.append(key)
    return records, codes


def take_over(db: sqlite3.Connection, records: Sequence[Record], *, names: bool) -> tuple[int, list[Held]]:
    """Put a segment's records into the database, where they are not there yet; how many rows came, and what it holds.

    `names`: the names in it count; else those of the database do.
    """
    came, held = 0, list[Held]()
    for record in records:
        match record["kind"]:
            case "picture":
                png = base64.b64decode(str(record["png"]))
                keep(db, {hashlib.sha256(png).hexdigest(): png})
            case "row":
                seq, new = _take_row(db, record)
                came += new
                held.append((seq, None))
            case "event":
                _take_event(db, record)
            case "text":
                db.execute(
                    "INSERT OR IGNORE INTO consent_texts (version, text, first_shown) VALUES (:version, :text, :first_shown)",
                    record,
                )
            case "consent":
                db.execute("INSERT OR IGNORE INTO consents (rater, version, at) VALUES (:rater, :version, :at)", record)
            case "name":
                held.append((None, str(record["code"])))
                if names:
                    _take_name(db, record)
            case other:
                log.warning("the journal holds “%s”, which a newer version of this app wrote; it stays there", other)
    return came, held


def still_needed(db: sqlite3.Connection, records: Iterable[Record]) -> tuple[list[Record], list[Held]]:
    """The records of segments without what is gone or kept elsewhere, and what they hold.

    Gone are texts of rows that were taken back, pictures no row of the segments shows, and names nobody has any more; rows
    that a dataset on the Hub has come back from there.
    """
    kept, held = list[Record](), list[Held]()
    shown: set[object] = set()
    for record in records:
        if record["kind"] == "row":
            seq, text, gone = db.execute(
                "SELECT seq, columns, EXISTS (SELECT 1 FROM to_erase WHERE row = seq AND erased = 1) FROM rows WHERE id = ?",
                (record["id"],),
            ).fetchone()
            if gone:
                record = record | {"columns": text, "picture_bytes": 0}
            elif is_on_the_hub(db, seq):
                continue
            else:
                held.append((seq, None))
            columns = json.loads(str(record["columns"]))
            shown.update(shown_in(columns))
        elif record["kind"] == "name":
            if not db.execute("SELECT 1 FROM reviewers WHERE code = ?", (record["code"],)).fetchone():
                continue
            held.append((None, str(record["code"])))
        kept.append(record)
    return [record for record in kept if record["kind"] != "picture" or record["sha256"] in shown], held


def _pictures(db: sqlite3.Connection, columns: dict[str, object]) -> Iterator[Record]:
    for sha256 in shown_in(columns):
        found = db.execute("SELECT png FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if found is not None:
            yield {"kind": "picture", "sha256": sha256, "png": base64.b64encode(found[0]).decode()}


def _take_row(db: sqlite3.Connection, record: Record) -> tuple[int, bool]:
    found = db.execute("SELECT seq FROM rows WHERE id = ?", (record["id"],)).fetchone()
    if found is not None:
        return int(found[0]), False
    seq = db.execute(
        """INSERT INTO rows (id, config, columns, created_at, saved_at, picture_bytes)
        VALUES (:id, :config, :columns, :created_at, :saved_at, :picture_bytes)""",
        record,
    ).lastrowid
    db.execute("INSERT INTO events (row, kind, at) VALUES (?, 'saved', ?)", (seq, record["at"]))
    return int(seq or 0), True


def _take_event(db: sqlite3.Connection, record: Record) -> None:
    db.execute(
        """INSERT INTO events (row, kind, at, by_row) SELECT seq, :what, :at, :by FROM rows WHERE id = :row
        AND NOT EXISTS (SELECT 1 FROM events WHERE row = rows.seq AND kind != 'saved')""",
        record,
    )
    # For rows of a database that was here before; a new one has no placements yet.
    db.execute(
        "UPDATE placements SET state = 'withdrawn' WHERE row = (SELECT seq FROM rows WHERE id = ?)", (record["row"],)
    )


def _take_name(db: sqlite3.Connection, record: Record) -> None:
    if record["name"]:
        db.execute("INSERT OR REPLACE INTO reviewers (code, name) VALUES (:code, :name)", record)
    else:
        db.execute("DELETE FROM reviewers WHERE code = ?", (record["code"],))
