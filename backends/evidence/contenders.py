"""Who stands on the leaderboard: makers put together as asked, named so that they can be told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.dataset import Contender
from core.evidence import Merge

_UNSET = object()


@dataclass(frozen=True, slots=True)
class Group:
    """A row to be: `maker` with None for what is merged, the numbers of the makers in it, and a name for people."""

    maker: Contender
    numbers: tuple[int, ...]
    name: str
    settings: dict[str, object]
    merged: tuple[str, ...]


def grouped(makers: Mapping[int, Contender], merge: Merge) -> tuple[Group, ...]:
    """The groups in an order that depends on nothing but the makers themselves."""
    members: dict[Contender, list[int]] = {}
    for number, maker in makers.items():
        key = Contender(
            maker.model,
            None if merge.revisions else maker.revision,
            None if merge.adapters else maker.adapter,
            None if merge.settings else maker.settings,
        )
        members.setdefault(key, []).append(number)
    keys = sorted(members, key=lambda maker: [value or "" for value in _values(maker)])
    differing = _differing(keys)
    named = _names(keys, differing)
    return tuple(
        Group(
            key,
            tuple(sorted(members[key])),
            named[key],
            {name: value for name, value in _settings(key).items() if name in differing},
            _merged([makers[number] for number in members[key]], key),
        )
        for key in keys
    )


def _names(keys: Sequence[Contender], differing: Iterable[str]) -> dict[Contender, str]:
    repos = {key.model or "" for key in keys}
    short = {repo: repo.rpartition("/")[2] for repo in repos}
    clashing = {name for name in short.values() if list(short.values()).count(name) > 1}
    names = {}
    for key in keys:
        repo = key.model or ""
        parts = [repo if short[repo] in clashing else short[repo]]
        if key.revision:
            parts[0] += f" @ {key.revision[:7]}"
        if key.adapter:
            adapter, _, commit = key.adapter.partition("@")
            parts.append(f"{adapter.rpartition('/')[2]} @ {commit[:7]}")
        settings = _settings(key)
        parts += [f"{name} {_shown(settings[name])}" for name in sorted(differing) if name in settings]
        names[key] = " · ".join(parts)
    return names


def _merged(makers: Sequence[Contender], key: Contender) -> tuple[str, ...]:
    said = []
    for many, values, kept in (
        ("commits", {maker.revision for maker in makers}, key.revision),
        ("adapters (or none)", {maker.adapter for maker in makers}, key.adapter),
        ("settings", {maker.settings for maker in makers}, key.settings),
    ):
        if kept is None and len(values) > 1:
            said.append(f"{len(values)} {many}")
    return tuple(said)


def _differing(keys: Sequence[Contender]) -> frozenset[str]:
    """Names of settings that are not the same for all who tell their settings."""
    told = [_settings(key) for key in keys if key.settings is not None]
    names = {name for settings in told for name in settings}
    return frozenset(name for name in names if len({json.dumps(s[name]) if name in s else _UNSET for s in told}) > 1)


def _settings(maker: Contender) -> dict[str, object]:
    if maker.settings is None:
        return {}
    try:
        found = json.loads(maker.settings)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shown(value: object) -> str:
    if value is None:
        return "default"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


def _values(maker: Contender) -> tuple[str | None, ...]:
    return maker.model, maker.revision, maker.adapter, maker.settings
