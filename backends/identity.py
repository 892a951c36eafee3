"""The secret that salts pseudonyms, made once per data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret_of(data_dir: Path) -> str:
    """The data folder's secret, made with owner-only permissions when absent."""
    path = data_dir / "secret"
    try:
        # O_EXCL: two processes starting at once agree on the one that was first.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        made = secrets.token_urlsafe(32)
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    return made
