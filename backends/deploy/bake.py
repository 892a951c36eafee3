"""`python -m backends.deploy.bake FOLDER repo@commit …`: exact models into a folder, while an image is built."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from backends.downloads import Downloads
from core.errors import AppError, UserInputError
from core.refs import ModelRef, split_model
from core.settings import DEFAULT_ENDPOINT


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Fetch each model's files for inference through HF_HOME and copy them to `FOLDER`, laid out as a cache's hub folder.

    0 when all are there, 2 with a sentence on stderr when one is not.
    """
    folder, models = Path(arguments[0]), arguments[1:]
    downloads = Downloads(environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT, environment.get("HF_TOKEN") or None)
    try:
        for text in models:
            ref = exact(text)
            for _ in downloads.download(ref):
                pass
            snapshot = downloads.snapshot(ref)
            # Only this commit, and files instead of links into a cache that stays behind.
            to = folder / snapshot.relative_to(snapshot.parents[2])
            for file in downloads.files(ref):
                (to / file.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(snapshot / file.path, to / file.path)
            print(f"{ref.repo_id}@{ref.revision} is in {to}")
    except AppError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def exact(text: str) -> ModelRef:
    """The model of `repo@commit`; an image that is built again tomorrow has to hold the same bytes."""
    repo_id, revision = split_model(text)
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise UserInputError(f"{text}: name the whole commit too, as org/model@ and forty characters 0-9 and a-f.")
    return ModelRef(repo_id, revision)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
