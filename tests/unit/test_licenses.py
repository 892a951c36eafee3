"""Licences: every id the Hub accepts has a class, and no metadata breaks the reading."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.licenses import CLASS_OF, LICENSE_CLASSES, display_name, license_of
from tests.hub_server.cards import LICENSES

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_every_id_of_the_hub_has_a_class():
    assert set(CLASS_OF) >= LICENSES - {"bigcode-", "openrail-m", "cdla-", "sharing-1.0"}
    assert set(CLASS_OF.values()) == set(LICENSE_CLASSES)


@pytest.mark.parametrize(
    ("license_id", "kind"),
    [
        ("apache-2.0", "permissive"),
        ("gpl-3.0", "copyleft"),
        ("bigcode-openrail-m", "use-restricted"),
        ("llama3.1", "own-terms"),
        ("gemma", "own-terms"),
        ("cc-by-nc-4.0", "non-commercial"),
        ("apple-amlr", "research-only"),
        ("cc", "unknown"),
        ("never-heard-of", "unknown"),
    ],
)
def test_classes(license_id, kind):
    assert license_of({"license": license_id}).license_class == kind


@pytest.mark.parametrize(
    ("metadata", "tags", "expected"),
    [
        ({}, (), (None, "unknown")),
        ({}, ("license:mit",), ("mit", "permissive")),
        ({"license": "MIT"}, ("license:other",), ("mit", "permissive")),
        ({"license": ["apache-2.0", "mit"]}, (), ("apache-2.0", "permissive")),
        ({"license": [None, {"x": 1}]}, ("license:mit",), ("mit", "permissive")),
        ({"license": False}, (3, None), (None, "unknown")),
        ({"license": "other"}, (), ("other", "unknown")),
        ({"license": "other", "license_name": "acme-terms", "license_link": "LICENSE"}, (), ("other", "own-terms")),
        ({"license": "other", "license_name": "qwen-research"}, (), ("other", "research-only")),
        ({"license": "other", "license_name": "mnpl-non-commercial"}, (), ("other", "non-commercial")),
        ({"license": "other", "license_link": "LICENSE"}, (), ("other", "own-terms")),
        ({"license_name": "acme-terms"}, (), (None, "own-terms")),
    ],
)
def test_reading(metadata, tags, expected):
    found = license_of(metadata, tags)
    assert (found.id, found.license_class) == expected


def test_names():
    assert display_name("apache-2.0") == "Apache 2.0"
    assert display_name("cc-by-nc-4.0") == "CC BY-NC-4.0"
    assert license_of({"license": "other", "license_name": "Acme"}).name == "Acme"


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["license", "license_name", "license_link"]), ANYTHING),
    st.lists(ANYTHING, max_size=3),
)
def test_no_metadata_breaks_it(metadata, tags):
    assert license_of(metadata, tags).license_class in LICENSE_CLASSES
