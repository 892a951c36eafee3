"""What is blocked is said and never shown: by the pipeline's own checker, by the prompt filter, by a classifier."""

from __future__ import annotations

import io
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from backends.bundled.image import IMAGE_REF, image_path
from backends.image.build import ImageRouter, build_images
from backends.image.safety import SafetySettings
from core.errors import BackendError, UnsafeContentError, UserInputError
from core.image_protocols import Drawing
from core.images import ImageSettings, Step
from tests.hub_server import HubServer
from tests.tiny_adapters import add_safety_checker, make_tiny_classifier

FAST = ImageSettings("a red apple", seed=7, steps=3)
OFFLINE = "http://127.0.0.1:9"


def guarded(tmp_path: Path, **safety: object) -> ImageRouter:
    return build_images(data_dir=tmp_path, endpoint=OFFLINE, safety=SafetySettings(**safety))  # type: ignore[arg-type]


def drawn(images: ImageRouter, settings: ImageSettings = FAST) -> tuple[Drawing, list[Step]]:
    drawing = images.start(images.start_model(), settings)
    return drawing, list(drawing.listen())


def with_checker(folder: Path, *, flags: bool) -> ImageRouter:
    pipeline = folder / "mine"
    shutil.copytree(image_path(), pipeline, ignore=shutil.ignore_patterns("*.png"))
    add_safety_checker(pipeline, flags=flags)
    return build_images(data_dir=folder, image_model=str(pipeline), endpoint=OFFLINE)


def test_what_the_models_own_checker_flags_is_withheld_and_said(tmp_path: Path) -> None:
    images = with_checker(tmp_path, flags=True)
    assert images.capabilities(images.start_model()).safety_checker
    drawing, steps = drawn(images, replace(FAST, batch=2))
    assert drawing.pictures() == () and steps[-1].preview is None and steps[-1].finish == "done"
    assert steps[-1].notes == (
        "The model's own safety checker blocked a picture, so it is not shown. Change the prompt or the seed.",
    )
    red = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(red, "PNG")
    drawing, steps = drawn(images, replace(FAST, image=red.getvalue()))
    assert drawing.pictures() == () and steps[-1].notes


def test_a_stopped_picture_is_checked_too(tmp_path: Path) -> None:
    images = with_checker(tmp_path, flags=True)
    drawing = images.start(images.start_model(), replace(FAST, steps=200))
    listener = drawing.listen()
    seen = next(step.preview for step in listener if step.preview)
    # Before the checker has looked, a preview has no more in it than its 16 by 16 version.
    shown = Image.open(io.BytesIO(seen)).convert("RGB")
    few = shown.resize((16, 16), Image.Resampling.BOX).resize(shown.size, Image.Resampling.BICUBIC)
    assert max(ImageStat.Stat(ImageChops.difference(shown, few)).mean) < 7
    drawing.cancel()
    last = list(listener)[-1]
    assert (last.finish, last.preview, drawing.pictures()) == ("stopped", None, ())
    assert "safety checker" in last.notes[0]


def test_what_the_models_own_checker_lets_through_is_shown(tmp_path: Path) -> None:
    drawing, steps = drawn(with_checker(tmp_path, flags=False))
    (picture,) = drawing.pictures()
    assert steps[-1].notes == () and Image.open(io.BytesIO(picture.png)).convert("L").getextrema() != (0, 0)


def test_a_prompt_that_breaks_a_rule_is_refused_before_anything_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("# ours\nbanana\n", encoding="utf-8")
    images = guarded(tmp_path, prompt_filter=str(rules))
    with caplog.at_level(logging.DEBUG), pytest.raises(UserInputError, match=r"rule 2 .*“banana”"):
        images.start(IMAGE_REF, replace(FAST, prompt="a secret banana"))
    assert "secret" not in caplog.text
    drawing, _ = drawn(images, replace(FAST, negative_prompt="banana", steps=1))
    assert len(drawing.pictures()) == 1


def test_the_settings_of_the_app_reach_every_drawing(tmp_path: Path) -> None:
    from app import build_services
    from core.settings import Settings

    rules = tmp_path / "rules.txt"
    rules.write_text("banana", encoding="utf-8")
    model = make_tiny_classifier(tmp_path / "classifier", ("fine", "fruit"), sure="fruit")
    env = {"PROVING_DATA_DIR": str(tmp_path / "data"), "HF_ENDPOINT": OFFLINE, "PROVING_PROMPT_FILTER": str(rules)}
    env |= {"PROVING_IMAGE_CLASSIFIER": str(model), "PROVING_IMAGE_CLASSIFIER_LABELS": "Fruit"}
    services = build_services(Settings.from_env(env))
    try:
        assert services.images is not None
        with pytest.raises(UserInputError, match="“banana”"):
            services.images.start(IMAGE_REF, replace(FAST, prompt="banana"))
        drawing = services.images.start(IMAGE_REF, replace(FAST, steps=1))
        assert "“fruit”" in list(drawing.listen())[-1].notes[0] and drawing.pictures() == ()
    finally:
        services.store.close()


def test_a_filter_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"PROVING_PROMPT_FILTER: .*none.txt cannot be read"):
        guarded(tmp_path, prompt_filter=str(tmp_path / "none.txt"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserInputError, match="UTF-8"):
        guarded(tmp_path, prompt_filter=str(tmp_path / "bytes.txt"))


def test_what_the_classifier_blocks_is_withheld_and_said(tmp_path: Path) -> None:
    model = make_tiny_classifier(tmp_path / "classifier", sure="nsfw")
    images = guarded(tmp_path, classifier=str(model))
    drawing, steps = drawn(images, replace(FAST, batch=2))
    assert drawing.pictures() == () and steps[-1].preview is None
    (note,) = steps[-1].notes
    assert note.startswith("The picture classifier of this app blocked a picture as “nsfw” (100%), so it is not shown.")
    assert images.drawing(drawing.id) is drawing, "nobody gets at it by its id either"


def test_what_the_classifier_lets_through_is_shown(tmp_path: Path) -> None:
    model = make_tiny_classifier(tmp_path / "classifier", sure="normal")
    images = guarded(tmp_path, classifier=str(model))
    drawing, steps = drawn(images, replace(FAST, steps=6))
    (picture,) = drawing.pictures()
    assert steps[-1].notes == () and picture.finish == "done"
    assert any(step.preview for step in steps)


def test_the_threshold_and_the_labels_decide(tmp_path: Path) -> None:
    from backends.image.classifier import ClassifierDownloads, PictureClassifier

    def asked(labels: tuple[str, ...] = (), threshold: float = 0.5) -> PictureClassifier:
        downloads = ClassifierDownloads(OFFLINE, None)
        return PictureClassifier(
            str(model), downloads=downloads, pin=lambda name: IMAGE_REF, labels=labels, threshold=threshold
        )

    model = make_tiny_classifier(tmp_path / "three", ("neutral", "porn", "hentai"))
    picture = Image.new("RGB", (20, 30), "red")
    both = asked().verdict(picture)
    one = asked(("porn",)).verdict(picture)
    assert 0 < one.share < both.share < 1 and both.label in ("porn", "hentai") and one.label == "porn"
    assert not asked(threshold=both.share + 0.01).verdict(picture).blocked
    assert asked(threshold=both.share - 0.01).verdict(picture).blocked
    with pytest.raises(BackendError, match=r"names a label that this classifier does not have. It has: neutral, porn"):
        asked(("nsfw",)).verdict(picture)
    model = make_tiny_classifier(tmp_path / "unnamed", ("LABEL_0", "LABEL_1"))
    with pytest.raises(BackendError, match="has to say which labels block"):
        asked().verdict(picture)
    assert asked(("label_1",)).verdict(picture).label == "LABEL_1"


def test_a_classifier_that_fails_shows_nothing(tmp_path: Path) -> None:
    model = make_tiny_classifier(tmp_path / "classifier", sure="normal")
    (model / "model.safetensors").write_bytes(b"broken")
    images = guarded(tmp_path, classifier=str(model))
    drawing = images.start(IMAGE_REF, FAST)
    with pytest.raises(BackendError, match="failed, so the picture is not shown"):
        list(drawing.listen())
    with pytest.raises(BackendError):
        drawing.pictures()


def test_a_classifier_from_the_hub_is_pinned_and_fetched_with_the_model(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = make_tiny_classifier(tmp_path / "classifier", sure="nsfw")
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {
        "pytorch_model.bin": b"\x80",
        "README.md": b"#",
    }
    commit = hub.add_model("team/nsfw", files)

    def build() -> ImageRouter:
        return build_images(
            data_dir=tmp_path, endpoint=hub.url, token="hf_alice", safety=SafetySettings(classifier="team/nsfw")
        )

    steps = list(build().prepare(IMAGE_REF))
    assert {step.stage for step in steps} == {"download", "load", "ready"}
    snapshot = tmp_path / "cache" / "models--team--nsfw" / "snapshots" / commit
    assert {path.name for path in snapshot.iterdir()} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    }
    hub.stop()
    drawing, steps = drawn(build())
    assert drawing.pictures() == () and "“nsfw”" in steps[-1].notes[0]


def test_a_classifier_of_pickles_is_refused(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub.add_model("team/old", {"config.json": b"{}", "preprocessor_config.json": b"{}", "pytorch_model.bin": b"\x80"})
    images = build_images(data_dir=tmp_path, endpoint=hub.url, safety=SafetySettings(classifier="team/old"))
    with pytest.raises(UnsafeContentError, match="pickle files"):
        list(images.prepare(IMAGE_REF))
