"""The page's address: which tab is open, on which model, so that a link opens exactly what was shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from core.catalog import KINDS, Kind, SearchQuery
from core.errors import NotPinnedError, UserInputError
from core.presets import link_text
from core.refs import ModelRef, check_repo_id, check_revision, split_model
from core.search_address import read_search, search_pairs

MOST_COMPARED = 4
TABS = ("search", "card", "chat", "images", "feedback")
_HUBS = ("huggingface.co", "hf.co")
_PAGES = ("tree", "blob", "resolve", "commit")
# The modes of the Images tab; the first one is what a link without a mode opens.
IMAGE_MODES = ("draw", "compare", "grid", "gallery")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a visitor is. `model` and `revision` say what the Card tab shows, "" is nothing; `kind` what that is.

    `search` is the Search tab's own part of the link: its filters, and the models that are compared. `mode` is that of
    the Images tab. `chat` is the Chat tab's setup, as `core.presets` reads it.
    """

    tab: str = "search"
    model: str = ""
    revision: str = ""
    search: str = ""
    mode: str = ""
    kind: Kind = "model"
    chat: str = ""

    def query(self) -> str:
        """The query string of this place, without the question mark."""
        pairs = {"tab": self.tab}
        if self.tab == "card" and self.model:
            pairs |= {"repo": "" if self.kind == "model" else self.kind, "model": self.model, "revision": self.revision}
        if self.tab == "images" and self.mode not in ("", IMAGE_MODES[0]):
            pairs["mode"] = self.mode
        if self.tab == "chat" and self.chat:
            pairs["chat"] = self.chat
        own = f"&{self.search}" if self.tab == "search" and self.search else ""
        return urlencode({k: v for k, v in pairs.items() if v}) + own


def search_part(query: SearchQuery, compared: Sequence[ModelRef] = ()) -> str:
    """`Address.search` of a search and of the models that are compared."""
    together = {"compare": ",".join(str(ref) for ref in compared)} if compared else {}
    return urlencode({**search_pairs(query), **together}, safe="/@,")


def read_compared(params: Mapping[str, str]) -> tuple[ModelRef, ...]:
    """The models a link compares, each at a commit; what is malformed or too much is left out."""
    refs: list[ModelRef] = []
    for text in params.get("compare", "").split(","):
        repo_id, _, revision = text.partition("@")
        try:
            ref = ModelRef(repo_id, revision)
        except (UserInputError, NotPinnedError):
            continue
        if ref not in refs:
            refs.append(ref)
    return tuple(refs[:MOST_COMPARED])


def read_address(params: Mapping[str, str]) -> Address:
    """The place a query names; what is malformed in it (it may come from a stranger's link) is left out."""
    tab = params.get("tab", "search")
    model, revision = params.get("model", ""), params.get("revision", "")
    try:
        if model:
            check_repo_id(model)
        if revision:
            check_revision(revision)
    except UserInputError:
        model = revision = ""
    search = search_part(read_search(params), read_compared(params))
    mode = params.get("mode", "")
    kind: Kind = next((each for each in KINDS if each == params.get("repo")), "model") if tab == "card" else "model"
    return Address(
        tab if tab in TABS else "search",
        model,
        revision,
        search,
        mode if mode in IMAGE_MODES else "",
        kind,
        link_text(params.get("chat", "")),
    )


def split_card(text: str, hub: str = "") -> tuple[Kind, str, str]:
    """What somebody means to open: `owner/name[@revision]`, after datasets/ or spaces/ where it is no model, or a link.

    `hub` is the address of the Hub in use; a link to another host than that or the Hub itself is none.

    Raises `UserInputError` for what names no repository.
    """
    path = text.strip()
    if path.startswith(("https://", "http://")) and urlsplit(path).netloc in (urlsplit(hub).netloc, *_HUBS):
        path = urlsplit(path).path.strip("/")
        # As on the Hub's pages: the revision stands after tree, blob or resolve.
        name, _, rest = next((path.partition(f"/{word}/") for word in _PAGES if f"/{word}/" in path), (path, "", ""))
        path = f"{name}@{rest.partition('/')[0]}" if rest else name
    kind: Kind = "dataset" if path.startswith("datasets/") else "space" if path.startswith("spaces/") else "model"
    repo_id, revision = split_model(path if kind == "model" else path.partition("/")[2])
    return kind, repo_id, revision
