"""Pictures as a vision-language model reads them: which models do, their processors, and a conversation as their inputs."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.chat.loaded import LoadedModel
from backends.chat.prompt import folded, own_tokens, refusing, switches
from backends.chat.template import names_in
from core.attached import Attached
from core.chat import GenerationSettings, Message, images_of, refuse_images
from core.errors import AppError, GenerationFailed
from core.refs import shown

log = logging.getLogger(__name__)
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_TOKENS = ("input_ids", "attention_mask")
TEXT_ONLY = "This model reads text only."


def sees(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the files say that the model reads pictures and writes text; asked before anything heavy is loaded."""
    return isinstance(config.get("vision_config"), Mapping) and any((folder / name).is_file() for name in _PROCESSORS)


def load_processor(folder: Path, tokenizer: Any, kind: str) -> tuple[Any, str]:
    """(the model's processor, "") or (None, why its pictures cannot be prepared here). `kind` is the config's model type."""
    from transformers import AutoProcessor

    try:
        try:
            found = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except ImportError:
            # Families that read films too want torchvision for those; pictures need Pillow alone.
            found = _for_pictures(folder, tokenizer, kind)
    except Exception as error:  # noqa: BLE001  (whatever a processor wants: the model still answers text)
        log.warning("the processor in %s cannot be loaded: %s: %s", folder, type(error).__name__, error)
        what = shown(" ".join(str(error).split()), 160)
        return None, f"This model's processor of pictures cannot be loaded here ({type(error).__name__}: {what})."
    if not hasattr(found, "image_processor") or not getattr(found, "chat_template", None):
        return None, "This model has no chat template with a place for pictures."
    return found, ""


def _for_pictures(folder: Path, tokenizer: Any, kind: str) -> Any:
    """The processor without its part for films."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    known = getattr(transformers, PROCESSOR_MAPPING_NAMES[kind])

    class ForPictures(known):  # type: ignore[misc,valid-type]
        """Takes no part for what is never given to it."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

        @classmethod
        def get_attributes(cls) -> Any:
            return known.get_attributes()

    given, _ = ForPictures.get_processor_dict(folder, local_files_only=True)
    pictures = transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    parts = {"image_processor": pictures, "tokenizer": tokenizer}
    return ForPictures.from_args_and_dict([parts.get(name) for name in ForPictures.get_attributes()], given)


def encode(
    loaded: LoadedModel, messages: Sequence[Message], settings: GenerationSettings, png: Callable[[Attached], bytes]
) -> tuple[list[int], dict[str, Any]]:
    """(the prompt's tokens, what else the model takes: pixels and where they belong). The caller holds the model's lock.

    As `prompt.encode`: special tokens and placeholders that a visitor typed become plain text, and the beginning of an
    answer follows to the byte. Raises `UserInputError` when a picture is not here any more.
    """
    import torch

    names = names_in(loaded.processor.chat_template)
    given = switches(names, settings.thinking, settings.template_kwargs)
    own = own_tokens(loaded.tokenizer, messages)
    asked = messages[:-1] if own else messages
    pictures = [_opened(png(image)) for image in images_of(asked)]
    try:
        out = refusing(lambda: _templated(loaded.processor, asked, pictures, given))
    except AppError:
        raise
    except Exception as error:
        # A processor is any of two hundred; what one makes of a picture is not for this app to know.
        log.warning("%s could not prepare a conversation: %s: %s", loaded.ref, type(error).__name__, error)
        raise GenerationFailed(
            "This model's processor could not prepare the conversation with its pictures. Try another picture, or choose "
            "another model."
        ) from error
    tokens = [int(token) for token in out["input_ids"][0]]
    if not pictures:
        return [*tokens, *(own or ())], {}
    rest = {name: value for name, value in out.items() if name not in _TOKENS}
    if own:
        for name, value in rest.items():
            # What says of each token what it is: those of the answer's beginning are text.
            if isinstance(value, torch.Tensor) and value.shape == out["input_ids"].shape:
                rest[name] = torch.nn.functional.pad(value, (0, len(own)))
    return [*tokens, *(own or ())], rest


def _templated(processor: Any, messages: Sequence[Message], pictures: Sequence[Any], given: Mapping[str, Any]) -> Any:
    from jinja2.exceptions import TemplateError

    def made(asked: Sequence[Message]) -> Any:
        begun = asked[-1].role == "assistant"
        return processor.apply_chat_template(
            _conversation(asked, pictures),
            add_generation_prompt=not begun,
            continue_final_message=begun,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,
            **given,
        )

    try:
        return made(messages)
    except TemplateError:
        if messages[0].role != "system" or len(messages) < 2:
            raise
        return made(folded(messages))


def _conversation(messages: Sequence[Message], pictures: Sequence[Any]) -> list[dict[str, Any]]:
    left = iter(pictures)
    return [
        {
            "role": message.role,
            "content": [{**part, "image": next(left)} if part["type"] == "image" else part for part in message.parts()],
        }
        for message in messages
    ]


def _opened(png: bytes) -> Any:
    """A picture of ours in three colours; what is transparent lies on white, as on the page."""
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
        opened.load()
        if "A" not in opened.getbands():
            return opened.convert("RGB")
        white = Image.new("RGBA", opened.size, "white")
        return Image.alpha_composite(white, opened.convert("RGBA")).convert("RGB")


def refuse_blind(loaded: LoadedModel, messages: Sequence[Message]) -> None:
    """Raises `UserInputError` when there is a picture that this model cannot look at."""
    if loaded.processor is None:
        refuse_images(messages, loaded.blind or TEXT_ONLY)
