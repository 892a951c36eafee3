"""The gallery: every finished picture of a visitor as a PNG on disk at once, found again through an index in SQLite."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import time

from backends.feedback import durable
from backends.gallery.archive import write_zip
from backends.gallery.index import Index
from backends.gallery.thumbnails import thumbnail
from backends.image.png import text_chunks
from core.errors import GalleryError, UserInputError
from core.gallery import EXACT, PAGE, GalleryPage, GalleryQuery, Keeping, KeptPicture, Pace, described, words_of
from core.identity import now
from core.images import ImageSettings, Picture
from core.recipe import Recipe, recipe_from_json, recipe_in
from core.refs import ModelRef

_NAME = re.compile(r"[A-Za-z0-9_-]{8,64}")
_COLUMNS = "id, created_at, starred, recipe, width, height, size, seconds, grid, cell, thumb"
_SELECT = f"SELECT {_COLUMNS} FROM pictures WHERE "  # noqa: S608  (names of our own)
_COUNT = "SELECT count(*) FROM pictures WHERE "
_IDS = "SELECT id FROM pictures WHERE "
_INSERT = (
    f"INSERT INTO pictures (owner, model, steps, finish, described, sha256, {_COLUMNS}) VALUES "  # noqa: S608
    f"({', '.join('?' * 17)}) ON CONFLICT DO NOTHING"
)
MOST_WORDS = 12
# How many of the last pictures tell the time of a step.
PACED = 10
# A file younger than this may belong to a picture another process is just writing into the index.
STRAY_SECONDS = 3600.0


class SqlitePictures:
    """Implements `core.image_protocols.PictureStore`: `<folder>/<owner>/<id>.png` and `<folder>/pictures.sqlite`."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is how many pictures are kept for one visitor; 0 keeps none. Makes the folder."""
        self.limit = limit
        self._folder = folder
        self._index = Index(folder / "pictures.sqlite")
        self._swept: set[str] = set()
        self._sweeping = threading.Lock()

    def keep(
        self, owner: str, pictures: Sequence[Picture], *, grid: str = "", cells: Sequence[int | None] = ()
    ) -> Keeping:
        """Files first, then the index in one transaction: what the index names is there."""
        if not pictures or not self.limit:
            return Keeping(0)
        self._sweep(owner)
        places = [*cells, *[None] * (len(pictures) - len(cells))]
        rows = [self._row(owner, picture, grid, cell) for picture, cell in zip(pictures, places, strict=True)]
        for picture in pictures:
            self._write(self._file(owner, picture.id), picture.png)
        with self._index.change() as db:
            db.executemany(_INSERT, rows)
            gone = self._over(db, owner)
        self._unlink(owner, gone)
        refused = len({picture.id for picture in pictures} & set(gone))
        return Keeping(len(pictures) - refused, len(gone) - refused, refused)

    def find(self, owner: str, query: GalleryQuery) -> GalleryPage:
        """One page of the pictures that match, newest first; a page past the end is the last one."""
        where, values = _where(owner, query)
        with self._index.read() as db:
            kept, starred, size = db.execute(
                "SELECT count(*), total(starred), total(size) FROM pictures WHERE owner = ?", (owner,)
            ).fetchone()
            (found,) = db.execute(_COUNT + where, values).fetchone()
            page = max(0, min(query.page, -(-found // PAGE) - 1))
            rows = db.execute(
                _SELECT + where + " ORDER BY number DESC LIMIT ? OFFSET ?", (*values, PAGE, page * PAGE)
            ).fetchall()
        return GalleryPage(tuple(map(_kept, rows)), found, kept, int(starred), int(size), self.limit, page)

    def ids(self, owner: str, query: GalleryQuery) -> tuple[str, ...]:
        """The ids of every picture that matches, newest first."""
        where, values = _where(owner, query)
        with self._index.read() as db:
            rows = db.execute(_IDS + where + " ORDER BY number DESC", values)
            return tuple(row[0] for row in rows)

    def get(self, owner: str, ids: Sequence[str]) -> tuple[KeptPicture, ...]:
        """These pictures in this order; those that are gone are left out."""
        found = {}
        with self._index.read() as db:
            for picture_id in dict.fromkeys(ids):
                row = db.execute(_SELECT + "owner = ? AND id = ?", (owner, picture_id)).fetchone()
                if row:
                    found[picture_id] = _kept(row)
        return tuple(found.values())

    def png(self, owner: str, picture_id: str) -> bytes:
        """The file as it was drawn, its recipe inside."""
        if self.get(owner, (picture_id,)):
            try:
                return self._file(owner, picture_id).read_bytes()
            except FileNotFoundError:
                pass  # deleted a moment ago, or by hand: said below
            except OSError as error:
                raise GalleryError(
                    f"The picture cannot be read ({error.strerror}). Check the disk, then retry."
                ) from error
        raise UserInputError("That picture is no longer in the gallery. Choose another one.")

    def with_file(self, owner: str, sha256: str) -> bytes | None:
        """The file with that SHA-256 among the visitor's pictures; None when it is not there."""
        with self._index.read() as db:
            rows = db.execute(
                "SELECT id FROM pictures WHERE owner = ? AND (sha256 = ? OR sha256 IS NULL) ORDER BY sha256 IS NULL",
                (owner, sha256),
            ).fetchall()
        for (picture_id,) in rows:
            try:
                data = self._file(owner, picture_id).read_bytes()
            except OSError:
                continue  # deleted a moment ago, or by hand
            found = hashlib.sha256(data).hexdigest()
            if found == sha256:
                return data
            with self._index.change() as db:
                db.execute("UPDATE pictures SET sha256 = ? WHERE owner = ? AND id = ?", (found, owner, picture_id))
        return None

    def star(self, owner: str, picture_id: str, starred: bool) -> bool:
        """Star or unstar; False when the picture is not here."""
        with self._index.change() as db:
            done = db.execute(
                "UPDATE pictures SET starred = ? WHERE owner = ? AND id = ?", (int(starred), owner, picture_id)
            )
            return done.rowcount > 0

    def delete(self, owner: str, ids: Sequence[str]) -> int:
        """The index first: a file without its entry is swept away later, an entry without its file would be a lie."""
        with self._index.change() as db:
            gone = [
                picture_id
                for picture_id in dict.fromkeys(ids)
                if db.execute("DELETE FROM pictures WHERE owner = ? AND id = ?", (owner, picture_id)).rowcount
            ]
        self._unlink(owner, gone)
        return len(gone)

    def pack(self, owner: str, ids: Sequence[str], target: Path) -> Iterator[int]:
        """Write a zip of the files and recipes.jsonl to `target`, saying after each how many are in."""
        try:
            yield from write_zip(target, ((kept, self._file(owner, kept.id)) for kept in self._each(owner, ids)))
        except OSError as error:
            raise GalleryError(f"The archive could not be written ({error.strerror}). Free some disk space.") from error

    def keep_grid(self, owner: str, grid_id: str, plan: str) -> None:
        """Remember what a grid draws. Grids without a picture left, but for the newest, are forgotten."""
        with self._index.change() as db:
            db.execute("INSERT OR REPLACE INTO grids (owner, id, plan) VALUES (?, ?, ?)", (owner, grid_id, plan))
            db.execute(
                "DELETE FROM grids WHERE owner = ? AND id <> ? AND id NOT IN "
                "(SELECT grid FROM pictures WHERE owner = ? AND grid <> '')",
                (owner, grid_id, owner),
            )

    def grid(self, owner: str, grid_id: str = "") -> tuple[str, str] | None:
        """(id, plan) of that grid, or of the newest."""
        with self._index.read() as db:
            row = db.execute(
                "SELECT id, plan FROM grids WHERE owner = ? AND (id = ? OR ? = '') ORDER BY number DESC LIMIT 1",
                (owner, grid_id, grid_id),
            ).fetchone()
        return (row[0], row[1]) if row else None

    def cells(self, owner: str, grid_id: str) -> Mapping[int, KeptPicture]:
        """The finished pictures of a grid by cell."""
        with self._index.read() as db:
            rows = db.execute(
                _SELECT
                + "owner = ? AND grid = ? AND grid <> '' AND cell IS NOT NULL AND finish = 'done' ORDER BY number",
                (owner, grid_id),
            ).fetchall()
        return {kept.cell: kept for kept in map(_kept, rows) if kept.cell is not None}

    def pace(self, ref: ModelRef) -> Pace | None:
        """How fast this machine drew with the model when it last did, whoever asked: over the last few pictures."""
        with self._index.read() as db:
            rows = db.execute(
                "SELECT seconds, steps, width * height FROM pictures WHERE model = ? AND finish = 'done' "
                "AND seconds > 0 AND steps > 0 ORDER BY number DESC LIMIT ?",
                (str(ref), PACED),
            ).fetchall()
        if not rows:
            return None
        # Together, because a picture of one step is mostly what comes before and after the steps.
        per_pixel = sum(seconds for seconds, _, _ in rows) / sum(steps * pixels for _, steps, pixels in rows)
        return Pace(per_pixel * rows[0][2], rows[0][2])

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _each(self, owner: str, ids: Sequence[str]) -> Iterator[KeptPicture]:
        # One at a time: a thousand entries with their thumbnails need not be in memory at once.
        for picture_id in dict.fromkeys(ids):
            yield from self.get(owner, (picture_id,))

    def _row(self, owner: str, picture: Picture, grid: str, cell: int | None) -> tuple[object, ...]:
        # What the file says, and nothing more: a prompt that was left out of the file is not in the index either.
        recipe = recipe_in(text_chunks(picture.png)) or Recipe(
            picture.settings if picture.settings.prompt_in_file else replace(picture.settings, prompt="", negative_prompt=""),
            picture.ref, backend=picture.backend, dtype=picture.dtype, finish=picture.finish,
        )  # fmt: skip
        try:
            thumb, width, height = thumbnail(picture.png)
        except ValueError as error:
            raise GalleryError("The picture is damaged and was not kept. Draw it again.") from error
        return (
            owner, str(picture.ref), picture.settings.steps, picture.finish, described(recipe),
            hashlib.sha256(picture.png).hexdigest(), picture.id, now(), 0,
            json.dumps(recipe.record(), ensure_ascii=False), width, height, len(picture.png), picture.timings.drawing, grid,
            cell, thumb,
        )  # fmt: skip

    def _over(self, db: sqlite3.Connection, owner: str) -> list[str]:
        (kept,) = db.execute("SELECT count(*) FROM pictures WHERE owner = ?", (owner,)).fetchone()
        if kept <= self.limit:
            return []
        gone = db.execute(
            "SELECT number, id FROM pictures WHERE owner = ? AND starred = 0 ORDER BY number LIMIT ?",
            (owner, kept - self.limit),
        ).fetchall()
        db.executemany("DELETE FROM pictures WHERE number = ?", [(number,) for number, _ in gone])
        return [picture_id for _, picture_id in gone]

    def _file(self, owner: str, picture_id: str) -> Path:
        if not _NAME.fullmatch(owner) or not _NAME.fullmatch(picture_id):
            raise ValueError(f"not a name for a file: {owner!r}, {picture_id!r}")
        return self._folder / owner / f"{picture_id}.png"

    def _write(self, path: Path, png: bytes) -> None:
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            durable.write(path, png)
        except OSError as error:
            raise GalleryError(
                f"The picture could not be kept in the gallery ({error.strerror}). Download it, and free some disk space."
            ) from error

    def _unlink(self, owner: str, ids: Sequence[str]) -> None:
        for picture_id in ids:
            self._file(owner, picture_id).unlink(missing_ok=True)

    def _sweep(self, owner: str) -> None:
        """Once per visitor and process: files a crash left without an entry."""
        with self._sweeping:
            if owner in self._swept:
                return
            self._swept.add(owner)
        folder = self._folder / owner
        if not folder.is_dir():
            return
        with self._index.read() as db:
            known = {row[0] for row in db.execute("SELECT id FROM pictures WHERE owner = ?", (owner,))}
        for path in folder.iterdir():
            if path.stem not in known and path.stat().st_mtime < time() - STRAY_SECONDS:
                path.unlink(missing_ok=True)


def _where(owner: str, query: GalleryQuery) -> tuple[str, tuple[object, ...]]:
    clauses, values = ["owner = ?"], [owner]
    if query.starred:
        clauses.append("starred = 1")
    for word in words_of(query.text)[:MOST_WORDS]:
        # A field is found whole: steps:2 is not steps:20.
        word = f" {word} " if word.partition(":")[0] in EXACT and ":" in word else word
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        clauses.append("described LIKE ? ESCAPE '\\'")
        values.append(f"%{escaped}%")
    return " AND ".join(clauses), tuple(values)


def _kept(row: Sequence[object]) -> KeptPicture:
    picture_id, created_at, starred, recipe, width, height, size, seconds, grid, cell, thumb = row
    return KeptPicture(
        str(picture_id),
        str(created_at),
        bool(starred),
        recipe_from_json(str(recipe)) or Recipe(ImageSettings("")),
        int(str(width)),
        int(str(height)),
        int(str(size)),
        seconds if isinstance(seconds, float) else None,
        str(grid),
        cell if isinstance(cell, int) else None,
        bytes(thumb) if isinstance(thumb, bytes) else b"",
    )
