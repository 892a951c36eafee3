"""A list of prompts to be worked through in battles: pasted, as CSV or as JSON lines."""

from __future__ import annotations

import csv
import io
import json

from core.arguments import check_characters
from core.errors import UserInputError

MOST_PROMPTS = 200
MOST_PROMPT = 20_000
COLUMNS = ("prompt", "text", "question", "instruction", "input")


def read_prompts(text: str, filename: str = "") -> tuple[str, ...]:
    """The prompts in a pasted text or a file, in their order. Raises `UserInputError` that names the line.

    `.jsonl` has an object or a string a line, `.csv` a column named prompt (or its first column). Pasted text is read as
    JSON lines when its first line is an object; else it is a prompt a line, or one between lines of `---`.
    """
    text = text.removeprefix("\ufeff")
    kind = filename.rpartition(".")[2].lower() if "." in filename else ""
    if kind in ("jsonl", "ndjson", "json") or (not kind and text.lstrip().startswith("{")):
        found = _json_lines(text)
    elif kind in ("csv", "tsv"):
        found = _csv(text, "\t" if kind == "tsv" else ",")
    elif any(line.strip() == "---" for line in text.splitlines()):
        found = _parted(text)
    else:
        found = text.splitlines()
    prompts = tuple(prompt.strip("\r\n") for prompt in found if prompt.strip())
    if not prompts:
        raise UserInputError(
            "There is no prompt in it. Write one a line, or give a CSV or JSONL file with a prompt column."
        )
    if len(prompts) > MOST_PROMPTS:
        raise UserInputError(f"There are {len(prompts):,} prompts; a list has at most {MOST_PROMPTS}. Part it.")
    for number, prompt in enumerate(prompts, 1):
        if len(prompt) > MOST_PROMPT:
            raise UserInputError(
                f"Prompt {number} has {len(prompt):,} characters; at most {MOST_PROMPT:,} can be asked in a list."
            )
        check_characters(prompt, f"Prompt {number}")
    return prompts


def _parted(text: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip() == "---":
            parts.append([])
        else:
            parts[-1].append(line)
    return ["\n".join(part) for part in parts]


def _csv(text: str, separator: str) -> list[str]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if row]
    except csv.Error as error:
        raise UserInputError(f"The CSV cannot be read ({error}). Save it again as CSV in UTF-8.") from error
    if not rows:
        return []
    heads = [head.strip().lower() for head in rows[0]]
    column = next((heads.index(name) for name in COLUMNS if name in heads), None)
    if column is None:
        return [row[0] for row in rows]
    return [row[column] for row in rows[1:] if len(row) > column]


def _json_lines(text: str) -> list[str]:
    found = []
    for number, line in enumerate(_records(text), 1):
        if isinstance(line, str):
            try:
                line = json.loads(line)
            except ValueError as error:
                raise UserInputError(f"Line {number} is no JSON ({error}). Each line has to be one object.") from error
        found.append(_prompt_in(line, number))
    return found


def _records(text: str) -> list[object]:
    """The lines, or the entries where the whole is one JSON list."""
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except ValueError:
            whole = None
        if isinstance(whole, list):
            return [each if isinstance(each, dict) else json.dumps(each) for each in whole]
    return [line for line in text.splitlines() if line.strip()]


def _prompt_in(entry: object, number: int) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        value = next((entry[name] for name in (*COLUMNS, "messages") if name in entry), None)
        if isinstance(value, str):
            return value
        # A conversation is asked by what its user said last.
        for message in reversed(value if isinstance(value, list) else []):
            if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
                return str(message["content"])
    raise UserInputError(f"Line {number} has no prompt. Each has to be a text, or an object with a prompt in it.")
