"""`python -m backends.deploy.container`: the data volume made ready, then the app in the same process, as PID 1.

Everything that is written lies on the one data volume, so that the root file system can be read-only. Models that were
baked into the image stay in it: the cache on the volume gets links to their files.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import AppError, UserInputError

BAKED = Path("/opt/models/hub")


def ready(environment: Mapping[str, str]) -> int:
    """Make the volume ready for the app; 0, or 2 with a sentence on stderr when it cannot start."""
    try:
        data = _folder("PROVING_DATA_DIR", environment)
        temporary = _folder("TMPDIR", environment)
        cache = _folder("HF_HOME", environment)
        # What an earlier container left; nobody else has this volume.
        for left in temporary.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        link(BAKED, cache / "hub")
        if not environment.get("PROVING_CHAT_MODEL"):
            from backends.bundled.__main__ import main as prepare

            if prepare([str(data)]):
                return 2
    except (OSError, AppError) as error:
        print(f"Proving Ground cannot start. {error}", file=sys.stderr)
        return 2
    return 0


def link(baked: Path, cache: Path) -> int:
    """Put a link to every baked file that is missing into the cache; returns how many were made."""
    made = 0
    for file in sorted(path for path in baked.rglob("*") if path.is_file()):
        here = cache / file.relative_to(baked)
        if here.is_symlink() and not here.exists():
            # To an image that held another model.
            here.unlink()
        if not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(file.resolve())
            made += 1
    return made


def _folder(name: str, environment: Mapping[str, str]) -> Path:
    if not environment.get(name):
        raise UserInputError(f"{name} is not set. Start the image as it is, or set it to a folder on the data volume.")
    folder = Path(environment[name])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserInputError(
            f"{name} is {folder}, which uid {os.getuid()} cannot write to ({error.strerror}). Mount a volume there that "
            "belongs to it (chown 1000)."
        ) from error
    return folder


if __name__ == "__main__":
    if status := ready(os.environ):
        sys.exit(status)
    # The same process: signals reach the app itself.
    os.execve(sys.executable, [sys.executable, "app.py"], dict(os.environ))  # noqa: S606
