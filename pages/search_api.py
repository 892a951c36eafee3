"""`search_models` for programs and agents: everything the table shows, with the same filters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from components.api import expose
from components.errors import shown_to_user
from core.arguments import check_characters, check_types
from core.catalog import LOOK_AT, SearchQuery
from core.hub_protocols import HubCatalog
from core.search_check import check_query
from pages.search_filters import classes_of, params_of


class SearchApi:
    """Finding models without the page."""

    def __init__(self, catalog: HubCatalog) -> None:
        self.catalog = catalog

    def wire(self) -> None:
        """Register the endpoint."""
        expose(self.search_models, concurrency_limit=8)

    def search_models(
        self,
        query: str = "",
        kind: str = "model",
        task: str = "",
        library: str = "",
        language: str = "",
        license: str = "",
        license_class: str = "",
        author: str = "",
        base_model: str = "",
        min_params: str = "",
        max_params: str = "",
        min_downloads: int = 0,
        gated: str = "any",
        has_card: bool = False,
        weights_format: str = "",
        runs_here: bool = False,
        sort: str = "trending",
        limit: int = 20,
        source: str = "auto",
        relation: str = "",
        dataset: str = "",
        paper: str = "",
        min_likes: int = 0,
        updated_since: str = "",
        quantization: str = "",
        provider: str = "",
        chat_template: bool = False,
        adult: bool = False,
        exclude: str = "",
        offset: int = 0,
        look_at: int = LOOK_AT,
    ) -> list[dict[str, Any]]:
        """Find models, datasets or Spaces on the Hub and on this machine. Returns a list of records; null: not known.

        Args:
            query: Words to look for. Those that name a task, language, licence or size ("under 3b") filter; "-word" excludes.
            kind: model, dataset or space.
            task: A pipeline_tag such as text-generation.
            library: A library tag such as transformers.
            language: A language code such as en.
            license: A licence id such as apache-2.0.
            license_class: One or more of permissive, copyleft, use-restricted, own-terms, non-commercial, research-only and unknown, separated by commas; or commercial.
            author: A user or an organisation.
            base_model: The repo id of the model it was made from.
            min_params: Fewest parameters, such as 360M.
            max_params: Most parameters, such as 3B.
            min_downloads: Fewest downloads of the last month.
            gated: any, yes or no.
            has_card: Only those with a model card.
            weights_format: safetensors, gguf, diffusers, onnx, pickle, tensorflow, flax or openvino.
            runs_here: Only those that run on this machine or on its remote engine.
            sort: trending, downloads, likes, created, updated or params (of what was looked at).
            limit: Number of records, 1 to 100.
            source: auto, hub or local.
            relation: none (originals), adapter, finetune, quantized or merge.
            dataset: The repo id of a dataset it was trained on.
            paper: An arXiv id.
            min_likes: Fewest likes.
            updated_since: A date such as 2026-01-31.
            quantization: Such as gptq, awq, gguf or 4-bit.
            provider: An inference provider that serves it, or all for any of them.
            chat_template: Only those known to have a chat template.
            adult: Also what is tagged not for all audiences.
            exclude: Words that may not occur, separated by blanks.
            offset: Records to leave out at the beginning.
            look_at: How many entries of the Hub to look at, at most 20000.
        """
        with shown_to_user():
            texts = {
                "query": query, "kind": kind, "task": task, "library": library, "language": language, "license": license,
                "license_class": license_class, "author": author, "base_model": base_model, "min_params": min_params,
                "max_params": max_params, "gated": gated, "weights_format": weights_format, "sort": sort, "source": source,
                "relation": relation, "dataset": dataset, "paper": paper, "updated_since": updated_since,
                "quantization": quantization, "provider": provider, "exclude": exclude,
            }  # fmt: skip
            numbers = {
                "min_downloads": min_downloads, "limit": limit, "min_likes": min_likes, "offset": offset,
                "look_at": look_at,
            }  # fmt: skip
            flags = {"has_card": has_card, "runs_here": runs_here, "chat_template": chat_template, "adult": adult}
            check_types(text=texts, whole=numbers, yes_or_no=flags)
            check_characters(query, "The search text")
            asked: dict[str, Any] = {**texts, **numbers, **flags}
            asked["text"] = asked.pop("query").strip()
            asked["license_classes"] = classes_of([each.strip() for each in asked.pop("license_class").split(",")])
            asked["exclude"] = tuple(exclude.split())
            for name in ("min_params", "max_params"):
                asked[name] = params_of(name, asked[name])
            page = self.catalog.search(check_query(SearchQuery(**asked)))
            extent = {"looked_at": page.looked_at, "complete": page.complete, "found": page.found, "exact": page.exact}
            return [{**asdict(row), **extent} for row in page.rows]
