"""The Dockerfile's own steps without an engine: `python -m tests.container.run_steps [--build-arg NAME=VALUE]`, as root on Linux.

Each stage gets a root of its own: an overlay of this machine's file system, in which the project, the home folders and
/tmp are not there. The base image stands in by this machine's Python. Then the image's command runs as its user, on that
root mounted read-only with one writable volume and the image's environment alone: it has to become healthy, serve the
page, take a vote, and send it on SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.container.dockerfile import Stage, command, context, expanded, mounts, pairs, stages

ROOT = Path(__file__).parents[2]
# How this machine reaches its packages.
FROM_HERE = ("PIP_", "UV_", "SSL_", "REQUESTS_", "CURL_")
PATH = "/usr/local/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HIDDEN = ("work", "root", "home", "tmp", "app", "data", "opt/venv", "opt/models")
START_SECONDS = 600.0


@dataclass
class Built:
    """A stage that was executed: everything that differs from this machine's file system, and what the image says."""

    layer: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"
    said: dict[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Build and run; 0 when everything was as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.container.run_steps", description=__doc__)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--folder", type=Path, help="where the roots lie; a temporary folder else")
    parser.add_argument("--cache", type=Path, help="a folder that is kept for the cache mounts")
    asked = parser.parse_args(arguments)
    if sys.platform != "linux" or os.geteuid() != 0:
        print("This needs root on Linux: it mounts. Nothing was done.", file=sys.stderr)
        return 3
    if os.environ.get("PROVING_STEPS_INSIDE") != "1":
        # Everything that is mounted ends with this namespace.
        environment = os.environ | {"PROVING_STEPS_INSIDE": "1"}
        inside = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.container.run_steps"]
        return subprocess.call([*inside, *arguments], cwd=ROOT, env=environment)
    with tempfile.TemporaryDirectory(prefix="steps-") as temporary:
        folder = (asked.folder or Path(temporary)).resolve()
        built = Steps(folder, dict(one.split("=", 1) for one in asked.build_arg), asked.cache).build()
        return run(built, folder)


class Steps:
    """Executes the stages one after the other."""

    def __init__(self, folder: Path, arguments: Mapping[str, str], cache: Path | None) -> None:
        self._folder, self._arguments, self._cache = folder, arguments, cache or folder / "cache"
        self._built: dict[str, Built] = {}

    def build(self) -> Built:
        """The last stage."""
        before, found = stages((ROOT / "Dockerfile").read_text())
        for stage in found:
            base = expanded(stage.base, before | dict(self._arguments))
            print(f"== {stage.name}, from {base}", flush=True)
            self._built[stage.name] = self._stage(stage, self._built.get(base))
        return self._built[found[-1].name]

    def _stage(self, stage: Stage, base: Built | None) -> Built:
        layer = self._folder / "layers" / stage.name
        if base is None:
            layer.mkdir(parents=True)
            # A Python that is built with a shared library looks for it where it was.
            built = Built(layer, {"PATH": PATH, "LD_LIBRARY_PATH": f"{STAND_IN}/lib"})
            hide(layer)
            with mounted(self._folder, built, writable=True) as root:
                stand_in(root)
        else:
            # One layer in all: the kernel refuses layers that lie within each other's file system.
            subprocess.run(["cp", "-a", "--link", str(base.layer), str(layer)], check=True)
            built = Built(layer, dict(base.env), base.workdir, base.user)
        known: dict[str, str] = {}
        with mounted(self._folder, built, writable=True) as root:
            for word, text in stage.steps:
                print(f"-- {word} {text[:160]}", flush=True)
                values = built.env | known
                match word:
                    case "ARG":
                        name, _, default = text.partition("=")
                        known[name] = self._arguments.get(name, default.strip('"'))
                    case "ENV":
                        built.env |= {name: expanded(value, values) for name, value in pairs(text).items()}
                    case "WORKDIR":
                        built.workdir = expanded(text, values)
                        (root / built.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
                    case "USER":
                        built.user = text
                    case "COPY":
                        self._copy(root, built, text)
                    case "RUN":
                        self._run(root, built, text, known)
                    case _:
                        built.said[word] = text
        return built

    def _copy(self, root: Path, built: Built, text: str) -> None:
        *sources, target = [part for part in text.split() if not part.startswith("--")]
        to = root / os.path.join(built.workdir, target).lstrip("/")
        if text.startswith("--from="):
            name = text.split()[0].removeprefix("--from=")
            with mounted(self._folder, self._built[name], writable=False) as other:
                subprocess.run(["cp", "-a", "-T", f"{other}{sources[0]}", str(to)], check=True)
            return
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        there = context(ROOT, (path for path in tracked.split("\0") if path and (ROOT / path).is_file()))
        copied = 0
        for source in sources:
            for path in there:
                if source == "." or path == source or path.startswith(f"{source}/"):
                    # A folder's content goes to the target, a file into it.
                    inside = path.removeprefix(f"{source}/") if source != "." and path != source else path
                    file = to / inside
                    file.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(ROOT / path, file)
                    copied += 1
        assert copied, f"nothing of the context fits COPY {text}"

    def _run(self, root: Path, built: Built, text: str, known: Mapping[str, str]) -> None:
        asked, shell = mounts(text)
        environment = built.env | known
        for mount in asked:
            if mount["type"] == "cache":
                here = self._cache / mount["target"].strip("/").replace("/", "-")
                here.mkdir(parents=True, exist_ok=True)
                there = root / mount["target"].lstrip("/")
                there.mkdir(parents=True, exist_ok=True)
                subprocess.run(["mount", "--bind", str(here), str(there)], check=True)
            elif mount["type"] == "secret" and mount["env"] in os.environ:
                environment[mount["env"]] = os.environ[mount["env"]]
        here_only = {name: value for name, value in os.environ.items() if name.startswith(FROM_HERE)}
        inside(root, built.workdir, built.user, here_only | environment, ["/bin/sh", "-c", shell])


class mounted:
    """A stage's root while the block runs. Written to are its own layer, or nothing at all."""

    def __init__(self, folder: Path, built: Built, *, writable: bool) -> None:
        self._built, self._writable = built, writable
        self._at = Path(tempfile.mkdtemp(dir=folder, prefix="root-"))

    def __enter__(self) -> Path:
        work = Path(tempfile.mkdtemp(dir=self._at.parent, prefix="work-"))
        options = f"lowerdir=/,upperdir={self._built.layer},workdir={work}{'' if self._writable else ',ro'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self._at)], check=True)
        for name in ("proc", "dev", "sys"):
            subprocess.run(["mount", "--rbind", f"/{name}", str(self._at / name)], check=True)
        return self._at

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--recursive", "--lazy", str(self._at)], check=True)


STAND_IN = "/usr/local/python"


def hide(layer: Path) -> None:
    """Nothing of the project, of homes or of earlier runs is to be seen through this layer."""
    for name in HIDDEN:
        (layer / name).mkdir(parents=True)
        os.setxattr(layer / name, "trusted.overlay.opaque", b"y")
    for name, mode in (("root", 0o700), ("tmp", 0o1777)):
        (layer / name).chmod(mode)


def stand_in(root: Path) -> None:
    """The base image: a copy of this machine's Python with pip alone, under /usr/local."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        if folder.endswith("site-packages"):
            return [name for name in names if not name.startswith("pip")]
        return [name for name in names if name in ("test", "__pycache__", "share")]

    shutil.copytree(sys.base_prefix, f"{root}{STAND_IN}", symlinks=True, ignore=left_out)
    for name in ("python", "python3", "pip"):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.write_text(f'#!/bin/sh\nexec {STAND_IN}/bin/python3 {"-m pip " if name == "pip" else ""}"$@"\n')
        link.chmod(0o755)
    taken = subprocess.run(["chroot", str(root), "getent", "passwd", "1000"], capture_output=True, text=True).stdout
    if taken:
        subprocess.run(["chroot", str(root), "userdel", taken.split(":")[0]], check=True, capture_output=True)
    own = {"PATH": PATH, "LD_LIBRARY_PATH": f"{STAND_IN}/lib"}
    said = subprocess.check_output(["/usr/sbin/chroot", str(root), "python", "--version"], text=True, env=own)
    print(f"   {said.strip()} stands in", flush=True)


def inside(root: Path, workdir: str, user: str, environment: Mapping[str, str], words: Sequence[str]) -> None:
    """Run a command in a root to its end; a failure ends the program."""
    subprocess.run(entering(root, workdir, user, words), env=dict(environment), check=True)


def entering(root: Path, workdir: str, user: str, words: Sequence[str]) -> list[str]:
    """The command that runs `words` in a root."""
    number = user if user.isdecimal() else "0"
    enter = ["/usr/sbin/chroot", f"--userspec={number}:{number}", str(root), "/bin/sh", "-c", 'cd "$0" && exec "$@"']
    return [*enter, workdir, *words]


def run(built: Built, folder: Path) -> int:
    """Start the image's command and check what the image promises."""
    from gradio_client import Client

    volume = folder / "volume"
    volume.mkdir()
    os.chown(volume, 1000, 1000)
    environment = built.env | {"PORT": "7867", "GRADIO_SERVER_NAME": "127.0.0.1"}
    with mounted(folder, built, writable=False) as root:
        subprocess.run(["mount", "--bind", str(volume), str(root / "data")], check=True)
        start = command(built.said["CMD"])
        print(f"== {' '.join(start)}, uid {built.user}, read-only root", flush=True)
        log = (folder / "log").open("w+")
        app = subprocess.Popen(
            entering(root, built.workdir, built.user, start), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            health = command(built.said["HEALTHCHECK"])
            end = time.monotonic() + START_SECONDS
            while subprocess.call(
                entering(root, built.workdir, built.user, health), env=environment, stderr=subprocess.DEVNULL
            ):
                assert app.poll() is None and time.monotonic() < end, (folder / "log").read_text()
                time.sleep(1)
            print("   healthy", flush=True)
            refused = subprocess.call(
                entering(root, "/", built.user, ["/bin/sh", "-c", "touch /app/x || touch /opt/x || touch /tmp/x"]),
                stderr=subprocess.DEVNULL,
            )
            assert refused, "the root file system can be written to"
            client = Client("http://127.0.0.1:7867/", verbose=False)
            client.predict("Question", "Good", "Bad", api_name="/submit_preference")
            print("   a vote is saved", flush=True)
            app.send_signal(signal.SIGTERM)
            assert app.wait(30) == 0, (folder / "log").read_text()
        finally:
            if app.poll() is None:
                app.kill()
                app.wait()
    sent = list(volume.glob("proving/dataset/data/preferences/*.parquet"))
    assert sent, f"the vote was not sent before the end: {(folder / 'log').read_text()}"
    print(f"   ended within its time, {sent[0].name} is in the dataset; everything written is below /data", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
