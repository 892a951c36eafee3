"""What the votes say as pandas DataFrames, and those as CSV for a spreadsheet: every contender, every figure, unrounded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from core.evidence import Agreement, Leaderboard, Share

if TYPE_CHECKING:
    from pandas import DataFrame

# A spreadsheet runs a cell that begins like this.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def leaderboard_frames(board: Leaderboard) -> dict[str, DataFrame]:
    """`standings`: a row for each contender, as the API gives it; `meetings`: one for each two that met, both ways round;
    `days`: votes on each day."""
    import pandas as pd

    names = [row.contender for row in board.standings]
    standings = pd.DataFrame([row.record() for row in board.standings])
    if not standings.empty:
        # A missing place would make numbers with a point of all the others.
        standings["rank"] = standings["rank"].astype("Int64")
    meetings = [
        {"contender": name, "against": other, "votes": board.met[i][j], "share_won": board.share[i][j]}
        for i, name in enumerate(names)
        for j, other in enumerate(names)
        if i != j and board.met[i][j]
    ]
    days = [{"day": day.isoformat(), "votes": votes} for day, votes in board.days]
    return {"standings": standings, "meetings": pd.DataFrame(meetings), "days": pd.DataFrame(days)}


def agreement_frames(found: Agreement) -> dict[str, DataFrame]:
    """`questions`: a row for each question and each pair of contenders; `reviewers`: a row for each reviewer."""
    import pandas as pd

    questions = [
        {"of": of, "name": row.name, "items": row.items, "votes": row.votes, "same_answer": row.percent,
         "krippendorff_alpha": row.alpha, "reading": row.reading}
        for of, rows in (("question", found.questions), ("pair", found.pairs))
        for row in rows
    ]  # fmt: skip
    reviewers = [
        {
            "reviewer": row.rater,
            "votes": row.votes,
            **_share("left", row.left),
            **_share("longer", row.longer),
            "seconds": row.seconds,
            **_share("agrees", row.agrees),
            **_share("gold", row.gold),
            "advice": row.advice,
        }
        for row in found.raters
    ]
    return {"questions": pd.DataFrame(questions), "reviewers": pd.DataFrame(reviewers)}


def csv_of(frame: DataFrame, *, header: bool = True) -> str:
    """The frame as CSV: lists as JSON, and no text that a spreadsheet would run as a formula."""
    made: str = frame.map(_cell).to_csv(index=False, header=header, lineterminator="\n")
    return made


def tables_of(found: Leaderboard | Agreement) -> dict[str, str]:
    """Those of the frames that hold something, as CSV by their name; none where nobody has voted."""
    if not found.votes:
        return {}
    frames = leaderboard_frames(found) if isinstance(found, Leaderboard) else agreement_frames(found)
    return {name: csv_of(frame) for name, frame in frames.items() if not frame.empty}


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _share(name: str, share: Share) -> dict[str, object]:
    return {
        f"{name}_count": share.count,
        f"{name}_of": share.total,
        f"{name}_low": share.low,
        f"{name}_high": share.high,
    }
