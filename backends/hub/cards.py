"""Puts a card together from what the Hub or a folder told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from backends.hub.folder import Folder
from backends.hub.front_matter import Readme, read_readme
from backends.hub.local import LocalModel
from backends.hub.remote import PREFIXES, HubParts, Texts
from backends.hub.rows import files_of, mapping_of, row_of, tags_of, text_of, texts_of
from core.catalog import ModelCard, ModelSummary, Record
from core.errors import HubError, ModelGated
from core.licenses import license_of
from core.refs import ModelRef
from core.repo_cards import RepoCard, RepoKind
from core.repo_checks import repo_findings
from core.trust import Evidence, findings

NO_CARD = "The author wrote no card: there is no README.md at this commit."


def hub_card(ref: ModelRef, parts: HubParts, endpoint: str) -> ModelCard:
    """The card as the Hub tells it; what it did not hand out is said in a notice."""
    row = row_of(parts.info)
    summary = row.summary if row else ModelSummary(ref.repo_id, ref.revision, "hub")
    tags = tags_of(parts.info)
    files = files_of(parts.info)
    readme, notices = _readme(parts.texts, mapping_of(parts.info.get("cardData")))
    config = None if isinstance(parts.texts.config, HubError) else parts.texts.config
    evidence = Evidence(ref.revision, _metadata(readme), files, config, summary.gated, tags)
    stated = license_of(evidence.metadata or {}, tags)
    return ModelCard(
        repo_id=ref.repo_id,
        revision=ref.revision,
        source="hub",
        markdown=readme.body if readme else "",
        metadata=readme.metadata if readme else {},
        metadata_error=readme.error if readme else None,
        files=files or (),
        findings=findings(evidence),
        summary=replace(
            summary,
            repo_id=ref.repo_id,
            revision=ref.revision,
            license=stated.id,
            license_class=stated.license_class,
        ),
        gated=summary.gated,
        gated_link=f"{endpoint}/{ref.repo_id}" if summary.gated else None,
        main_moved=parts.main if parts.main != ref.revision else None,
        notices=notices if files is not None else (*notices, "The Hub did not list the files of this commit."),
        papers=papers_in(tags),
        record=_record(parts, config, tags),
    )


def repo_card(kind: RepoKind, ref: ModelRef, parts: HubParts, endpoint: str) -> RepoCard:
    """A dataset's or a Space's card as the Hub tells it."""
    info = parts.info
    row = row_of(info, kind)
    summary = row.summary if row else ModelSummary(ref.repo_id, ref.revision, "hub", kind)
    tags, files = tags_of(info), files_of(info)
    data = mapping_of(info.get("cardData"))
    readme, notices = _readme(parts.texts, data)
    metadata = readme.metadata if readme else {}
    stated = license_of(metadata, tags)
    card = ModelCard(
        repo_id=ref.repo_id,
        revision=ref.revision,
        source="hub",
        markdown=readme.body if readme else "",
        metadata=metadata,
        metadata_error=readme.error if readme else None,
        files=files or (),
        findings=(),
        summary=replace(
            summary, repo_id=ref.repo_id, revision=ref.revision, license=stated.id, license_class=stated.license_class
        ),
        gated=summary.gated,
        gated_link=f"{endpoint}/{PREFIXES[kind]}{ref.repo_id}" if summary.gated else None,
        main_moved=parts.main if parts.main != ref.revision else None,
        notices=notices if files is not None else (*notices, "The Hub did not list the files of this commit."),
        papers=papers_in(tags),
        record=_record(parts, None, tags),
    )
    runtime = mapping_of(info.get("runtime")) or {}
    hardware = runtime.get("hardware")
    if isinstance(hardware, dict):
        hardware = hardware.get("current") or hardware.get("requested")
    found = RepoCard(
        kind,
        card,
        _named(info.get("models"), metadata.get("models")),
        _named(info.get("datasets"), metadata.get("datasets")),
        (text_of(info.get("sdk")) or text_of(metadata.get("sdk"))) if kind == "space" else None,
        text_of(runtime.get("stage")),
        text_of(hardware),
    )
    return replace(found, card=replace(card, findings=repo_findings(found)))


def _named(*lists: object) -> tuple[str, ...]:
    """Repositories of another kind: those the Hub found in the code, and those the card names; each once."""
    return tuple(dict.fromkeys(name.strip()[:200] for names in lists for name in texts_of(names)))[:200]


def papers_in(tags: Iterable[str]) -> tuple[str, ...]:
    """The arXiv numbers the Hub found in the card, which it keeps as tags."""
    return tuple(tag.removeprefix("arxiv:") for tag in tags if tag.startswith("arxiv:"))


def _record(parts: HubParts, config: Mapping[str, object] | None, tags: tuple[str, ...]) -> Record:
    info = parts.info
    seen = mapping_of(info.get("config")) or {}
    tokenizer = mapping_of(seen.get("tokenizer_config"))
    template = text_of(seen.get("chat_template_jinja"))
    if template:
        tokenizer = {**(tokenizer or {}), "chat_template": template}
    counts = mapping_of((mapping_of(info.get("safetensors")) or {}).get("parameters"))
    spaces, results = info.get("spaces"), parts.more.get("evalResults")
    children = parts.more.get("childrenModelCount")
    return Record(
        config=config,
        tokenizer=tokenizer,
        parameters={str(k): v for k, v in counts.items() if isinstance(v, int)} if counts else None,
        gguf=mapping_of(info.get("gguf")),
        scan=mapping_of(info.get("securityRepoStatus")),
        spaces=tuple(name for name in spaces if isinstance(name, str)) if isinstance(spaces, list) else None,
        results=tuple(row for row in results if isinstance(row, dict)) if isinstance(results, list) else None,
        children=children if isinstance(children, int) and not isinstance(children, bool) else None,
        tags=tags,
        refs=parts.refs,
        created=text_of(info.get("createdAt")),
        updated=text_of(info.get("lastModified")),
    )


def local_card(model: LocalModel, folder: Folder, notices: tuple[str, ...] = ()) -> ModelCard:
    """The card as the folder tells it; a part of a snapshot that was never downloaded counts as not known."""
    row = folder.row(model.ref, bundled=model.bundled, gated=False if model.bundled else None)
    readme = folder.readme
    if not model.ready and not folder.files:
        notices = (
            *notices,
            "This model came with the app and is prepared when it is first used; its card appears then.",
        )
    elif readme is None and model.registered:
        notices = (*notices, "There is no README.md in this model's folder.")
    elif readme is None:
        notices = (*notices, "The card's text is not on this machine. Open the card again when the Hub can be reached.")
    # A registered folder is the whole model; a cached snapshot holds what somebody downloaded.
    absent: Mapping[str, object] | None = {} if model.registered and folder.files else None
    evidence = Evidence(
        model.ref.revision,
        _metadata(readme) if readme else absent,
        folder.files or None,
        folder.config,
        row.summary.gated,
        row.tags,
    )
    return ModelCard(
        repo_id=model.ref.repo_id,
        revision=model.ref.revision,
        source="local",
        markdown=readme.body if readme else "",
        metadata=readme.metadata if readme else {},
        metadata_error=readme.error if readme else None,
        files=folder.files,
        findings=findings(evidence),
        summary=row.summary,
        gated=row.summary.gated,
        notices=notices,
        record=Record(
            config=folder.config,
            tokenizer=folder.tokenizer,
            generation=folder.generation,
            parameters=folder.by_dtype,
            tags=row.tags,
        ),
    )


def _metadata(readme: Readme | None) -> dict[str, object] | None:
    """The card's metadata; None when there is no card, or what is there cannot be read: then nothing is known of it."""
    if readme is None or (readme.error and not readme.metadata):
        return None
    return readme.metadata


def _readme(texts: Texts, card_data: dict[str, object] | None) -> tuple[Readme | None, tuple[str, ...]]:
    """The README in its parts, None when neither it nor the Hub's reading of its metadata is known."""
    if texts.readme is None:
        return Readme({}, "", None), (NO_CARD,)
    if not isinstance(texts.readme, HubError):
        return read_readme(texts.readme), ()
    notice = (
        "The card's text is behind the owner's access question. What the Hub tells of it openly is shown here."
        if isinstance(texts.readme, ModelGated)
        else f"The card's text could not be read. {texts.readme}"
    )
    return None if card_data is None else Readme(card_data, "", None), (notice,)
