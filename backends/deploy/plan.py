"""What a Space of this checkout would be: files, variables, secrets, hardware. Asks the Hub, changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backends.bundled.constants import BASE_MODEL
from backends.deploy.pins import ZERO_GPU, wrong_pins
from backends.hub.errors import About, hub_errors
from core.errors import UserInputError
from core.refs import ModelRef, check_repo_id, remote_name, split_model
from core.settings import SECRETS, VARIABLES

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What runs the app and nothing else: tests, figures and CI stay at home.
LEFT_OUT = (
    *("tests/", "benchmarks/", ".ci/", ".github/", "docs/take_screenshot.py", "requirements-dev.txt", "Makefile"),
    *("Dockerfile", ".dockerignore", "compose.yaml"),
)
CLASSIFIERS = ("PROVING_IMAGE_CLASSIFIER", "PROVING_TEXT_CLASSIFIER")
"""Models that are named by a variable of their own, and pinned like the others."""
JOURNAL = "/journal"
"""Where the bucket is mounted in the Space's container."""
# A Space has these from the Hub or from here, or the app would look in the wrong place with them.
NOT_OURS = ("HF_ENDPOINT", "HF_HOME", "PROVING_DATA_DIR", "PROVING_JOURNAL", "GRADIO_SERVER_NAME", "PORT")


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator asked for. `secrets` are values by name, only those that were named on the command line."""

    space: str
    hardware: str = ZERO_GPU
    public: bool = False
    chat_model: str = ""
    image_model: str = ""
    dataset: str = ""
    bucket: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Request(space={self.space!r}, hardware={self.hardware!r}, secrets={sorted(self.secrets)})"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that would be on the Hub afterwards. `files` are bytes by path; `remarks` are for the operator."""

    request: Request
    files: Mapping[str, bytes]
    variables: Mapping[str, str]
    models: tuple[ModelRef, ...]
    dataset: str
    source: str
    bucket: str | None = None
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Plan({self.request!r}, {len(self.files)} files)"

    def lines(self) -> list[str]:
        """The plan for a person, secrets by name only."""
        size = sum(len(content) for content in self.files.values())
        return [
            f"Space      {self.request.space} ({'public' if self.request.public else 'private'}), {self.request.hardware}",
            f"files      {len(self.files)}, {size / 1e6:.1f} MB, from {self.source}",
            *(f"model      {model.repo_id}@{model.revision}" for model in self.models),
            f"feedback   dataset {self.dataset}, private",
            *([f"journal    bucket {self.bucket}, private, at {JOURNAL}"] if self.bucket else ()),
            *(f"variable   {name}={value}" for name, value in sorted(self.variables.items())),
            *(f"secret     {name} (from your environment)" for name in sorted(self.request.secrets)),
            *(f"note       {remark}" for remark in self.remarks),
        ]


def plan(api: HfApi, root: Path, request: Request) -> Plan:
    """Read the checkout at `root` and ask the Hub for the commits of the models.

    Raises `UserInputError` for what cannot work: a wrong name, a model that is not there, versions the hardware does not
    run, a secret given as a variable.
    """
    if "/" not in check_repo_id(request.space):
        raise UserInputError(f"Name the owner of the Space too: user/{request.space}.")
    dataset = request.dataset or f"{request.space}-feedback"
    check_repo_id(dataset)
    _check_variables(request)
    files, source, dirty = _files(root)
    front, body = read_front_matter(files["README.md"].decode())
    wrong = wrong_pins(front, files["requirements.txt"].decode(), request.hardware)
    if wrong:
        raise UserInputError(" ".join(wrong))
    # The bundled chat model is a package that is installed without its dependencies, which a Space's build cannot do: the
    # Space gets the same model from the Hub.
    chosen = {"PROVING_CHAT_MODEL": request.chat_model or BASE_MODEL, "PROVING_IMAGE_MODEL": request.image_model}
    chosen |= {name: request.variables.get(name, "") for name in CLASSIFIERS}
    # The app on a Space knows that name by itself: written down it would follow into every duplicate.
    variables = dict(request.variables) | ({"PROVING_DATASET": dataset} if request.dataset else {})
    models, preload, remarks = [], [], []
    for name, text in chosen.items():
        if not text or remote_name(text) or text.startswith((".", "/")):
            variables |= {name: text} if text else {}
            continue
        ref, public = _resolve(api, text)
        models.append(ref)
        variables[name] = f"{ref.repo_id}@{ref.revision}"
        if public:
            preload.append(f"{ref.repo_id} {','.join(_wanted(api, ref))} {ref.revision}")
        else:
            remarks.append(
                f"{ref.repo_id} is private or gated: it is downloaded at the first start, with the secret HF_TOKEN."
            )
    if "HF_TOKEN" not in request.secrets:
        remarks.append(
            f"Without the secret HF_TOKEN nothing leaves for the dataset: votes stay {'in the bucket' if request.bucket else 'on the disk of the container, and end with it'}. "
            "Give it a token that may write to the dataset: --secret HF_TOKEN."
        )
    if "PROVING_SECRET" not in request.secrets:
        remarks.append(
            "Without the secret PROVING_SECRET reviewers get new pseudonyms whenever the container is new. Give it any long "
            "random text, the same each time: --secret PROVING_SECRET."
        )
    if dirty:
        remarks.append(f"{dirty} tracked files differ from the last commit; they are uploaded as they are here.")
    front |= {"suggested_hardware": request.hardware, "datasets": [dataset]}
    front |= {"models": [model.repo_id for model in models]} if models else {}
    front |= {"preload_from_hub": preload} if preload else {}
    files["README.md"] = write_front_matter(front, body).encode()
    bucket = f"{request.space}-journal" if request.bucket else None
    return Plan(request, files, variables, tuple(models), dataset, source, bucket, tuple(remarks))


def read_front_matter(text: str) -> tuple[dict[str, object], str]:
    """The YAML block at the top of a README, and what stands below it. Raises `UserInputError` where there is none."""
    import yaml

    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        raise UserInputError("README.md has no front matter: a Space needs sdk, sdk_version and app_file there.")
    return dict(yaml.safe_load(parts[1])), parts[2]


def write_front_matter(front: Mapping[str, object], body: str) -> str:
    """The opposite of `read_front_matter`."""
    import yaml

    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=10_000)}---\n{body}"


def _files(root: Path) -> tuple[dict[str, bytes], str, int]:
    """Tracked files as they lie there, the commit they come from, and how many differ from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserInputError(
                f"{root} is not a git checkout, or git is not installed: deploy from a clone."
            ) from error
        return done.stdout.decode()

    paths = [path for path in git("ls-files", "-z").split("\0") if path and not path.startswith(LEFT_OUT)]
    here = {path: (root / path).read_bytes() for path in paths if (root / path).is_file()}
    for needed in ("README.md", "requirements.txt", "app.py"):
        if needed not in here:
            raise UserInputError(f"{root} holds no {needed}: deploy from a clone of the whole project.")
    changed = [line for line in git("status", "--porcelain", "--untracked-files=no").splitlines() if line]
    return here, git("rev-parse", "--short=12", "HEAD").strip(), len(changed)


def _check_variables(request: Request) -> None:
    known = {variable.name for variable in VARIABLES}
    for name in request.variables:
        if name in SECRETS:
            raise UserInputError(f"{name} is a secret: a variable can be read by everybody. Use --secret {name}.")
        if name not in known or name in NOT_OURS:
            raise UserInputError(f"{name} is not a setting of a Space. README.md, Configuration, lists the settings.")
    for name in request.secrets:
        if name not in SECRETS:
            raise UserInputError(f"{name} is not a secret of the app; these are: {', '.join(SECRETS)}.")


def _resolve(api: HfApi, text: str) -> tuple[ModelRef, bool]:
    """The commit a model's name stands for now, and whether anybody may download it."""
    repo_id, revision = split_model(text)
    with hub_errors(About(api.endpoint, repo_id, revision)):
        info = api.model_info(repo_id, revision=revision or "main")
    return ModelRef(info.id, str(info.sha)), not info.private and not info.gated


def _wanted(api: HfApi, ref: ModelRef) -> list[str]:
    """The files the app would download of a model: a build that fetched others would fetch them for nothing."""
    from backends.downloads import Downloads

    # The front matter parts files by commas and fields by blanks.
    files = [
        file.path for file in Downloads(api.endpoint, api.token if isinstance(api.token, str) else None).files(ref)
    ]
    return [path for path in files if "," not in path and " " not in path]
