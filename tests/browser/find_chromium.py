"""Find a Chromium on this machine, or install one. Run with --install by `make test`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ADVICE = (
    "The browser tests need Chromium and none could be found or installed. Install your system's package (Debian and "
    "Ubuntu: sudo apt-get install chromium), or set CHROMIUM to the path of one, and run make test again."
)


def chromium() -> str | None:
    """The path of a system Chromium ($CHROMIUM first), else of Playwright's own, else None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Install Chromium: Debian's package where apt-get is there and we may use it, else Playwright's own download."""
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            done = subprocess.run(
                [*sudo, *command],
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
            if done.returncode:
                print(f"{' '.join(command)} did not work here.", file=sys.stderr)
                break
        if found := chromium():
            return found
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return chromium()


def main() -> int:
    """Print the browser that will be used; 1 with advice when there is none."""
    found = chromium() or (install() if "--install" in sys.argv else None)
    print(found or ADVICE)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
