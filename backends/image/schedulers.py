"""Schedulers by the names people and other tools use; only those that fit a model's family, fresh for every request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from core.errors import NoBackend, UserInputError

# Name to class and what its config needs on top. The names are those of the `parameters` line.
_KARRAS_FAMILY: dict[str, tuple[str, dict[str, object]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "DDPM": ("DDPMScheduler", {}),
    "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "DPM++ 2S": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++"}),
    "DEIS": ("DEISMultistepScheduler", {}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "DPM++ SDE": ("DPMSolverSDEScheduler", {}),
}
_NEEDS = {"LMSDiscreteScheduler": "scipy", "DPMSolverSDEScheduler": "torchsde"}
# They keep to themselves what the finished picture would be; their samples are mixed as in training.
_BY_NOISE = ("PNDMScheduler", "DEISMultistepScheduler")
_FLOW_NAMES = {
    "FlowMatchEulerDiscreteScheduler": "Flow Euler",
    "FlowMatchHeunDiscreteScheduler": "Flow Heun",
    "UniPCMultistepScheduler": "Flow UniPC",
    "DPMSolverMultistepScheduler": "Flow DPM++ 2M",
}


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's config is that of a flow-matching model."""
    return (
        str(config.get("_class_name", "")).startswith("FlowMatch")
        or bool(config.get("use_flow_sigmas"))
        or config.get("prediction_type") == "flow_prediction"
    )


def offered(config: Mapping[str, Any], pipeline: str) -> dict[str, tuple[str, dict[str, object]]]:
    """What a model with this scheduler config can use, its own first: name to class and config changes."""
    own = str(config.get("_class_name", ""))
    if is_flow(config):
        found: dict[str, tuple[str, dict[str, object]]] = {_FLOW_NAMES.get(own, own): (own, {})}
        # Other flow pipelines hand over their own sigmas, which Heun does not take.
        if own.startswith("FlowMatchEuler") and pipeline.startswith("StableDiffusion3"):
            found["Flow Heun"] = ("FlowMatchHeunDiscreteScheduler", {})
        return found
    if own not in _compatible():
        return {own.removesuffix("Scheduler"): (own, {})}
    names = [name for name, (cls, _) in _KARRAS_FAMILY.items() if _installed(cls)]
    first = own_name(config)
    return {name: _KARRAS_FAMILY[name] for name in (first, *(name for name in names if name != first))}


def own_name(config: Mapping[str, Any]) -> str:
    """The name of the scheduler a model comes with."""
    own = str(config.get("_class_name", ""))
    if is_flow(config):
        return _FLOW_NAMES.get(own, own)
    fitting = [(name, extra) for name, (cls, extra) in _KARRAS_FAMILY.items() if cls == own]
    exact = [name for name, extra in fitting if extra and all(config.get(key) == value for key, value in extra.items())]
    # The more a name says, the better it fits.
    exact.sort(key=lambda name: -len(_KARRAS_FAMILY[name][1]))
    return exact[0] if exact else fitting[0][0] if fitting else own.removesuffix("Scheduler")


def make(name: str, config: Mapping[str, Any], pipeline: str) -> Any:
    """A new scheduler of that name for a model with this config; the model's own is untouched."""
    import diffusers

    choices = offered(config, pipeline)
    if name not in choices:
        raise UserInputError(f"This model cannot use the scheduler asked for. Choose one of: {', '.join(choices)}.")
    class_name, extra = choices[name]
    if name == own_name(config):
        extra = {}
    elif class_name in ("DDIMScheduler", "DDPMScheduler"):
        # Their default clips latents as if they were pixels, and pictures turn grey.
        extra = {**extra, "clip_sample": bool(config.get("clip_sample", False))}
    elif is_flow(config):
        extra = {"shift": config.get("shift", 1.0)}
    cls = getattr(diffusers, class_name, None)
    if cls is None:
        raise NoBackend(f"diffusers {diffusers.__version__} has no scheduler “{class_name}”. Choose another model.")
    return cls.from_config(dict(config), **extra)


class Watched:
    """Sees every step of one scheduler, and what the finished picture would look like from there."""

    def __init__(self, scheduler: Any, seen: Any) -> None:
        """`seen(latents, finished)` is called after every step; what it raises ends the pipeline."""
        self.scheduler = scheduler
        inner = scheduler.step

        # Pipelines look at the signature of `step` to know what it takes; `wraps` keeps it visible.
        @wraps(inner)
        def step(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
            result = inner(model_output, timestep, sample, *args, **kwargs)
            seen(result[0], lambda: self._finished(result, model_output, timestep, sample))
            return result

        scheduler.step = step

    def _finished(self, result: Any, model_output: Any, timestep: Any, sample: Any) -> Any:
        scheduler, config = self.scheduler, self.scheduler.config
        predicted = getattr(result, "pred_original_sample", None)
        if predicted is None and isinstance(result, tuple) and len(result) > 1:
            predicted = result[1]
        if predicted is not None:
            return predicted
        name = type(scheduler).__name__
        if name.startswith("FlowMatchEuler") and scheduler.step_index:
            return sample - scheduler.sigmas[scheduler.step_index - 1].to(sample.device) * model_output
        kind = str(config.get("algorithm_type", ""))
        if kind.endswith("dpmsolver++") or (name.startswith("UniPC") and config.get("predict_x0")):
            return scheduler.model_outputs[-1]
        if name in _BY_NOISE and config.prediction_type in ("epsilon", "v_prediction"):
            kept = scheduler.alphas_cumprod[int(timestep)].to(sample.device)
            if config.prediction_type == "epsilon":
                return (sample - (1 - kept) ** 0.5 * model_output) / kept**0.5
            return kept**0.5 * sample - (1 - kept) ** 0.5 * model_output
        return result[0]


def _compatible() -> frozenset[str]:
    from diffusers.schedulers import KarrasDiffusionSchedulers

    return frozenset(kind.name for kind in KarrasDiffusionSchedulers) & {cls for cls, _ in _KARRAS_FAMILY.values()}


def _installed(class_name: str) -> bool:
    from importlib.util import find_spec

    return class_name not in _NEEDS or find_spec(_NEEDS[class_name]) is not None
