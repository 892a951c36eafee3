"""Measures a model: the right concept among twenty, seen and unseen apart, beside the ceiling of real drawings."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.captions import Subject
from training.colours import on_background, present
from training.drawings import Drawings
from training.items import items, picture, subjects_of
from training.judge import TWINS, Judge, train_judge
from training.presets import PRESETS

if TYPE_CHECKING:
    import numpy as np

CHOICES = 20
SAME_GROUP = 5
STEPS = 20
GUIDANCE = 3.5
CEILING = 0.9


@dataclass(frozen=True)
class Share:
    """So many of so many, as a share with its 95 % interval (Wilson's)."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; 0 of nothing is 0."""
        return self.hits / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end, 0 to 1."""
        if not self.of:
            return 0.0, 1.0
        z = 1.959964
        spread = z * z / self.of
        middle = (self.value + spread / 2) / (1 + spread)
        half = z * math.sqrt(self.value * (1 - self.value) / self.of + spread / (4 * self.of)) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({self.hits} of {self.of}; 95 %: {low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class Prompt:
    """One thing to ask for. `colour` is empty for the thing as it is."""

    subject: int
    colour: str
    text: str
    unseen: bool


def prompt(subject: Subject, colour: str, style: str) -> str:
    """The words that ask for it, as the captions say them."""
    return f"{colour} {subject.name}, {style} style".strip()


def choose_prompts(made: Drawings, known: Sequence[int], trained: set[tuple[int, str]], apart: set[tuple[int, str]], style: str, number: int, seed: int) -> list[Prompt]:  # fmt: skip
    """Half seen and half unseen, by seed. Seen is half things as they are, half in a colour they were trained in."""
    dice = random.Random(f"prompts {seed}")

    def some(pairs: Sequence[tuple[int, str]], count: int, unseen: bool) -> list[Prompt]:
        picked = dice.sample(list(pairs), min(count, len(pairs)))
        return [Prompt(n, colour, prompt(made.subjects[n], colour, style), unseen) for n, colour in picked]

    half = number // 2
    plain = some([(n, "") for n in known], half // 2, False)
    return plain + some(sorted(trained), half - len(plain), False) + some(sorted(apart), number - half, True)


def choices(made: Drawings, right: int, known: Sequence[int], dice: random.Random) -> list[int]:
    """The right concept and 19 others of the model, at least five of them from its own emoji group."""
    group = made.subjects[right].group
    same = [n for n in known if n != right and made.subjects[n].group == group]
    near = dice.sample(same, min(SAME_GROUP, len(same)))
    rest = [n for n in known if n != right and n not in near]
    return [right, *near, *dice.sample(rest, min(CHOICES - 1 - len(near), len(rest)))]


def right_ones(judge: Judge, made: Drawings, pictures: np.ndarray, right: Sequence[int], seed: int) -> list[bool]:
    """For each picture, whether the judge takes the right concept among its twenty."""
    place = {subject: n for n, subject in enumerate(judge.subjects)}
    found = []
    for number, (scores, subject) in enumerate(zip(judge.scores(pictures), right, strict=True)):
        among = choices(made, subject, judge.subjects, random.Random(f"choices {seed} {number}"))
        found.append(max(among, key=lambda one: float(scores[place[one]])) == subject)
    return found


def has_colour(rgb: np.ndarray, colour: str) -> bool:
    """Whether a picture on white shows the colour."""
    import numpy as np

    opaque = np.where((rgb < 238).any(-1, keepdims=True), 255, 0).astype(np.uint8)
    return colour in present(np.concatenate([rgb, opaque], -1), 0.15)


def load(model: Path) -> Any:
    """The model as anyone loads it."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, texts: Sequence[str], seed: int, batch: int = 10) -> np.ndarray:
    """One picture for each prompt, each from its own seed: uint8 `[prompts, 64, 64, 3]`."""
    import numpy as np
    import torch

    found = []
    for start in range(0, len(texts), batch):
        some = list(texts[start : start + batch])
        noise = [torch.Generator("cpu").manual_seed(seed + start + n) for n in range(len(some))]
        drawn = pipeline(some, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=noise, output_type="np")
        found.append((drawn.images * 255).round().astype(np.uint8))
    return np.concatenate(found)


_TIMED = """
import json, resource, statistics, sys, time
import torch
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1], local_files_only=True)
pipeline.set_progress_bar_config(disable=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times, work = [], []
for number in range(6):
    started, worked = time.perf_counter(), time.process_time()
    pipeline("a red apple", num_inference_steps=int(sys.argv[2]), guidance_scale=float(sys.argv[3]))
    times.append(time.perf_counter() - started)
    work.append(time.process_time() - worked)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": statistics.median(times[1:]), "cpu": statistics.median(work[1:]), "threads": torch.get_num_threads(), "peak_mb": peak / 1024, "drawing_mb": (peak - before) / 1024}))
"""


def timed(model: Path) -> dict[str, float]:
    """Seconds of one picture (median of five after one), the same in processor time, threads, and memory in MB.

    In a process of its own, so that nothing else is in its memory.
    """
    command = [sys.executable, "-c", _TIMED, str(model), str(STEPS), str(GUIDANCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def evaluate(model: Path, made: Drawings, *, style: str, prompts: int, seed: int, card: bool) -> dict[str, Any]:
    """Measure, print, and with `card` write the section of the model's README, sheet.png and nearest.png."""
    import numpy as np

    from training.card import section, write_section
    from training.sheet import contact_sheet, nearest_sheet

    split = what_is_known(model, made, style)
    known = split.known
    others = sorted({one.style for one in made.drawings} - set(TWINS.get(style, (style,))))
    judge = train_judge(made, others, known, seed)
    real = made.of([style], known)
    truth = [made.drawings[n].subject for n in real]
    ceiling_hits = right_ones(judge, made, np.stack([on_background(made.pixels[n]) for n in real]), truth, seed)
    ceiling = Share(sum(ceiling_hits), len(ceiling_hits))
    print(f"ceiling, real {style} drawings: {ceiling}", flush=True)
    asked = choose_prompts(made, known, split.trained, split.apart, style, prompts, seed)
    pipeline = load(model)
    drawn = draw(pipeline, [one.text for one in asked], seed)
    hits = right_ones(judge, made, drawn, [one.subject for one in asked], seed)
    shown = [not one.colour or has_colour(pixels, one.colour) for one, pixels in zip(asked, drawn, strict=True)]
    groups = {
        "plain": [n for n, one in enumerate(asked) if not one.colour],
        "coloured": [n for n, one in enumerate(asked) if one.colour and not one.unseen],
        "seen": [n for n, one in enumerate(asked) if not one.unseen],
        "unseen": [n for n, one in enumerate(asked) if one.unseen],
    }
    found: dict[str, Any] = {
        "style": style, "judged_by": others, "ceiling": ceiling, "concepts": len(known),
        "shares": {name: Share(sum(hits[n] for n in some), len(some)) for name, some in groups.items()},
        "with_colour": {name: Share(sum(hits[n] and shown[n] for n in some), len(some)) for name, some in groups.items()},
        "seed": seed,
    }  # fmt: skip
    for name, share in found["shares"].items():
        print(f"{name}: {share}; with its colour {found['with_colour'][name]}", flush=True)
    found["timing"] = timed(model)
    print(found["timing"], flush=True)
    if card:
        dice = random.Random(f"sheet {seed}")
        some = [n for name in ("seen", "unseen") for n in sorted(dice.sample(groups[name], min(12, len(groups[name]))))]
        labels = [asked[n].text.removesuffix(f", {style} style") + ("*" if asked[n].unseen else "") for n in some]
        contact_sheet([drawn[n] for n in some], labels).save(model / "sheet.png", optimize=True)
        few = some[:6] + some[12:18]
        nearest_sheet([drawn[n] for n in few], [labels[some.index(n)] for n in few], split.pictures).save(
            model / "nearest.png", optimize=True
        )
        write_section(model / "README.md", section(found))
    return found


@dataclass(frozen=True)
class Split:
    """What a model is known to have learned: subjects, (subject, colour) pairs, and the pairs held out of training."""

    known: list[int]
    trained: set[tuple[int, str]]
    apart: set[tuple[int, str]]
    pictures: np.ndarray


def what_is_known(model: Path, made: Drawings, style: str) -> Split:
    """The split as `learned.json` beside the model records it. Raises `ValueError` when there is none."""
    import numpy as np

    from training.captions import prompts

    file = model / "learned.json"
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: what the model learned is not known. Evaluate a folder that `train` made."
        )
    record = json.loads(file.read_text(encoding="utf-8"))
    preset = PRESETS[record["preset"]]
    learned = items(made, preset, record["seed"])
    learners = subjects_of(made, preset)
    if [made.subjects[n].name for n in learners] != record["concepts"]:
        raise ValueError(f"The preset {preset.name} lists other concepts now than {file}. Check out what trained it.")
    drawn = {made.drawings[n].subject for n in made.of([style])}
    known = [n for n in learners if n in drawn]
    place = {made.subjects[n].name: n for n in known}
    subjects = [made.subjects[n] for n in learners]

    def pairs(*, unseen: bool) -> set[tuple[int, str]]:
        return {
            (place[subject.name], colour)
            for subject, colour in prompts(subjects, record["seed"], unseen=unseen)
            if subject.name in place
        }

    shown = {(made.drawings[item.drawing].subject, item.colour) for item in learned if item.colour}
    pictures = np.stack([picture(made, item) for item in learned])
    return Split(known, pairs(unseen=False) & shown, pairs(unseen=True), pictures)
