"""Weights that exist only as pickle: refused, unless the operator allows them; then logged, shown, and still not run."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path

import pytest

from backends.chat.metadata import capabilities_of
from backends.downloads import Downloads
from backends.router import Router, build_chat
from core.chat import GenerationSettings, Message
from core.errors import BackendError, UnsafeContentError
from core.refs import ModelRef
from tests.contract.engine_cases import heard
from tests.hub_server import HubServer
from tests.tiny_models import make_tiny_chat_model

ASKED = (Message("user", "the cat"),)
GREEDY = GenerationSettings(temperature=0, max_new_tokens=8)


def make_pickled(folder: Path) -> Path:
    """The tiny model with its weights as `torch.save` writes them, and no safetensors."""
    import torch
    from safetensors.torch import load_file

    make_tiny_chat_model(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def routed(folder: Path, data: Path, **given: bool) -> Router:
    return build_chat(data_dir=data, chat_model=str(folder), endpoint="http://127.0.0.1:9", **given)


def test_pickle_is_refused_and_with_the_operators_word_loaded_logged_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_pickled(tmp_path / "pickled")
    with pytest.raises(UnsafeContentError, match="PROVING_ALLOW_PICKLE=1"):
        routed(folder, tmp_path / "data")
    with pytest.raises(UnsafeContentError):
        routed(folder, tmp_path / "data", allow_pickle=True, zero_gpu=True)
    router = routed(folder, tmp_path / "data", allow_pickle=True)
    ref = router.start_model()
    with caplog.at_level(logging.WARNING):
        said = heard(router.start(ref, ASKED, GREEDY))  # type: ignore[arg-type]
    assert any("pickle" in record.message and str(ref) in record.message for record in caplog.records)
    assert any("pickle" in note for note in router.capabilities(ref).notes)
    whole = make_tiny_chat_model(tmp_path / "whole")
    assert not any("pickle" in note for note in capabilities_of(whole, "whole").notes)
    plain = routed(whole, tmp_path / "other")
    assert said == heard(plain.start(plain.start_model(), ASKED, GREEDY))  # type: ignore[arg-type]


def test_other_bytes_are_another_revision(tmp_path: Path) -> None:
    folder = make_pickled(tmp_path / "pickled")
    first = routed(folder, tmp_path / "data", allow_pickle=True).start_model()
    data = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(data + b"\0")
    assert routed(folder, tmp_path / "data", allow_pickle=True).start_model().revision != first.revision


class Runs:
    """What it does when it is unpickled is to make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("how", ["pickle", "zip", "legacy"])
def test_code_in_the_pickle_does_not_run_even_then(tmp_path: Path, how: str) -> None:
    import torch

    folder = make_pickled(tmp_path / "pickled")
    marker = tmp_path / "ran"
    weights, file = {"lm_head.weight": Runs(marker)}, folder / "pytorch_model.bin"
    if how == "pickle":
        file.write_bytes(pickle.dumps(weights))
    else:
        torch.save(weights, file, _use_new_zipfile_serialization=how == "zip")
    router = routed(folder, tmp_path / "data", allow_pickle=True)
    with pytest.raises(BackendError):
        router.start(router.start_model(), ASKED, GREEDY)
    assert not marker.exists()
    # What it says would have run.
    pickle.loads(pickle.dumps(weights))
    assert marker.exists()


def test_from_the_hub_it_is_fetched_only_where_it_is_allowed(hub: HubServer, tmp_path: Path) -> None:
    folder = make_pickled(tmp_path / "pickled")
    commit = hub.add_model("team/pickled", {path.name: path.read_bytes() for path in folder.iterdir()})
    ref = ModelRef("team/pickled", commit)
    refused = Downloads(hub.url, None, tmp_path / "cache")
    with pytest.raises(UnsafeContentError, match="Only the operator"):
        refused.plan(ref)
    allowed = Downloads(hub.url, None, tmp_path / "cache", pickle=True)
    assert list(allowed.download(ref))
    assert allowed.folder(ref) is not None
    assert Downloads(hub.url, None, tmp_path / "cache").folder(ref) is None, "what another start allowed is not loaded"
