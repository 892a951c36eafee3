"""The section of a model's card that the evaluation writes: figures between two marks, the rest of the card untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

START, END = "<!-- figures: written by `python -m training evaluate --card` -->", "<!-- end of figures -->"

_PICTURES = """
![Samples; * marks combinations that are held out of training](sheet.png)

![12 samples, each beside the nearest training picture](nearest.png)"""


def write_section(card: Path, text: str) -> None:
    """Replace what stands between the marks, or add the section at the end."""
    old = card.read_text(encoding="utf-8") if card.is_file() else ""
    new = f"{START}\n{text.strip()}\n{END}"
    if START in old and END in old:
        before, _, rest = old.partition(START)
        written = before + new + rest.partition(END)[2]
    else:
        written = old.rstrip("\n") + f"\n\n{new}\n"
    card.write_text(written, encoding="utf-8")


def section(found: dict[str, Any]) -> str:
    """The figures in Markdown, as `evaluation.evaluate` found them."""
    shares, coloured, timing = found["shares"], found["with_colour"], found["timing"]
    names = {
        "seen": "seen: things as they are, and in colours they were trained in",
        "plain": "of these, things as they are",
        "coloured": "of these, in a trained colour",
        "unseen": "unseen: colour and thing never together in training",
    }
    rows = [f"| {words} | {shares[name]} | {coloured[name]} |" for name, words in names.items()]
    return f"""## Evaluation

The right concept among 20 (the right one and 19 others of the {found["concepts"]} concepts, at least five from the same emoji
group), {sum(found["shares"][name].of for name in ("seen", "unseen"))} prompts in {found["style"]} style, seed {found["seed"]}, 20 steps, guidance 3.5:

| prompts | right concept | right concept, and the colour is there |
| --- | --- | --- |
{chr(10).join(rows)}
| ceiling: real drawings in {found["style"]} style | {found["ceiling"]} | |

Chance is 5 %. The judge is a linear discriminant over edge directions and coarse colours, trained on real drawings of
other styles ({", ".join(found["judged_by"])}) and never on a generated picture. It knows neither {found["style"]} nor its near twin.

{_speed(timing)} The process had {timing["peak_mb"]:.0f} MB at its peak{_added(timing)}.
{_PICTURES}"""


def _added(timing: dict[str, float]) -> str:
    more = timing["drawing_mb"]
    return f", {more:.0f} MB of them for drawing" if more >= 1 else ", which loading reached; drawing needed no more"


def _speed(timing: dict[str, float]) -> str:
    threads = f"{timing['threads']} thread{'s' if timing['threads'] != 1 else ''}"
    if timing["seconds"] > 1.5 * timing["cpu"]:
        # Clock time on a machine that did something else would tell of the something else.
        return f"One picture took {timing['cpu']:.2f} s of processor time (median of five, {threads}, the machine was busy)."
    return f"One picture took {timing['seconds']:.2f} s (median of five, {threads})."
