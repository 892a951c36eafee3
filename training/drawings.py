"""Prepares the drawings: SVG of the pinned packages as 64 by 64 RGBA with their names, in one file that travels."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.captions import Subject
from training.colours import WORDS, dominant, hue_name, present
from training.packages import BASE_STYLES, DRAWINGS, NAMES, fetch

if TYPE_CHECKING:
    import numpy as np

SIZE = 64
GROUPS = ("smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects")
# Text, near-doubles by the dozen, and shapes that mean nothing without their colour.
LEFT_OUT = ("time", "warning", "keycap", "alphanum", "face-concerned", "award-medal")
_RENDER = 128


@dataclass(frozen=True)
class Drawing:
    """One picture: of which subject (an index), in which style."""

    subject: int
    style: str


@dataclass(frozen=True)
class Drawings:
    """Everything that was prepared. `pixels` is uint8 `[number, 64, 64, 4]`, in the order of `drawings`."""

    subjects: tuple[Subject, ...]
    drawings: tuple[Drawing, ...]
    pixels: np.ndarray

    def of(self, styles: Sequence[str], subjects: Sequence[int] | None = None) -> list[int]:
        """Indices of the drawings in these styles, of these subjects or of all."""
        wanted = set(range(len(self.subjects)) if subjects is None else subjects)
        return [n for n, one in enumerate(self.drawings) if one.style in styles and one.subject in wanted]


def prepare(cache: Path, out: Path) -> Drawings:
    """Fetch, render, filter, and write `drawings.npz` and `drawings.json` under `out`. Takes about a minute or two."""
    import numpy as np

    names = names_of(fetch(NAMES, cache))
    found: dict[str, dict[str, np.ndarray]] = {}
    folders = {package: fetch(package, cache) for package in DRAWINGS}
    icons = icon_names(folders.values())
    for package, folder in folders.items():
        for code, pixels in rendered(folder, icons, names):
            found.setdefault(code, {})[package.style] = pixels
    subjects, drawings, rows = [], [], []
    for code, said in names.items():
        styles = {style: pixels for style, pixels in found.get(code, {}).items() if drawn_well(pixels)}
        base = [styles[style] for style in BASE_STYLES if style in styles]
        # One the model could learn in at least two styles, and that the classifier sees in another three.
        if len(base) < 2 or len(styles) < 4:
            continue
        subject = described(said, base)
        for style, pixels in styles.items():
            drawings.append(Drawing(len(subjects), style))
            rows.append(pixels)
        subjects.append(subject)
    made = Drawings(tuple(subjects), tuple(drawings), np.stack(rows))
    write(made, out)
    return made


def described(said: dict[str, Any], base: Sequence[np.ndarray]) -> Subject:
    """A subject with what its drawings show: their colours, and whether one colour makes up most of each."""
    measured = [dominant(pixels) for pixels in base]
    natural = frozenset().union(*(present(pixels) for pixels in base), {hue_name(hue) for hue, _ in measured})
    clear = sum(share > 0.4 for _, share in measured) >= len(measured) / 2
    return Subject(
        said["name"], said["group"], tuple(said["synonyms"]), natural, clear and said["group"] != "smileys-emotion"
    )


def names_of(package: Path) -> dict[str, dict[str, Any]]:
    """For each code point sequence: name, group and synonyms, of the things that are worth learning, commonest first.

    Commonest first means: oldest emoji first, which were chosen for being common.
    """
    meta = json.loads((package / "meta" / "groups.json").read_text(encoding="utf-8"))
    emoji = json.loads((package / "en" / "data.json").read_text(encoding="utf-8"))
    short = json.loads((package / "en" / "shortcodes" / "github.json").read_text(encoding="utf-8"))
    kept = [one for one in emoji if wanted(one, meta)]
    kept.sort(key=lambda one: (max(float(one["version"]), 1.0), one["order"]))
    labels = {plain(one["label"]) for one in kept}
    used: set[str] = set()
    found = {}
    for one in kept:
        codes = short.get(one["hexcode"], [])
        others = [plain(code) for code in ([codes] if isinstance(codes, str) else codes)]
        fresh = [
            name
            for name in dict.fromkeys(others)
            if name not in labels | used
            and name.replace(" ", "").isalpha()
            and len(name) > 2
            and not set(name.split()) & set(WORDS)
        ]
        used.update(fresh)
        group = meta["groups"][str(one["group"])]
        found[key_of(one["hexcode"])] = {
            "name": plain(one["label"]),
            "group": group,
            # Short codes of faces are moods (`smile`), not names.
            "synonyms": [] if group == "smileys-emotion" else fresh[:2],
        }
    return found


def wanted(one: dict[str, Any], meta: dict[str, Any]) -> bool:
    """Whether an emoji is a thing with a shape of its own: no people, flags, text, clocks."""
    if "group" not in one:
        return False
    group, sub = meta["groups"][str(one["group"])], meta["subgroups"][str(one["subgroup"])]
    heart = sub == "heart" and one["label"].endswith("heart")
    return group in GROUPS and sub not in LEFT_OUT and (sub != "heart" or heart) and "button" not in one["label"]


def plain(label: str) -> str:
    """A label as lower-case words without marks."""
    return re.sub(r"[^a-z0-9]+", " ", label.lower().replace("’", "").replace("'", "")).strip()


def key_of(code: str) -> str:
    """A code point sequence as every package can be asked for it: lower case, without the variation selector."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def icon_names(folders: Iterable[Path]) -> dict[str, set[str]]:
    """For each code point sequence, what the packages call its drawing: some name it for all, some not at all."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for code, name in json.loads((folder / "chars.json").read_text(encoding="utf-8")).items():
            found.setdefault(key_of(code), set()).add(name)
    return found


def rendered(
    folder: Path, icon_names: dict[str, set[str]], names: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Code point sequence and uint8 `[64, 64, 4]` of every drawing in a package that has a name."""
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    aliases = icons.get("aliases", {})
    for code, said in names.items():
        called = [*sorted(icon_names.get(code, ())), said["name"].replace(" ", "-")]
        name = next((name for name in called if name in icons["icons"] or name in aliases), None)
        # A mirrored or turned alias is another picture; none of those kept is one.
        if name is None or {"rotate", "hFlip", "vFlip"} & set(aliases.get(name, {})):
            continue
        icon = icons["icons"].get(name) or icons["icons"].get(aliases[name]["parent"])
        if icon is None:
            continue
        width = icon.get("width", icons.get("width", 16))
        height = icon.get("height", icons.get("height", 16))
        yield code, render(icon["body"], width, height)


def render(body: str, width: float, height: float) -> np.ndarray:
    """An SVG body as uint8 `[64, 64, 4]`, drawn at twice the size and averaged, colour weighted by opacity."""
    import numpy as np
    import resvg_py
    from PIL import Image

    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{_RENDER}" height="{_RENDER}" viewBox="0 0 {width} {height}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=_RENDER, height=_RENDER)
    large = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"), np.float32)
    weighted = large.copy()
    weighted[..., :3] *= large[..., 3:] / 255
    ratio = _RENDER // SIZE
    small = weighted.reshape(SIZE, ratio, SIZE, ratio, 4).mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-3) / 255
    return np.round(small).clip(0, 255).astype(np.uint8)


def drawn_well(pixels: np.ndarray) -> bool:
    """Whether a render shows something: neither empty nor nearly so, nor one flat square."""
    opaque = float((pixels[..., 3] > 127).mean())
    return 0.06 < opaque < 0.999 and float(pixels[..., :3][pixels[..., 3] > 127].std()) > 4


def write(made: Drawings, out: Path) -> None:
    """Both files, and who owns what in them."""
    import numpy as np

    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "drawings.npz", pixels=made.pixels)
    record = {
        "packages": [asdict(package) for package in (NAMES, *DRAWINGS)],
        "subjects": [asdict(one) | {"natural": sorted(one.natural)} for one in made.subjects],
        "drawings": [[one.subject, one.style] for one in made.drawings],
    }
    (out / "drawings.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> Drawings:
    """What `prepare` wrote. Raises `FileNotFoundError` when it has not."""
    import numpy as np

    record = json.loads((folder / "drawings.json").read_text(encoding="utf-8"))
    subjects = tuple(
        Subject(one["name"], one["group"], tuple(one["synonyms"]), frozenset(one["natural"]), bool(one["recolourable"]))
        for one in record["subjects"]
    )
    with np.load(folder / "drawings.npz", allow_pickle=False) as file:
        pixels = file["pixels"]
    return Drawings(subjects, tuple(Drawing(subject, style) for subject, style in record["drawings"]), pixels)
