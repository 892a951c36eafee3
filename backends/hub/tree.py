"""The model tree on the Hub: every model above one, level by level at the same time, and those made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import monotonic

from backends.hub.deadline import Pending, start
from backends.hub.errors import About
from backends.hub.rows import commit_of, mapping_of, row_of, tags_of
from backends.hub.session import HubSession, Params
from core.card_parts import RELATIONS, Ancestor, Child, Children, Lineage, Relation
from core.errors import HubError, HubUnreachable, ModelGated, ModelNotFound, UserInputError
from core.licenses import license_of
from core.lineage import Named, parents_of
from core.origin_checks import successor_of
from core.refs import check_repo_id

MOST_DEPTH = 10
MOST_ANCESTORS = 24
MOST_CHILDREN = 1000
MOST_SUCCESSORS = 8
TOP_CHILDREN = 12
_ANCESTOR: Params = tuple(("expand", name) for name in ("sha", "cardData", "tags", "gated"))
_CHILD = ("tags", "downloads", "likes", "safetensors", "gguf")


def lineage(session: HubSession, repo_id: str, named: Named, seconds: float) -> Lineage:
    """Every model above `repo_id`, whose card names `named`. What cannot be read ends its branch with a sentence."""
    until = monotonic() + seconds
    found: list[Ancestor] = []
    # Names above a model, from it upwards: a name met again on its own way up is a cycle, one met elsewhere is known.
    level: list[tuple[str, str, Relation | None, tuple[str, ...]]] = [
        (parent, repo_id, named.relation, (repo_id,)) for parent in named.parents
    ]
    known = {repo_id}
    problem = None
    for depth in range(1, MOST_DEPTH + 1):
        asked = [name for name in dict.fromkeys(item[0] for item in level) if name not in known]
        if len(known) + len(asked) > MOST_ANCESTORS:
            asked = asked[: max(0, MOST_ANCESTORS - len(known))]
            problem = f"More than {MOST_ANCESTORS} models are above this one; the rest were not read."
        pending = _begun(session, asked, until)
        records = {name: _finished(call, until) for name, call in pending.items()}
        above: list[tuple[str, str, Relation | None, tuple[str, ...]]] = []
        for name, child, relation, way in level:
            if name in way:
                cycle = " ← ".join((*way[way.index(name) :], name))
                found.append(Ancestor(name, child, depth, relation, problem=f"The cards name each other: {cycle}."))
                continue
            if name not in records:
                if name in known:
                    continue
                found.append(Ancestor(name, child, depth, relation, problem="Not read: too many models above."))
                continue
            record = records[name]
            if isinstance(record, HubError):
                found.append(Ancestor(name, child, depth, relation, problem=_why(record)))
                continue
            found.append(_ancestor(name, child, depth, relation, record))
            up = parents_of(mapping_of(record.get("cardData")) or {}, tags_of(record))
            above += [(parent, name, up.relation, (*way, name)) for parent in up.parents]
        known |= set(records)
        level = above
        if not level:
            return Lineage(tuple(found), problem)
    return Lineage(tuple(found), problem or f"The chain goes on above {MOST_DEPTH} models; it was not read further.")


def successors(session: HubSession, repo_id: str, first: str, seconds: float) -> tuple[str, ...]:
    """The repositories that cards name as their `new_version`, one after another. One that cannot be read ends the way."""
    until = monotonic() + seconds
    found: list[str] = []
    name: str | None = first
    while name and name not in (repo_id, *found) and len(found) < MOST_SUCCESSORS:
        found.append(name)
        try:
            check_repo_id(name)
            record = _begun(session, [name], until)[name].result(until)
        except (HubError, UserInputError):
            break
        name = successor_of(mapping_of(record.get("cardData")) or {})
    return tuple(found)


def children(session: HubSession, repo_id: str, seconds: float) -> Children:
    """The models made from `repo_id`, counted by how, from one page of the Hub's list."""
    until = monotonic() + seconds
    params = [
        ("filter", f"base_model:{repo_id}"),
        ("sort", "downloads"),
        ("limit", str(MOST_CHILDREN)),
        *(("expand", name) for name in _CHILD),
    ]
    answer = session.get_json("/api/models", params, about=About(session.endpoint), until=until)
    if not isinstance(answer.data, list):
        raise HubUnreachable("What answered is not a Hub. Check HF_ENDPOINT, and whether the network wants a login.")
    counts: Counter[str] = Counter()
    top: list[Child] = []
    for raw in answer.data:
        row = row_of(raw)
        if row is None:
            continue
        relation = _relation(row.tags, repo_id)
        counts[relation or "other"] += 1
        summary = row.summary
        if len(top) < TOP_CHILDREN:
            top.append(Child(summary.repo_id, relation, summary.downloads, summary.likes, summary.params))
    return Children(dict(counts), tuple(top), answer.next_params is None)


def _begun(session: HubSession, names: list[str], until: float) -> dict[str, Pending[dict[str, object]]]:
    def read(name: str) -> dict[str, object]:
        about = About(session.endpoint, name)
        data = session.get_json(f"/api/models/{name}", _ANCESTOR, about=about, until=until).data
        if not isinstance(data, dict):
            raise HubUnreachable(f"What answered at {about.host} is not a Hub. Check HF_ENDPOINT.")
        return data

    return {name: start(lambda name=name: read(name), until) for name in names}  # type: ignore[misc]


def _finished(call: Pending[dict[str, object]], until: float) -> Mapping[str, object] | HubError:
    try:
        return call.result(until)
    except HubError as error:
        return error


def _ancestor(name: str, child: str, depth: int, relation: Relation | None, record: Mapping[str, object]) -> Ancestor:
    stated = license_of(mapping_of(record.get("cardData")) or {}, tags_of(record))
    gated = record.get("gated")
    return Ancestor(
        name,
        child,
        depth,
        relation,
        commit_of(record),
        stated.id,
        stated.name,
        stated.license_class,
        None if gated is None else bool(gated),
        None if stated.id else "This model states no licence.",
    )


def _why(error: HubError) -> str:
    if isinstance(error, ModelNotFound):
        return "It is not on the Hub, or private: its licence cannot be read. Ask this model's author for its terms."
    if isinstance(error, ModelGated):
        return "It asks for access before it tells anything. Ask for access on its page to read its licence."
    return f"It could not be read. {error}"


def _relation(tags: tuple[str, ...], parent: str) -> Relation | None:
    return next((kind for kind in RELATIONS if f"base_model:{kind}:{parent}" in tags), None)
