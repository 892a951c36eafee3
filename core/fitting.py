"""A recipe made to fit a model: what the model cannot take is brought within its bounds, and every change is said."""

from __future__ import annotations

from dataclasses import replace

from core.images import MOST_GUIDANCE, ImageCapabilities, ImageSettings
from core.refs import shown


def fitting(settings: ImageSettings, can: ImageCapabilities) -> tuple[ImageSettings, list[str]]:
    """`settings` as the model takes them, and a sentence for each value that is not the recipe's own any more."""
    said: list[str] = []

    def side(name: str, pixels: int | None) -> int | None:
        if pixels is None or name in can.fixed:
            return None if name in can.fixed else pixels
        fitted = max(can.least_side, min(can.most_side, round(pixels / can.multiple) * can.multiple))
        if fitted != pixels:
            said.append(f"{name.capitalize()} {pixels} is set to {fitted}, the nearest this model draws.")
        return fitted

    width, height = side("width", settings.width), side("height", settings.height)
    steps, guidance, scheduler, negative = (
        settings.steps,
        settings.guidance,
        settings.scheduler,
        settings.negative_prompt,
    )
    if steps is not None and steps > can.most_steps:
        said.append(f"{steps} steps are set to {can.most_steps}, the most that are drawn.")
        steps = can.most_steps
    if guidance is not None and can.guidance is None:
        said.append(f"This model takes no guidance; {guidance:g} is left out.")
        guidance = None
    elif guidance is not None and guidance > MOST_GUIDANCE:
        said.append(f"Guidance {guidance:g} is set to {MOST_GUIDANCE:g}, the most that is taken.")
        guidance = MOST_GUIDANCE
    if scheduler and scheduler not in can.schedulers:
        own = f"its own, {can.scheduler}, is" if can.scheduler else "its own is"
        said.append(f"This model has no scheduler “{shown(scheduler, 40)}”; {own} used.")
        scheduler = ""
    if negative.strip() and not can.negative_prompt:
        said.append("This model takes no negative prompt; the recipe's is left out.")
        negative = ""
    fitted = replace(
        settings, width=width, height=height, steps=steps, guidance=guidance, scheduler=scheduler, negative_prompt=negative
    )  # fmt: skip
    return fitted, said
