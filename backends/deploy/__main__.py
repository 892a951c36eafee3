"""`python -m backends.deploy user/name` puts this checkout on the Hub as a Space; `--rollback COMMIT` puts one back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from backends.deploy.pins import ZERO_GPU
from backends.deploy.plan import Request, plan
from backends.deploy.space import apply, roll_back
from backends.hub.errors import About, hub_errors
from backends.hub_client import install_timeouts
from core.errors import AppError, UserInputError
from core.settings import DEFAULT_ENDPOINT

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command; 0 when the Space runs, 2 with a sentence on stderr when it could not be."""
    asked = _parser().parse_args(arguments)
    endpoint = environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT
    try:
        with hub_errors(About(endpoint, asked.space)):
            _run(asked, environment, endpoint)
    except AppError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(asked: argparse.Namespace, environment: Mapping[str, str], endpoint: str) -> None:
    from huggingface_hub import HfApi, get_token

    token = environment.get("HF_TOKEN") or get_token()
    if not token:
        raise UserInputError(
            "Nobody is signed in to the Hub. Set HF_TOKEN to a token that may write, or run `hf auth login`."
        )
    install_timeouts()
    api = HfApi(endpoint=endpoint, token=token)
    if asked.rollback:
        address = roll_back(api, asked.space, asked.rollback, print, wait=not asked.no_wait, poll=asked.poll)
    else:
        made = plan(api, ROOT, _request(asked, environment))
        print("\n".join(made.lines()))
        if asked.dry_run:
            print("Nothing was changed: this was a dry run.")
            return
        address = apply(api, made, print, wait=not asked.no_wait, poll=asked.poll)
    print(address)


def _request(asked: argparse.Namespace, environment: Mapping[str, str]) -> Request:
    secrets = {}
    for name in asked.secret:
        if not environment.get(name):
            raise UserInputError(f"--secret {name} takes the value from your environment, and {name} is not set there.")
        secrets[name] = environment[name]
    pairs = [text.partition("=") for text in asked.variable]
    for name, equals, _ in pairs:
        if not equals:
            raise UserInputError(f"--variable {name}: write NAME=VALUE.")
    return Request(
        space=asked.space,
        hardware=asked.hardware,
        public=asked.public,
        chat_model=asked.chat_model,
        image_model=asked.image_model,
        dataset=asked.dataset,
        bucket=not asked.no_bucket,
        variables={name: value for name, _, value in pairs},
        secrets=secrets,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backends.deploy", description=__doc__)
    parser.add_argument("space", help="user/name")
    parser.add_argument("--hardware", default=ZERO_GPU, help=f"flavour; {ZERO_GPU} is ZeroGPU")
    parser.add_argument("--public", action="store_true", help="a new Space is public; else it is private")
    parser.add_argument(
        "--chat-model", default="", help="repo id[@revision] or remote:name; else the bundled model's own repo"
    )
    parser.add_argument("--image-model", default="", help="repo id[@revision] or remote:name; else the bundled one")
    parser.add_argument("--dataset", default="", help="dataset of the feedback; else SPACE-feedback")
    parser.add_argument(
        "--no-bucket", action="store_true", help="no bucket SPACE-journal, in which votes outlive the container"
    )
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE", help="another setting; repeatable"
    )
    parser.add_argument("--secret", action="append", default=[], metavar="NAME", help="taken from your environment")
    parser.add_argument("--dry-run", action="store_true", help="print what would be there, change nothing")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it runs")
    parser.add_argument("--poll", type=float, default=5.0, help="seconds between two looks while it builds")
    parser.add_argument("--rollback", default="", metavar="COMMIT", help="put the files of that commit back")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
