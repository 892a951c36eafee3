"""The dataset repository's README.md: its configs and features for machines, how it came about for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from backends.feedback.figures import placed
from core.dataset import COLUMNS, SCHEMA_VERSION, Config

CONFIGS: tuple[Config, ...] = (
    "preferences",
    "ratings",
    "image_preferences",
    "comparisons",
    "vision_preferences",
    "vision_ratings",
)
_SHARD = re.compile(r"data/([a-z_]+)/[^/]+\.parquet")
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TAGS = ["preference", "dpo", "human-feedback", "trl"]


def shard_path(config: Config, batch: str) -> str:
    """Where a batch's shard lies in the repository."""
    return f"data/{config}/{batch}.parquet"


def config_of(path: str) -> Config | None:
    """The config a path of the repository is a shard of, or None."""
    match = _SHARD.fullmatch(path)
    return next((config for config in CONFIGS if match and config == match[1]), None)


def configs_of(paths: Iterable[str]) -> tuple[Config, ...]:
    """The configs that have a shard among `paths`; only these may be in the card.

    `load_dataset` fails for a config whose glob matches no file; one that is not listed is honestly not there.
    """
    found = {match[1] for path in paths if (match := _SHARD.fullmatch(path))}
    return tuple(config for config in CONFIGS if config in found)


def card(existing: str | None, configs: Sequence[Config], where: str, numbers: str = "") -> str:
    """README.md for these configs. What the owner wrote into an existing one (licence, text) stays.

    `where` is what `load_dataset` is given: a repository id, or `./` and the folder's name. `numbers` is the section that
    is kept current.
    """
    metadata, body = _parts(existing)
    wanted = _metadata(metadata, configs)
    text = placed(body if body.strip() else _body(where, wanted.get("license")), numbers)
    if existing is not None and wanted == metadata and text == body:
        return existing
    import yaml

    # The one written in C, where there is one, takes a tenth of the time; a card is read and written with every commit.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    front = yaml.dump(wanted, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n{text}"


def _parts(existing: str | None) -> tuple[dict[str, Any], str]:
    import yaml

    match = _FRONT_MATTER.match(existing or "")
    if match is None:
        return {}, existing or ""
    try:
        metadata = yaml.load(match[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Nothing can be loaded through front matter that does not parse; the text below it is still the owner's.
        metadata = {}
    return (metadata if isinstance(metadata, dict) else {}), (existing or "")[match.end() :]


def _metadata(metadata: dict[str, Any], configs: Sequence[Config]) -> dict[str, Any]:
    defaults = {
        "pretty_name": "Feedback collected with Proving Ground",
        "license": "other",
        "task_categories": ["text-generation"],
        "tags": _TAGS,
    }
    foreign = [entry for entry in _entries(metadata.get("configs")) if entry.get("config_name") not in CONFIGS]
    infos = [entry for entry in _entries(metadata.get("dataset_info")) if entry.get("config_name") not in CONFIGS]
    has_default = any(entry.get("default") for entry in foreign)
    ours = [_config(config, config == "preferences" and not has_default) for config in configs]
    wanted = {**defaults, **metadata, "configs": ours + foreign, "dataset_info": _infos(configs) + infos}
    return {key: value for key, value in wanted.items() if value or key not in ("configs", "dataset_info")}


def _entries(value: object) -> list[dict[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, dict)]


def _config(config: Config, default: bool) -> dict[str, Any]:
    files = [{"split": "train", "path": f"data/{config}/*.parquet"}]
    return {"config_name": config, **({"default": True} if default else {}), "data_files": files}


def _infos(configs: Sequence[Config]) -> list[dict[str, Any]]:
    from backends.feedback.parquet import features

    return [{"config_name": config, "features": features(config)._to_yaml_list()} for config in configs]


def _body(where: str, license_: object) -> str:
    licence = f"`{license_}`, as stated above." if license_ != "other" else "Not chosen yet (`license: other` above)."
    return f"""
# Feedback collected with Proving Ground

What people said of language models' answers: which of two they preferred, and single answers rated up or down.

## How it was collected

Each row was written by the Proving Ground app when somebody voted, rated an answer or captured a pair by hand; the
column `source` says which. In a battle (`source` = `battle`) both answers were made from the same prompt, the sides were
shuffled, and the models' names were hidden until the vote (`blind`). Every answer names the exact model, commit and
settings that made it, as far as they are known. Raters are pseudonyms: a salted hash that only the app's operator could
connect with a browser, and only while the salt is kept. A rater who chose a name has it before the pseudonym.

A row that is taken back or replaced leaves its file with the next commit; `supersedes` names the row that a changed vote
took the place of. Git history still holds earlier states until it is squashed.

## What is in it

| config | one row is | columns of its own |
| --- | --- | --- |
| `preferences` | a pair of which one was preferred | `prompt`, `chosen`, `rejected`, `tools` |
| `ratings` | one answer, rated up or down | `prompt`, `completion`, `label`, `tools` |
| `image_preferences` | a pair of pictures of which one was preferred | `prompt`, `chosen`, `rejected` |
| `comparisons` | every comparison, ties and “both bad” too | `kind`, `prompt`, `left`, `right`, `outcome` |
| `vision_preferences` | as `preferences`, in a conversation with pictures | `images`, `prompt`, `chosen`, `rejected`, `tools` |
| `vision_ratings` | as `ratings`, in a conversation with pictures | `images`, `prompt`, `completion`, `label`, `tools` |

A config is there once it has rows. `prompt`, `chosen`, `rejected` and `completion` are lists of `{{role, content}}`
messages; `prompt` ends with the user's turn and begins with the system prompt where there was one. `timings` is what the
engine measured of an answer, as JSON: seconds to the first token, tokens per second, seconds. Unknown is null.

Where there are pictures, `images` has them in the order of the conversation, and the content of each message is a list
of parts, `{{type, text}}`, with a part of type `image` where each picture stands. TRL's trainers read that as it is, for a
vision-language model and with `max_length=None`.

{_usage(where)}
## Licence

{licence} Before others may use the dataset, its owner has to choose one; the terms of the models that wrote the answers
apply to the answers.
"""


def _usage(where: str) -> str:
    here = "  # run beside this folder; on the Hub its repository id" if where.startswith("./") else ""
    trainers: tuple[tuple[str, Config], ...] = (("DPO", "preferences"), ("Reward", "preferences"), ("KTO", "ratings"))
    snippets = "\n".join(_snippet(trainer, _load(where, config)) for trainer, config in trainers)
    return f"""Schema version {SCHEMA_VERSION}. Columns of `preferences`: {_names("preferences")}.

## Load it

```python
from datasets import load_dataset

dataset = {_load(where, "preferences")}{here}
```

## Train on it

No script in between: the trainers of TRL read the rows as they are.

{snippets}"""


def _load(where: str, config: Config) -> str:
    return f'load_dataset("{where}", "{config}", split="train")'


def _snippet(trainer: str, load: str) -> str:
    return f"""```python
from datasets import load_dataset
from trl import {trainer}Config, {trainer}Trainer

dataset = {load}
trainer = {trainer}Trainer(
    model="HuggingFaceTB/SmolLM2-135M-Instruct",
    args={trainer}Config(output_dir="{trainer.lower()}"),
    train_dataset=dataset,
)
trainer.train()
```
"""


def _names(config: Config) -> str:
    return ", ".join(f"`{name}`" for name in COLUMNS[config])
