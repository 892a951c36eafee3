"""Pictures of messages as the page shows them: those that wait for the next message, and those in the conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from core.attached import MOST_IN_MESSAGE, MOST_SIDE, Attached

Small = Callable[[Attached], str]
ACCEPTED = ".png,.jpg,.jpeg,.webp,.gif,.bmp"
HINT = (
    "This model reads pictures. Choose, paste or drop up to "
    f"{MOST_IN_MESSAGE}: they are kept with the conversation on the app's own disk, at most {MOST_SIDE:,} pixels wide and "
    "high, without what the camera wrote."
)


def no_small(picture: Attached) -> str:
    """Where pictures are only named."""
    return ""


def tray(pictures: Sequence[Attached], small: Small, said: str = "") -> str:
    """The pictures of the next message, each with a button that takes it off, and the button that adds one."""
    shown = "".join(
        f'<span class="pg-attached">{_image(picture, number, small)}<button type="button" class="pg-copy" '
        f'data-remove="{number}" aria-label="Remove picture {number}" title="Remove">×</button></span>'
        for number, picture in enumerate(pictures, 1)
    )
    full = len(pictures) >= MOST_IN_MESSAGE
    button = (
        f'<button type="button" class="pg-copy" data-attach title="{escape(HINT, quote=True)}"'
        f"{' disabled' if full else ''}>Attach a picture</button>"
    )
    return (
        f'<div class="pg-tray">{shown}{button}<input type="file" accept="{ACCEPTED}" multiple hidden>'
        f'<span class="pg-meta pg-attach-said" role="status">{escape(said)}</span></div>'
    )


def pictures_html(pictures: Sequence[Attached], small: Small) -> str:
    """The pictures of a message."""
    return f'<div class="pg-pictures">{"".join(_image(each, at, small) for at, each in enumerate(pictures, 1))}</div>'


def _image(picture: Attached, number: int, small: Small) -> str:
    name = f"Picture {number}, {picture.width} × {picture.height}"
    source = small(picture)
    if not source:
        return f'<span class="pg-meta pg-no-picture">{name}: not shown here</span>'
    return f'<img alt="{name}" title="{name}" src="{escape(source, quote=True)}">'
