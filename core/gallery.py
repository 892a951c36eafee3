"""A visitor's kept pictures as pages see them: what is asked of the gallery, one entry, one page of it, and what keeping did."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.recipe import Recipe

PAGE = 24
# Fields a word of the search can name, with the value it has to equal: `steps:20`.
EXACT = ("seed", "steps", "guidance", "size")


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """One picture of a gallery. `thumb` is a small WebP; `created_at` ISO 8601 in UTC; `seconds` is how long it was drawn.

    `grid` and `cell` say which cell of which X/Y/Z grid it is; "" and None elsewhere.
    """

    id: str
    created_at: str
    starred: bool
    recipe: Recipe
    width: int
    height: int
    size: int
    seconds: float | None = None
    grid: str = ""
    cell: int | None = None
    thumb: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """What to show: words that all have to be found (`"a phrase"`, `steps:20`), starred ones only, which page from 0 on."""

    text: str = ""
    starred: bool = False
    page: int = 0


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Pictures newest first. `found` match the query, `kept` and `starred` are the visitor's in all, `size` in bytes."""

    pictures: tuple[KeptPicture, ...]
    found: int
    kept: int
    starred: int
    size: int
    limit: int
    page: int = 0

    @property
    def pages(self) -> int:
        """How many pages the query has, at least one."""
        return max(1, -(-self.found // PAGE))


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeping pictures did: `removed` older ones had to go, `refused` new ones found no room beside the starred."""

    kept: int
    removed: int = 0
    refused: int = 0

    def sentence(self, limit: int) -> str:
        """What the visitor has to know of it; "" when everything was kept and nothing went."""
        if self.refused:
            return (
                f"Not kept in the gallery: all {limit:,} places hold starred pictures. Unstar or delete some there; "
                "download this one if you want it."
            )
        if self.removed:
            gone = (
                "the oldest picture without a star was" if self.removed == 1 else f"the {self.removed} oldest "
                "pictures without a star were"
            )  # fmt: skip
            return f"The gallery keeps {limit:,} pictures; {gone} removed."
        return ""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds one step took when a picture of `pixels` pixels was last drawn with a model."""

    seconds_per_step: float
    pixels: int


def words_of(text: str) -> tuple[str, ...]:
    """The words and quoted phrases of a search, lower case; an open quote reaches to the end."""
    found: list[str] = []
    for number, part in enumerate(text.lower().split('"')):
        found += [part.strip()] if number % 2 else part.split()
    return tuple(word for word in found if word)


def described(recipe: Recipe) -> str:
    """Everything of a recipe that can be searched, lower case; the exact fields stand between spaces."""
    settings = recipe.settings
    exact = {
        "seed": settings.seed,
        "steps": settings.steps,
        "guidance": None if settings.guidance is None else f"{settings.guidance:g}",
        "size": f"{settings.width}x{settings.height}" if settings.width and settings.height else None,
    }
    parts = [
        settings.prompt,
        settings.negative_prompt,
        str(recipe.ref) if recipe.ref else recipe.model,
        settings.scheduler,
        *(str(lora.ref) for lora in settings.loras),
        str(settings.control.ref) if settings.control else "",
        "stopped" if recipe.finish == "stopped" else "",
        *(f"{name}:{exact[name]}" for name in EXACT if exact[name] is not None),
    ]
    return " " + " ".join(" ".join(part.split()) for part in parts if part).lower() + " "
