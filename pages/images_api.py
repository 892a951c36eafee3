"""`generate_image` for programs and agents: the Images tab without the page."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from components.api import expose
from components.callers import ended_with_caller
from components.errors import shown_to_user
from components.pictures import recipe_of, served_file
from core.arguments import check_types
from core.errors import UserInputError
from core.image_protocols import ImageRouter
from core.images import MOST_LORAS, ImageSettings, Lora
from core.refs import ModelRef

MOST_BYTES = 50_000_000


class ImagesApi:
    """Registers the endpoint, which waits for the drawing it started."""

    def __init__(self, router: ImageRouter) -> None:
        self.router = router

    def wire(self) -> None:
        """List it."""
        expose(self.generate_image, concurrency_limit=None)

    def generate_image(
        self,
        prompt: str,
        negative_prompt: str = "",
        model: str = "",
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance: float = -1,
        scheduler: str = "",
        seed: int = -1,
        image: gr.FileData | str | None = None,
        mask: gr.FileData | str | None = None,
        strength: float = -1,
        loras: list[dict[str, Any]] | None = None,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Draw a picture. Returns a PNG file with its recipe inside, and the recipe as a record.

        Args:
            prompt: What to draw.
            negative_prompt: What to keep out.
            model: repo_id or repo_id@revision on this machine; empty is the image model pinned at start.
            width: Pixels; 0 is the model's own default.
            height: Pixels; 0 is the model's own default.
            steps: Denoising steps; 0 is the model's own default.
            guidance: -1 is the model's own default.
            scheduler: Empty is the model's own default.
            seed: -1 is random.
            image: A picture to start from: an uploaded file, or base64 text (a data: URL or bare). With it alone the whole
                picture is changed.
            mask: A picture of the same size, white where it may change: inpainting.
            strength: How far from the picture, above 0 and at most 1; -1 is the default.
            loras: Adapters on this machine, each {"ref": "repo_id@revision", "weight": 1.0, "file": ""}.
        """
        with shown_to_user():
            check_types(
                text={"prompt": prompt, "negative_prompt": negative_prompt, "model": model, "scheduler": scheduler},
                whole={"width": width, "height": height, "steps": steps, "seed": seed},
                number={"guidance": guidance, "strength": strength},
            )
            ref = self.router.pin(model)
            if not self.router.plan(ref).ready:
                raise UserInputError(f"{ref} is not on this machine. Use it on the page first, then call again.")
            settings = ImageSettings(
                prompt,
                negative_prompt,
                width=width or None,
                height=height or None,
                steps=steps or None,
                guidance=None if guidance == -1 else guidance,
                scheduler=scheduler,
                seed=None if seed == -1 else seed,
                strength=None if strength == -1 else strength,
                image=bytes_of(image, "image"),
                mask=bytes_of(mask, "mask"),
                loras=self._loras(ref, loras or []),
                previews=False,
            )
            drawing = self.router.start(ref, settings)
            notes: tuple[str, ...] = ()
            with ended_with_caller(drawing.cancel):
                for step in drawing.listen():
                    notes = step.notes or notes
                pictures = drawing.pictures()
            if not pictures:
                raise UserInputError(" ".join(notes) or "The drawing was stopped before there was a picture.")
            return gr.FileData(path=served_file(pictures[0]), mime_type="image/png"), recipe_of(pictures[0]).record()

    def _loras(self, ref: ModelRef, wanted: list[dict[str, Any]]) -> tuple[Lora, ...]:
        if not isinstance(wanted, list) or len(wanted) > MOST_LORAS:
            raise UserInputError(f"loras has to be a list of at most {MOST_LORAS}.")
        here = {adapter.id: adapter for adapter in self.router.adapters(ref) if adapter.kind == "lora"}
        found = []
        for entry in wanted:
            if not isinstance(entry, dict) or not isinstance(entry.get("ref"), str):
                raise UserInputError('Each of loras has to be {"ref": "repo_id@revision", "weight": 1.0}.')
            name = entry["ref"] + (f":{entry['file']}" if entry.get("file") else "")
            adapter = here.get(name) or next((a for a in here.values() if a.ref.repo_id == entry["ref"]), None)
            if adapter is None:
                raise UserInputError(
                    f"{name} is not on this machine or does not fit {ref.repo_id}. Add it on the page first."
                )
            try:
                found.append(Lora(adapter.ref, float(entry.get("weight", 1.0)), adapter.file))
            except (TypeError, ValueError) as error:
                raise UserInputError("A LoRA's weight has to be a number.") from error
        return tuple(found)


def bytes_of(given: Any, name: str) -> bytes | None:
    """The bytes of an uploaded file or of base64 text. A path is read only in gradio's own folder of uploads."""
    if given is None or given == "":
        return None
    if isinstance(given, dict) and isinstance(given.get("path"), str):
        path = Path(given["path"]).resolve()
        if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
            raise UserInputError(f"{name} has to be a file uploaded with this call, or base64 text.")
        if path.stat().st_size > MOST_BYTES:
            raise UserInputError(f"{name} is larger than {MOST_BYTES // 1_000_000} MB.")
        return path.read_bytes()
    if isinstance(given, str):
        text = given.partition(",")[2] if given.startswith("data:") else given
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UserInputError(f"{name} is no base64 text. Give a data: URL, or upload a file.") from error
    raise UserInputError(f"{name} has to be an uploaded file, or base64 text.")
