"""The Hub's rows: wrong types in every field lose that field, never the list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from backends.hub.rows import commit_of, files_of, row_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "modelId",
    "sha",
    "pipeline_tag",
    "library_name",
    "tags",
    "cardData",
    "safetensors",
    "gguf",
    "downloads",
    "likes",
    "lastModified",
    "gated",
    "siblings",
    "config",
    "createdAt",
    "trendingScore",
    "inferenceProviderMapping",
    "description",
    "sdk",
]


def test_a_row():
    row = row_of(
        {
            "id": "org/name",
            "sha": COMMIT,
            "pipeline_tag": "text-generation",
            "library_name": "transformers",
            "tags": ["safetensors", "license:apache-2.0", 3],
            "cardData": {"license": "apache-2.0"},
            "safetensors": {"parameters": {"BF16": 100}, "total": 100},
            "downloads": 5,
            "likes": 0,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "gated": "manual",
        }
    )
    assert row is not None
    summary = row.summary
    assert (summary.repo_id, summary.revision, summary.source) == ("org/name", COMMIT, "hub")
    assert (summary.params, summary.downloads, summary.likes, summary.gated) == (100, 5, 0, True)
    assert (summary.license, summary.license_class, summary.weights_formats) == (
        "apache-2.0",
        "permissive",
        ("safetensors",),
    )
    assert summary.has_card is True
    assert (summary.runs_here, summary.memory_bytes) == (None, None)
    assert row.contains(["apache", "text-gen"])
    assert not row.contains(["apache", "llama"])


def test_what_the_hub_does_not_say_is_not_known():
    row = row_of({"id": "org/name"})
    assert row is not None
    summary = row.summary
    assert {
        getattr(summary, name) for name in summary.__slots__ if name not in ("repo_id", "source", "kind", "bundled")
    } == {None, "unknown", (), "", False}


def test_a_row_without_a_usable_name_is_left_out():
    assert [row_of(raw) for raw in (None, [], "x", {}, {"id": None}, {"id": 3}, {"id": "a/b/c"}, {"id": "<b>/x"})] == [
        None
    ] * 8


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_wrong_types_in_every_field(raw):
    row = row_of({"id": "org/name", **raw})
    assert row is not None
    assert row.summary.repo_id == "org/name"
    assert row.summary.params is None or row.summary.params >= 0
    row.contains(["x"])


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_files_of_anything(siblings):
    files_of({"siblings": siblings})
    commit_of({"sha": siblings})


def test_files():
    raw = {"siblings": [{"rfilename": "a", "size": 3}, {"rfilename": "b", "lfs": {"size": 7}}, {"x": 1}, 4]}
    assert [(entry.path, entry.size) for entry in files_of(raw) or ()] == [("a", 3), ("b", 7)]
