"""`python -m backends.evidence DATASET`: leaderboard, agreement and exports of a published dataset, from it alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from backends.evidence.publish import HubExports
from backends.evidence.published import PublishedDataset
from backends.evidence.service import EvidenceOf
from core.errors import AppError
from core.evidence import KINDS, Agreement, Leaderboard, Merge, VoteFilter, day_of
from core.export import FORMATS, ExportOrder, ExportStep, View, vision_config
from core.topics import TOPICS


def main(arguments: Sequence[str]) -> int:
    """Print what the votes say, or export; 1 and a sentence when that cannot be done."""
    asked = _parser().parse_args(arguments)
    # huggingface_hub finds the token and the endpoint itself, as its own commands do.
    source = PublishedDataset(asked.dataset)
    evidence = EvidenceOf(
        source,
        lambda: (asked.dataset, source.commit),
        hub=HubExports(token=None),
        destination=lambda view: asked.push or None,
    )
    try:
        if asked.export:
            _export(evidence, asked)
            return 0
        wanted = VoteFilter(
            asked.kind, asked.campaign, tuple(asked.model), asked.prompt, asked.rater, day_of(asked.since, "--since"),
            day_of(asked.until, "--until"), asked.blind_only, asked.leaked, asked.topic or None,
        )  # fmt: skip
        merge = Merge("revisions" in asked.merge, "adapters" in asked.merge, "settings" in asked.merge)
        board = evidence.leaderboard(wanted, merge, style=asked.style)
        if asked.json:
            print(json.dumps([row.record() for row in board.standings], indent=2, ensure_ascii=False))
        else:
            _print_board(board)
            _print_agreement(evidence.agreement(wanted))
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m backends.evidence", description=__doc__)
    parser.add_argument("dataset", help="a folder with data/<config>/*.parquet, or owner/name[@revision] on the Hub")
    parser.add_argument("--kind", choices=KINDS, default="chat")
    parser.add_argument("--campaign", default="")
    parser.add_argument("--model", action="append", default=[], help="repo id; given more than once: only between them")
    parser.add_argument("--prompt", default="", help="part of the last user turn")
    parser.add_argument("--topic", choices=TOPICS, default="", help="what the prompt is about, by its words")
    parser.add_argument("--rater", default="")
    parser.add_argument("--since", default="", help="first day, YYYY-MM-DD (UTC)")
    parser.add_argument("--until", default="", help="last day, YYYY-MM-DD (UTC)")
    parser.add_argument("--blind-only", action="store_true")
    parser.add_argument(
        "--leaked", action="store_true", help="count comparisons in which a name leaked before the vote"
    )
    parser.add_argument("--merge", action="append", default=[], choices=("revisions", "adapters", "settings"))
    parser.add_argument("--style", action="store_true", help="hold style and length constant")
    parser.add_argument("--json", action="store_true", help="the leaderboard as the API gives it")
    parser.add_argument("--export", choices=get_args(View), help="write this view of the rows instead")
    parser.add_argument("--format", choices=FORMATS, default="parquet")
    parser.add_argument("--test-share", type=float, default=0.1)
    parser.add_argument("--derived", action="store_true", help="add pairs of one thumb up and one thumb down")
    parser.add_argument("--push", default="", metavar="OWNER/NAME", help="push it to this private dataset repository")
    parser.add_argument("--tag", default="", help="with --push: the tag, which is never moved")
    parser.add_argument("--to", type=Path, default=Path("export"), help="the folder to export to")
    return parser


def _export(evidence: EvidenceOf, asked: argparse.Namespace) -> None:
    order = ExportOrder(asked.export, asked.format, asked.test_share, asked.derived)
    if asked.push:
        for step in evidence.publish(order, asked.tag):
            print(f"\r{step.rows:,} rows", end="", file=sys.stderr, flush=True)
        if step.published:
            _print_pictured(step, order)
            print(f"\n{step.published.repo_id} at {step.published.tag} ({step.published.commit})", file=sys.stderr)
            print(step.published.snippet)
        return
    for step in evidence.export(order, asked.to):
        print(f"\r{step.rows:,} rows", end="", file=sys.stderr, flush=True)
    print(f"\n{step.train:,} rows to train on, {step.test:,} to test on, in {asked.to}", file=sys.stderr)
    _print_pictured(step, order)


def _print_pictured(step: ExportStep, order: ExportOrder) -> None:
    if step.pictured:
        print(
            f"{step.pictured:,} of them with pictures in the prompt: config {vision_config(order.view)}",
            file=sys.stderr,
        )
    if step.left_out:
        print(f"{step.left_out:,} rows left out: pictures in the prompt. {order.why_not}", file=sys.stderr)


def _print_board(board: Leaderboard) -> None:
    print(board.reading)
    for row in board.standings:
        place = "–" if row.rank is None else str(row.rank)
        print(
            f"{place:>3}  {row.rating:7.1f}  [{row.low:7.1f}, {row.high:7.1f}]  {row.votes:>7,} votes  "
            f"{row.wins:>6,} won  {row.losses:>6,} lost  {row.ties:>6,} tied  {row.contender}"
        )
    for effect in board.style:
        print(f"  style: one standard deviation more {effect.name} is worth {effect.points:+.0f} points")
    for note in board.notes:
        print(f"  {note}")


def _print_agreement(found: Agreement) -> None:
    print(f"\nAgreement over {found.votes:,} votes")
    for one in found.questions:
        percent = "–" if one.percent is None else f"{one.percent:.0%}"
        alpha = "–" if one.alpha is None else f"{one.alpha:.2f}"
        print(f"  {one.name} {percent} the same, Krippendorff's alpha {alpha}, {one.items:,} items. {one.reading}")
    for finding in found.findings[1:]:
        print(f"  {finding}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
