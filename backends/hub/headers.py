"""What a weights file says before its first tensor, read from the Hub by HTTP Range or from a folder, never whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from backends.hub.errors import About
from backends.hub.gguf_header import NotGguf, parameters, read_gguf
from backends.hub.safetensors_header import MOST_HEADER_BYTES, NotSafetensors, described, parsed
from backends.hub.session import HubSession
from core.card_parts import Header, Tensor
from core.errors import HubError, UserInputError
from core.refs import ModelRef, shown
from core.weights import file_format

# As huggingface_hub does: most headers come with the first request.
FIRST_BYTES = 100_000
MOST_SAFETENSORS_BYTES = 25_000_000
# Vocabularies stand in a GGUF's metadata: a few megabytes for the largest.
GGUF_BYTES = (1_000_000, 16_000_000)
MOST_METADATA = 200
MOST_VALUE = 100_000
Read = Callable[[int, int], tuple[bytes, int | None]]


def remote_header(session: HubSession, ref: ModelRef, path: str, seconds: float) -> Header:
    """The header of a file at a commit on the Hub."""
    until = monotonic() + seconds
    about = About(session.endpoint, ref.repo_id, ref.revision)

    def read(start: int, length: int) -> tuple[bytes, int | None]:
        return session.get_range(ref.repo_id, ref.revision, path, start, length, about=about, until=until)

    return _header(path, read)


def local_header(folder: Path, path: str) -> Header:
    """The header of a file in a model's folder."""
    file = (folder / path).resolve()
    # In a cache the file is a link into the blobs; the name itself must not lead out of the snapshot.
    if ".." in Path(path).parts or Path(path).is_absolute() or not file.is_file():
        raise UserInputError(f"There is no file “{shown(path)}” in this model. Choose one of its list of files.")

    def read(start: int, length: int) -> tuple[bytes, int | None]:
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(length), file.stat().st_size

    return _header(path, read)


def _header(path: str, read: Read) -> Header:
    kind = file_format(path)
    try:
        if kind == "safetensors":
            return _safetensors(path, read)
        if kind == "gguf":
            return _gguf(path, read)
    except (NotSafetensors, NotGguf) as error:
        raise HubError(
            f"The header of “{shown(path)}” cannot be read: {error}. The file is damaged or of another format."
        ) from error
    raise UserInputError(f"“{shown(path)}” has no header to read. Choose a .safetensors or .gguf file.")


def _safetensors(path: str, read: Read) -> Header:
    content, size = read(0, FIRST_BYTES)
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= MOST_HEADER_BYTES or (size is not None and length > size - 8):
        raise NotSafetensors("the header is longer than the file, or than the format allows")
    if length > MOST_SAFETENSORS_BYTES:
        raise HubError(
            f"The header of “{shown(path)}” has {length:,} bytes, more than is read here ({MOST_SAFETENSORS_BYTES:,}). "
            "Choose another file of the model."
        )
    if length + 8 > len(content):
        rest, _ = read(len(content), length + 8 - len(content))
        content += rest
    header = parsed(content[8 : 8 + length])
    tensors = tuple(Tensor(name, dtype, shape) for name, dtype, shape in described(header))
    said = header.get("__metadata__")
    metadata = {str(k)[:200]: str(v)[:MOST_VALUE] for k, v in said.items()} if isinstance(said, dict) else {}
    return _made(path, "safetensors", tensors, metadata, len(content), size, ())


def _gguf(path: str, read: Read) -> Header:
    content, size = b"", None
    header = None
    for wanted in GGUF_BYTES:
        if header is not None and (header.whole or len(content) == size):
            break
        more, size = read(len(content), wanted - len(content))
        content += more
        header = read_gguf(content)
    assert header is not None
    tensors = tuple(Tensor(*row) for row in header.tensors)
    metadata = {name: str(value)[:MOST_VALUE] for name, value in list(header.metadata.items())[:MOST_METADATA]}
    notes = (
        () if header.whole else (f"Only the first {len(content):,} bytes were read; the header goes on after them.",)
    )
    return _made(path, "gguf", tensors, metadata, len(content), size, notes)


def _made(
    path: str,
    kind: str,
    tensors: tuple[Tensor, ...],
    metadata: dict[str, str],
    read: int,
    size: int | None,
    notes: tuple[str, ...],
) -> Header:
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + parameters(tensor.shape)
    format_ = "gguf" if kind == "gguf" else "safetensors"
    return Header(path, format_, tensors, sum(counts.values()), counts, metadata, read, size, notes)  # type: ignore[arg-type]
