"""What a remote engine serves and can do: its own lists, and a few requests of one to eight tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

from backends.remote.connection import Broken, Connection, Refused
from backends.remote.target import Target
from core.errors import AppError
from core.refs import COMMIT, ModelRef, check_served_name

log = logging.getLogger(__name__)

ASK_SECONDS = 20.0
MOST_MODELS = 500
Ability = Literal["seed", "stop", "logprobs", "images"]
ABILITIES: tuple[Ability, ...] = ("seed", "stop", "logprobs", "images")
Connect = Callable[[float], Connection]

_ASKED = [{"role": "user", "content": "Write any word."}]
# One black pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True)
class Served:
    """A model in the server's list. `commit` and `max_context` where the server says them; `parent`: a LoRA's base."""

    name: str
    commit: str = ""
    max_context: int | None = None
    parent: str = ""
    server: str = ""

    def ref(self, host: str) -> ModelRef:
        """The model as it is pinned, with its commit where that is known."""
        name, _, revision = self.name.partition("@")
        if COMMIT.fullmatch(revision):
            return ModelRef(name, revision, host=host)
        return ModelRef(self.name, self.commit, host=host)


@dataclass(frozen=True, slots=True)
class Found:
    """What the probe found. An ability missing from `can` was not found out; `why` says so, or why it is off."""

    can: dict[Ability, bool] = field(default_factory=dict)
    why: dict[Ability, str] = field(default_factory=dict)
    reasoning: bool = False


def served(connect: Connect, target: Target) -> tuple[Served, ...] | None:
    """The models a server lists, in its order; None when it keeps no list. Raises what the connection raises."""
    try:
        with connect(ASK_SECONDS) as connection:
            listed = connection.get_json("/v1/models")
    except Refused as refusal:
        if refusal.status in (404, 405, 501):
            return None
        raise
    entries = [entry for entry in _list(listed.get("data")) if isinstance(entry, dict)][:MOST_MODELS]
    models = tuple(model for entry in entries if (model := _entry(entry)) is not None)
    if len(models) == 1:
        models = (_told_more(models[0], connect),)
    return models


def provided(target: Target, endpoint: str, task: str) -> tuple[Served, ...]:
    """The models the Hub lists for a provider, those most asked for first."""
    from huggingface_hub import HfApi

    found = HfApi(endpoint=endpoint, token=False).list_models(
        inference_provider="all" if target.provider == "auto" else target.provider,  # type: ignore[arg-type]
        pipeline_tag=task,
        sort="trending_score",
        limit=50,
    )
    return tuple(Served(model.id) for model in found)


def probe(connect: Connect, model: str) -> Iterator[Found]:
    """Ask one thing after another; each item is what is known by then, the last one is all."""
    can: dict[Ability, bool] = {}
    why: dict[Ability, str] = {}
    reasoning = False

    def ask(**more: Any) -> dict[str, Any]:
        payload = {"model": model, "messages": _ASKED, "max_tokens": 8, "temperature": 1.0, **more}
        with connect(ASK_SECONDS) as connection:
            answer: dict[str, Any] = connection.post_json("/v1/chat/completions", payload)
            return answer

    for ability in ABILITIES:
        try:
            can[ability], why[ability], answer = _ASK[ability](ask)
            reasoning = reasoning or _reasons(answer)
        except Refused as refusal:
            if refusal.status in (400, 404, 413, 415, 422, 500, 501):
                can[ability], why[ability] = False, f"the host refuses it ({refusal.status})"
            else:
                why[ability] = f"not found out: the host answered {refusal.status}"
        except (httpx2.TransportError, Broken) as error:
            log.info("probing %s of %s failed: %s", ability, model, error)
            # Not asked on: each further question would wait as long.
            why.update({name: "not found out: the host did not answer" for name in ABILITIES if name not in can})
            yield Found(dict(can), dict(why), reasoning)
            return
        yield Found(dict(can), dict(why), reasoning)


_Asked = tuple[bool, str, dict[str, Any]]
_Ask = Callable[..., dict[str, Any]]


def _seed(ask: _Ask) -> _Asked:
    # Hot, so that two draws without a seed would hardly be the same.
    first, second, other = (ask(seed=seed, temperature=2.0) for seed in (11, 11, 12))
    if _text(first) != _text(second):
        return False, "the host takes a seed, but the same seed gave two answers", first
    if _text(first) == _text(other):
        return False, "the host answers the same whatever the seed, so it may not sample at all", first
    return True, "", first


def _stop(ask: _Ask) -> _Asked:
    return True, "", ask(stop=["\u2603\u2603"], max_tokens=1)


def _logprobs(ask: _Ask) -> _Asked:
    answer = ask(logprobs=True, top_logprobs=1, max_tokens=1)
    there = bool(_choice(answer).get("logprobs"))
    return there, "" if there else "the host takes the setting and leaves them out", answer


def _images(ask: _Ask) -> _Asked:
    # Some servers take a picture for a model without eyes and leave it out: what they count shows it.
    text = {"type": "text", "text": "Write any word."}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}
    without = ask(messages=[{"role": "user", "content": [text]}], max_tokens=1)
    answer = ask(messages=[{"role": "user", "content": [text, picture]}], max_tokens=1)
    read = (_prompt_tokens(answer) or 0) > (_prompt_tokens(without) or 0)
    return read, "" if read else "the host takes pictures, but does not show that the model reads them", answer


_ASK: dict[Ability, Callable[[_Ask], _Asked]] = {
    "seed": _seed,
    "stop": _stop,
    "logprobs": _logprobs,
    "images": _images,
}


def _entry(entry: dict[str, Any]) -> Served | None:
    name = entry.get("id")
    if not isinstance(name, str):
        return None
    try:
        check_served_name(name)
    except AppError:
        log.info("a model of the remote engine is left out: its name is not one")
        return None
    meta = entry.get("meta")
    context = entry.get("max_model_len") or (meta.get("n_ctx_train") if isinstance(meta, dict) else None)
    parent = entry.get("parent")
    server = entry.get("owned_by")
    return Served(
        name,
        max_context=_context(context),
        parent=parent if isinstance(parent, str) else "",
        server=server if isinstance(server, str) else "",
    )


def _told_more(model: Served, connect: Connect) -> Served:
    """TGI and SGLang tell the commit of the one model they serve, llama.cpp the context it was given."""
    for path in {"sglang": ("/get_server_info",), "llamacpp": ("/props",), "vllm": ()}.get(model.server, ("/info",)):
        try:
            with connect(ASK_SECONDS) as connection:
                told = connection.get_json(path)
        except (Refused, Broken, httpx2.TransportError):
            continue
        commit = told.get("model_sha") or told.get("revision")
        settings = told.get("default_generation_settings")
        context = told.get("max_total_tokens") or told.get("context_length")
        if isinstance(settings, dict):
            context = context or settings.get("n_ctx")
        known = isinstance(commit, str) and COMMIT.fullmatch(commit)
        return Served(
            model.name,
            commit=commit if known and isinstance(commit, str) else "",
            max_context=_context(context) or model.max_context,
            parent=model.parent,
            server=model.server or ("tgi" if "model_sha" in told else ""),
        )
    return model


def _context(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = _list(answer.get("choices"))
    return choices[0] if choices and isinstance(choices[0], dict) else {}


def _message(answer: dict[str, Any]) -> dict[str, Any]:
    message = _choice(answer).get("message")
    return message if isinstance(message, dict) else {}


def _text(answer: dict[str, Any]) -> tuple[object, object]:
    message = _message(answer)
    return message.get("content"), message.get("reasoning_content") or message.get("reasoning")


def _prompt_tokens(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    return _context(usage.get("prompt_tokens")) if isinstance(usage, dict) else None


def _reasons(answer: dict[str, Any]) -> bool:
    content, thought = _text(answer)
    return bool(thought) or (isinstance(content, str) and content.lstrip().startswith("<think>"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
