"""The model's parts in the standard classes, untrained; and the tokenizer, made from the captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from training.presets import Preset

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear", "num_train_timesteps": 1000}
FACTOR = 4
LATENTS = 4


def make_tokenizer(captions: Iterable[str], preset: Preset) -> Any:
    """A `CLIPTokenizer` whose merges come from the captions; any text can be said with it, letter by letter if need be."""
    from tokenizers import pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=preset.vocabulary,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        special_tokens=[BOS, EOS],
        show_progress=False,
    )
    backend.train_from_iterator(sorted(captions), trainer)
    merges = [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]
    # The two marks come last, as in CLIP: whoever looks for the end of a text takes the highest number.
    words = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)])
    vocabulary = {word: number for number, word in enumerate([*words, BOS, EOS])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=preset.tokens)


def make_text_encoder(tokenizer: Any, preset: Preset) -> Any:
    """A `CLIPTextModel` for the tokenizer's numbers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=preset.text_width,
            intermediate_size=preset.text_width * 4,
            projection_dim=preset.text_width,
            num_hidden_layers=preset.text_layers,
            num_attention_heads=max(1, preset.text_width // 32),
            max_position_embeddings=preset.tokens,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_vae(preset: Preset) -> Any:
    """An `AutoencoderKL` that makes 4 numbers of every 4 by 4 pixels."""
    from diffusers import AutoencoderKL

    levels = len(preset.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=preset.vae_channels,
        layers_per_block=preset.vae_layers,
        latent_channels=LATENTS,
        norm_num_groups=4,
        sample_size=preset.size,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        force_upcast=False,
    )


def make_unet(preset: Preset) -> Any:
    """A `UNet2DConditionModel` over the VAE's latents that listens to the text encoder."""
    from diffusers import UNet2DConditionModel

    channels = preset.unet_channels
    head = min(32, channels[0])
    return UNet2DConditionModel(
        sample_size=preset.size // FACTOR,
        in_channels=LATENTS,
        out_channels=LATENTS,
        layers_per_block=preset.unet_layers,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=preset.text_width,
        attention_head_dim=tuple(max(1, width // head) for width in channels),
        norm_num_groups=16,
    )


def make_scheduler() -> Any:
    """What the pipeline is saved with. Its latents reach ±6, so any sampler built from it must not clip."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        **BETAS, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        timestep_spacing="trailing",
    )  # fmt: skip
