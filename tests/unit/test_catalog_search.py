"""Queries and merging: what is refused, what stands first, and what the counts claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.hub.list_query import EXPAND, SORT_KEYS
from backends.hub.lists import Found
from backends.hub.searching import merged as merge
from core.catalog import SORTS, ModelSummary, SearchQuery
from core.errors import UserInputError
from core.search_check import check_query
from core.search_filter import Row, select
from core.tasks import MODALITIES, TASKS, task_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def row(repo_id: str, source: str = "hub", **more: object) -> Row:
    return Row(ModelSummary(repo_id, COMMIT, source, **more))


def found(*rows: Row, complete: bool = True) -> Found:
    return Found(rows, len(rows), complete)


def merged(query: SearchQuery, hub: Found, local: list[Row]):
    return merge(query, hub, select(local, replace(query, text=""), ordered=True))


def names(page) -> list[str]:
    return [summary.repo_id for summary in page.rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sort": "stars"}, "trending, downloads, likes, created, updated"),
        ({"kind": "paper"}, "model, dataset, space"),
        ({"gated": "maybe"}, "any, yes, no"),
        ({"relation": "cousin"}, "none, adapter, finetune"),
        ({"license": "gpl-9"}, "not a licence id"),
        ({"license_classes": ("commercial",)}, "permissive, copyleft"),
        ({"weights_format": "zip"}, "safetensors, gguf"),
        ({"quantization": "tiny"}, "gptq"),
        ({"language": "English please"}, "code such as en"),
        ({"base_model": "../x"}, "repository id"),
        ({"paper": "attention"}, "arXiv"),
        ({"updated_since": "yesterday"}, "2026-01-31"),
        ({"min_params": 3, "max_params": 2}, "Widen"),
        ({"min_likes": -1}, "between 0"),
        ({"sort": "trendingScore"}, "sort has to be one of"),
        ({"source": "cache"}, "auto, hub, local"),
        ({"task": "chatting"}, "pipeline_tag"),
        ({"task": "<script>"}, "not a task"),
        ({"limit": 0}, "between 1 and 100"),
        ({"limit": 10_000}, "between 1 and 100"),
        ({"text": "x" * 501}, "too long"),
        ({"author": "a/b"}, "author"),
        ({"author": "../etc"}, "author"),
        ({"library": "x y"}, "library"),
        ({"library": "$(id)"}, "library"),
    ],
)
def test_values_outside_their_vocabulary_are_refused(change, says):
    with pytest.raises(UserInputError, match=says.replace("(", r"\(")):
        check_query(replace(SearchQuery(), **change))


def test_every_sort_and_task_is_accepted():
    for sort in SORTS:
        assert check_query(SearchQuery(sort=sort)).sort in SORT_KEYS
    for task in TASKS:
        check_query(SearchQuery(task=task))


def test_tasks_are_named_once():
    assert len(set(TASKS)) == len(TASKS)
    assert sum(len(tasks) for tasks in MODALITIES.values()) == len(TASKS)
    assert task_of(["LlamaForCausalLM"]) == task_of("GPT2LMHeadModel") == "text-generation"
    assert task_of(["LlamaModel"]) is task_of(None) is task_of([3, {}]) is None


def test_the_expand_list_is_one_the_hub_knows():
    from typing import get_args

    from huggingface_hub.hf_api import ExpandDatasetProperty_T, ExpandModelProperty_T, ExpandSpaceProperty_T

    assert set(EXPAND["model"]) <= set(get_args(ExpandModelProperty_T))
    assert set(EXPAND["dataset"]) <= set(get_args(ExpandDatasetProperty_T))
    assert set(EXPAND["space"]) <= set(get_args(ExpandSpaceProperty_T))


def test_local_models_stand_first_and_no_commit_twice():
    query = SearchQuery(text="chat")
    page = merged(
        query, found(row("a/x", downloads=9), row("a/chat", downloads=7)), [row("a/chat", "local", bundled=True)]
    )
    assert names(page) == ["a/chat", "a/x"]
    first = page.rows[0]
    assert (first.source, first.bundled, first.downloads) == ("local", True, 7)
    assert (page.looked_at, page.complete, page.hub_reachable) == (2, True, True)


def test_the_same_model_at_another_commit_is_another_row():
    other = Row(replace(row("a/chat").summary, revision="f" * 40, source="local"))
    assert names(merged(SearchQuery(text="chat"), found(row("a/chat")), [other])) == ["a/chat", "a/chat"]


def test_a_full_cache_does_not_hide_the_hub():
    local = [row(f"here/{n}", "local") for n in range(50)]
    hub = [row(f"there/{n}") for n in range(20)]
    page = merged(SearchQuery(limit=20), found(*hub), local)
    assert [name.partition("/")[0] for name in names(page)] == ["here"] * 5 + ["there"] * 15
    assert page.complete is False
    page = merged(SearchQuery(limit=20, text="x"), found(*hub), local)
    assert names(page).count("here/9") == 1
    assert len(page.rows) == 20
    page = merged(SearchQuery(limit=20), found(), local)
    assert len(page.rows) == 20
