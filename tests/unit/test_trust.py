"""Findings: each has evidence that triggers it and evidence that must not; what could not be read is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.catalog import FileEntry
from core.trust import Evidence, findings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def files(*paths: str) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(path, 1) for path in paths)


GOOD = Evidence(
    COMMIT, {"license": "mit"}, files("README.md", "config.json", "model.safetensors"), {"model_type": "x"}, False
)


def ids(evidence: Evidence) -> list[str]:
    return [finding.id for finding in findings(evidence)]


def test_nothing_to_say_of_a_plain_model():
    assert findings(GOOD) == ()


@pytest.mark.parametrize("metadata", [{}, {"license": None}, {"license": ["", 3]}, {"license": {"a": 1}}])
def test_a_missing_licence(metadata):
    (finding,) = findings(replace(GOOD, metadata=metadata))
    assert (finding.id, finding.severity, finding.source) == ("license-missing", "high", "README.md, license @ 0123456")


def test_a_missing_licence_with_a_licence_file_names_the_file():
    (finding,) = findings(replace(GOOD, metadata={}, files=files("LICENSE.txt", "model.safetensors")))
    assert "LICENSE.txt" in finding.sentence


def test_an_unknown_licence():
    (finding,) = findings(replace(GOOD, metadata={"license": "my-own"}))
    assert finding.id == "license-unknown"
    assert "my-own" in finding.sentence
    assert ids(replace(GOOD, metadata={"license": "other"})) == ["license-unknown"]
    assert ids(replace(GOOD, metadata={"license": "other", "license_name": "acme"})) == []
    assert ids(replace(GOOD, metadata={}, tags=("license:mit",))) == []


def test_pickle_only():
    evidence = replace(GOOD, files=files("config.json", "pytorch_model.bin", "optimizer.pt"))
    (finding,) = findings(evidence)
    assert (finding.id, finding.severity, finding.source) == ("pickle-only", "high", "pytorch_model.bin @ 0123456")
    assert ids(replace(GOOD, files=files("config.json", "pytorch_model.bin", "model.safetensors"))) == []
    assert ids(replace(GOOD, files=files("config.json", "model.gguf", "training_args.bin"))) == []
    assert ids(replace(GOOD, files=files("config.json", "training_args.bin"))) == []


@pytest.mark.parametrize("auto_map", [{"AutoModel": "modeling.X"}, "modeling.X", ["x"]])
def test_custom_code(auto_map):
    (finding,) = findings(replace(GOOD, config={"auto_map": auto_map}))
    assert (finding.id, finding.severity, finding.source) == ("custom-code", "high", "config.json, auto_map @ 0123456")
    assert ids(replace(GOOD, config={"auto_map": {}})) == []


def test_custom_code_by_the_hubs_tag_when_config_is_out_of_reach():
    assert ids(replace(GOOD, config=None, tags=("custom_code",))) == ["custom-code"]


def test_gated():
    (finding,) = findings(replace(GOOD, gated=True))
    assert (finding.id, finding.severity) == ("gated", "medium")


def test_what_could_not_be_checked_is_said():
    """A check that quietly passes because a file was out of reach reads as a clean bill."""
    nothing = Evidence(COMMIT, metadata=None, files=None, config=None, gated=None)
    found = findings(nothing)
    assert {finding.id for finding in found} == {
        "license-unchecked",
        "pickle-unchecked",
        "custom-code-unchecked",
        "gated-unchecked",
    }
    assert {finding.severity for finding in found} == {"info"}
    assert all("could not be checked" in finding.sentence for finding in found)


def test_no_config_is_no_finding_when_the_repository_has_none():
    assert ids(replace(GOOD, config=None, files=files("model.gguf"))) == []
    assert ids(replace(GOOD, config=None)) == ["custom-code-unchecked"]


def test_the_gravest_stands_first():
    severities = [f.severity for f in findings(Evidence(COMMIT, {}, files("a.bin"), None, True))]
    assert severities == ["high", "high", "medium"]
