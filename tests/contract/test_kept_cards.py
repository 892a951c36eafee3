"""A card that was read once is there with its age while the Hub is away; one that not everybody may read is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.hub.catalog import Catalog
from backends.hub.disk_cache import DiskCache
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from core.errors import HubUnreachable
from tests.hub_server import HubServer
from tests.hub_server.seed import seed


def catalog(url: str, folder: Path, token: str | bool = False) -> Catalog:
    """A catalogue as it is after a restart: only the folder is the same."""
    local = LocalModels([], folder / "cache")
    return Catalog(HubModels(url, token), local, search_seconds=20, card_seconds=20, kept=DiskCache(folder / "kept"))


def test_a_card_that_was_read_is_there_while_the_hub_is_away(hub: HubServer, tmp_path: Path) -> None:
    seed(hub)
    first = catalog(hub.url, tmp_path)
    ref = first.resolve("team/tiny-chat")
    before = first.card(ref)
    assert before.notices == ()
    hub.stop()
    later = catalog(hub.url, tmp_path)
    assert later.resolve("team/tiny-chat") == ref
    card = later.card(ref)
    assert (card.markdown, card.files) == (before.markdown, before.files)
    assert "as it was read just now" in card.notices[0]
    with pytest.raises(HubUnreachable):
        later.resolve("alice/tiny-chat-tuned")


def test_what_not_everybody_may_read_is_not_kept(hub: HubServer, tmp_path: Path) -> None:
    seed(hub)
    hub.grant("team/guarded-chat", "alice")
    mine = catalog(hub.url, tmp_path, "hf_alice")
    refs = [mine.resolve(name) for name in ("alice/secret", "team/guarded-chat")]
    assert all(mine.card(ref).markdown for ref in refs)
    # Nor what was read for somebody with their own token.
    theirs = catalog(hub.url, tmp_path).for_token("hf_alice")
    theirs.card(theirs.resolve("team/tiny-chat"))
    hub.stop()
    for name in ("alice/secret", "team/guarded-chat", "team/tiny-chat"):
        with pytest.raises(HubUnreachable):
            catalog(hub.url, tmp_path).resolve(name)
