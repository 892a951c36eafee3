"""Every finding with a card that triggers it and one that must not; the verdict; sections, evaluations and snippets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.card_parts import Ancestor, BoardEntry, Changed, Discussion, Lineage, Publisher
from core.card_sections import sections_of
from core.catalog import FileEntry, ModelCard, ModelSummary, Record
from core.evaluations import checks_of, evaluations_of
from core.lineage import parents_of
from core.model_facts import facts_of
from core.report import Known, report_of
from core.snippets import snippets_of

COMMIT = "a" * 40
FULL = """# Good model

It answers questions about trains in one sentence, made for the staff of one railway and tested with them for a year of use.

## Model details
A decoder of two layers, trained from scratch by a group of four people at a university in the north of the country in 2026.

## Intended use and limitations
For timetables and platforms only. It was not made for fares, refunds or legal questions, does not know today's delays, and
may answer a question about another railway as if it were this one. Do not use it where a wrong answer harms somebody.

## Bias, risks and ethics
Names of small stations are less well known to it than those of cities; a test with 400 questions is in the appendix of
the paper, which shows the share of wrong answers by region.

## How to use
```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("org/good-model")
```

## Training data
Twelve thousand questions of passengers over two years, read by two people each, without names, phone numbers or addresses.

## Training procedure
Three epochs with a learning rate of 2e-4 on one GPU, in bfloat16, with packing, seeds and the script in the repository.

## Evaluation
Five shots, test split, exact match, three seeds, with the harness at version 0.4 and the default prompt of that harness.

## Environmental impact
0.4 kg CO2, measured with a meter at the wall socket.

## Citation
```bibtex
@misc{good, title={Good model}, author={Somebody}, year={2026}}
```
"""
USUAL = ("ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K")


def index(*results: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "x", "results": list(results)}]


def result(
    name: str, value: object = 61.0, shots: int | None = 5, verified: bool = False, **dataset: str
) -> dict[str, Any]:
    args = {"args": {"num_few_shot": shots}} if shots is not None else {}
    return {"dataset": {"name": name, "type": name.lower(), **args, **dataset}, "metrics": [{"type": "acc", "value": value, "verified": verified}]}  # fmt: skip


GOOD_RESULTS = index(*(result(name, split="test", verified=True) for name in USUAL))


def card(
    markdown: str = FULL,
    *,
    repo_id: str = "org/good-model",
    files: tuple[str, ...] = ("README.md", "config.json", "model.safetensors"),
    notices: tuple[str, ...] = (),
    main_moved: str | None = None,
    downloads: int | None = 5000,
    likes: int | None = 40,
    task: str | None = "text-generation",
    record: Record | None = None,
    **metadata: object,
) -> ModelCard:
    base: dict[str, object] = {"license": "apache-2.0", "datasets": ["org/trains"], "model-index": GOOD_RESULTS}
    kept = {name: value for name, value in {**base, **metadata}.items() if value is not None}
    summary = ModelSummary(repo_id, COMMIT, "hub", task=task, downloads=downloads, likes=likes)
    known = record or Record(
        config={"eos_token_id": 2, "pad_token_id": 0},
        tokenizer={"chat_template": "x", "eos_token": "</s>", "pad_token": "<pad>"},
        generation={"eos_token_id": 2},
        scan={"scansDone": True, "filesWithIssues": []},
    )
    return ModelCard(
        repo_id, COMMIT, "hub", markdown, kept, None, tuple(FileEntry(path, 10) for path in files), (), summary,
        gated=False, main_moved=main_moved, notices=notices, record=known,
    )  # fmt: skip


def ids(found: ModelCard, known: Known | None = None) -> set[str]:
    return {finding.id for finding in report_of(found, known or Known()).findings}


def with_record(**values: Any) -> ModelCard:
    return card(record=replace(card().record, **values))


def ancestor(**values: Any) -> Ancestor:
    base = Ancestor(
        "org/base", "org/good-model", 1, "finetune", COMMIT, "apache-2.0", "Apache 2.0", "permissive", False
    )
    return replace(base, **values)


LLAMA = {"license": "llama3.1", "license_name": "Llama 3.1 Community License", "license_class": "own-terms"}


def test_a_good_card_has_no_finding_at_all() -> None:
    report = report_of(card(), Known(Lineage()))
    assert report.findings == ()
    assert report.verdict.answer == "yes"
    assert [section.state for section in report.sections] == ["present"] * 10


CASES: dict[str, tuple[ModelCard, Known | None]] = {
    "card-empty": (card("", notices=("The author wrote no card: there is no README.md at this commit.",)), None),
    "sections-unchecked": (card("", notices=("The card's text is behind the owner's access question.",)), None),
    "sections-absent": (card(FULL.replace("## Citation", "## Thanks")), None),
    "sections-thin": (card(FULL.replace("Three epochs with a learning rate of 2e-4 on one GPU, in bfloat16, with packing, seeds and the script in the repository.", "Fine-tuned.")), None),
    "bias-absent": (card(FULL.replace("## Bias, risks and ethics", "## Thanks")), None),
    "bias-thin": (card(FULL[: FULL.index("Names of small")] + "See paper.\n" + FULL[FULL.index("## How to use") :]), None),
    "limits-vague": (card("# M\n\n## Limitations\nThe model may hallucinate. It may be factually incorrect."), None),
    "data-undisclosed": (card(FULL.replace("## Training data", "## Thanks"), datasets=None), None),
    "no-code": (card("# M\n\nSome words."), None),
    "code-outdated": (card(FULL.replace("AutoModelForCausalLM", "AutoModelForVision2Seq")), None),
    "no-template": (card(repo_id="org/good-Instruct", record=replace(card().record, tokenizer={"eos_token": "</s>", "pad_token": "<pad>"})), None),
    "template-unchecked": (card(repo_id="org/good-chat", files=("config.json", "tokenizer_config.json"), record=replace(card().record, tokenizer=None)), None),
    "pad-missing": (with_record(config={}, tokenizer={"eos_token": "</s>", "chat_template": "x"}), None),
    "pad-is-eos": (with_record(tokenizer={"eos_token": {"content": "</s>"}, "pad_token": "</s>"}), None),
    "generation-ignored": (with_record(generation={"do_sample": False, "temperature": 0.2}), None),
    "generation-eos": (with_record(generation={"eos_token_id": [7, 8]}), None),
    "generation-short": (with_record(generation={"max_length": 20}), None),
    "generation-unchecked": (card(files=("README.md", "generation_config.json"), record=replace(card().record, generation=None)), None),
    "base-local": (card(base_model="/home/me/checkpoint-500"), None),
    "base-unnamed": (card(files=("adapter_config.json", "adapter_model.safetensors")), None),
    "license-contradiction": (card(base_model="org/base"), Known(Lineage((ancestor(**LLAMA),)))),
    "lineage-unchecked": (card(base_model="org/base"), Known("The Hub cannot be reached.")),
    "lineage-partial": (card(base_model="org/base"), Known(Lineage((ancestor(),), "More than 24 models."))),
    "base-cycle": (card(base_model="org/base"), Known(Lineage((ancestor(problem="The cards name each other: a ← b ← a."),)))),
    "parent-license-missing": (card(base_model="org/base"), Known(Lineage((ancestor(license=None, license_name=None, license_class="unknown", problem="This model states no licence."),)))),
    "parent-unknown": (card(base_model="org/base"), Known(Lineage((ancestor(license=None, license_class=None, problem="It is not on the Hub, or private."),)))),
    "parent-license-unknown": (card(base_model="org/base"), Known(Lineage((ancestor(license="other", license_class="unknown"),)))),
    "parent-gated": (card(base_model="org/base"), Known(Lineage((ancestor(gated=True),)))),
    "scan-unsafe": (with_record(scan={"scansDone": True, "filesWithIssues": [{"path": "m.bin", "level": "unsafe"}]}), None),
    "scan-unchecked": (with_record(scan=None), None),
    "scan-file": (card(), Known(Lineage(), changed=Changed(None, None, scans={"m.bin": "unsafe", "README.md": "safe"}))),
    "not-for-all": (card(tags=["not-for-all-audiences"]), None),
    "superseded": (card(new_version="org/better-model"), None),
    "main-moved": (card(main_moved="b" * 40), None),
    "publisher-unchecked": (card(), Known(Lineage(), publisher="The Hub does not answer.")),
    "unproven": (card(base_model="org/base", downloads=3, likes=0), Known(Lineage((ancestor(),)), discussions=())),
    "unproven-unchecked": (card(base_model="org/base", downloads=None), Known(Lineage((ancestor(),)))),
    "evaluation-none": (card(**{"model-index": None}), None),
    "evaluation-judged-only": (card(**{"model-index": index(result("MT-Bench", 7.1, None, split="x"))}), None),
    "evaluation-one": (card(**{"model-index": index(result("MMLU", split="test"))}), None),
    "evaluation-self-reported": (card(**{"model-index": index(result("MMLU", split="test"), result("ARC", split="test"))}), None),
    "evaluation-no-config": (card(**{"model-index": index(result("PIQA", shots=None))}), None),
    "evaluation-shots-missing": (card(**{"model-index": index(result("MMLU", shots=None, split="test"))}), None),
    "evaluation-shots-differ": (card(**{"model-index": index(result("MMLU", shots=0), result("MMLU", shots=5))}), None),
    "card-older": (card(), Known(Lineage(), changed=Changed("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "m.safetensors"))),
    "card-age-unchecked": (card(), Known(Lineage(), changed="The Hub does not answer.")),
    "crosscheck-unchecked": (card(), Known(Lineage(), checks="The Hub does not answer.")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_finding_has_a_card_that_triggers_it(name: str) -> None:
    found, known = CASES[name]
    report = report_of(found, known or Known(Lineage()))
    finding = next(finding for finding in report.findings if finding.id == name)
    assert finding.sentence.rstrip().endswith((".", "…"))
    assert finding.source
    assert name not in ids(card(), Known(Lineage())), "and the good card does not"


def test_numbers_far_from_a_third_partys_are_said_and_near_ones_not() -> None:
    stated = card(**{"model-index": index(result("MMLU", 63.4, split="test"))})
    evaluations = report_of(stated).evaluations
    far = checks_of(evaluations, [BoardEntry("cais/mmlu", 55.0, True)])
    near = checks_of(evaluations, [BoardEntry("cais/mmlu", 0.62, True)])
    nobody = checks_of(evaluations, [])
    assert "evaluation-differs" in ids(stated, Known(Lineage(), checks=far))
    assert "evaluation-differs" not in ids(stated, Known(Lineage(), checks=near))
    assert "crosscheck-none" in ids(stated, Known(Lineage(), checks=nobody))
    assert round(near[0].difference or 0, 1) == 1.4


@pytest.mark.parametrize(
    "known",
    [
        Known(Lineage((ancestor(),)), discussions=(Discussion(1, "x", None, None, False, "x"),)),
        Known(Lineage((ancestor(),)), publisher=Publisher("org", "organization", verified=True), discussions=()),
    ],
)
def test_somebody_who_talks_of_it_or_a_verified_publisher_is_enough(known: Known) -> None:
    assert "unproven" not in ids(card(base_model="org/base", downloads=3, likes=0), known)


def test_a_card_changed_with_its_weights_or_after_is_not_older() -> None:
    for day in ("2026-01-01T23:00:00Z", "2026-02-01T00:00:00Z", None):
        assert "card-older" not in ids(card(), Known(Lineage(), changed=Changed(day, "2026-01-01T00:00:00Z", "m")))


def test_the_newest_of_the_successors_is_named() -> None:
    found = report_of(card(new_version="org/two"), Known(Lineage(), successors=("org/two", "org/three"))).findings
    assert "org/two as the newer version, which in turn was followed by org/three" in found[0].sentence


def test_high_numbers_are_never_a_point_in_favour() -> None:
    few, many = (report_of(card(downloads=n, likes=n), Known(Lineage())) for n in (200, 10**8))
    assert few.findings == many.findings
    assert few.verdict == many.verdict


class TestVerdict:
    @pytest.mark.parametrize(
        ("license", "answer"),
        [("mit", "yes"), ("gpl-3.0", "conditions"), ("openrail", "conditions"), ("llama3", "conditions"), ("cc-by-nc-4.0", "no"), ("apple-amlr", "no"), ("cc", "unclear"), ("other", "unclear")],
    )  # fmt: skip
    def test_by_its_own_licence(self, license: str, answer: str) -> None:
        assert report_of(card(license=license), Known(Lineage())).verdict.answer == answer

    def test_a_permissive_child_of_a_parent_with_terms(self) -> None:
        verdict = report_of(card(base_model="org/base"), Known(Lineage((ancestor(**LLAMA),)))).verdict
        assert verdict.answer == "conditions"
        assert "org/base under the Llama 3.1 Community License, whatever its own card says" in verdict.sentence

    def test_the_strictest_of_the_whole_chain_is_named(self) -> None:
        chain = Lineage((
            ancestor(**LLAMA),
            ancestor(repo_id="org/root", child="org/base", depth=2, license="cc-by-nc-4.0", license_name="CC BY-NC-4.0", license_class="non-commercial"),
        ))  # fmt: skip
        verdict = report_of(card(base_model="org/base"), Known(chain)).verdict
        assert verdict.answer == "no"
        assert "org/root" in verdict.sentence

    def test_the_same_terms_are_no_contradiction(self) -> None:
        found = card(license="llama3.1", base_model="org/base")
        assert "license-contradiction" not in ids(found, Known(Lineage((ancestor(**LLAMA),))))

    def test_what_is_not_known_is_not_a_yes(self) -> None:
        assert report_of(card(base_model="org/base"), Known(None)).verdict.answer == "unclear"
        assert report_of(card(base_model="org/base"), Known("offline")).verdict.answer == "unclear"


class TestEvaluations:
    def test_tables_of_the_text_are_read_for_the_column_of_this_model(self) -> None:
        text = (
            "| Benchmark | Good-Model | Other |\n| --- | --- | --- |\n| MMLU (5-shot) | **63.4** | 70.1 |\n"
            "| GSM8K | 41,2% | 55 |\n| our own test | 99 | 1 |\n\n"
        )
        found = evaluations_of({}, None, text, "Good-Model")
        assert [(e.benchmark, e.value, e.shots) for e in found] == [("MMLU", 63.4, 5), ("GSM8K", 41.2, None)]

    def test_a_table_with_models_down_is_read_by_its_row(self) -> None:
        text = "| Model | ARC | MMLU |\n|---|---|---|\n| Other | 1 | 2 |\n| Good-Model | 50.5 | 63 |\n"
        found = evaluations_of({}, None, text, "Good-Model")
        assert [(e.benchmark, e.value) for e in found] == [("ARC", 50.5), ("MMLU", 63.0)]

    def test_a_table_that_does_not_say_which_model_gives_nothing(self) -> None:
        text = "| Benchmark | A | B |\n|---|---|---|\n| MMLU | 1 | 2 |\n"
        assert evaluations_of({}, None, text, "Good-Model") == ()

    def test_the_hubs_results_say_who_measured(self) -> None:
        rows = (
            {"dataset": {"id": "cais/mmlu", "task_id": "mmlu"}, "value": 50, "verifyToken": "x"},
            {"data": {"dataset": {"id": "a/gsm8k"}, "value": "41.5", "source": {"url": "https://x", "org": "lab"}}},
        )
        assert [(e.benchmark, e.who) for e in evaluations_of({}, rows, "", "m")] == [
            ("MMLU", "verified"),
            ("GSM8K", "community"),
        ]

    @pytest.mark.parametrize("junk", [None, 3, "x", [], {}, [None], [{}], [{"results": 3}], [{"results": [{"metrics": [{"value": None}]}]}], [{"results": [{"dataset": "x", "metrics": [{"value": 1}]}]}]])  # fmt: skip
    def test_junk_in_the_model_index_is_no_error(self, junk: object) -> None:
        evaluations_of({"model-index": junk}, None, "", "m")


WRONG: tuple[object, ...] = (
    None,
    0,
    -1,
    1e400,
    True,
    "",
    "x" * 5000,
    [],
    {},
    [None],
    [[]],
    {"a": None},
    ["\x00", 3],
    [{"a": [1]}],
)
FIELDS = ("license", "license_name", "license_link", "base_model", "base_model_relation", "new_version", "language", "datasets", "tags", "library_name", "pipeline_tag", "model-index", "co2_eq_emissions", "metrics")  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_wrong_types_in_any_field_break_nothing(field: str) -> None:
    for value in WRONG:
        found = replace(card(), metadata={**card().metadata, field: value})
        report_of(found, Known(Lineage()))
        facts_of(found)
        snippets_of(found)


@pytest.mark.parametrize("field", ["config", "tokenizer", "generation", "gguf", "scan"])
def test_wrong_types_in_any_config_break_nothing(field: str) -> None:
    names = ("eos_token", "pad_token", "chat_template", "eos_token_id", "max_length", "temperature", "architectures", "text_config", "vocab_size", "filesWithIssues", "architecture", "context_length", "max_position_embeddings", "num_hidden_layers", "quantization_config")  # fmt: skip
    for name in names:
        for value in WRONG:
            found = with_record(**{field: {name: value}})
            report_of(found, Known(Lineage()))
            facts_of(found)


def test_parents_are_read_whatever_the_card_says() -> None:
    assert parents_of({"base_model": ["a/b", "a/b", "c/d", "/tmp/x", 3]}).parents == ("a/b", "c/d")
    assert parents_of({"base_model": ["a/b", "/tmp/x"]}).local == ("/tmp/x",)
    assert parents_of({}, ("base_model:a/b", "base_model:quantized:a/b")).relation == "quantized"
    assert parents_of({"base_model": "https://huggingface.co/a/b"}).parents == ("a/b",)


def test_headings_name_the_sections_in_many_words() -> None:
    text = "# X\n\nA model that does one thing.\n\nHow to use\n----------\n\n```\ncode\n```\n<h2>Out-of-scope use</h2>\n\n### Pretraining corpus\n\n## Uses\n"
    found = {section.id: section for section in sections_of(text, {})}
    assert found["how"].heading == "How to use"
    assert found["uses"].heading == "Out-of-scope use"
    assert found["data"].heading == "Pretraining corpus"
    assert found["summary"].state == "thin"
    assert found["citation"].state == "absent"


@pytest.mark.parametrize(
    ("files", "metadata", "library", "says"),
    [
        (("config.json", "model.safetensors"), {}, "transformers", f'revision="{COMMIT}"'),
        (
            ("adapter_config.json",),
            {"base_model": "org/base"},
            "peft",
            'PeftModel.from_pretrained(base, "org/good-model"',
        ),
        (("modules.json", "config.json"), {}, "sentence-transformers", f'revision="{COMMIT}"'),
        (("model_index.json",), {}, "diffusers", f'revision="{COMMIT}"'),
        (('q".gguf', "a.Q4_K_M.gguf"), {}, "gguf", '"a.Q4_K_M.gguf"'),
    ],
)
def test_snippets_name_this_commit_and_are_python(
    files: tuple[str, ...], metadata: dict[str, object], library: str, says: str
) -> None:
    snippets = snippets_of(card(files=files, **metadata))
    wanted = next(snippet for snippet in snippets if snippet.library == library)
    assert says in wanted.code
    for snippet in snippets:
        compile(snippet.code, "snippet", "exec")
