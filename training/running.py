"""One training loop for every stage: warm-up and cosine decay, EMA, checkpoints that resume exactly, and pauses."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Limits:
    """When a run stops before it is done, and when it waits.

    `minutes` is how long this call may train; `fit_minutes` sets the number of steps from the measured speed instead of
    the preset's, once, so that the decay ends when the time does. While the file `pause` exists, nothing is computed.
    """

    minutes: float = 0.0
    fit_minutes: float = 0.0
    pause: Path | None = None
    save_every: int = 500
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Whether to save and stop now."""
        return self.stop.is_set() or bool(self.minutes and time.monotonic() - self.started > self.minutes * 60)

    def wait(self) -> None:
        """Return once the pause file is gone, or when asked to stop."""
        while self.pause is not None and self.pause.exists() and not self.stop.wait(1.0):
            pass

    def listen(self) -> None:
        """Let an interrupt or a termination save and stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop.set())


def device() -> str:
    """Where this machine trains: `cuda` if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def precision(where: str, wanted: bool) -> Any:
    """Autocast to bfloat16 when it is wanted."""
    import torch

    return torch.autocast(where, torch.bfloat16) if wanted else nullcontext()


def dice(seed: int, stage: str, step: int, where: str = "cpu") -> torch.Generator:
    """The random numbers of one step: they follow from seed, stage and step, so a resumed run draws the same ones."""
    import torch

    salt = sum(ord(letter) * 31**place for place, letter in enumerate(stage)) % 65_521
    return torch.Generator(where).manual_seed((seed * 65_521 + salt) * 10_000_019 + step)


def rate(step: int, total: int, top: float, warmup: int) -> float:
    """The learning rate of a step: linear warm-up, then a cosine down to nothing."""
    warm = min(warmup, max(1, total // 10))
    if step < warm:
        return top * (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    return top * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Run:
    """The state of one stage: weights, their moving average, the optimizer, and how far it is."""

    def __init__(self, stage: str, modules: dict[str, Any], file: Path, *, total: int, top: float, warmup: int, ema: float, decay: float = 0.01) -> None:  # fmt: skip
        import torch

        self.stage, self.modules, self.file = stage, modules, file
        self.step, self.total, self.top, self.warmup, self.ema = 0, total, top, warmup, ema
        self.fitted = False
        self.parameters = {
            f"{part}.{name}": weight
            for part, module in modules.items()
            for name, weight in module.named_parameters()
            if weight.requires_grad
        }
        self.average = {name: weight.detach().clone() for name, weight in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=top, betas=(0.9, 0.99), weight_decay=decay, fused=True
        )

    def save(self) -> None:
        """Write the checkpoint. It replaces the last one at once or not at all."""
        from safetensors.torch import save_file

        tensors = {}
        for name, weight in self.parameters.items():
            tensors[f"weight.{name}"] = weight.detach()
            tensors[f"average.{name}"] = self.average[name]
            for key, value in self.optimizer.state.get(weight, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        record = {"stage": self.stage, "step": self.step, "total": self.total, "fitted": self.fitted}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        save_file({name: value.contiguous() for name, value in tensors.items()}, new, {"run": json.dumps(record)})
        new.replace(self.file)

    def load(self) -> bool:
        """Take up the checkpoint, and return whether there is one. Raises `ValueError` for another stage's."""
        import torch
        from safetensors import safe_open

        if not self.file.is_file():
            return False
        with safe_open(self.file, "pt") as file, torch.no_grad():
            record = json.loads(file.metadata()["run"])
            if record["stage"] != self.stage:
                raise ValueError(f"{self.file} is of stage {record['stage']}, not {self.stage}.")
            names = set(file.keys())
            for name, weight in self.parameters.items():
                weight.copy_(file.get_tensor(f"weight.{name}"))
                self.average[name].copy_(file.get_tensor(f"average.{name}"))
                state = {}
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    if f"optimizer.{key}.{name}" in names:
                        value = file.get_tensor(f"optimizer.{key}.{name}")
                        on_device = key != "step" or weight.device.type == "cuda"
                        state[key] = value.to(weight.device) if on_device else value
                if state:
                    self.optimizer.state[weight] = state
        self.step, self.total, self.fitted = record["step"], record["total"], record["fitted"]
        return True

    def train(self, loss_at: Callable[[int], torch.Tensor], limits: Limits, say: Callable[[str], None] = print) -> bool:
        """Train until the end or a limit, and return whether it is the end. `loss_at` gives a step's loss."""
        import torch

        begun, first, shown, heard = time.monotonic(), self.step, time.monotonic(), None
        weights, averages = list(self.parameters.values()), [self.average[name] for name in self.parameters]
        while self.step < self.total:
            if limits.over():
                self.save()
                say(f"{self.stage}: paused at step {self.step} of {self.total}; the same command goes on from here")
                return False
            limits.wait()
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.step, self.total, self.top, self.warmup)
            loss = loss_at(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            self.optimizer.step()
            keep = min(self.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(averages, weights, 1 - keep)
            self.step += 1
            heard = loss.detach() if heard is None else heard.lerp(loss.detach(), 0.02)
            if limits.fit_minutes and not self.fitted and self.step - first == 100:
                # Compiling and the first allocations are over by now.
                float(loss.detach())  # waits for the device
                fit_from = time.monotonic()
            if limits.fit_minutes and not self.fitted and self.step - first == 200:
                float(loss.detach())  # waits for the device
                pace = (time.monotonic() - fit_from) / 100
                left = limits.fit_minutes * 60 - (time.monotonic() - begun)
                self.total, self.fitted = max(self.step + 1, self.step + int(left / pace)), True
                say(
                    f"{self.stage}: {pace * 1000:.1f} ms a step, so {self.total} steps in {limits.fit_minutes:g} minutes"
                )
            if self.step % limits.save_every == 0:
                self.save()
            if time.monotonic() - shown > 20 or self.step in (1, self.total):
                shown = time.monotonic()
                pace = (shown - begun) / (self.step - first)
                say(
                    f"{self.stage}: step {self.step} of {self.total}, loss {float(heard):.4f}, {pace * 1000:.0f} ms a step"
                )
        self.save()
        return True

    def take_average(self) -> None:
        """Put the moving average into the modules: what is exported and judged."""
        import torch

        with torch.no_grad():
            for name, weight in self.parameters.items():
                weight.copy_(self.average[name])
