"""Styles for pictures: words put around a prompt, said in the recipe like words that were typed."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UserInputError


@dataclass(frozen=True, slots=True)
class Style:
    """`prompt` has `{prompt}` where the visitor's words go; `negative` is added to what should be kept out."""

    name: str
    prompt: str
    negative: str = ""


STYLES: tuple[Style, ...] = (
    Style("Photograph", "a photograph of {prompt}, natural light, sharp focus", "drawing, painting, blurred"),
    Style("Portrait photo", "a portrait photograph of {prompt}, 85 mm lens, soft light", "drawing, deformed"),
    Style(
        "Product shot", "a product photograph of {prompt} on a plain white background, studio light", "clutter, text"
    ),
    Style("Cinematic", "a film still of {prompt}, wide shot, dramatic light", "drawing, text"),
    Style("Watercolour", "a watercolour painting of {prompt}, soft washes, paper texture", "photograph"),
    Style("Oil painting", "an oil painting of {prompt}, visible brush strokes", "photograph"),
    Style("Ink line", "a black ink line drawing of {prompt}, white background", "colour, shading"),
    Style("Flat icon", "a flat vector icon of {prompt}, simple shapes, plain background", "photograph, texture"),
    Style("Isometric", "an isometric illustration of {prompt}, clean edges", "photograph"),
    Style("Pixel art", "pixel art of {prompt}, limited palette", "blurred, smooth"),
    Style("Comic", "a comic book panel of {prompt}, bold outlines, flat colours", "photograph"),
    Style("Clay", "a clay model of {prompt}, stop motion, soft light", "drawing"),
    Style("Low poly", "a low poly 3D rendering of {prompt}", "photograph"),
    Style("Blueprint", "a technical blueprint of {prompt}, white lines on blue", "colour, shading"),
)


def styled(name: str, prompt: str, negative: str) -> tuple[str, str]:
    """Prompt and negative prompt with the style of that name around them; "" is no style. An empty prompt stays empty."""
    if not name or not prompt.strip():
        return prompt, negative
    style = next((style for style in STYLES if style.name == name), None)
    if style is None:
        raise UserInputError(f"There is no style “{name}”. Choose one of: {', '.join(style.name for style in STYLES)}.")
    parts = [part for part in (negative.strip(), style.negative) if part]
    return style.prompt.replace("{prompt}", prompt.strip()), ", ".join(parts)
