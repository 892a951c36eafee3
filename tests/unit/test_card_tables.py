"""Metadata, files and findings as tables: small, readable, and every text in them escaped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from components.card_html import files_table, findings_list, metadata_table
from core.catalog import FileEntry, Finding
from tests.unit.test_card_html import Seen

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def text_of(html: str) -> str:
    class Text(Seen):
        def handle_starttag(self, tag, attrs):
            assert tag in {"table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li", "b", "span"}
            assert all(name in ("class", "dir") for name, _ in attrs)

    parser = Text()
    parser.feed(html)
    parser.close()
    return parser.text


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=10), JSON, max_size=6))
def test_any_metadata_becomes_a_table(metadata):
    text_of(metadata_table(metadata))


def test_metadata_is_readable():
    text = text_of(
        metadata_table(
            {
                "language": ["en", "no"],
                "gated": True,
                "base_model": None,
                "model-index": [{"name": "x", "results": [{"task": {"type": "t"}}]}],
                "<b>": "<script>",
            }
        )
    )
    assert "languageen, no" in text
    assert "gatedyes" in text
    assert "base_model–" in text
    assert "model-index{name: x, results: [{task: …}]}" in text
    assert "<b><script>" in text


def test_much_metadata_is_cut_and_says_so():
    html = metadata_table({f"name{n}": "x" * 10_000 for n in range(1000)})
    assert len(html) < 100_000
    assert "and 940 more entries" in html
    assert "and 970 more" in metadata_table({"tags": list(range(1000))})


def test_files_have_sizes_and_formats():
    files = (
        FileEntry("README.md", 1200),
        FileEntry("<img src=x>/model-00001-of-00002.safetensors", 4_970_000_000),
        FileEntry("pytorch_model.bin", 10_000_000),
        FileEntry("q4.gguf", None),
    )
    html = files_table(files)
    text = text_of(html)
    assert "README.md1.2 kB" in text
    assert "safetensors5 GB" in text or "safetensors4.97 GB" in text or "safetensors 5 GB" in text
    assert 'pg-warn">pickle' in html
    assert "GGUF–" in text
    assert "4 files" in text
    assert "No files" in files_table(())
    assert "and 4,800 more files" in files_table([FileEntry(str(n), 1) for n in range(5000)])


def test_findings_name_their_place():
    findings = (Finding("pickle-only", "high", "Only <pickle>.", "pytorch_model.bin @ 0123456"),)
    assert text_of(findings_list(findings)) == "High Only <pickle>. pytorch_model.bin @ 0123456"
    assert "Nothing was found" in findings_list(())
