"""What fills in beside a card, against the test Hub over real HTTP: tree, history, headers, template, people, report."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic

import pytest
from huggingface_hub import HfApi

from backends.hub.catalog import Catalog
from backends.hub.details import Details
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from components.card_head import facts_of
from core.address import Address
from core.card_parts import Lineage
from core.catalog import LocalFolder
from core.chat import LoadPlan
from core.errors import HubError, HubUnreachable, NoBackend, UserInputError
from core.refs import ModelRef
from core.report import Known, report_of
from pages.card import CardPage
from pages.card_asked import AskedParts
from pages.card_record import gathered, record_of
from tests.fakes import FakeRouter
from tests.hub_server import CloseConnection, HubServer, Status
from tests.hub_server.seed import model_files, safetensors, seed
from tests.hub_server.seed_cards import ADAPTER, BENCHMARK, GGUF, MERGE, ROOT, TUNED, gguf_file, seed_cards

BUNDLED = ModelRef("came/with-the-app", "f" * 40)


@pytest.fixture
def commits(hub: HubServer) -> dict[str, str]:
    seed(hub)
    return seed_cards(hub)


@pytest.fixture
def details(hub: HubServer, commits: dict[str, str], tmp_path: Path) -> Details:
    return details_of(hub.url, tmp_path)


def details_of(url: str, tmp_path: Path, token: str | bool = False, seconds: float = 20.0) -> Details:
    folder = tmp_path / "bundled"
    folder.mkdir(exist_ok=True)
    for name, content in model_files("Bundled", base="HuggingFaceTB/SmolLM2-135M").items():
        (folder / name).write_bytes(content)
    local = LocalModels([LocalFolder(BUNDLED, folder, ready=True, bundled=True)], tmp_path / "cache")
    hub = HubModels(url, token)
    return Details(
        Catalog(hub, local, search_seconds=20, card_seconds=20), HubModels(url, token), local, seconds=seconds
    )


class TestTree:
    def test_the_chain_up_to_a_gated_root(self, details: Details) -> None:
        lineage = details.lineage(details.open(ADAPTER))
        assert [(a.repo_id, a.child, a.depth, a.relation) for a in lineage.ancestors] == [
            (MERGE, ADAPTER, 1, "adapter"),
            (TUNED, MERGE, 2, "finetune"),
            (ROOT, TUNED, 3, "finetune"),
        ]
        root = lineage.ancestors[-1]
        assert (root.license, root.license_class, root.gated, root.problem) == ("llama3.1", "own-terms", True, None)
        assert lineage.problem is None

    def test_a_cycle_and_a_missing_parent_end_the_chain_with_a_sentence(self, hub: HubServer, tmp_path: Path) -> None:
        for name, base in (("org/a", "org/b"), ("org/b", "org/a"), ("org/lost", "org/nowhere")):
            hub.add_model(name, model_files(name, base=base))
        details = details_of(hub.url, tmp_path)
        card = details.open("org/a")
        lineage = details.lineage(card)
        assert [a.repo_id for a in lineage.ancestors] == ["org/b", "org/a"]
        assert "name each other: org/a ← org/b ← org/a" in (lineage.ancestors[1].problem or "")
        assert "base-cycle" in {f.id for f in report_of(card, Known(lineage)).findings}
        lost = details.open("org/lost")
        gone = details.lineage(lost)
        assert "not on the Hub, or private" in (gone.ancestors[0].problem or "")
        report = report_of(lost, Known(gone))
        assert "parent-unknown" in {f.id for f in report.findings}
        assert report.verdict.answer == "unclear"

    def test_a_merge_has_two_parents_read_at_once(self, hub: HubServer, tmp_path: Path) -> None:
        hub.add_model("org/left", model_files("l", license="cc-by-nc-4.0"))
        hub.add_model("org/right", model_files("r"))
        hub.add_model("org/both", model_files("b", base="[org/left, org/right]"))
        details = details_of(hub.url, tmp_path)
        card = details.open("org/both")
        lineage = details.lineage(card)
        assert [(a.repo_id, a.relation) for a in lineage.ancestors] == [("org/left", "merge"), ("org/right", "merge")]
        verdict = report_of(card, Known(lineage)).verdict
        assert verdict.answer == "no"
        assert "org/left" in verdict.reasons[0]

    def test_children_are_counted_by_how_they_were_made(self, details: Details) -> None:
        children = details.children(details.open(ADAPTER))
        assert children.counts == {"quantized": 1}
        assert children.complete
        assert [child.repo_id for child in children.top] == [GGUF]
        sized = details.quantised(children)
        assert sized
        assert sized.bytes
        assert details.quantised(details.children(details.open(GGUF))) is None

    def test_a_hub_that_is_down_is_an_error_that_is_not_remembered(self, details: Details, hub: HubServer) -> None:
        card = details.open(ADAPTER)
        hub.fail_next(f"GET /api/models/{MERGE}", CloseConnection())
        with pytest.raises(HubError, match="could not be read"):
            details.lineage(card)
        assert len(details.lineage(card).ancestors) == 3


class TestRequests:
    @pytest.mark.parametrize("model", [GGUF, ADAPTER, TUNED])
    def test_a_whole_page_takes_ten_requests_and_none_when_warm(
        self, details: Details, hub: HubServer, model: str
    ) -> None:
        """GGUF <- adapter <- merge <- tuned <- root: four models stand above the first."""
        page = CardPage(details._catalog, FakeRouter(), hub.url, None, details)
        steps = list(page._steps(Address("card", model)))
        asked = [f"{request.method} {request.raw_path}" for request in hub.requests if request.origin == hub.url]
        assert len(asked) <= 10, asked
        # The card's text is there before anything of the chain is.
        first = next(step for step in steps if step.shown is not None)
        assert "What the author says" in first.body
        assert "Reading the models above it" in first.tree
        assert "Llama 3.1" in next(step.tree for step in reversed(steps) if isinstance(step.tree, str))
        list(page._steps(Address("card", model)))
        assert len([r for r in hub.requests if r.origin == hub.url]) == len(asked)

    def test_a_model_that_does_not_run_here_names_its_best_quantised_copy(
        self, details: Details, hub: HubServer
    ) -> None:
        class Nothing(FakeRouter):
            def plan(self, ref: ModelRef) -> LoadPlan:
                raise NoBackend("It needs 140 GB of memory, 16 GB are here. Choose a smaller model.")

        page = CardPage(details._catalog, Nothing(), hub.url, None, details)
        trees = [step.tree for step in page._steps(Address("card", ADAPTER)) if isinstance(step.tree, str)]
        assert "The most downloaded quantised copy is" in trees[-1]
        assert GGUF in trees[-1]
        assert len([r for r in hub.requests if r.origin == hub.url]) <= 10
        *_, looked = page.look_further(ModelRef(ADAPTER, hub.head(ADAPTER)))
        assert "The most downloaded quantised copy is" in looked[2]
        assert "no discussion" not in looked[1]


class TestHistory:
    def test_commits_refs_and_what_differs(self, details: Details, commits: dict[str, str]) -> None:
        card = details.open(ADAPTER)
        assert card.revision == commits["new"]
        assert card.record.refs == (("main", commits["new"]), ("v0.1", commits["old"]))
        history = details.history(ModelRef(ADAPTER, commits["old"]))
        assert [c.id for c in history.commits][:2] == [commits["new"], commits["old"]]
        assert history.commits[0].title == "Say what it was trained on"
        difference = details.difference(ADAPTER, commits["old"], commits["new"])
        assert [(c.path, c.change) for c in difference.files] == [
            ("README.md", "changed"),
            ("generation_config.json", "added"),
            ("notes.md", "added"),
            ("old.txt", "removed"),
        ]
        assert "-First version." in difference.card
        assert "+## Training data" in difference.card

    def test_an_older_commit_is_its_own_page(self, details: Details, commits: dict[str, str]) -> None:
        card = details.open(ADAPTER, commits["old"])
        assert "First version." in card.markdown
        assert card.main_moved == commits["new"]
        assert details.open(ADAPTER, "v0.1").revision == commits["old"]

    def test_a_bundled_model_has_no_history_and_asks_nobody(self, tmp_path: Path) -> None:
        details = details_of("http://127.0.0.1:9", tmp_path)
        assert details.history(BUNDLED).commits == ()
        assert details.children(details.open(BUNDLED.repo_id)).counts == {}

    def test_newer_versions_are_followed_and_a_circle_ends(self, hub: HubServer, tmp_path: Path) -> None:
        for name, new in (("org/one", "org/two"), ("org/two", "org/three"), ("org/three", "org/one")):
            hub.add_model(name, {"README.md": f"---\nlicense: mit\nnew_version: {new}\n---\n# x\n".encode()})
        details = details_of(hub.url, tmp_path)
        assert details.successors(details.open("org/one")) == ("org/two", "org/three")

    def test_when_card_and_weights_were_changed(self, hub: HubServer, tmp_path: Path) -> None:
        hub.add_model("org/m", model_files("m"))
        head = hub.commit("org/m", files={"model.safetensors": safetensors({"a": [3]})})
        changed = details_of(hub.url, tmp_path).changed(ModelRef("org/m", head))
        assert changed
        assert changed.file == "model.safetensors"
        assert (changed.card or "") < (changed.weights or "")

    def test_the_scan_of_each_file_is_told_beside_it(self, hub: HubServer, tmp_path: Path) -> None:
        files = {**model_files("m"), "old.bin": b"x", "more.bin": b"y"}
        head = hub.add_model("org/marked", files, security={"old.bin": "unsafe", "more.bin": "queued"})
        details = details_of(hub.url, tmp_path)
        changed = details.changed(ModelRef("org/marked", head))
        assert changed
        assert changed.scans == {
            ".gitattributes": "safe", "README.md": "safe", "config.json": "safe", "model.safetensors": "safe",
            "more.bin": "queued", "old.bin": "unsafe",
        }  # fmt: skip
        table = facts_of(details.open("org/marked"), changed.scans)
        assert (table.count(">scan: unsafe<"), table.count(">scan: queued<")) == (1, 1)
        assert "4 safe" in table
        record = record_of(gathered(details.open("org/marked"), details), "")
        assert {each["file"]: each["scan"] for each in record["files"]}["old.bin"] == "unsafe"

    def test_a_branch_beside_main_has_its_own_commits_and_every_ref_is_a_page(
        self, details: Details, hub: HubServer, commits: dict[str, str]
    ) -> None:
        HfApi(hub.url, token="hf_alice").create_branch(ADAPTER, branch="dev", revision=commits["old"])
        tip = hub.commit(ADAPTER, files={"trial.txt": b"x"}, message="Try something", branch="dev")
        page, compare = AskedParts(details).history(ModelRef(ADAPTER, tip))
        assert "Try something" in page
        assert "Say what it was trained on" not in page
        assert '<b class="pg-tag pg-here" aria-current="true">dev</b>' in page
        assert commits["new"] in page, "main is a link"
        assert commits["new"] in {value for _, value in compare.choices}

    def test_a_card_that_cannot_be_read_leaves_the_files(
        self, details: Details, hub: HubServer, commits: dict[str, str]
    ) -> None:
        hub.fail_next(f"GET /{ADAPTER}/resolve/*", Status(500))
        difference = details.difference(ADAPTER, commits["old"], commits["new"])
        assert len(difference.files) == 4
        assert "could not be compared" in (difference.problem or "")


class TestHeaders:
    def test_safetensors_by_range(self, hub: HubServer, tmp_path: Path) -> None:
        content = safetensors({f"layer.{n}.weight": [64, 32] for n in range(2000)}, "BF16")
        commit = hub.add_model("org/large", {"model.safetensors": content})
        header = details_of(hub.url, tmp_path).header(ModelRef("org/large", commit), "model.safetensors")
        assert (len(header.tensors), header.parameters, dict(header.by_dtype)) == (
            2000, 2000 * 64 * 32, {"BF16": 2000 * 64 * 32},
        )  # fmt: skip
        length = int.from_bytes(content[:8], "little")
        assert header.read == length + 8 > 100_000, "two ranges, and nothing after the header"
        assert header.size == len(content) > 20 * header.read
        ranges = [r.headers["range"] for r in hub.requests if r.origin == hub.storage_url]
        assert ranges == ["bytes=0-99999", f"bytes=100000-{length + 7}"]

    def test_gguf_metadata(self, details: Details, hub: HubServer) -> None:
        header = details.header(ModelRef(GGUF, hub.head(GGUF)), "support-q4_k_m.gguf")
        assert header.metadata["general.architecture"] == "llama"
        assert header.metadata["llama.context_length"] == "8192"
        assert [(t.name, t.dtype, t.shape) for t in header.tensors] == [("token_embd.weight", "F16", (64, 16))]
        assert header.notes == ()

    def test_a_long_gguf_header_is_read_once_more_and_no_further(self, hub: HubServer, tmp_path: Path) -> None:
        content = gguf_file({"general.name": "x" * 1_200_000}, {"a": (4,)}, padding=3_000_000)
        commit = hub.add_model("org/long", {"a.gguf": content})
        header = details_of(hub.url, tmp_path).header(ModelRef("org/long", commit), "a.gguf")
        assert [t.name for t in header.tensors] == ["a"]
        assert header.read == len(content)

    @pytest.mark.parametrize(
        "content", [b"", b"\xff" * 40, b"GGUF", b"GGUF" + b"\xff" * 40, (10).to_bytes(8, "little") + b"[" * 10]
    )
    def test_damaged_files_are_said(self, hub: HubServer, tmp_path: Path, content: bytes) -> None:
        commit = hub.add_model("org/bad", {"a.gguf": content or b"x", "a.safetensors": content or b"x"})
        details = details_of(hub.url, tmp_path)
        for path in ("a.gguf", "a.safetensors"):
            with pytest.raises(HubError, match="cannot be read"):
                details.header(ModelRef("org/bad", commit), path)

    def test_the_header_of_a_file_here_needs_no_hub(self, tmp_path: Path) -> None:
        details = details_of("http://127.0.0.1:9", tmp_path)
        header = details.header(BUNDLED, "model.safetensors")
        assert header.by_dtype == {"F32": 256}
        with pytest.raises((UserInputError, HubError)):
            details.header(BUNDLED, "../../etc/passwd")

    def test_the_token_does_not_follow_to_the_storage(self, hub: HubServer, tmp_path: Path) -> None:
        hub.add_user("alice", "hf_alice")
        commit = hub.add_model("alice/closed", {"m.safetensors": safetensors({"a": [2]})}, private=True)
        details_of(hub.url, tmp_path, "hf_alice").header(ModelRef("alice/closed", commit), "m.safetensors")
        assert {(r.origin, r.token) for r in hub.requests} == {(hub.url, "hf_alice"), (hub.storage_url, None)}


class TestTemplate:
    def test_rendered_on_an_example(self, details: Details) -> None:
        template = details.template(details.open(MERGE))
        assert template
        assert template.problem is None
        assert template.source == "tokenizer_config.json"
        assert (template.rendered or "").startswith("<|im_start|>system\nYou answer in one sentence.<|im_end|>")
        assert (template.rendered or "").endswith("<|im_start|>assistant\n")

    def test_a_gguf_file_holds_its_own(self, details: Details) -> None:
        template = details.template(details.open(GGUF))
        assert template
        assert template.source == "the header of support-q4_k_m.gguf"
        assert "What is a model card?" in (template.rendered or "")

    def test_a_file_of_its_own_comes_first(self, hub: HubServer, tmp_path: Path) -> None:
        files = {**model_files("T"), "chat_template.jinja": b"{{ messages[1]['content'] }}{{ eos_token }}"}
        files["tokenizer_config.json"] = json.dumps(
            {"eos_token": {"content": "</s>"}, "chat_template": "other"}
        ).encode()
        hub.add_model("org/t", files)
        details = details_of(hub.url, tmp_path)
        template = details.template(details.open("org/t"))
        assert template
        assert (template.rendered, template.source) == ("What is a model card?</s>", "chat_template.jinja")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
            ("{{ cycler.__init__.__globals__.os.environ }}", "SecurityError"),
            ("{{ messages.append({}) }}", "SecurityError"),
            ("{{ 'a' * 10**11 }}", "MemoryError"),
            ("{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}", "stopped"),
            ("{% if %}", "TemplateSyntaxError"),
            ("{{ raise_exception('only user and assistant') }}", "only user and assistant"),
        ],
    )  # fmt: skip
    def test_hostile_and_broken_templates_harm_nothing(self, text: str, says: str) -> None:
        from backends.hub.chat_template import rendered

        template = rendered(text, "here", {})
        assert template.rendered is None
        assert says in (template.problem or "")

    def test_a_template_without_a_system_role_is_rendered_without_one(self) -> None:
        from backends.hub.chat_template import rendered

        text = (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages|length }}"
        )
        template = rendered(text, "here", {})
        assert template.rendered == "3"
        assert "no system" in (template.problem or "")

    def test_it_renders_what_transformers_renders(self) -> None:
        from transformers.utils.chat_template_utils import render_jinja_template

        from backends.hub.chat_template import EXAMPLE, rendered
        from tests.hub_server.seed_cards import TEMPLATE

        for text in (
            TEMPLATE,
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% generation %}{{ m | tojson }}"
            "{% endgeneration %}{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ ns.n }}{{ bos_token }}",
        ):
            theirs, _ = render_jinja_template(
                [list(EXAMPLE)], chat_template=text, add_generation_prompt=True, bos_token="<s>"
            )
            assert rendered(text, "here", {"bos_token": "<s>"}).rendered == theirs[0]


class TestPeople:
    def test_publisher_and_discussions(self, details: Details) -> None:
        assert (details.publisher(ROOT).kind, details.publisher(ROOT).verified) == ("organization", True)
        assert (details.publisher(ADAPTER).kind, details.publisher(ADAPTER).verified) == ("user", None)
        assert details.publisher("nobody/model").kind == "unknown"
        assert [(d.title, d.link) for d in details.discussions(ADAPTER)] == [
            ("Which licence holds?", f"{details._hub.endpoint}/{ADAPTER}/discussions/1")
        ]

    def test_results_on_a_leaderboard(self, details: Details) -> None:
        entries = details.boards(ADAPTER, (BENCHMARK, "no/such-board", "alice/votes"))
        assert [(e.benchmark, e.value, e.source) for e in entries] == [(BENCHMARK, 55.1, "Open board")]

    def test_published_results_of_the_open_llm_leaderboard(self, details: Details, hub: HubServer) -> None:
        assert details.open_llm(MERGE) == ()
        second = {
            "results": {"leaderboard_mmlu_pro": {"acc,none": 0.31}, "x": 3},
            "n-shot": {"leaderboard_mmlu_pro": 5},
        }
        first = {
            "results": {
                "harness|gsm8k|5": {"acc": 0.3},
                "harness|hendrycksTest-law|5": {"acc": 0.4},
                "harness|hendrycksTest-art|5": {"acc": 0.6},
                "all": {"acc": 1},
            }
        }
        for dataset, data in (("open-llm-leaderboard/results", second), ("open-llm-leaderboard-old/results", first)):
            name = f"{ADAPTER}/results_2024-06-16T21-34-28.67.json"
            older = {f"{ADAPTER}/results_2024-01-01T00-00-00.00.json": b"{}"}
            hub.add_dataset(dataset, {name: json.dumps(data).encode(), **older})
        entries = details.open_llm(ADAPTER)
        assert [(e.benchmark, e.value, e.shots, e.source) for e in entries] == [
            ("MMLU-Pro", 0.31, 5, "Open LLM Leaderboard, 2024-06-16"),
            ("MMLU", 0.5, 5, "Open LLM Leaderboard, 2024-06-16"),
            ("GSM8K", 0.3, 5, "Open LLM Leaderboard, 2024-06-16"),
        ]
        found = gathered(details.open(ADAPTER), details)
        record = record_of(found, "")
        thirds = {row["benchmark"]: row["third_party"] for row in record["evaluations"]}
        assert thirds["MMLU"]["source"] == "Open board", "a benchmark's own leaderboard comes first"
        assert thirds["GSM8K"]["source"] == "Open LLM Leaderboard, 2024-06-16"


class TestReport:
    def test_an_apache_child_of_a_llama_parent(self, details: Details) -> None:
        found = gathered(details.open(ADAPTER), details)
        report = found.report
        ids = {finding.id for finding in report.findings}
        assert {
            "license-contradiction", "parent-gated", "limits-vague", "code-outdated", "evaluation-shots-missing",
            "evaluation-differs", "pad-is-eos", "generation-ignored", "bias-absent",
        } <= ids  # fmt: skip
        assert not ids & {"unproven", "base-unnamed", "no-template", "license-missing", "generation-unchecked"}
        worst = report.findings[0]
        assert (worst.id, worst.severity) == ("license-contradiction", "high")
        assert "The card says Apache 2.0" in worst.sentence
        assert f"{ADAPTER} ← {MERGE} ← {TUNED} ← {ROOT}" in worst.sentence
        assert report.verdict.answer == "conditions"
        assert ROOT in report.verdict.sentence or TUNED in report.verdict.sentence
        assert "Llama 3.1 Community License" in report.verdict.sentence

    def test_the_record_is_json_and_names_everything(self, details: Details, commits: dict[str, str]) -> None:
        record = record_of(gathered(details.open(ADAPTER), details), "<p>")
        json.dumps(record)
        assert record["revision"] == commits["new"]
        assert [row["repo_id"] for row in record["lineage"]] == [ADAPTER, MERGE, TUNED, ROOT]
        assert {row["id"]: row["state"] for row in record["sections"]}["evaluation"] == "absent"
        mmlu = next(row for row in record["evaluations"] if row["benchmark"] == "MMLU")
        assert (mmlu["shots"], mmlu["who"], mmlu["third_party"]["value"]) == (5, "self-reported", 55.1)
        assert round(mmlu["difference"], 1) == 8.3
        assert record["snippets"][0]["library"] == "peft"
        assert commits["new"] in record["snippets"][0]["code"]
        assert record["papers"] == ["2106.09685"]
        assert record["datasets"] == ["alice/votes"]

    def test_without_the_hub_nothing_passes_in_silence(self, tmp_path: Path) -> None:
        details = details_of("http://127.0.0.1:9", tmp_path)
        started = monotonic()
        found = gathered(details.open(BUNDLED.repo_id), details)
        assert isinstance(found.known.lineage, str)
        ids = {finding.id: finding.severity for finding in found.report.findings}
        assert ids["lineage-unchecked"] == ids["scan-unchecked"] == "info"
        assert found.report.verdict.answer == "unclear"
        assert monotonic() - started < 60

    def test_a_page_whose_parts_fail_still_has_the_others(self, details: Details, hub: HubServer) -> None:
        card = details.open(ADAPTER)
        hub.fail_next("GET /api/models", Status(503))
        found = gathered(card, details)
        assert "problem of its own" in str(found.children)
        assert isinstance(found.known.lineage, Lineage)

    def test_a_hub_that_went_away_is_said_at_once(self, details: Details, hub: HubServer) -> None:
        card = details.open(ADAPTER)
        hub.stop()
        with pytest.raises(HubUnreachable):
            details.children(card)
        hub.start()
        assert details.children(card).counts == {"quantized": 1}
