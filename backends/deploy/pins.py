"""The versions a Space would install, against what its hardware is documented to run.

Sources: the Hub's documentation of ZeroGPU (Python 3.12.12 and 3.10.13; torch 2.8.0 to 2.11.0, and 2.12.1 and 2.13.0 since
hub-docs pull request 2763) and of the Spaces configuration (gradio comes from `sdk_version`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ZERO_GPU = "zero-a10g"
"""The Hub's name for ZeroGPU in its API; the card behind it has changed since."""
ZERO_PYTHON = ("3.12", "3.12.12", "3.10", "3.10.13")
ZERO_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0")
OLDEST_PYTHON = (3, 11)
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?\s*==\s*([^\s;#]+)")


def pins(requirements: str) -> dict[str, str]:
    """Name (lower case, dashes) and version of every `==` line of a requirements file."""
    found = (_PIN.match(line.strip()) for line in requirements.splitlines())
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


def wrong_pins(front: Mapping[str, object], requirements: str, hardware: str) -> tuple[str, ...]:
    """Say what would not build or start there, and what to change; empty where everything fits.

    `front` is the README's front matter. A Space builds for minutes before it fails, so this is asked before.
    """
    pinned, said = pins(requirements), []
    sdk = str(front.get("sdk_version", ""))
    if pinned.get("gradio") != sdk:
        said.append(
            f"README.md says sdk_version {sdk or 'nothing'}, requirements.txt pins gradio {pinned.get('gradio', 'not at all')}: "
            "make them equal."
        )
    python = str(front.get("python_version", "3.10"))
    if tuple(int(part) for part in re.findall(r"\d+", python)[:2]) < OLDEST_PYTHON:
        said.append(
            f'README.md says python_version {python}; the app needs 3.11 or newer. Write python_version: "3.12".'
        )
    if hardware == ZERO_GPU:
        if python not in ZERO_PYTHON:
            said.append(f'ZeroGPU runs Python 3.12, README.md says {python}. Write python_version: "3.12".')
        torch = pinned.get("torch", "")
        if torch not in ZERO_TORCH:
            said.append(f"ZeroGPU runs torch {', '.join(ZERO_TORCH)}; requirements.txt pins {torch or 'none'}.")
    return tuple(said)
