"""The router: the start model and its pin, which engine, and nothing heavy or slow before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backends import bundled, router
from backends.pins import PinBook
from backends.router import Router, build_chat
from core.chat import GenerationSettings, Message
from core.errors import HubUnreachable, NoBackend, UnsafeContentError, UserInputError
from core.refs import ModelRef
from tests.scripted_engine import ScriptedChat
from tests.tiny_models import make_tiny_chat_model

ROOT = Path(__file__).parents[2]
REF, NEWER = ModelRef("org/model", "a" * 40), ModelRef("org/model", "b" * 40)
ENDPOINT = "http://127.0.0.1:9"


class Catalog:
    """Resolves everything to `now`, or cannot."""

    def __init__(self, now: ModelRef | None = REF) -> None:
        self.now, self.asked = now, []

    def resolve(self, repo_id: str, revision: str = "") -> ModelRef:
        self.asked.append((repo_id, revision))
        if self.now is None:
            raise HubUnreachable("The Hub cannot be reached. Check the network.")
        return self.now


def routed(tmp_path: Path, start: ModelRef | str = REF, catalog: Catalog | None = None, *backends) -> Router:
    return Router(
        backends or (ScriptedChat(),), catalog=catalog or Catalog(), pins=PinBook(tmp_path / "pins.json"), start=start
    )


def test_a_configured_model_is_resolved_once_and_for_all_starts(tmp_path: Path) -> None:
    assert routed(tmp_path, "org/model").start_model() == REF
    moved = Catalog(NEWER)
    again = routed(tmp_path, "org/model", moved)
    assert again.start_model() == REF
    assert moved.asked == []
    assert again.main_moved() == NEWER.revision
    assert routed(tmp_path, "org/model", Catalog(None)).main_moved() is None
    assert routed(tmp_path, "org/model@v2", Catalog(NEWER)).start_model() == NEWER


def test_names_that_visitors_give_are_looked_up_as_they_may_see_them(tmp_path: Path) -> None:
    """The operator's own private start model stays reachable; any other name is nobody's but the visitor's."""
    own, theirs = Catalog(REF), Catalog(NEWER)
    for start in (REF, "org/model", "org/model@main"):
        routes = routed(tmp_path / str(start).replace("/", "-"), start, own)
        routes.visitors = theirs  # type: ignore[assignment]
        routes.pin("org/model@main")
        routes.pin("operator/private")
        assert own.asked.pop() == ("org/model", "main")
        assert theirs.asked.pop() == ("operator/private", "")


def test_a_full_commit_needs_no_hub(tmp_path: Path) -> None:
    catalog = Catalog(None)
    assert routed(tmp_path, f"org/model@{'c' * 40}", catalog).start_model().revision == "c" * 40
    assert catalog.asked == []


def test_offline_and_never_pinned_is_a_sentence_and_is_tried_again(tmp_path: Path) -> None:
    catalog = Catalog(None)
    start = routed(tmp_path, "org/model", catalog)
    with pytest.raises(HubUnreachable, match="Check the network"):
        start.start_model()
    catalog.now = REF
    assert start.start_model() == REF


def test_pin(tmp_path: Path) -> None:
    one = routed(tmp_path)
    assert one.pin("") == REF == one.pin("org/model@main")
    for wrong in ("../x", "a b", "https://hf.co/org/model", "org/model@../main", "$(rm)"):
        with pytest.raises(UserInputError):
            one.pin(wrong)


def test_a_running_answer_is_found_again(tmp_path: Path) -> None:
    one = routed(tmp_path)
    answer = one.start(REF, (Message("user", "Hi"),), GenerationSettings())
    assert one.answer(answer.id) is answer
    assert "".join(delta.text for delta in answer.listen()) == "Hello there."
    assert one.answer("nobody") is None


def test_the_reasons_of_every_engine_are_told(tmp_path: Path) -> None:
    class Refusing(ScriptedChat):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def capabilities(self, ref: ModelRef):
            raise NoBackend(f"not on {self.name}.")

    with pytest.raises(NoBackend) as refused:
        routed(tmp_path, REF, None, Refusing("CPU"), Refusing("ZeroGPU")).capabilities(REF)
    assert refused.value.reasons == ("CPU: not on CPU.", "ZeroGPU: not on ZeroGPU.")
    assert routed(tmp_path, REF, None, Refusing("GPU"), ScriptedChat()).engine(REF) == "CPU"


def test_the_bundled_model_is_the_start_model_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_chat(data_dir=tmp_path, endpoint=ENDPOINT)
    assert built.start_model() == bundled.REF == built.pin(bundled.REF.repo_id)
    assert [(folder.ref, folder.bundled, folder.ready) for folder in built.folders] == [(bundled.REF, True, False)]
    assert built.plan(bundled.REF).ready
    monkeypatch.setattr(router.bundled, "installed", lambda: None)
    catalog = Catalog(ModelRef(bundled.BASE_MODEL, "d" * 40))
    elsewhere = build_chat(data_dir=tmp_path, endpoint=ENDPOINT, catalog=lambda folders: catalog)
    assert elsewhere.start_model() == catalog.now
    assert json.loads((tmp_path / "pins.json").read_text())[bundled.BASE_MODEL]["revision"] == "d" * 40


def test_a_local_folder_is_pinned_to_its_content_and_answers(tmp_path: Path) -> None:
    folder = make_tiny_chat_model(tmp_path / "my-model")
    built = build_chat(data_dir=tmp_path / "data", endpoint=ENDPOINT, chat_model=str(folder))
    ref = built.start_model()
    assert ref.repo_id == "local/my-model"
    assert build_chat(data_dir=tmp_path / "data", endpoint=ENDPOINT, chat_model=str(folder)).start_model() == ref
    assert built.capabilities(ref).max_context == 2048
    assert [step.stage for step in built.prepare(ref)] == ["load", "load", "ready"]
    answer = built.start(ref, (Message("user", "Hi"),), GenerationSettings(max_new_tokens=4, seed=1, temperature=1))
    list(answer.listen())
    assert answer.reply().usage.completion_tokens <= 4
    assert any(row.repo_id == "local/my-model" for row in built.catalog.search(query()).rows)


def query():
    from core.catalog import SearchQuery

    return SearchQuery(source="local")


def test_a_folder_that_is_no_model_is_refused_at_start(tmp_path: Path) -> None:
    def start(folder: Path) -> None:
        build_chat(data_dir=tmp_path / "data", endpoint=ENDPOINT, chat_model=str(folder))

    with pytest.raises(UserInputError, match=r"no config\.json"):
        start(tmp_path / "absent")
    folder = make_tiny_chat_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeContentError, match="pickle"):
        start(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserInputError, match="no safetensors"):
        start(folder)


def test_building_the_router_and_asking_for_the_engine_loads_no_torch(tmp_path: Path) -> None:
    """Two seconds and 400 MB that the first page does not need."""
    folder = make_tiny_chat_model(tmp_path / "m")
    code = (
        "import sys\nfrom pathlib import Path\nfrom backends.router import build_chat\n"
        f"chat = build_chat(data_dir=Path({str(tmp_path)!r}), endpoint='{ENDPOINT}', chat_model={str(folder)!r})\n"
        "ref = chat.start_model(); chat.capabilities(ref); name = chat.engine(ref); chat.plan(ref); chat.weights(ref)\n"
        "heavy = {'torch', 'transformers', 'numpy', 'gguf', 'huggingface_hub', 'spaces'} & set(sys.modules)\n"
        "print(heavy if name == 'CPU' else set())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "set()"
