"""Where each model's files are, or how they get there: the bundled one, folders of the operator, the Hub's cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from backends import bundled
from backends.downloads import Downloads
from backends.revision import Revisions
from core.catalog import LocalFolder
from core.chat import LoadPlan, Progress
from core.errors import DownloadFailed, UnsafeContentError, UserInputError
from core.files import loadable
from core.refs import ModelRef, shown
from core.weights import formats_of


class ModelFiles:
    """Finds and fetches. Looking never touches the network; `describing`, `plan` and `fetch` may."""

    def __init__(
        self, models_dir: Path, own: Sequence[LocalFolder], downloads: Downloads, *, pickle: bool = False
    ) -> None:
        """`pickle`: the operator allows weights that exist only so."""
        self.pickle = pickle
        self._models_dir = models_dir
        self._own = {folder.ref: folder for folder in own}
        self._downloads = downloads

    def folder(self, ref: ModelRef) -> Path | None:
        """The model's folder when everything is in it."""
        if ref == bundled.REF:
            return self._models_dir / bundled.FOLDER if bundled.is_prepared(self._models_dir) else None
        if ref in self._own:
            return self._own[ref].path
        return self._downloads.folder(ref)

    def describing(self, ref: ModelRef) -> Path:
        """A folder with at least the model's config.json in it. Not for the bundled model before it is prepared."""
        return self.folder(ref) or self._downloads.describing(ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched. Making the bundled model takes seconds and no network, so it counts as ready."""
        if ref == bundled.REF:
            return LoadPlan(ref, ready=True, source="comes with the app")
        if ref in self._own:
            return LoadPlan(ref, ready=True, source=str(self._own[ref].path))
        return self._downloads.plan(ref)

    def fetch(self, ref: ModelRef) -> Iterator[Progress]:
        """Bring the files here, saying how far it is."""
        if ref == bundled.REF:
            if not bundled.is_prepared(self._models_dir):
                yield from (step for step in bundled.prepare(self._models_dir) if step.stage != "ready")
        elif ref not in self._own:
            yield from self._downloads.download(ref)

    def present(self, ref: ModelRef) -> Path:
        """The folder, made from the package if it is the bundled model's; raises `DownloadFailed` when it is not here."""
        folder = self.folder(ref)
        if folder is None and ref == bundled.REF:
            for _ in bundled.prepare(self._models_dir):
                pass
            folder = self.folder(ref)
        if folder is None:
            raise DownloadFailed(f"{ref} is not on this machine yet. Open its card and choose Download and use.")
        return folder


def own_folder(path: Path, revisions: Revisions, *, pickle: bool = False) -> LocalFolder:
    """The model in a folder of the operator, named `local/<folder>` and pinned to its content.

    Raises `UserInputError` or `UnsafeContentError` when it is not a model that is loaded here.
    """
    path = path.expanduser().resolve()
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    if "config.json" not in names:
        raise UserInputError(
            f"PROVING_CHAT_MODEL: {path} is not a model folder, it has no config.json. Give a folder as transformers' "
            "save_pretrained writes it."
        )
    if not loadable(names, pickle=pickle):
        if "pickle" in formats_of(names):
            raise UnsafeContentError(
                f"PROVING_CHAT_MODEL: the weights in {path} exist only as pickle, which can run code when it is loaded. "
                "Save the model again with save_pretrained, which writes safetensors, or allow it with "
                "PROVING_ALLOW_PICKLE=1."
            )
        raise UserInputError(f"PROVING_CHAT_MODEL: {path} has no safetensors weights. Save the model there first.")
    try:
        ref = ModelRef(f"local/{path.name}", revisions.of_own(path))
    except (OSError, ValueError) as error:
        raise UserInputError(
            f"PROVING_CHAT_MODEL: {path} cannot be read ({shown(str(error))}). Check its files."
        ) from error
    return LocalFolder(ref, path, ready=True, bundled=False)
