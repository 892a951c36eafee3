"""`python -m training prepare | train | lora | evaluate`: see training/README.md."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from training.drawings import Drawings
from training.presets import PRESETS
from training.running import Limits

DATA, RUN = Path("data/training/drawings"), Path("data/training/run")
BUNDLED = Path(__file__).parents[1] / "models" / "tiny-emoji-diffusion"


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    whole = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = whole.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="fetch the npm packages and render their drawings")
    prepare.add_argument("--cache", type=Path, default=Path("data/training/npm"), help="where the tarballs lie")
    prepare.add_argument("--data", type=Path, default=DATA)
    train = verbs.add_parser("train", help="train VAE, text encoder and UNet, and export them; again to go on")
    train.add_argument("--preset", choices=PRESETS, default="cpu")
    train.add_argument("--out", type=Path, default=Path("data/training/model"), help="the diffusers folder")
    train.add_argument("--vae-minutes", type=float, default=0.0, help="fit the VAE's steps into so many minutes")
    train.add_argument("--unet-minutes", type=float, default=0.0, help="fit the UNet's steps into so many minutes")
    train.add_argument("--compile", action="store_true", help="torch.compile the UNet")
    lora = verbs.add_parser("lora", help="train a LoRA on one emoji style for an exported model")
    lora.add_argument("--base", type=Path, default=BUNDLED)
    lora.add_argument("--style", default="glossy")
    lora.add_argument("--steps", type=int, default=600)
    lora.add_argument("--out", type=Path, default=Path("data/training/lora"))
    for one in (train, lora):
        one.add_argument("--data", type=Path, default=DATA)
        one.add_argument("--run", type=Path, default=RUN, help="where the checkpoints lie")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--minutes", type=float, default=0.0, help="save and stop after so many minutes")
        one.add_argument("--save-every", type=int, default=500, help="steps between checkpoints")
        one.add_argument("--pause-file", type=Path, help="wait while this file exists")
    evaluate = verbs.add_parser("evaluate", help="measure a model and write its card's figures")
    evaluate.add_argument("--model", type=Path, default=BUNDLED)
    evaluate.add_argument("--data", type=Path, default=DATA)
    evaluate.add_argument("--style", default="noto", help="the style that is asked for, unknown to the classifier")
    evaluate.add_argument("--prompts", type=int, default=200)
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--card", action="store_true", help="write the figures and sheet.png beside the model")
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 when it is done, 2 when drawings are missing, 3 when a limit stopped it and the same command goes on."""
    asked = parser().parse_args(arguments)
    if asked.verb == "prepare":
        from training.drawings import prepare

        made = prepare(asked.cache, asked.data)
        print(f"{len(made.drawings)} drawings of {len(made.subjects)} concepts in {asked.data}")
        return 0
    from training.drawings import read

    if not (asked.data / "drawings.json").is_file():
        print(f"There are no drawings in {asked.data}. Run `python -m training prepare --data {asked.data}` first.")
        return 2
    made = read(asked.data)
    if asked.verb == "evaluate":
        from training.evaluation import evaluate

        evaluate(asked.model, made, style=asked.style, prompts=asked.prompts, seed=asked.seed, card=asked.card)
        return 0
    limits = Limits(minutes=asked.minutes, pause=asked.pause_file, save_every=asked.save_every)
    if arguments is None:
        limits.listen()
    if asked.verb == "lora":
        from training.lora import LoraPlan, train_lora

        file = train_lora(asked.base, made, LoraPlan(asked.style, asked.steps), asked.out, asked.seed, limits)
        print(file or "paused")
        return 0 if file else 3
    return train(asked, made, limits)


def train(asked: argparse.Namespace, made: Drawings, limits: Limits) -> int:
    """Every stage of the model, one after the other."""
    from training.autoencoder import train_vae
    from training.denoiser import train_unet
    from training.saving import save_pipeline

    preset = PRESETS[asked.preset]
    limits.fit_minutes = asked.vae_minutes
    vae = train_vae(made, preset, asked.run, asked.seed, limits)
    limits.fit_minutes = asked.unet_minutes
    if vae is None:
        return 3
    parts, done = train_unet(made, preset, vae, asked.run, asked.seed, limits, compiled=asked.compile)
    # What a stopped run has so far is there to look at, and nobody takes it for the result.
    out = asked.out if done else asked.out.with_name(asked.out.name + "-paused")
    out.mkdir(parents=True, exist_ok=True)
    # The evaluation asks for exactly what was learned.
    shutil.copyfile(asked.run / "learned.json", out / "learned.json")
    print(f"{save_pipeline(parts, out) / 1e6:.1f} MB in {out}")
    return 0 if done else 3


if __name__ == "__main__":
    sys.exit(main())
