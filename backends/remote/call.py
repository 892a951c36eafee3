"""The connection that a piece of work has at the moment, for whoever ends the work from another thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.remote.connection import Connection


class Call:
    """`over` is set when the work is not wanted any more; a connection in use is closed at that moment."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._connection: Connection | None = None

    def use(self, connection: Connection) -> None:
        """Hang up `connection` when the work is over, at once if it is already."""
        self._connection = connection
        if self.over.is_set():
            connection.hang_up()

    def end(self) -> None:
        """The work is over. Idempotent."""
        self.over.set()
        if self._connection is not None:
            self._connection.hang_up()
