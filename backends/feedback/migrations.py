"""The database's schema, one numbered step after another; a step that was released is never edited."""

from __future__ import annotations

import sqlite3

from core.errors import FeedbackError

_FIRST = (
    # What was said, never changed; what was taken back keeps its id and moments alone.
    """CREATE TABLE rows (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        config TEXT NOT NULL,
        columns TEXT NOT NULL,
        created_at TEXT NOT NULL,
        saved_at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX rows_by_config ON rows (config, seq)",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        row INTEGER NOT NULL REFERENCES rows (seq),
        kind TEXT NOT NULL CHECK (kind IN ('saved', 'withdrawn', 'superseded')),
        at TEXT NOT NULL,
        by_row TEXT
    ) STRICT""",
    "CREATE INDEX events_by_row ON events (row, kind)",
    """CREATE TRIGGER events_stay BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER events_remain BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # How far each row has travelled, for each dataset repository this data folder ever sent to.
    """CREATE TABLE destinations (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last_commit TEXT,
        committed_at REAL
    ) STRICT""",
    # replaced: another batch carries its rows, its shard may still be there. gone: its shard is deleted for certain.
    """CREATE TABLE batches (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        destination INTEGER NOT NULL REFERENCES destinations (id),
        config TEXT NOT NULL,
        path TEXT,
        sha256 TEXT,
        state TEXT NOT NULL CHECK (state IN ('open', 'pushed', 'refused', 'replaced', 'gone')),
        commit_id TEXT,
        replaced_by TEXT,
        reason TEXT
    ) STRICT""",
    "CREATE INDEX batches_by_state ON batches (destination, state)",
    "CREATE INDEX batches_by_heir ON batches (replaced_by) WHERE replaced_by IS NOT NULL",
    """CREATE TABLE placements (
        destination INTEGER NOT NULL REFERENCES destinations (id),
        row INTEGER NOT NULL REFERENCES rows (seq),
        state TEXT NOT NULL CHECK (state IN ('waiting', 'pushed', 'refused', 'withdrawn')),
        batch TEXT,
        PRIMARY KEY (destination, row)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX placements_by_state ON placements (destination, state, batch, row)",
    "CREATE INDEX placements_by_batch ON placements (batch, row) WHERE batch IS NOT NULL",
)

_PICTURES = (
    # Each picture once, however many rows show it; the rows' text names its hash.
    "CREATE TABLE pictures (sha256 TEXT PRIMARY KEY, png BLOB NOT NULL) STRICT",
    # Bytes of the pictures of a row, so that batches stay of a size that travels.
    "ALTER TABLE rows ADD COLUMN picture_bytes INTEGER NOT NULL DEFAULT 0",
)

_EVIDENCE = (
    "ALTER TABLE rows ADD COLUMN rater TEXT GENERATED ALWAYS AS (json_extract(columns, '$.rater')) VIRTUAL",
    "CREATE INDEX rows_by_rater ON rows (rater, seq)",
    # What stands: said, and neither taken back nor replaced since.
    """CREATE VIEW current_rows AS SELECT seq, id, config, columns, created_at, saved_at, rater FROM rows
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.row = rows.seq AND kind IN ('withdrawn', 'superseded'))""",
    # How many placements are in which state, so that the health line costs the same for ten rows and for a million.
    """CREATE TABLE tallies (
        destination INTEGER NOT NULL,
        state TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (destination, state)
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO tallies SELECT destination, state, count(*) FROM placements GROUP BY destination, state",
    """CREATE TRIGGER placed AFTER INSERT ON placements BEGIN
        INSERT INTO tallies VALUES (new.destination, new.state, 1)
        ON CONFLICT DO UPDATE SET n = n + 1; END""",
    """CREATE TRIGGER moved AFTER UPDATE OF state ON placements WHEN old.state != new.state BEGIN
        UPDATE tallies SET n = n - 1 WHERE destination = old.destination AND state = old.state;
        INSERT INTO tallies VALUES (new.destination, new.state, 1)
        ON CONFLICT DO UPDATE SET n = n + 1; END""",
    # The last failure outlives a restart. adopted: what the repository held before this database knew it was read.
    "ALTER TABLE destinations ADD COLUMN last_error TEXT",
    "ALTER TABLE destinations ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0",
    "UPDATE destinations SET adopted = 1 WHERE last_commit IS NOT NULL",
    "ALTER TABLE destinations ADD COLUMN approved INTEGER NOT NULL DEFAULT 0",
    # A shard that was there before this database: another app may look after it too.
    "ALTER TABLE batches ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE consent_texts (version TEXT PRIMARY KEY, text TEXT NOT NULL, first_shown TEXT NOT NULL) STRICT",
    """CREATE TABLE consents (
        rater TEXT NOT NULL,
        version TEXT NOT NULL REFERENCES consent_texts (version),
        at TEXT NOT NULL,
        PRIMARY KEY (rater, version)
    ) STRICT, WITHOUT ROWID""",
)

_CODE = "json_extract(columns, '$.rater')"
_PSEUDONYM = f"'* (r-{'[0-9a-f]' * 16})'"

_NAMES = (
    # Reviewers may put a name before their pseudonym; whose a row is follows from the pseudonym alone.
    f"""ALTER TABLE rows ADD COLUMN code TEXT GENERATED ALWAYS AS (
        CASE WHEN {_CODE} GLOB {_PSEUDONYM} THEN substr({_CODE}, -19, 18) ELSE {_CODE} END) VIRTUAL""",
    "DROP INDEX rows_by_rater",
    "CREATE INDEX rows_by_code ON rows (code, seq)",
    "DROP VIEW current_rows",
    """CREATE VIEW current_rows AS SELECT seq, id, config, columns, created_at, saved_at, code FROM rows
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.row = rows.seq AND kind IN ('withdrawn', 'superseded'))""",
    "CREATE TABLE reviewers (code TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # Rows that were taken back and still have their texts here. erased: the texts are gone, but the log may hold them.
    """CREATE TABLE to_erase (
        row INTEGER PRIMARY KEY REFERENCES rows (seq), not_before REAL NOT NULL DEFAULT 0, erased INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX events_by_heir ON events (by_row) WHERE by_row IS NOT NULL",
    "CREATE INDEX rows_with_pictures ON rows (seq) WHERE picture_bytes > 0",
    """CREATE TRIGGER events_erase AFTER INSERT ON events WHEN new.kind = 'withdrawn' BEGIN
        INSERT OR IGNORE INTO to_erase (row) VALUES (new.row); END""",
    "INSERT INTO to_erase (row) SELECT DISTINCT row FROM events WHERE kind = 'withdrawn'",
)

_JOURNAL = (
    # How far each journal folder (by its own id) has what is here, and its segments that are in here.
    """CREATE TABLE journals (
        id TEXT PRIMARY KEY,
        rows_upto INTEGER NOT NULL DEFAULT 0,
        events_upto INTEGER NOT NULL DEFAULT 0,
        notes_upto INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE TABLE journal_segments (journal TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (journal, name)) STRICT",
    # Which segments hold which row, or a reviewer's name: they are written anew when that is taken back.
    """CREATE TABLE journal_holds (
        journal TEXT NOT NULL, segment TEXT NOT NULL, row INTEGER REFERENCES rows (seq), code TEXT
    ) STRICT""",
    "CREATE INDEX journal_holds_row ON journal_holds (row) WHERE row IS NOT NULL",
    "CREATE INDEX journal_holds_code ON journal_holds (code) WHERE code IS NOT NULL",
    "CREATE INDEX journal_holds_segment ON journal_holds (segment)",
    # What has no number of its own: consents and names, in the order they came. What they say stands in their tables.
    """CREATE TABLE journal_notes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL CHECK (kind IN ('text', 'consent', 'name')), key TEXT NOT NULL
    ) STRICT""",
    "INSERT INTO journal_notes (kind, key) SELECT 'text', version FROM consent_texts",
    "INSERT INTO journal_notes (kind, key) SELECT 'consent', json_array(rater, version) FROM consents",
    "INSERT INTO journal_notes (kind, key) SELECT 'name', code FROM reviewers",
    """CREATE TRIGGER noted_text AFTER INSERT ON consent_texts BEGIN
        INSERT INTO journal_notes (kind, key) VALUES ('text', new.version); END""",
    """CREATE TRIGGER noted_consent AFTER INSERT ON consents BEGIN
        INSERT INTO journal_notes (kind, key) VALUES ('consent', json_array(new.rater, new.version)); END""",
    """CREATE TRIGGER noted_name AFTER INSERT ON reviewers BEGIN
        INSERT INTO journal_notes (kind, key) VALUES ('name', new.code); END""",
    """CREATE TRIGGER noted_rename AFTER UPDATE ON reviewers BEGIN
        INSERT INTO journal_notes (kind, key) VALUES ('name', new.code); END""",
    """CREATE TRIGGER noted_gone AFTER DELETE ON reviewers BEGIN
        INSERT INTO journal_notes (kind, key) VALUES ('name', old.code); END""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _PICTURES, _EVIDENCE, _NAMES, _JOURNAL)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date; two processes doing it at once is safe, and doing it again changes nothing."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)
        if found > len(MIGRATIONS):
            raise FeedbackError(
                "The feedback database was made by a newer version of this app. Start that version, or set "
                "PROVING_DATA_DIR to another folder."
            )
        for number, statements in enumerate(MIGRATIONS[found:], found + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
