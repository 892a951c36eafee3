"""The page on the real catalogue of a test Hub, with scripted answers: for browser tests of cards, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.bundled.image import image_folders
from backends.hub.catalog import Catalog
from backends.hub.details import Details
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.repo_cards import RepoCards
from core.chat import Progress
from core.refs import ModelRef
from tests.fakes import FakeRouter, services
from tests.hub_server import HubServer
from tests.hub_server.seed import seed
from tests.hub_server.seed_cards import seed_cards
from tests.hub_server.seed_kinds import seed_kinds
from tests.hub_server.viewer import PREFIX


class AnyModel(FakeRouter):
    """Runs whatever is pinned; nothing is loaded."""

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        yield Progress("ready")


@contextmanager
def card_hub() -> Iterator[tuple[HubServer, dict[str, str]]]:
    """A test Hub with the demonstration repositories and the chain of cards; its commits by name."""
    with HubServer() as hub:
        seed(hub)
        yield hub, {**seed_cards(hub), **seed_kinds(hub)}


def card_services(endpoint: str, folder: Path, token: str | bool = False) -> Any:
    """Services whose catalogue and details are the real ones, on `endpoint` and the image model in this repository."""
    local = LocalModels(image_folders(), folder / "cache")
    hub = HubModels(endpoint, token)
    catalog = Catalog(hub, local, search_seconds=30, card_seconds=30)
    return replace(
        services(AnyModel()),
        catalog=catalog,
        endpoint=endpoint,
        details=Details(catalog, hub, local, seconds=30),
        repos=RepoCards(hub, viewer=endpoint + PREFIX, seconds=30, token=token),
    )


if __name__ == "__main__":
    import sys

    import app
    from core.settings import Settings

    with card_hub() as (hub, commits):
        print(hub.url, commits, flush=True)
        app.launch(
            app.build(card_services(hub.url, Path("/tmp/card-page"))),
            Settings(Path("/tmp/card-page"), port=int(sys.argv[1]), endpoint=hub.url),
        )
