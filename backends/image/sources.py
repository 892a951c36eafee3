"""The pictures a drawing starts from: read, checked, brought to the size that is drawn, and put back where nothing may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backends.image.png import read_picture
from core.errors import UserInputError
from core.images import Control, ImageSettings

# White, or nearly, is what may change.
_MAY_CHANGE = 128


@dataclass(frozen=True)
class Sources:
    """The picture to start from and, for inpainting, the mask; both as Pillow pictures of the same size."""

    picture: Any
    mask: Any = None

    def at(self, width: int, height: int) -> tuple[Any, Any]:
        """Picture and mask at the size that is drawn."""
        from PIL import Image

        picture = flat(self.picture).resize((width, height), Image.Resampling.LANCZOS)
        if self.mask is None:
            return picture, None
        # What has to stay stays by `composited`; here a pixel too many is better than a seam.
        return picture, self.mask.resize((width, height), Image.Resampling.BOX).point(lambda value: 255 if value else 0)

    def composited(self, drawn: Any) -> Any:
        """The original at its full size with `drawn` where the mask is white; every other pixel is the original's own."""
        from PIL import Image

        if self.mask is None:
            return drawn
        whole = drawn.resize(self.picture.size, Image.Resampling.LANCZOS).convert(self.picture.mode)
        return Image.composite(whole, self.picture, self.mask)


def sources_of(settings: ImageSettings) -> Sources | None:
    """Read the pictures of a request; None when there are none. Raises `UserInputError` saying which cannot be used."""
    if settings.image is None:
        return None
    picture = read_picture(settings.image, "picture to start from")
    if settings.mask is None:
        return Sources(picture)
    mask = flat(read_picture(settings.mask, "mask"), "black").convert("L")
    if mask.size != picture.size:
        raise UserInputError(
            f"The mask is {mask.width} × {mask.height} and the picture {picture.width} × {picture.height}. They have to be "
            "the same size."
        )
    mask = mask.point(lambda value: 255 if value >= _MAY_CHANGE else 0)
    if mask.getbbox() is None:
        raise UserInputError("The mask is empty, so nothing may change. Paint over what should be drawn anew.")
    return Sources(picture, mask)


def control_picture(settings: ImageSettings) -> Any:
    """The picture a ControlNet follows, read and checked; None when there is none. Raises `UserInputError`."""
    if settings.control is None:
        return None
    if not settings.control.image:
        raise UserInputError("The ControlNet has no picture to follow. Give it a control picture.")
    return flat(read_picture(settings.control.image, "control picture"))


def steering(control: Control, picture: Any, width: int, height: int) -> Any:
    """The control picture as the ControlNet sees it, at the size that is drawn."""
    from PIL import Image

    fitted = picture.resize((width, height), Image.Resampling.LANCZOS).convert("RGB")
    if control.preprocess == "none":
        return fitted
    from backends.image.canny import edges

    return edges(fitted)


def flat(picture: Any, ground: str = "white") -> Any:
    """The picture without transparency, on a plain ground."""
    from PIL import Image

    if picture.mode != "RGBA":
        return picture
    whole = Image.new("RGBA", picture.size, ground)
    whole.alpha_composite(picture)
    return whole.convert("RGB")
