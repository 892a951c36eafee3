"""The drawings' sources: npm packages at exact versions, checked against their integrity hashes, with their licences."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One npm package: where it comes from, what its licence is, and what its drawings are called in captions."""

    name: str
    version: str
    integrity: str
    licence: str
    author: str
    style: str = ""

    @property
    def tarball(self) -> str:
        """The file name `npm pack` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


NAMES = Package(
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    "MIT",
    "Miles Johnson",
)
# MIT and Apache-2.0: what the weights may be trained on without attribution in every copy.
NOTO = Package(
    "@iconify-json/noto",
    "1.2.9",
    "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    "Apache-2.0",
    "Google",
    "noto",
)
FLAT = Package(
    "@iconify-json/fluent-emoji-flat",
    "1.2.6",
    "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    "MIT",
    "Microsoft",
    "flat",
)
GLOSSY = Package(
    "@iconify-json/fluent-emoji",
    "1.2.7",
    "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    "MIT",
    "Microsoft",
    "glossy",
)
BLOB = Package(
    "@iconify-json/noto-v1",
    "1.2.5",
    "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    "Apache-2.0",
    "Google",
    "blob",
)
# CC-BY-4.0: only the classifier of the evaluation and a LoRA learn from these; no weights of the base model do.
TWEMOJI = Package(
    "@iconify-json/twemoji",
    "1.2.5",
    "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    "CC-BY-4.0",
    "Twitter and contributors",
    "twemoji",
)
EMOJIONE = Package(
    "@iconify-json/emojione",
    "1.2.3",
    "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    "CC-BY-4.0",
    "EmojiOne and EmojiTwo contributors",
    "emojione",
)
DRAWINGS = (NOTO, FLAT, GLOSSY, BLOB, TWEMOJI, EMOJIONE)
BASE_STYLES = (NOTO.style, FLAT.style, GLOSSY.style, BLOB.style)


def fetch(package: Package, folder: Path) -> Path:
    """The package's files under `folder`: its tarball if it lies there already, else packed by npm.

    Raises `ValueError` when the tarball is not the one that is pinned, `RuntimeError` when npm cannot get it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tarball = folder / package.tarball
    if not tarball.is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(f"npm is not installed. Install Node.js, or put {package.tarball} into {folder}.")
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode or not tarball.is_file():
            raise RuntimeError(f"npm could not fetch {package.name}@{package.version}: {done.stderr.strip()[-300:]}")
    check(tarball, package.integrity)
    unpacked = folder / tarball.stem
    if not (unpacked / "package" / "package.json").is_file():
        with tarfile.open(tarball) as archive:
            archive.extractall(unpacked, filter="data")
    return unpacked / "package"


def check(tarball: Path, integrity: str) -> None:
    """Raise `ValueError` unless the file has the hash that `npm` writes into lock files (`sha512-<base64>`)."""
    with tarball.open("rb") as file:
        found = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != integrity:
        raise ValueError(f"{tarball.name} is not the file that is pinned: {found}. Delete it and fetch it again.")
