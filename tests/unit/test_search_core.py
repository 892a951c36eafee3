"""Search without a network: words that filter, every filter, order, memory, what runs here, the shortlist, comparing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.hub.disk_cache import DiskCache
from backends.hub.list_query import list_params
from backends.machine import cpu_dtype, memory_of_machine
from core.card_parts import Ancestor, Lineage
from core.catalog import Finding, ModelSummary, SearchQuery
from core.errors import UserInputError
from core.licenses import COMMERCIAL
from core.machine import Machine, assessed
from core.memory import cache_bytes, estimate
from core.model_comparison import Compared, Line, lines_of
from core.refs import ModelRef
from core.search_filter import Row, marked, select
from core.search_words import read_count, read_words, understood, without_chip
from core.shortlist import (
    MOST_ENTRIES,
    Entry,
    LockedFile,
    added,
    decided,
    entry_of,
    from_json,
    kept,
    read_kept,
    to_json,
    to_lock,
)
from tests.fakes import OTHER, REF, FakeCatalog

COMMIT = "a" * 40
CPU = Machine("CPU", 16 * 10**9, "bfloat16")


def summary(name: str = "org/name", **more: Any) -> ModelSummary:
    return ModelSummary(name, COMMIT, "hub", **more)


def names(rows: list[Row], **query: Any) -> list[str]:
    return [row.summary.repo_id for row in select(rows, SearchQuery(**query)).rows]


class TestWords:
    def test_words_that_name_a_filter_become_chips(self) -> None:
        words = read_words("Support tickets summarise german apache under 3b gguf -uncensored commercial")
        assert words.plain == ("support", "tickets")
        assert words.exclude == ("uncensored",)
        assert {chip.field: chip.value for chip in words.chips} == {
            "task": "summarization", "language": "de", "license": "apache-2.0", "params": (None, 3_000_000_000),
            "weights_format": "gguf", "license_classes": COMMERCIAL,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("<3b", None, 3_000_000_000), ("≤360m", None, 360_000_000), (">7b", 7_000_000_000, None),
            ("7b", 5_950_000_000, 8_260_000_000), ("over 1.5b", 1_500_000_000, None), ("below 500M", None, 500_000_000),
        ],
    )  # fmt: skip
    def test_sizes(self, text: str, low: int | None, high: int | None) -> None:
        query, words = understood(SearchQuery(text))
        assert (query.min_params, query.max_params, query.text) == (low, high, "")
        assert len(words.chips) == 1

    def test_names_of_models_stay_words(self) -> None:
        for text in ("gemma", "llama3.1", "smollm instruct", "no", "it", "other"):
            assert read_words(text).chips == (), text

    def test_quotes_make_any_word_a_word(self) -> None:
        assert read_words('"summarise" -"bad words"').plain == ("summarise",)
        assert read_words('-"bad words"').exclude == ("bad words",)
        assert without_chip("Tickets SUMMARISE under 3b", "summarise") == 'Tickets "SUMMARISE" under 3b'
        query, _ = understood(SearchQuery(without_chip("tickets under 3b", "under 3b")))
        assert (query.text, query.max_params) == ("tickets under 3b", None)

    def test_a_filter_that_was_chosen_wins_over_a_word(self) -> None:
        query, words = understood(SearchQuery("summarise german", task="translation", language="de"))
        assert (query.task, query.language, query.text) == ("translation", "de", "summarise")
        assert words.chips == ()
        query, _ = understood(SearchQuery("7b", max_params=10))
        assert (query.max_params, query.min_params, query.text) == (10, None, "")

    @pytest.mark.parametrize("text", ["", "   ", "-", '"', '""', "-- -", "\x00", "<", "under", "((", "%", "💥" * 50])
    def test_nothing_typed_breaks_it(self, text: str) -> None:
        understood(SearchQuery(text))

    def test_counts(self) -> None:
        assert [read_count(text) for text in ("3B", "360m", "1,500", " 1.5 b ", "x", "", "9" * 40)] == [
            3_000_000_000, 360_000_000, 1500, 1_500_000_000, None, None, None,
        ]  # fmt: skip


FILTERS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"task": "summarization"}, {"task": "summarization"}, {"task": None}),
    ({"author": "ORG"}, {}, {"repo_id": "organised/name"}),
    ({"library": "peft"}, {"library": "peft"}, {"library": None}),
    ({"language": "de"}, {"languages": ("en", "de")}, {"languages": ()}),
    ({"license": "mit"}, {"license": "mit"}, {"license": "apache-2.0"}),
    ({"license_classes": ("unknown",)}, {"license_class": None}, {"license_class": "permissive"}),
    ({"min_params": 5}, {"params": 5}, {"params": None}),
    ({"max_params": 5}, {"params": 5}, {"params": 6}),
    ({"weights_format": "gguf"}, {"weights_formats": ("gguf",)}, {"weights_formats": None}),
    ({"weights_format": "diffusers"}, {"library": "diffusers"}, {"library": "timm"}),
    ({"quantization": "awq"}, {"quantization": "awq"}, {"quantization": None}),
    ({"min_downloads": 5}, {"downloads": 5}, {"downloads": None}),
    ({"min_likes": 5}, {"likes": 5}, {"likes": 4}),
    ({"updated_since": "2026-02-01"}, {"updated": "2026-02-01T00:00:00Z"}, {"updated": None}),
    ({"gated": "yes"}, {"gated": True}, {"gated": None}),
    ({"gated": "no"}, {"gated": False}, {"gated": True}),
    ({"base_model": "a/b"}, {"base_models": ("a/b",)}, {"base_models": ("a/bc",)}),
    ({"relation": "adapter"}, {"relation": "adapter", "base_models": ("a/b",)}, {"relation": "merge"}),
    ({"relation": "none"}, {"base_models": ()}, {"base_models": ("a/b",)}),
    ({"dataset": "a/d"}, {"datasets": ("a/d",)}, {"datasets": ()}),
    ({"paper": "2302.13971"}, {"papers": ("2302.13971",)}, {"papers": ()}),
    ({"provider": "all"}, {"providers": ("groq",)}, {"providers": ()}),
    ({"provider": "groq"}, {"providers": ("groq",)}, {"providers": ("nebius",)}),
    ({"has_card": True}, {"has_card": True}, {"has_card": None}),
    ({"chat_template": True}, {"chat_template": True}, {"chat_template": False}),
    ({"runs_here": True}, {"runs_here": True}, {"runs_here": None}),
    ({"exclude": ("bad",)}, {}, {"repo_id": "org/BAD-model"}),
    ({"text": "name"}, {}, {"repo_id": "org/else"}),
]


class TestSelect:
    @pytest.mark.parametrize(("query", "fits", "fails"), FILTERS, ids=lambda each: ",".join(map(str, each)) or "any")
    def test_every_filter(self, query: dict[str, Any], fits: dict[str, Any], fails: dict[str, Any]) -> None:
        good = Row(replace(summary(), **fits))
        bad = Row(replace(summary(), **fails))
        assert select([good, bad], SearchQuery(**query)).rows == (good,)

    def test_no_filter_of_a_query_is_forgotten(self) -> None:
        told = {name for query, _, _ in FILTERS for name in query}
        left = set(SearchQuery.__slots__) - told - {"sort", "limit", "source", "kind", "adult", "offset", "look_at"}
        assert left == set()

    def test_rows_with_every_word_come_first_and_names_before_tags(self) -> None:
        rows = [
            Row(summary("org/ticket-only", downloads=9)),
            Row(summary("org/plain", downloads=8), ("support", "tickets")),
            Row(summary("org/support-ticket", downloads=1)),
            Row(summary("org/nothing", downloads=99)),
            Row(summary("org/about", downloads=2), (), "Support for tickets"),
        ]
        found = select(rows, SearchQuery("support tickets", sort="downloads"))
        assert [row.summary.repo_id for row in found.rows] == [
            "org/support-ticket", "org/plain", "org/about", "org/ticket-only",
        ]  # fmt: skip
        assert found.whole == 3
        assert marked(found.rows, "support tickets")[-1].matched == ("tickets",)

    def test_adult_rows_are_counted_only_where_they_would_have_matched(self) -> None:
        rows = [Row(summary("org/a", adult=True)), Row(summary("org/b", adult=True, task="x")), Row(summary("org/c"))]
        found = select(rows, SearchQuery(task="x"))
        assert (found.rows, found.adult_left_out) == ((), 1)

    def test_every_order_with_what_is_not_known_last(self) -> None:
        rows = [
            Row(summary("org/none")),
            Row(summary("org/low", params=1, likes=1, downloads=1, trending=1.0, created="2024", updated="2024")),
            Row(summary("org/high", params=2, likes=2, downloads=2, trending=2.0, created="2025", updated="2025")),
        ]
        for sort in ("trending", "downloads", "likes", "created", "updated", "params"):
            assert names(rows, sort=sort) == ["org/high", "org/low", "org/none"], sort


def test_what_the_hub_can_filter_is_asked_of_it() -> None:
    query = SearchQuery(
        task="summarization", library="transformers", author="org", language="de", license="mit", base_model="a/b",
        relation="adapter", dataset="a/d", paper="2302.13971", weights_format="gguf", gated="no", provider="groq",
        min_params=6_449_999_999, max_params=3_000_000_001,
    )  # fmt: skip
    params = list_params(query, [("search", "x")], 200)
    assert [value for name, value in params if name == "filter"] == [
        "transformers", "de", "license:mit", "dataset:a/d", "arxiv:2302.13971", "base_model:adapter:a/b", "gguf",
    ]  # fmt: skip
    given = dict(params)
    assert (given["gated"], given["inference_provider"], given["search"]) == ("false", "groq", "x")
    # Never narrower than what was asked: the exact bounds are applied to the rows.
    assert given["num_parameters"] == "min:6449M,max:3001M"


@pytest.mark.parametrize(
    ("low", "high", "asked"),
    [
        (3 * 10**9, None, "min:3B"), (None, 360_000_000, "max:360M"), (1, 1500, "min:1,max:2K"), (None, 0, "max:0"),
    ],
)  # fmt: skip
def test_sizes_are_asked_in_whole_units(low: int | None, high: int | None, asked: str) -> None:
    params = list_params(SearchQuery(min_params=low, max_params=high), [], 20)
    assert dict(params)["num_parameters"] == asked


class TestMemory:
    LLAMA = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}

    def test_the_cache_of_grouped_queries(self) -> None:
        assert cache_bytes(self.LLAMA, 1000, 2) == 30 * 3 * (64 + 64) * 1000 * 2

    @pytest.mark.parametrize(
        ("changed", "tokens"),
        [
            ({"sliding_window": 100}, 30 * 100),
            ({"sliding_window": 100, "use_sliding_window": False}, 30 * 1000),
            ({"sliding_window": 100, "layer_types": ["sliding_attention"] * 25 + ["full_attention"] * 5}, 25 * 100 + 5 * 1000),
            ({"layer_types": ["linear_attention"] * 20 + ["full_attention"] * 10}, 10 * 1000),
        ],
    )  # fmt: skip
    def test_layers_that_keep_less(self, changed: dict[str, Any], tokens: int) -> None:
        assert cache_bytes({**self.LLAMA, **changed}, 1000, 2) == tokens * 3 * 128 * 2

    def test_the_sum_is_said(self) -> None:
        known = estimate(134_515_008, "bfloat16", {**self.LLAMA, "max_position_embeddings": 2048})
        assert known.context == 2048
        assert known.total == known.weights + (known.cache or 0) + known.overhead
        assert known.sentence() == "332 MB = weights 269 MB in bfloat16 + cache 47 MB for 2,048 tokens + 5 % overhead"
        assert estimate(10**9, "float32").sentence().startswith("About 4.2 GB")

    @pytest.mark.parametrize("odd", [None, "x", -1, 0, True, [], 10**30, 1.5])
    def test_odd_configs_give_no_cache_and_no_error(self, odd: object) -> None:
        config = {**self.LLAMA, "num_hidden_layers": odd, "text_config": odd, "layer_types": odd, "head_dim": odd}
        assert cache_bytes(config, 10, 2) is None

    @pytest.mark.parametrize(("seed", "context"), [(0, 512), (1, 2048)])
    def test_it_is_what_a_model_really_takes(self, tmp_path: Path, seed: int, context: int) -> None:
        """Within 15 % of the tensors in memory: all weights and buffers, and the cache after that many tokens."""
        import torch
        from transformers import AutoModelForCausalLM

        from backends.hub.folder import read_folder
        from tests.tiny_models import make_tiny_chat_model

        folder = make_tiny_chat_model(tmp_path / "tiny", seed=seed)
        known = read_folder(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokens = torch.ones((1, context), dtype=torch.long)
        with torch.inference_mode():
            cache = model(tokens, use_cache=True).past_key_values
        held = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
        measured = sum(held.values()) + sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert known.params is not None
        told = estimate(known.params, "float32", known.config, context)
        assert abs(told.total - measured) / measured < 0.15


class TestMachine:
    CHAT: dict[str, Any] = {
        "task": "text-generation", "library": "transformers", "weights_formats": ("safetensors",), "params": 10**9,
        "architecture": "LlamaForCausalLM",
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("changed", "runs", "why"),
        [
            ({}, True, None),
            ({"params": 70 * 10**9}, False, "needs 147 GB, CPU has 16 GB"),
            ({"weights_formats": ("gguf",)}, False, "no safetensors, only gguf"),
            ({"weights_formats": ()}, False, "no weights"),
            ({"relation": "adapter"}, False, "an adapter"),
            ({"custom_code": True}, False, "code from its repository"),
            ({"task": "depth-estimation", "architecture": None}, False, "nothing here runs depth estimation"),
            ({"architecture": "BertForMaskedLM", "task": None}, False, "does not chat"),
            ({"params": None}, None, "size is not stated"),
            ({"architecture": "T5ForConditionalGeneration", "task": "summarization"}, None, "only loading it tells"),
            ({"architecture": None, "task": "summarization"}, None, "architecture is not stated"),
            ({"architecture": "LlavaForConditionalGeneration", "task": "image-text-to-text"}, None, "only loading it tells"),
            ({"library": "diffusers", "task": "text-to-image", "architecture": None}, True, None),
            ({"library": "keras", "task": "text-to-image", "architecture": None}, False, "keras images"),
        ],
    )  # fmt: skip
    def test_runs_here_or_why_not(self, changed: dict[str, Any], runs: bool | None, why: str | None) -> None:
        told = assessed(summary(**{**self.CHAT, **changed}), CPU)
        assert told.runs_here is runs
        assert (told.why_not is None) if why is None else why in (told.why_not or "")

    def test_a_configured_remote_runs_what_it_serves(self) -> None:
        machine = replace(CPU, remote=frozenset({"org/name"}), host="vllm.example")
        told = assessed(summary(**{**self.CHAT, "params": 70 * 10**9}), machine)
        assert (told.runs_here, told.runs_on, told.why_not) == (True, "vllm.example", None)

    def test_a_container_has_what_it_may_use(self, tmp_path: Path) -> None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
        (tmp_path / "proc/meminfo").write_text("MemTotal:       16000000 kB\n")
        (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
        assert memory_of_machine(tmp_path) == 16_000_000 * 1024
        (tmp_path / "sys/fs/cgroup/memory.max").write_text("2147483648\n")
        assert memory_of_machine(tmp_path) == 2**31
        assert memory_of_machine(tmp_path / "nowhere") is None

    @pytest.mark.parametrize(
        ("flags", "dtype"), [("fpu avx512f avx512_bf16", "bfloat16"), ("fpu avx2", "float32"), ("", "float32")]
    )
    def test_the_dtype_follows_from_the_processor(self, tmp_path: Path, flags: str, dtype: str) -> None:
        (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags\t: {flags}\n")
        assert cpu_dtype(tmp_path / "cpuinfo") == dtype
        assert cpu_dtype(tmp_path / "none") == "float32"


class TestShortlist:
    def entries(self, count: int = 2) -> tuple[Entry, ...]:
        found: tuple[Entry, ...] = ()
        for number in range(count):
            found = added(found, entry_of(summary(f"org/m{number}", license="mit", license_class="permissive"), "2026"))
        return found

    def test_twelve_and_each_commit_once(self) -> None:
        entries = self.entries(MOST_ENTRIES)
        assert added(entries, entries[0]) == entries
        with pytest.raises(UserInputError, match="Remove one"):
            added(entries, Entry("org/more", COMMIT))
        with pytest.raises(UserInputError, match="commit"):
            entry_of(replace(summary(), revision=None), "2026")

    def test_a_decision_says_who_and_when(self) -> None:
        entries = decided(self.entries(), f"org/m1@{COMMIT}", status="chosen", who=" Ada ", when="2027")
        entries = decided(entries, f"org/m1@{COMMIT}", reason="small " * 200, who="Ada", when="2028")
        assert entries[0] == self.entries()[0]
        assert (entries[1].status, entries[1].who, entries[1].when, len(entries[1].reason)) == (
            "chosen",
            "Ada",
            "2028",
            500,
        )
        with pytest.raises(UserInputError, match="candidate, chosen, rejected"):
            decided(entries, entries[0].key, status="maybe", who="", when="")

    def test_the_browser_and_the_file_bring_it_back(self) -> None:
        entries = decided(self.entries(), f"org/m0@{COMMIT}", status="rejected", reason="why <b>", who="A", when="2027")
        assert read_kept(kept(entries)) == entries
        assert read_kept(json.loads(json.dumps(kept(entries)))) == entries
        assert from_json(to_json(entries)) == entries

    def test_a_lock_file_is_a_shortlist_too(self) -> None:
        entries = self.entries()
        files = {entry.key: [LockedFile("a.json", 2, blob_id="b" * 40)] for entry in entries}
        text = to_lock(entries, files)
        assert json.loads(text)["models"][0]["files"] == [
            {"path": "a.json", "size": 2, "sha256": None, "blob_id": "b" * 40}
        ]
        assert from_json(text) == entries

    @pytest.mark.parametrize(
        "text", ["", "[1", "[]", "{}", '{"models": 3, "proving_lock": 1}', "x" * 300_000, "[" * 100_000]
    )
    def test_other_files_are_refused(self, text: str) -> None:
        with pytest.raises(UserInputError, match="file"):
            from_json(text)

    def test_the_wrong_entry_is_named(self) -> None:
        data = {"proving_shortlist": 1, "models": [{"repo_id": "org/a", "revision": COMMIT}, {"repo_id": "org/b"}]}
        with pytest.raises(UserInputError, match="Entry 2 of the file is wrong"):
            from_json(json.dumps(data))

    @pytest.mark.parametrize("odd", [None, 3, "x", {}, [None, 3, {}, {"repo_id": "../x", "revision": COMMIT}], [[]]])
    def test_what_a_browser_kept_is_not_trusted(self, odd: object) -> None:
        assert read_kept(odd) == ()


class TestCompare:
    def table(self, *models: Compared) -> dict[str, Line]:
        return {line.name: line for line in lines_of(models, str)}

    def card(self, ref: ModelRef, change: Callable[[Any], Any] = lambda card: card) -> Compared:
        return Compared(ref, change(FakeCatalog().card(ref)), Lineage())

    def test_what_differs_is_marked(self) -> None:
        table = self.table(self.card(REF), self.card(OTHER, lambda card: replace(card, metadata={"license": "mit"})))
        assert (table["Licence"].cells, table["Licence"].differs) == (
            ("Apache 2.0 · permissive", "MIT · permissive"),
            True,
        )
        assert table["Parameters"].differs is False

    def test_a_model_that_is_not_read_yet_makes_no_difference(self) -> None:
        table = self.table(self.card(REF), Compared(OTHER))
        assert table["Licence"].cells[1] == ""
        assert not any(line.differs for line in table.values())

    def test_the_licence_chain_findings_and_who_measured_what(self) -> None:
        above = Ancestor("meta/base", REF.repo_id, 1, "finetune", license="llama3.1", license_class="own-terms")
        index = [
            {"name": "m", "results": [{
                "task": {"type": "text-generation"}, "dataset": {"name": "MMLU (5-shot)", "type": "mmlu", "split": "test"},
                "metrics": [{"type": "acc", "value": 0.634}],
            }]}
        ]  # fmt: skip
        first = self.card(
            REF,
            lambda card: replace(
                card,
                metadata={"model-index": index},
                findings=(Finding("a", "low", "Small.", "x"), Finding("b", "high", "Grave.", "y")),
            ),
        )
        table = self.table(replace(first, lineage=Lineage((above,))), self.card(OTHER))
        assert "meta/base: llama3.1 (own terms); strictest above: own terms" in table["Licence chain"].cells[0]
        assert table["Findings"].cells[0].startswith("high: Grave.")
        assert "0.634" in table["MMLU"].cells[0]
        assert "5-shot" in table["MMLU"].cells[0]
        assert "self-reported" in table["MMLU"].cells[0]
        assert table["MMLU"].cells[1] == "–"


def test_the_disk_cache_keeps_whole_values_and_never_breaks(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "kept", most=5)
    assert cache.get("a") is None
    cache.put("a", {"x": [1, None]})
    value, age = cache.get("a") or (None, -1)
    assert value == {"x": [1, None]}
    assert age >= 0
    next((tmp_path / "kept").iterdir()).write_text("{half")
    assert cache.get("a") is None
    for number in range(250):
        cache.put(str(number), number)
    assert len(list((tmp_path / "kept").iterdir())) < 120
    (tmp_path / "file").write_text("")
    DiskCache(tmp_path / "file").put("a", 1)
