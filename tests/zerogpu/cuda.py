"""What stands in for the GPU: torch built without CUDA looks built with it, and a worker's "cuda" computes on the processor.

`spaces` itself lets the main process believe in a GPU: `.to("cuda")` is noted, and its tensors are packed to disk at
launch, after which no operation in the main process can touch them. In a worker, where the real one brings them to the GPU,
this reads them back and leaves that belief in force, in every thread: same devices, same errors when devices are mixed.
"""

from __future__ import annotations

import os
import threading
from typing import Any


def not_in_bad_fork() -> bool:
    """`torch.cuda._is_in_bad_fork` without CUDA; `spaces` pickles it to ask it in another process."""
    return False


def build_with_cuda() -> None:
    """Give a torch that was built without CUDA the names `spaces` looks for. Before `spaces` is imported."""
    import torch

    if torch.version.cuda is None:
        torch.version.cuda = "12.8"
        torch._C._cuda_init = _no_gpu
        torch.cuda._is_in_bad_fork = not_in_bad_fork


def stand_in_for_the_gpu() -> None:
    """Replace what `spaces` does in a new worker that needs a GPU. After `spaces` is imported with ZeroGPU on."""
    import spaces.zero.torch as its_torch

    def unpatch() -> None:
        # Before anything else: a fork of a process that has used torch's thread pool waits for threads it did not get.
        import torch

        torch.set_num_threads(1)
        torch.Generator = _generator(torch.Generator)
        _let_scalars_be_anywhere()
        _in_every_thread(its_torch.enter_mode)

    its_torch.unpatch = unpatch
    its_torch.init = _see_device
    its_torch.move = _unpack


def _no_gpu(*_: object) -> None:
    raise RuntimeError("CUDA was touched where there is no GPU: outside a function decorated with spaces.GPU.")


def _see_device(nvidia_uuid: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = nvidia_uuid


def _generator(real: type) -> type:
    """The one thing with a device that `spaces` does not see being made."""

    class Generator(real):  # type: ignore[misc, valid-type]
        def __new__(cls, device: object = "cpu") -> Generator:
            made = super().__new__(cls, device="cpu")
            made._believed = device
            return made

        @property
        def device(self) -> Any:
            import torch

            return torch.device(self._believed)

    return Generator


def _let_scalars_be_anywhere() -> None:
    """CUDA takes a number that is a tensor of the processor beside its own; `spaces` has no need to know that."""
    import torch
    from spaces.zero.torch import patching
    from torch.utils._pytree import tree_flatten, tree_map_only

    mode = patching.ZeroGPUFunctionMode
    strict = mode.__torch_function__

    def lenient(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
        if len(tensors) > 1 and len({value in patching.cuda_aliases for value in tensors}) == 2:
            with torch._C.DisableTorchFunction():
                args, kwargs = tree_map_only(torch.Tensor, _scalar_on_cuda, (args, kwargs))
        return strict(self, func, types, args, kwargs)

    mode.__torch_function__ = lenient


def _scalar_on_cuda(value: Any) -> Any:
    from spaces.zero.torch import patching

    if value in patching.cuda_aliases or value.dim():
        return value
    fake = patching.empty_fake(value)
    patching.cuda_aliases[fake] = value
    return fake


def _in_every_thread(enter: Any) -> None:
    """`spaces` believes by thread; a worker runs tasks in threads that do not exist yet."""
    run = threading.Thread.run

    def believing(thread: threading.Thread) -> None:
        enter()
        run(thread)

    threading.Thread.run = believing  # type: ignore[method-assign]


def _unpack(callback: Any = None) -> None:
    import torch
    from spaces.zero.torch import patching

    for pack in patching.tensor_packs:
        data = bytearray(open(pack.path(), "rb").read())  # noqa: SIM115
        at = 0
        for tensor, size, aligned in (*(entry for batch in pack.batches for entry in batch), *pack.big_tensors):
            with torch._C.DisableTorchFunction():
                flat = torch.frombuffer(data, dtype=torch.uint8, count=size, offset=at).clone()
                original = torch.empty(0, dtype=tensor.dtype).set_(
                    flat.untyped_storage(), 0, tensor.shape, tensor.stride()
                )
            for fake in pack.fakes[tensor]:
                patching.cuda_aliases[fake] = original
            at += aligned
