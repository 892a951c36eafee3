"""The page's address: which tab is open, on which model, so that a link opens exactly what was shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from core.errors import UserInputError
from core.refs import check_repo_id, check_revision

TABS = ("search", "card", "chat", "images", "feedback")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a visitor is. `model` and `revision` say what the Card tab shows; "" is nothing."""

    tab: str = "search"
    model: str = ""
    revision: str = ""

    def query(self) -> str:
        """The query string of this place, without the question mark."""
        pairs = {"tab": self.tab}
        if self.tab == "card" and self.model:
            pairs |= {"model": self.model, "revision": self.revision}
        return urlencode({k: v for k, v in pairs.items() if v})


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
    return Address(tab if tab in TABS else "search", model, revision)
