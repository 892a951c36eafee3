"""What the dataset's card says of its rows: how many, by whom, of which models, under which consent. Kept current."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence

from backends.feedback import consents
from core.dataset import Config

BEGIN, END = "<!-- proving-ground: kept current, do not edit below -->", "<!-- proving-ground: end -->"
MOST_MODELS = 50
_SIDES: dict[Config, tuple[str, ...]] = {
    "preferences": ("chosen_", "rejected_"),
    "ratings": ("",),
    "image_preferences": ("chosen_", "rejected_"),
    "comparisons": ("left_", "right_"),
}
_UNKNOWN_BIASES = "Not measured yet: too few votes, or nobody asked for it. The app's Feedback tab measures them."
Biases = Callable[[], Sequence[str]]


def figures(db: sqlite3.Connection, destination: int, biases: Sequence[str] = ()) -> str:
    """The section as Markdown: of the rows that were sent or leave with this commit, so that a second try says the same."""
    db.execute("DROP TABLE IF EXISTS temp.sent")
    db.execute(
        """CREATE TEMP TABLE sent AS SELECT rows.seq FROM placements JOIN rows ON rows.seq = row
        WHERE destination = ? AND state IN ('waiting', 'pushed') AND batch IS NOT NULL""",
        (destination,),
    )
    try:
        return "\n\n".join([BEGIN, *_sections(db, biases), END]) + "\n"
    finally:
        db.execute("DROP TABLE temp.sent")


def placed(body: str, section: str) -> str:
    """`body` with the section in the place of the old one, or at its end; what stands around it is the owner's."""
    if not section:
        return body
    pattern = re.compile(re.escape(BEGIN) + f"(?:(?!{re.escape(BEGIN)}).)*?" + re.escape(END) + r"\n?", re.DOTALL)
    if pattern.search(body):
        return pattern.sub(lambda _: section, body, count=1)
    return f"{body.rstrip()}\n\n{section}" if body.strip() else section


def _sections(db: sqlite3.Connection, biases: Sequence[str]) -> list[str]:
    return ["## In numbers", _counts(db), *_who(db), *_models(db), *_consent(db), *_rubrics(db), _biases(biases)]


def _counts(db: sqlite3.Connection) -> str:
    found = db.execute(
        "SELECT config, count(*), min(created_at), max(created_at) FROM rows JOIN sent USING (seq) GROUP BY config ORDER BY config"
    ).fetchall()
    lines = ["| config | rows | from | to |", "| --- | ---: | --- | --- |"]
    lines += [f"| `{config}` | {rows} | {first[:10]} | {last[:10]} |" for config, rows, first, last in found]
    return "\n".join(lines)


def _who(db: sqlite3.Connection) -> list[str]:
    raters, unnamed = db.execute(
        "SELECT count(DISTINCT rater), sum(rater IS NULL) FROM rows JOIN sent USING (seq)"
    ).fetchone()
    sources = _shares(db, "source", "rows JOIN sent USING (seq)")
    told = f"{raters} raters, each under a pseudonym{f'; {unnamed} rows name nobody' if unnamed else ''}. By `source`: {sources}."
    outcomes = _shares(db, "outcome", "rows JOIN sent USING (seq)", "config = 'comparisons'")
    return [told, *([f"Comparisons by `outcome`: {outcomes}."] if outcomes else [])]


def _shares(db: sqlite3.Connection, column: str, table: str, where: str = "1") -> str:
    found = db.execute(
        f"""SELECT json_extract(columns, '$.{column}') AS value, count(*) FROM {table} WHERE {where}
        GROUP BY value ORDER BY count(*) DESC, value"""  # noqa: S608  (names of this module only)
    ).fetchall()
    return ", ".join(f"{count} `{value}`" for value, count in found if value is not None)


def _models(db: sqlite3.Connection) -> list[str]:
    each = " UNION ALL ".join(
        f"""SELECT json_extract(columns, '$.{side}model') AS model, json_extract(columns, '$.{side}revision') AS revision,
        json_extract(columns, '$.{side}adapter') AS adapter FROM rows JOIN sent USING (seq) WHERE config = '{config}'"""  # noqa: S608
        for config, sides in _SIDES.items()
        for side in sides
    )
    found = db.execute(
        f"""SELECT model, revision, adapter, count(*) FROM ({each}) WHERE model IS NOT NULL
        GROUP BY model, revision, adapter ORDER BY count(*) DESC, model, revision, adapter LIMIT ?""",  # noqa: S608
        (MOST_MODELS + 1,),
    ).fetchall()
    if not found:
        return []
    lines = ["| model | commit | adapter | answers |", "| --- | --- | --- | ---: |"]
    lines += [
        f"| {_cell(model)} | `{_cell(revision)}` | {_cell(adapter) if adapter else ''} | {count} |"
        for model, revision, adapter, count in found[:MOST_MODELS]
    ]
    more = ["And more; the rows name them all."] if len(found) > MOST_MODELS else []
    return ["### Models compared", "\n".join(lines), *more]


def _consent(db: sqlite3.Connection) -> list[str]:
    counts = dict(
        db.execute(
            """SELECT json_extract(columns, '$.consent_version') AS version, count(*) FROM rows JOIN sent USING (seq)
            GROUP BY version"""
        ).fetchall()
    )
    texts = dict(consents.texts(db))
    parts = ["### Consent"]
    for version, count in sorted(counts.items(), key=lambda item: str(item[0])):
        if version is None:
            parts.append(f"{count} rows were given without a consent text.")
        elif version in texts:
            quoted = "\n".join(f"> {line}".rstrip() for line in texts[version].splitlines())
            parts.append(f"{count} rows were given under `consent_version` `{version}`:\n\n{quoted}")
        else:
            parts.append(
                f"{count} rows were given under `consent_version` `{version}`, whose text this app does not know."
            )
    return parts


def _rubrics(db: sqlite3.Connection) -> list[str]:
    found = _shares(db, "rubric_version", "rows JOIN sent USING (seq)")
    asked = f"Rows by `rubric_version`: {found}." if found else "Reviewers were asked which answer is better, and why."
    return ["### Rubric", asked]


def _biases(biases: Sequence[str]) -> str:
    return "### Known biases\n\n" + ("\n".join(f"- {one}" for one in biases) if biases else _UNKNOWN_BIASES)


def _cell(value: object) -> str:
    # A name is somebody's text: it must not break the table or become markup.
    return re.sub(r"[^\w./@:+-]", "_", str(value or "unknown"))[:200]
