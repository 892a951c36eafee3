"""Chat adapters from the test Hub: pinned and checked before a weight travels, fetched whole, refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.chat.adapter_files import CONFIG, WEIGHTS, AdapterDownloads, ChatAdapters
from backends.chat.plain import LocalChat
from backends.hub.catalog import Catalog
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.pins import PinBook
from backends.registry import ModelRegistry
from backends.router import Router, build_chat
from core.chat import GenerationSettings, Message
from core.comparison import contender
from core.errors import DownloadFailed, HubError, NoBackend, UnsafeContentError, UserInputError
from core.refs import ModelRef
from tests.contract.engine_cases import heard, model_files
from tests.hub_server import HubServer
from tests.tiny_chat_adapters import make_tiny_chat_lora
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
ASKED = (Message("user", "the cat"),)
GREEDY = GenerationSettings(temperature=0, max_new_tokens=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = make_tiny_chat_lora(tmp_path_factory.mktemp("lora"), base, made_for=REF.repo_id, seed=3)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def router(hub: HubServer, base: Path, tmp_path: Path) -> Router:
    cache = tmp_path / "cache"
    catalog = Catalog(HubModels(hub.url, "hf_alice"), LocalModels((), cache))
    adapters = ChatAdapters(AdapterDownloads(hub.url, "hf_alice", cache), catalog.resolve, tmp_path / "own")
    chat = LocalChat(
        model_files(base, REF),
        ModelRegistry(),
        adapters=adapters,
        device=lambda: "cpu",
        name=lambda: "CPU",
        orphan_seconds=30,
    )
    return Router((chat,), catalog=catalog, pins=PinBook(tmp_path / "pins.json"), start=REF)


def test_it_is_checked_before_its_weights_travel_and_then_it_is_here(
    hub: HubServer, router: Router, lora: dict[str, bytes], tmp_path: Path
) -> None:
    commit = hub.add_model("team/polite", {**lora, "training_args.bin": b"\x80", "optimizer.pt": b"\x80"})
    ref = router.find_adapter(REF, "team/polite")
    assert ref.adapter == ModelRef("team/polite", commit) and ref.base == REF
    snapshot = tmp_path / "cache" / "models--team--polite" / "snapshots" / commit
    assert [path.name for path in snapshot.iterdir()] == [CONFIG]
    assert router.adapters(REF) == ()
    plan = router.plan(ref)
    assert (plan.ready, plan.files, plan.download_bytes) == (False, 1, len(lora[WEIGHTS]))
    with pytest.raises(DownloadFailed, match="not on this machine yet"):
        router.start(ref, ASKED, GREEDY)
    steps = [step.stage for step in router.prepare(ref)]
    assert "download" in steps and steps[-1] == "ready"
    assert {path.name for path in snapshot.iterdir()} == {CONFIG, WEIGHTS}
    hub.stop()
    assert router.adapters(REF) == (f"team/polite@{commit}",)
    answer = router.start(router.pin(f"+team/polite@{commit}"), ASKED, GREEDY)
    said = heard(answer)  # type: ignore[arg-type]
    assert said != heard(router.start(REF, ASKED, GREEDY))  # type: ignore[arg-type]
    assert contender(answer.reply()).adapter == f"team/polite@{commit}"
    assert router.pin(ref.asked.replace(str(REF), "")) == ref


def test_one_for_another_base_costs_no_bytes_but_its_description(
    hub: HubServer, router: Router, lora: dict[str, bytes], tmp_path: Path
) -> None:
    config = lora[CONFIG].replace(REF.repo_id.encode(), b"meta/other")
    commit = hub.add_model("team/wrong", {**lora, CONFIG: config})
    with pytest.raises(UserInputError, match=r"was trained on meta/other, not on local/tiny\. Pin meta/other first"):
        router.find_adapter(REF, "team/wrong")
    snapshot = tmp_path / "cache" / "models--team--wrong" / "snapshots" / commit
    assert [path.name for path in snapshot.iterdir()] == [CONFIG]


def test_what_is_no_adapter_or_only_pickle_is_refused(
    hub: HubServer, router: Router, lora: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_model("team/pickled", {CONFIG: lora[CONFIG], "adapter_model.bin": b"\x80"})
    hub.add_model("team/plain", {"config.json": b"{}", "model.safetensors": lora[WEIGHTS]})
    hub.add_model("team/garbled", {**lora, CONFIG: b"[1, 2"})
    huge = hub.add_model("team/huge", {**lora, CONFIG: b" " * 1_000_001})
    with pytest.raises(UserInputError, match="too large"):
        router.find_adapter(REF, "team/huge")
    assert not (tmp_path / "cache" / "models--team--huge" / "snapshots" / huge / CONFIG).exists()
    with pytest.raises(UnsafeContentError, match="only as a pickle file"):
        router.find_adapter(REF, "team/pickled")
    with pytest.raises(UserInputError, match="is no adapter"):
        router.find_adapter(REF, "team/plain")
    with pytest.raises(UserInputError, match="cannot be read"):
        router.find_adapter(REF, "team/garbled")
    with pytest.raises(HubError):
        router.find_adapter(REF, "team/absent")
    with pytest.raises(UserInputError, match="There is no adapter local/absent"):
        router.find_adapter(REF, "local/absent")


def test_the_apps_own_router_finds_the_operators_adapters(base: Path, tmp_path: Path) -> None:
    make_tiny_chat_lora(tmp_path / "data" / "adapters" / "pencil", base, seed=3)
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(base), endpoint="http://127.0.0.1:9")
    assert "local/pencil" in router.adapters(router.start_model())
    ref = router.pin("+local/pencil")
    assert heard(router.start(ref, ASKED, GREEDY)) != heard(router.start(ref.base, ASKED, GREEDY))  # type: ignore[arg-type]
    assert router.find_adapter(ref, "") == ref.base


def test_on_zerogpu_it_is_said_that_there_are_none(base: Path, tmp_path: Path) -> None:
    router = build_chat(data_dir=tmp_path, chat_model=str(base), endpoint="http://127.0.0.1:9", zero_gpu=True)
    with pytest.raises(NoBackend, match="ZeroGPU loads no adapters"):
        router.pin("+local/pencil")
    assert "adapters" in dict(router.capabilities(router.start_model()).why_not)
