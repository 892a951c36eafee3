"""Whose token asks the Hub, and what of it anybody else sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.hub.catalog import Catalog
from backends.hub.details import Details
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.visitors import MOST_VISITORS, ForCaller, is_open_to_strangers
from core.caller import called_by
from core.catalog import SearchQuery
from core.errors import ModelNotFound
from core.refs import ModelRef
from core.roles import Account, Role
from tests.hub_server import HubServer
from tests.hub_server.seed import model_files, seed

ALICE = Account(Role.REVIEWER, "alice", how="huggingface", token="hf_alice")


@pytest.fixture
def seeded(hub: HubServer) -> HubServer:
    seed(hub)
    return hub


def services(hub: HubServer, folder: Path, token: str | bool = False, **options: bool) -> tuple[Catalog, Details]:
    local = LocalModels([], folder / "cache")
    models = HubModels(hub.url, token)
    catalog = Catalog(models, local, search_seconds=20, card_seconds=20, **options)
    return catalog, Details(catalog, models, local, seconds=20)


def test_whoever_signed_in_sees_their_own_and_nobody_else_does(seeded: HubServer, tmp_path: Path) -> None:
    catalog, details = services(seeded, tmp_path)
    cards, rows = ForCaller(details), ForCaller(catalog)
    with pytest.raises(ModelNotFound, match="sign in"):
        cards.open("alice/secret")
    with called_by(ALICE):
        assert "Secret" in cards.open("alice/secret").markdown
        found = rows.search(SearchQuery(text="secret", source="hub"))
        assert [row.repo_id for row in found.rows] == ["alice/secret"]
    with pytest.raises(ModelNotFound):
        cards.open("alice/secret")
    assert rows.search(SearchQuery(text="secret", source="hub")).rows == ()


def test_the_machines_token_goes_nowhere_for_somebody_who_signed_in(seeded: HubServer, tmp_path: Path) -> None:
    seeded.add_user("operator", "hf_operator")
    seeded.add_model("operator/own", model_files("Own"), private=True)
    cards = ForCaller(services(seeded, tmp_path, "hf_operator")[1])
    assert cards.open("operator/own").repo_id == "operator/own"
    with called_by(ALICE), pytest.raises(ModelNotFound):
        cards.open("operator/own")
    asked = seeded.sent("GET */operator/own*")
    assert asked[-1].headers.get("authorization") == "Bearer hf_alice"


def test_a_copy_on_this_machine_is_not_shown_to_strangers_the_hub_refuses(seeded: HubServer, tmp_path: Path) -> None:
    commit = seeded.head("alice/secret")
    snapshot = tmp_path / "cache" / "models--alice--secret" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name, content in model_files("Secret").items():
        (snapshot / name).write_bytes(content)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    ref = ModelRef("alice/secret", commit)
    assert "Secret" in services(seeded, tmp_path)[0].card(ref).markdown
    with pytest.raises(ModelNotFound):
        services(seeded, tmp_path, strangers=True)[0].card(ref)


def test_views_are_kept_for_a_page_and_not_for_ever(seeded: HubServer, tmp_path: Path) -> None:
    token = ["hf_alice"]
    cards = ForCaller(services(seeded, tmp_path)[1], lambda: token[0])
    first = cards.view()
    assert cards.view() is first
    for number in range(MOST_VISITORS):
        token[0] = f"hf_{number}"
        cards.view()
    token[0] = "hf_alice"
    assert cards.view() is not first


@pytest.mark.parametrize(
    ("host", "space", "strangers"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("192.168.1.4", None, True),
        ("box.example.org", None, True),
        ("127.0.0.1", "team/space", True),
    ],
)
def test_where_strangers_come_by(host: str, space: str | None, strangers: bool) -> None:
    assert is_open_to_strangers(host, space) is strangers
