"""Pictures that go with a message: references that records hold, and the seam to where the files are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from core.errors import UserInputError

MOST_IN_MESSAGE = 4
MOST_IN_CONVERSATION = 32
MOST_SIDE = 1_536
"""Pixels. A larger picture is made smaller when it is attached."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A picture of a message. `sha256` names the PNG file that the app made of it; its pixels are that file's."""

    sha256: str
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width} × {self.height} pixels, {self.sha256[:8]}"


Take = Callable[[bytes, str], Attached]
"""What `AttachedPictures.take` is."""


class AttachedPictures(Protocol):
    """The pictures of messages as files. They are named by their content and never change."""

    def take(self, data: bytes, name: str = "picture") -> Attached:
        """Read a picture from a stranger: decoded within bounds, upright, without what the file said beside its pixels.

        Until `keep` it is held for this run of the app only. Raises `UserInputError` when it is no picture.
        """
        ...

    def keep(self, owner: str, pictures: Iterable[Attached]) -> None:
        """Keep these beyond this run of the app: they belong to a conversation that `owner` keeps."""
        ...

    def drop(self, owner: str, pictures: Iterable[Attached]) -> None:
        """`owner` has deleted the last conversation with these; the files go when nobody else keeps one with them."""
        ...

    def png(self, picture: Attached) -> bytes:
        """The file. Raises `UserInputError` when it is not here any more."""
        ...

    def small(self, picture: Attached) -> str:
        """A small copy as a `data:` URI, to look at; "" when the picture is not here any more."""
        ...


class NoPictures:
    """Implements `AttachedPictures` where none can be attached."""

    def take(self, data: bytes, name: str = "picture") -> Attached:
        """Refuses."""
        raise UserInputError("Pictures cannot be attached here. Send the message without them.")

    def keep(self, owner: str, pictures: Iterable[Attached]) -> None:
        """There is nothing to keep."""

    def drop(self, owner: str, pictures: Iterable[Attached]) -> None:
        """There is nothing to delete."""

    def png(self, picture: Attached) -> bytes:
        """There is none."""
        raise UserInputError(gone(picture))

    def small(self, picture: Attached) -> str:
        """There is none."""
        return ""


NONE_HERE = NoPictures()


def gone(picture: Attached) -> str:
    """What is said of a picture whose file is not here."""
    return (
        f"A picture of this conversation ({picture}) is not kept here any more, so the model cannot look at it. Edit the "
        "message and attach it again, or go back to before it."
    )
