"""Models in memory: loaded on demand, one load at a time, least recently used out, never under a running answer."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.chat import Capabilities, LoadPlan, Progress
from core.errors import BackendError, GenerationFailed, NoBackend, OutOfMemory, UnsafeContentError
from core.refs import ModelRef

MOST_LOADED = 2


class ModelSource(Protocol):
    """Where model folders come from: bundled, a local folder, the Hub's cache."""

    def has(self, ref: ModelRef) -> bool:
        """Whether this source is the one for `ref`."""
        ...

    def folder(self, ref: ModelRef) -> Path | None:
        """The complete folder on this machine, None when it has to be fetched first."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What fetching would take."""
        ...

    def fetch(self, ref: ModelRef) -> Iterator[Progress]:
        """Bring the folder onto this machine."""
        ...

    def config(self, ref: ModelRef) -> dict[str, Any] | None:
        """config.json of exactly that commit, None when it cannot be read without fetching the model."""
        ...


@dataclass(eq=False)
class LoadedModel:
    """A model in memory with what an answer needs of it. `context` in tokens, `ends` are end-of-turn ids."""

    ref: ModelRef
    model: Any
    tokenizer: Any
    dtype: str
    context: int | None
    ends: frozenset[int]
    defaults: dict[str, Any]
    users: int = 0
    used: float = field(default_factory=time.monotonic)


class Registry:
    """All models of this process, and how to get more."""

    def __init__(self, sources: Sequence[ModelSource], most: int = MOST_LOADED) -> None:
        self._sources = tuple(sources)
        self._most = most
        self._loaded: OrderedDict[ModelRef, LoadedModel] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[ModelRef, threading.Lock] = {}
        self._device_name: str | None = None

    @property
    def device_name(self) -> str:
        """CPU until torch is in memory and says otherwise."""
        return self._device_name or "CPU"

    def source(self, ref: ModelRef) -> ModelSource:
        """The source that has `ref`; `NoBackend` when none does."""
        for source in self._sources:
            if source.has(ref):
                return source
        raise NoBackend(f"{ref} is neither on this machine nor a repository that can be fetched.")

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before `ref` answers."""
        return self.source(ref).plan(ref)

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What `ref` can do, from its config alone; refuses custom code and architectures that do not generate text."""
        config = self.source(ref).config(ref)
        if config is None:
            return Capabilities(notes=("Its config has not been read yet.",))
        check_config(ref, config)
        limit = config.get("max_position_embeddings")
        return Capabilities(max_context=limit if isinstance(limit, int) else None)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load `ref`; others who ask meanwhile wait for the same load."""
        with self._lock:
            if ref in self._loaded:
                yield Progress("ready")
                return
            gate = self._loading.setdefault(ref, threading.Lock())
        source = self.source(ref)
        if source.folder(ref) is None:
            yield from source.fetch(ref)
        yield Progress("load")
        with gate:
            with self._lock:
                known = ref in self._loaded
            if not known:
                folder = source.folder(ref)
                if folder is None:
                    raise BackendError(f"The files of {ref} are not complete on this machine. Use the model again.")
                self._make_room()
                loaded = load(ref, folder)
                with self._lock:
                    self._loaded[ref] = loaded
                    self._device_name = device_label(loaded.model)
        yield Progress("ready")

    def acquire(self, ref: ModelRef) -> LoadedModel:
        """The loaded model, kept in memory until `release`."""
        with self._lock:
            loaded = self._loaded.get(ref)
            if loaded is None:
                raise BackendError(f"{ref} was just removed from memory to make room. Send the message again.")
            loaded.users += 1
            loaded.used = time.monotonic()
            self._loaded.move_to_end(ref)
            return loaded

    def release(self, loaded: LoadedModel) -> None:
        """The answer that acquired `loaded` is over."""
        with self._lock:
            loaded.users -= 1

    def in_memory(self) -> tuple[ModelRef, ...]:
        """Which models are loaded, least recently used first."""
        with self._lock:
            return tuple(self._loaded)

    def _make_room(self) -> None:
        with self._lock:
            for ref in list(self._loaded):
                if len(self._loaded) < self._most:
                    return
                if self._loaded[ref].users == 0:
                    del self._loaded[ref]


def check_config(ref: ModelRef, config: dict[str, Any]) -> None:
    """Refuse a model that needs code from its repository, or that does not write text."""
    if config.get("auto_map"):
        raise UnsafeContentError(
            f"{ref.repo_id} needs Python code from its own repository (auto_map in config.json), and code from strangers "
            "is never run here. Choose a model whose architecture transformers knows."
        )
    architectures = config.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    if names and not any(str(n).endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")) for n in names):
        raise NoBackend(
            f"{ref.repo_id} is a {names[0]}, which does not answer in text. Choose a text-generation model.",
            (f"architecture {names[0]}",),
        )


def load(ref: ModelRef, folder: Path) -> LoadedModel:
    """Read a model folder into memory: safetensors only, no code from the repository, dtype by what is faster."""
    import torch
    import transformers

    from backends.devices import best_device, best_dtype

    transformers.utils.logging.disable_progress_bar()
    config_file = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_config(ref, config_file)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        text = config.get_text_config()
        device = best_device()
        dtype = best_dtype(device, text)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
        model = model.to(device).eval()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"{ref.repo_id} does not fit into memory. Choose a smaller model.") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise not_loaded(ref, error) from error
    except Exception as error:
        # safetensors and tokenizers raise classes of their own, derived from Exception alone.
        if type(error).__module__.partition(".")[0] in ("safetensors", "tokenizers", "builtins"):
            raise not_loaded(ref, error) from error
        raise
    generation = model.generation_config
    return LoadedModel(
        ref,
        model,
        tokenizer,
        dtype=str(dtype).removeprefix("torch."),
        context=getattr(text, "max_position_embeddings", None),
        ends=end_tokens(tokenizer, generation),
        defaults={k: v for k, v in generation.to_dict().items() if v is not None},
    )


def not_loaded(ref: ModelRef, error: Exception) -> GenerationFailed | NoBackend:
    """Why a folder could not become a model, and what to do."""
    text = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if "model type" in text.lower() or "architecture" in text.lower() or "Unrecognized" in text:
        return NoBackend(
            f"The installed transformers does not know the architecture of {ref.repo_id}. Update transformers, or choose "
            f"another model. ({text})",
            ("unknown architecture",),
        )
    return GenerationFailed(
        f"{ref.repo_id} could not be loaded; its files on this machine may be damaged. Delete this commit from the cache "
        f"and fetch it again. ({text})"
    )


def end_tokens(tokenizer: Any, generation: Any) -> frozenset[int]:
    """Ids that end an answer: the generation config's, and the tokenizer's own."""
    configured = generation.eos_token_id
    found = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    return frozenset(int(token) for token in found if token is not None)


def device_label(model: Any) -> str:
    """The device a model is on, as the chip names it."""
    import torch

    return "CPU" if model.device.type == "cpu" else str(torch.cuda.get_device_name(model.device))
