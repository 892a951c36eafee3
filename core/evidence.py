"""What is asked of the votes and what they say: filters, contenders, the leaderboard and agreement as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from core.dataset import Config, Contender
from core.errors import UserInputError
from core.export import ExportOrder, ExportStep, View
from core.feedback import StoredRow
from core.topics import Topic

Kind = Literal["chat", "image"]

KINDS: tuple[Kind, ...] = ("chat", "image")
# What differs between two answers of one contender: chance, and the pictures a drawing started from.
NOT_SETTINGS = ("seed", "batch", "image", "mask")
LEAST_VOTES = 10
# In the order of the alphabet: votes of one moment are put in the same order wherever they are read.
OUTCOMES = ("both_bad", "left", "right", "tie")


@dataclass(frozen=True, slots=True)
class VoteFilter:
    """Which comparisons count. "" and () mean any.

    `models`: one name keeps the comparisons it took part in, several those between them. `prompt`: a part of the last
    user turn (its first 500 characters), case ignored. `topic`: what that turn is about, by its words. `since` and `until` are days (UTC, both included). Comparisons in
    which a name leaked before the vote count only with `leaked`.
    """

    kind: Kind = "chat"
    campaign: str = ""
    models: tuple[str, ...] = ()
    prompt: str = ""
    rater: str = ""
    since: date | None = None
    until: date | None = None
    blind_only: bool = False
    leaked: bool = False
    topic: Topic | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Which differences between contenders are ignored, so that several become one row."""

    revisions: bool = False
    adapters: bool = False
    settings: bool = False


class Style(NamedTuple):
    """What an answer looks like: characters, Markdown headers, list items and bold spans outside code blocks."""

    length: int
    headers: int
    lists: int
    bold: int


# Item, reviewer, left and right contender as numbers (-1: not known), the outcome's place in `OUTCOMES`, seconds since 1970
# in UTC, seconds taken (-1: not known), characters of the left and of the right answer (-1: none), and the place of the
# outcome that is known to be right (-1: not known).
Ballot = tuple[int, int, int, int, int, float, float, int, int, int]
# Item, reviewer, left, right, seconds since 1970, and the column `scores` as JSON.
Scored = tuple[int, int, int, int, float, str]


# Left and right contender, 1 where left won, 0 right, 0.5 nobody; then the style of the left and of the right answer.
Duel = tuple[int, int, float, int, int, int, int, int, int, int, int]


class Measured(NamedTuple):
    """Medians; None where nothing was measured. `seconds` is a whole answer's, or a picture's."""

    first_token_s: float | None = None
    tokens_per_s: float | None = None
    seconds: float | None = None


class Tally(NamedTuple):
    """How often two contenders met, left against right, with one outcome."""

    left: int | None
    right: int | None
    outcome: str
    times: int


class Votes(Protocol):
    """Comparisons in thin form: from the store, or from a published dataset. Both give the same for the same rows."""

    def stamp(self) -> object:
        """A value that changes when the votes do."""
        ...

    def contenders(self) -> Mapping[int, Contender]:
        """Every maker there is, settings without `NOT_SETTINGS`."""
        ...

    def tallies(self, wanted: VoteFilter) -> Sequence[Tally]:
        """The comparisons counted by pair and outcome; costs about the same for ten votes and for a million."""
        ...

    def duels(self, wanted: VoteFilter) -> Iterator[Sequence[Duel]]:
        """Every comparison whose makers are known, with what the answers look like, in batches."""
        ...

    def ballots(self, wanted: VoteFilter) -> Iterator[Sequence[Ballot]]:
        """Every comparison as who said what on which item, in batches."""
        ...

    def scored(self, wanted: VoteFilter) -> Iterator[Sequence[Scored]]:
        """The comparisons that answer questions of a rubric, in batches."""
        ...

    def raters(self) -> Mapping[int, str]:
        """Every reviewer by number, under the name on their newest vote."""
        ...

    def measured(self, makers: Sequence[int]) -> Measured:
        """Medians of what engines measured of these makers' answers, whatever is filtered."""
        ...

    def days(self, wanted: VoteFilter) -> Sequence[tuple[date, int]]:
        """Votes per day (UTC), oldest first, days without votes left out."""
        ...

    def people(self, kind: Kind) -> tuple[Sequence[str], Sequence[str]]:
        """(raters, campaigns) that occur, the busiest first; at most 200 of each."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a contender beside its votes; None is unknown. Bytes; medians of seconds and tokens per second."""

    parameters: int | None = None
    memory_bytes: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    picture_s: float | None = None
    price: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the leaderboard. `rank` None: the votes cannot tell its place.

    `rating` is on the Elo scale with mean 1000: 400 points more are odds of ten to one. `low` and `high` bound 95 %.
    `settings` holds only what differs between contenders. `merged` says what the row puts together, for people.
    """

    contender: str
    model: str | None
    revision: str | None
    adapter: str | None
    settings: dict[str, object]
    rating: float
    low: float
    high: float
    votes: int
    wins: int
    losses: int
    ties: int
    rank: int | None = None
    merged: tuple[str, ...] = ()
    facts: Facts = Facts()

    def record(self) -> dict[str, object]:
        """The row as the API gives it."""
        return {
            "contender": self.contender,
            "model": self.model,
            "revision": self.revision,
            "adapter": self.adapter,
            "settings": self.settings,
            "rating": round(self.rating, 1),
            "low": round(self.low, 1),
            "high": round(self.high, 1),
            "votes": self.votes,
            "rank": self.rank,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "merged": list(self.merged),
            "parameters": self.facts.parameters,
            "memory_bytes": self.facts.memory_bytes,
            "first_token_s": self.facts.first_token_s,
            "tokens_per_s": self.facts.tokens_per_s,
            "picture_s": self.facts.picture_s,
            "price": self.facts.price,
        }


@dataclass(frozen=True, slots=True)
class StyleEffect:
    """How much a difference in style moves votes, from the controlled fit: points on the rating scale for one standard
    deviation more of it than the other answer has."""

    name: str
    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Who is ahead and how surely. `share[i][j]` is what i won of its meetings with j (a tie is half), None: never met."""

    standings: tuple[Standing, ...]
    share: tuple[tuple[float | None, ...], ...]
    met: tuple[tuple[int, ...], ...]
    days: tuple[tuple[date, int], ...]
    votes: int
    unknown: int = 0
    same: int = 0
    rounds: int = 0
    reading: str = ""
    notes: tuple[str, ...] = ()
    style: tuple[StyleEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `total` with its 95 % interval (Wilson); None where there is nothing to count."""

    count: int
    total: int
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float | None:
        """The share itself, 0 to 1."""
        return self.count / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class AgreementOf:
    """Agreement on one question, or between one pair of contenders. `percent` and `alpha` None: no item has two raters."""

    name: str
    items: int
    votes: int
    percent: float | None
    alpha: float | None
    reading: str = ""


@dataclass(frozen=True, slots=True)
class RaterHealth:
    """One reviewer. `gold`: how often right where the right answer is known. `advice` is what to do, "" when nothing."""

    rater: str
    votes: int
    left: Share
    longer: Share
    seconds: float | None
    agrees: Share
    gold: Share = Share(0, 0)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the votes can be trusted, each figure with what to do about it."""

    votes: int
    overall: AgreementOf
    questions: tuple[AgreementOf, ...] = ()
    pairs: tuple[AgreementOf, ...] = ()
    raters: tuple[RaterHealth, ...] = ()
    left: Share = Share(0, 0)
    longer: Share = Share(0, 0)
    gold: Share = Share(0, 0)
    findings: tuple[str, ...] = field(default=())


_CODE = re.compile(r"```[^`]*```")
_HEADERS = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_LISTS = re.compile(r"^[ \t]*(?:\d{1,9}\.|[-*+])[ \t]", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


def style_of(text: str) -> Style:
    """The style of an answer, counted as the published style control of Chatbot Arena counts it.

    Source: FastChat, fastchat/serve/monitor/add_markdown_info.py. Length is in characters because rows keep no tokens.
    """
    if not any(mark in text for mark in "#*-+_."):
        return Style(len(text), 0, 0, 0)
    prose = _CODE.sub("", text)
    return Style(len(text), len(_HEADERS.findall(prose)), len(_LISTS.findall(prose)), len(_BOLD.findall(prose)))


def without_chance(maker: Contender) -> Contender:
    """The maker as a contender: its settings without what differs from answer to answer (`NOT_SETTINGS`)."""
    if maker.settings is None:
        return maker
    try:
        settings = json.loads(maker.settings)
    except ValueError:
        return maker
    if not isinstance(settings, dict):
        return maker
    kept = {name: value for name, value in settings.items() if name not in NOT_SETTINGS}
    return replace(maker, settings=json.dumps(kept, sort_keys=True, ensure_ascii=False))


def day_of(text: str, name: str) -> date | None:
    """Read a day as YYYY-MM-DD; "" is None. Raises `UserInputError` naming the field."""
    text = text.strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserInputError(f"{name} has to be a day such as 2026-11-21, or empty.") from error


def seconds_of(moment: object) -> float:
    """Seconds since 1970 of an ISO 8601 moment with a zone, or of a datetime."""
    when = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class RowSource(Protocol):
    """Where evidence comes from: the store, or a published dataset."""

    def rows(self, config: Config) -> Iterator[StoredRow]:
        """Every current row of a config, one after another, in memory that does not grow with them."""
        ...

    def votes(self) -> Votes:
        """The comparisons without their texts."""
        ...


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters can be set to."""

    models: tuple[str, ...]
    raters: tuple[str, ...]
    campaigns: tuple[str, ...]


class Evidence(Protocol):
    """What the votes say, and files made of the rows."""

    def leaderboard(
        self, wanted: VoteFilter, merge: Merge, *, style: bool = False, progress: Callable[[int, int], None] = ...
    ) -> Leaderboard:
        """Who is ahead; `progress(done, rounds)` is called while it takes long."""
        ...

    def agreement(self, wanted: VoteFilter) -> Agreement:
        """Whether the votes can be trusted."""
        ...

    def choices(self, kind: Kind) -> Choices:
        """Values that occur, for the filters."""
        ...

    def tables(self, found: Leaderboard | Agreement) -> dict[str, str]:
        """What was found as CSV, by the table's name; every row of it, also those a page leaves out."""
        ...

    def export(self, order: ExportOrder, folder: Path) -> Iterator[ExportStep]:
        """Write files into `folder`, saying how far it is; the last step has the files."""
        ...

    def destination(self, view: View) -> str | None:
        """The private dataset repository an export of this view is pushed to; None where there is none."""
        ...

    def publish(self, order: ExportOrder, tag: str) -> Iterator[ExportStep]:
        """Export to the Hub at a tag, saying how far it is; the last step has `published`. A tag is never moved."""
        ...
