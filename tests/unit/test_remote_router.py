"""Where text goes is never a surprise: only a model chosen as remote leaves this machine, and nothing does when told so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import build_services
from backends.bundled import REF as BUNDLED
from backends.image.build import build_images
from backends.router import Router, build_chat
from components.chip import chip
from core.chat import GenerationSettings, Message
from core.comparison import Comparison, Vote, rows_of
from core.conversation import Conversation
from core.errors import AppError, NoBackend, UserInputError
from core.images import ImageSettings
from core.refs import ModelRef
from core.settings import Settings
from pages.battle import BattlePage
from pages.remote import HERE, RemotePage, name_of
from pages.shared import Frame
from tests.fakes import FakeStore
from tests.openai_server import NAME, OpenAiServer, Status, serving, whole

ENDPOINT = "http://127.0.0.1:9"
ASKED = (Message("user", "private"),)
ABSENT = ModelRef("org/absent", "a" * 40)


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with serving() as started:
        yield started


def router(tmp_path: Path, server: OpenAiServer, **more: object) -> Router:
    return build_chat(data_dir=tmp_path, endpoint=ENDPOINT, remote_url=server.url, **more)  # type: ignore[arg-type]


def test_a_model_of_this_machine_never_falls_back_to_the_host(tmp_path: Path, server: OpenAiServer) -> None:
    """Not even one that the host serves under the same name and this machine cannot run."""
    server.models["data"].append({"id": ABSENT.repo_id})
    built = router(tmp_path, server)
    assert built.start_model() == BUNDLED
    for use in (built.capabilities, built.engine, built.plan, lambda ref: list(built.prepare(ref))):
        with pytest.raises(AppError):
            use(ABSENT)
    with pytest.raises(AppError):
        built.start(ABSENT, ASKED, GenerationSettings())
    assert "remote" not in built.engine(BUNDLED)
    assert server.asked == []


def test_a_model_chosen_as_remote_goes_there_and_says_so(tmp_path: Path, server: OpenAiServer) -> None:
    built = router(tmp_path, server)
    ref = built.pin(f"remote:{NAME}")
    assert ref == ModelRef(NAME, "", host=server.host)
    assert built.engine(ref) == f"remote {server.host}"
    assert built.plan(ref).ready
    answer = built.start(ref, ASKED, GenerationSettings())
    assert "".join(delta.text for delta in answer.listen()) == "Hello there"
    assert answer.reply().backend == f"remote {server.host}"


def test_the_chip_names_the_host_before_anything_is_sent(tmp_path: Path, server: OpenAiServer) -> None:
    built = router(tmp_path, server)
    ref = built.pin(f"remote:{NAME}")
    shown = Frame(built, FakeStore()).describe(ref)
    assert f"sent to {server.host}" in shown.partition("</summary>")[0]
    assert "commit is not known" in shown
    assert not server.streams()
    assert "<script" not in chip(ModelRef("<script>x</script>", "", host="h"))


def test_a_start_model_may_be_remote_when_the_operator_says_so(tmp_path: Path, server: OpenAiServer) -> None:
    built = router(tmp_path, server, chat_model=f"remote:{NAME}")
    assert built.start_model() == built.pin("") == ModelRef(NAME, "", host=server.host)
    assert built.main_moved() is None


def test_without_an_engine_a_remote_name_is_refused_with_the_setting(tmp_path: Path) -> None:
    built = build_chat(data_dir=tmp_path, endpoint=ENDPOINT)
    with pytest.raises(NoBackend, match="PROVING_REMOTE_URL"):
        built.pin(f"remote:{NAME}")
    images = build_images(data_dir=tmp_path, endpoint=ENDPOINT)
    with pytest.raises(NoBackend, match="PROVING_REMOTE_IMAGE_URL"):
        images.pin("remote:endpoint")


def test_local_only_refuses_every_remote_engine_and_asks_for_nothing(tmp_path: Path, server: OpenAiServer) -> None:
    server.picture = lambda payload: Status(200, b"")
    services = build_services(
        Settings.from_env(
            {
                "PROVING_DATA_DIR": str(tmp_path),
                "PROVING_LOCAL_ONLY": "1",
                "PROVING_REMOTE_URL": server.url,
                "PROVING_REMOTE_IMAGE_URL": f"http://{server.host}",
                "HF_ENDPOINT": ENDPOINT,
            }
        )
    )
    try:
        assert services.remote is None
        assert services.images is not None
        chosen = ModelRef(NAME, "", host=server.host)
        for use in (
            lambda: services.router.pin(f"remote:{NAME}"),
            lambda: services.router.capabilities(chosen),
            lambda: services.router.plan(chosen),
            lambda: list(services.router.prepare(chosen)),
            lambda: services.router.start(chosen, ASKED, GenerationSettings()),
            lambda: services.images.pin("remote:endpoint"),
            lambda: services.images.start(chosen, ImageSettings("a star")),
        ):
            with pytest.raises(NoBackend, match="PROVING_LOCAL_ONLY"):
                use()
        assert services.router.start_model() == BUNDLED
    finally:
        services.store.close()
    remote_start = build_chat(
        data_dir=tmp_path, endpoint=ENDPOINT, remote_url=server.url, chat_model=f"remote:{NAME}", local_only=True
    )
    with pytest.raises(NoBackend, match="PROVING_LOCAL_ONLY"):
        remote_start.start_model()
    assert server.asked == []


def test_a_wrong_address_ends_the_start_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="PROVING_REMOTE_URL"):
        build_chat(data_dir=tmp_path, endpoint=ENDPOINT, remote_url="http://user:pw@host")
    with pytest.raises(UserInputError, match="PROVING_REMOTE_IMAGE_URL"):
        build_images(data_dir=tmp_path, endpoint=ENDPOINT, remote_url="groq", remote_token="x")


def test_pictures_follow_the_same_rule(tmp_path: Path, server: OpenAiServer) -> None:
    from tests.contract.test_remote_images import picture_file

    server.models = Status(404)
    server.picture = lambda payload: Status(200, picture_file())
    images = build_images(data_dir=tmp_path, endpoint=ENDPOINT, remote_url=f"http://{server.host}")
    with pytest.raises(AppError):
        images.start(ABSENT, ImageSettings("a star"))
    assert server.asked == []
    drawing = images.start(images.pin("remote:endpoint"), ImageSettings("a star"))
    assert list(drawing.listen())[-1].finish == "done"
    started = build_images(
        data_dir=tmp_path, endpoint=ENDPOINT, remote_url=f"http://{server.host}", image_model="remote:endpoint"
    )
    assert started.start_model().host == server.host


def test_a_row_says_what_is_known_and_null_for_what_is_not(tmp_path: Path, server: OpenAiServer) -> None:
    """A host that tells no commit has none in the dataset, never an empty string or a made-up one."""
    built = router(tmp_path, server)
    replies = []
    for _ in range(2):
        answer = built.start(built.pin(f"remote:{NAME}"), ASKED, GenerationSettings(temperature=0.5))
        list(answer.listen())
        replies.append(answer.reply())
    both = Comparison("c", ASKED, *replies)
    (row,) = rows_of(both, Vote("tie"), created_at="2026-01-01T00:00:00+00:00", app_version="0")
    columns = row.columns()
    assert (columns["left_model"], columns["left_revision"]) == (NAME, None)
    assert (columns["backend"], columns["dtype"]) == (f"remote {server.host}", None)
    assert '"top_p": null' in str(columns["left_settings"])
    mixed = Comparison("c", ASKED, replies[0], replace(replies[1], backend="CPU", dtype="bfloat16"))
    columns = rows_of(mixed, Vote("tie"), created_at="2026-01-01T00:00:00+00:00", app_version="0")[0].columns()
    assert (columns["backend"], columns["dtype"]) == (f"remote {server.host} | CPU", "unknown | bfloat16")


def test_two_settings_of_a_remote_model_are_compared_blind(tmp_path: Path, server: OpenAiServer) -> None:
    server.always = lambda payload: whole(f"at {payload['temperature']}")
    built = router(tmp_path, server)
    store = FakeStore()
    battles = BattlePage(built, store, "salt", ())
    name = f"remote:{NAME}"
    chosen, said = battles.setup.take(
        {"choices": [{"model": name, "temperature": 0.2}, {"model": name, "temperature": 1.0}]}, BUNDLED, "visitor"
    )
    assert said == "2 contenders are set."
    bouts = list(battles.compare("private", Conversation(), BUNDLED, "", chosen))
    shown = "".join(str(bout) for bout in bouts)
    assert "at 0.2" in shown and "at 1.0" in shown
    assert server.host not in shown and NAME not in shown, "a contender was named before the vote"
    battle = next(bout.battle for bout in bouts if isinstance(bout.battle, str))
    said = str(battles.vote("left", battle, "", "visitor"))
    assert f"model on {server.host}" in said
    assert {row.columns()["backend"] for row in store.kept.values()} == {f"remote {server.host}"}


# The chooser.


def page(tmp_path: Path, server: OpenAiServer) -> RemotePage:
    built = router(tmp_path, server)
    assert built.remote is not None
    return RemotePage(built, built.remote, ("org/local",))


def test_the_chooser_lists_each_model_with_its_host(tmp_path: Path, server: OpenAiServer) -> None:
    model, listed, said = page(tmp_path, server).offer()
    assert model.choices == [(HERE, ""), (f"{NAME} on {server.host}", NAME)]
    assert f'<option value="remote:{NAME}">{NAME} on {server.host}</option>' in listed
    assert said == ""
    server.models = Status(503, {"error": "starting"})
    model, _, said = page(tmp_path, server).offer()
    assert model.choices == [(HERE, "")]
    assert server.host in said


def test_choosing_asks_what_it_can_do_first_and_pins_then(tmp_path: Path, server: OpenAiServer) -> None:
    chooser = page(tmp_path, server)
    *asking, (ref, _, status, seed) = chooser.choose(NAME, BUNDLED)
    assert ref == ModelRef(NAME, "", host=server.host) and status == ""
    assert asking and all(server.host in said for _, _, said, _ in asking)
    assert seed.interactive
    back = list(chooser.choose("", ref))[-1]
    assert back[0] == BUNDLED
    kept = list(chooser.choose("", ABSENT))[-1]
    assert kept[0] == ABSENT, "a pin of this machine is kept"


def test_a_seed_that_cannot_be_kept_to_is_greyed_with_its_reason(tmp_path: Path, server: OpenAiServer) -> None:
    server.tried = lambda payload: {"choices": [{"message": {"content": "always"}}]}
    *_, (_, _, _, seed) = page(tmp_path, server).choose(NAME, BUNDLED)
    assert not seed.interactive
    assert "whatever the seed" in seed.info


def test_a_model_that_is_gone_leaves_the_pin_as_it_was(tmp_path: Path, server: OpenAiServer) -> None:
    import gradio as gr

    chooser = page(tmp_path, server)
    updates = []
    with pytest.raises(gr.Error, match="does not serve"):
        for update in chooser.choose("org/gone", BUNDLED):
            updates.append(update)
    assert updates[-1][1].value == ""


def test_a_name_tells_the_commit_where_it_is_known() -> None:
    assert name_of(ModelRef("org/model", "c" * 40, host="h")) == "org/model @ ccccccc on h"
