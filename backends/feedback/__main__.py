"""`python -m backends.feedback backup|check|recover …`: looking after the feedback database from a shell."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from pathlib import Path

from backends.feedback import durable, recovery
from backends.feedback.build import DATABASE
from backends.feedback.database import IN_USE, lock
from core.errors import AppError, FeedbackError, UserInputError


def backup(path: Path, target: Path) -> int:
    """Copy the database at `path` to `target` while others may be writing to it; returns the number of its rows.

    The copy is one moment's state, whole and on disk; `target` is not touched before it is. Raises `UserInputError`.
    """
    if not path.is_file():
        raise UserInputError(f"There is no feedback database at {path}. Name the data folder with --data.")
    if target.exists():
        raise UserInputError(f"{target} is there already. Name another file, or remove it first.")
    part = target.with_name(f".{target.name}{durable.TEMPORARY}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.touch(0o600)
    except OSError as error:
        raise FeedbackError(
            f"The backup to {target} failed ({error.strerror}). Name a file that can be written."
        ) from error
    try:
        source, copy = sqlite3.connect(path), sqlite3.connect(part)
        try:
            source.backup(copy)
            # The write-ahead log belongs to the folder of the original.
            copy.execute("PRAGMA journal_mode = DELETE")
            rows = int(copy.execute("SELECT count(*) FROM rows").fetchone()[0])
        finally:
            source.close()
            copy.close()
        with part.open("rb") as written:
            os.fsync(written.fileno())
        durable.rename(part, target)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise FeedbackError(
            f"The backup to {target} failed ({error}). Check the space there, then try again."
        ) from error
    return rows


def main(arguments: list[str]) -> int:
    """Run one command; the exit status is 0, 1 for a damaged database, 2 for what could not be done."""
    parser = argparse.ArgumentParser(prog="python -m backends.feedback", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the data folder (PROVING_DATA_DIR)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("backup", help="copy the database while the app runs").add_argument("file", type=Path)
    commands.add_parser("check", help="look for damage, all of it")
    commands.add_parser("recover", help="recover a damaged database; stop the app first")
    given = parser.parse_args(arguments)
    path: Path = given.data / DATABASE
    try:
        if given.command == "backup":
            rows = backup(path, given.file)
            print(f"{rows} rows are in {given.file}. To go back to it: stop the app, then put it in place of {path}.")
            return 0
        if not path.is_file():
            raise UserInputError(f"There is no feedback database at {path}. Name the data folder with --data.")
        if given.command == "check":
            damaged = recovery.is_damaged(path, seconds=None)
            print(f"{path} is damaged. Stop the app, then run recover." if damaged else f"{path} is whole.")
            return 1 if damaged else 0
        if not recovery.is_damaged(path, seconds=None):
            print(f"{path} is whole; there is nothing to recover.")
            return 0
        with lock(path.parent / IN_USE) as alone:
            if not alone:
                raise FeedbackError(f"{path} is in use. Stop every process of the app, then recover it.")
            print(recovery.sentence(given.data, recovery.recover(path)))
        return 0
    except AppError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
