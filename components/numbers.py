"""Numbers as people read them, each with its unit."""

from __future__ import annotations

from datetime import UTC, datetime


def short_count(value: int | None) -> str:
    """1_234_567 as "1.2 M"; unknown as a dash."""
    if value is None:
        return "–"
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return str(value)


def parameters(value: int | None) -> str:
    """A parameter count: 134_515_008 as "135M", 1.5e9 as "1.5B"."""
    if value is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return (f"{scaled:.1f}".removesuffix(".0") if scaled < 10 else f"{scaled:.0f}") + unit
    return str(value)


def bytes_of(value: int | None) -> str:
    """A size in bytes with a decimal unit, as the Hub writes it: 271_000_000 as "271 MB"."""
    if value is None:
        return "–"
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            scaled = value / size
            return (f"{scaled:.1f}".removesuffix(".0") if scaled < 10 else f"{scaled:.0f}") + f" {unit}"
    return f"{value} B"


def age_of(seconds: float | None) -> str:
    """A duration in the largest unit that fits: "12 s", "3 min", "2 h", "5 d"."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def age_since(moment: str | None, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 moment was; a dash when it is missing or malformed (list data comes from strangers)."""
    if not moment:
        return "–"
    try:
        then = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return "–"
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return age_of(max(0.0, ((now or datetime.now(UTC)) - then).total_seconds()))
