"""What is known of a contender beside the votes, asked of the catalogue as the app builds it."""

from __future__ import annotations

from pathlib import Path

from backends.evidence.facts import LocalFacts
from backends.hub.catalog import Catalog
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from core.catalog import LocalFolder
from core.evidence import Facts
from core.refs import ModelRef
from tests.tiny_models import make_tiny_chat_model


def test_the_size_of_a_model_of_this_machine_and_nothing_of_others(tmp_path: Path) -> None:
    ref = ModelRef("org/tiny", "a" * 40)
    folder = LocalFolder(ref, make_tiny_chat_model(tmp_path / "tiny"), ready=True, bundled=False)
    catalog = Catalog(HubModels("http://127.0.0.1:9"), LocalModels((folder,)))
    facts = LocalFacts(catalog.search)
    assert (facts(ref.repo_id, ref.revision).parameters or 0) > 0
    assert facts(ref.repo_id, None) == facts(ref.repo_id, ref.revision)
    assert facts("org/elsewhere", None) == Facts()
    priced = LocalFacts(catalog.search, {"org/elsewhere": "$1", ref.repo_id: "$2"})
    assert priced("org/elsewhere", None) == Facts(price="$1")
    # What runs here costs nobody that price.
    assert priced(ref.repo_id, ref.revision).price is None
