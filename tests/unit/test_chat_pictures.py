"""The chat tab with pictures: attached, asked about, given back, kept, exported, judged; never as if there had been none."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from backends.attached import AttachedFiles
from components.transcript import shown_messages
from core.attached import MOST_IN_MESSAGE, Attached
from core.capture import answer_picked, prompt_of
from core.chat import Capabilities, Message
from core.comparison import item_of
from core.conversation import Conversation
from core.dataset import COLUMNS, Contender, PreferenceRow, RatingRow
from core.errors import GenerationFailed, QuotaExceeded, UserInputError
from core.refs import ModelRef
from core.transcripts import conversation_of, packed, read_file, record_of, to_json, to_markdown, to_rows
from pages.battle import BattlePage
from pages.chat import ChatPage, Update
from pages.chat_api import ChatApi
from pages.chat_attach import upload_at
from tests.fakes import REF, FakeRouter, FakeStore, png

SETTINGS = (0.7, 0.95, 64, None)
VISITOR = "a-visitor-of-their-own"


class Seeing(FakeRouter):
    """A router whose model reads pictures, unless it is told otherwise."""

    images = True

    def capabilities(self, ref: ModelRef) -> Capabilities:
        return Capabilities(max_context=2048, images=self.images)


@pytest.fixture
def files(tmp_path: Path) -> AttachedFiles:
    return AttachedFiles(tmp_path / "attached")


def page(files: AttachedFiles, router: FakeRouter | None = None, store: FakeStore | None = None) -> ChatPage:
    return ChatPage(router or Seeing(), store or FakeStore(), "salt", pictures=files)


def given(
    conversation: Conversation, attached: tuple[Attached, ...] = (), *, incognito: bool = False
) -> tuple[Any, ...]:
    return (conversation, REF, "", *SETTINGS, None, VISITOR, incognito, "", None, "", attached)


def sent(
    made: ChatPage, text: str, attached: tuple[Attached, ...], before: Conversation | None = None, **how: bool
) -> list[Update]:
    return list(made.send(text, *given(before or Conversation(), attached, **how)))


def uploaded(data: bytes, name: str = "photo.png") -> str:
    folder = Path(get_upload_folder()) / "of-a-test"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return str(folder / name)


def event(**values: Any) -> Any:
    return SimpleNamespace(_data=values)


def test_uploads_become_pictures_of_the_next_message_and_are_deleted(files: AttachedFiles) -> None:
    made = page(files).attach
    path = uploaded(png(1))
    attached, tray = made.change(event(act="attach", paths=[path, uploaded(b"no picture", "no.png")]), (), REF)
    assert attached == (files.take(png(1)),) and not Path(path).exists()
    assert "Remove picture 1" in tray and "not a picture this app reads" in tray
    five = [uploaded(png(n), f"{n}.png") for n in range(5)]
    attached, tray = made.change(event(act="attach", paths=five), (), REF)
    assert len(attached) == MOST_IN_MESSAGE and "left out" in tray and "disabled" in tray
    attached, tray = made.change(event(act="remove", at=2), attached, REF)
    assert [one.sha256 for one in attached] == [files.take(png(n)).sha256 for n in (0, 2, 3)]


@pytest.mark.parametrize("path", ["/etc/hostname", "", "relative.png", None, 3, "/proc/self/environ"])
def test_nothing_but_an_upload_is_read(files: AttachedFiles, path: object) -> None:
    with pytest.raises(gr.Error, match="did not arrive"):
        page(files).attach.change(event(act="attach", paths=[path]), (), REF)


def test_a_link_out_of_the_uploads_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(1))
    link = Path(uploaded(b"", "link.png"))
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(UserInputError, match="did not arrive"):
        upload_at(str(link))
    link.unlink()


def test_a_model_of_text_alone_is_offered_none_and_refuses_those_that_are_there(files: AttachedFiles) -> None:
    router = Seeing()
    made = page(files, router)
    attached = (files.take(png(1)),)
    assert made.attach.shown((), REF).visible is True
    talked = sent(made, "What is it?", attached)[-1].conversation
    router.images = False
    assert made.attach.shown((), REF).visible is False
    # What waits stays in view, so that it can be taken off.
    assert made.attach.shown(attached, REF).visible is True
    with pytest.raises(gr.Error, match="reads text only"):
        made.attach.change(event(act="attach", paths=[uploaded(png(1))]), (), REF)
    updates: list[Update] = []
    with pytest.raises(gr.Error, match="reads text only"):
        updates.extend(made.send("And now?", *given(talked)))
    assert len(router.asked) == 1


def test_the_model_is_asked_with_the_picture_and_the_tray_is_emptied(files: AttachedFiles) -> None:
    router = Seeing()
    attached = (files.take(png(1)), files.take(png(2)))
    updates = sent(page(files, router), "Compare.", attached)
    assert router.asked[0][1] == (Message("user", "Compare.", attached),)
    assert updates[0].attached == ()
    shown = str(updates[-1].chatbot.value)
    assert shown.count("data:image/webp;base64,") == 2
    first = updates[-1].chatbot.value[0]["content"]
    assert first[0] == {"type": "text", "text": "Compare."}, "the Chatbot edits what stands first"


def test_a_picture_without_words_is_a_message(files: AttachedFiles) -> None:
    router = Seeing()
    attached = (files.take(png(1)),)
    sent(page(files, router), "", attached)
    assert router.asked[0][1][0].parts() == [{"type": "image"}]
    with pytest.raises(gr.Error, match="empty"):
        sent(page(files, router), "  ", ())


def test_an_engine_that_fails_gives_the_pictures_back_with_the_words(files: AttachedFiles) -> None:
    router = Seeing(lambda messages, settings: [])
    router.error = GenerationFailed("No.")
    attached = (files.take(png(1)),)
    updates: list[Update] = []
    with pytest.raises(gr.Error):
        for update in page(files, router).send("precious", *given(Conversation(), attached)):
            updates.append(update)
    assert (updates[-1].text, updates[-1].attached) == ("precious", attached)


def test_regenerating_editing_and_going_back_keep_the_pictures(files: AttachedFiles) -> None:
    router = Seeing()
    made = page(files, router)
    attached = (files.take(png(1)),)
    talked = sent(made, "first", attached)[-1].conversation
    again = list(made.regenerate(*given(talked)))
    assert router.asked[1][1] == router.asked[0][1]
    waiting = (files.take(png(2)),)
    edit = event(act="reword", turn=talked.path()[0].id, text="second")
    edited = list(made.acts.ask(edit, "", *given(again[-1].conversation, waiting)))
    assert router.asked[2][1] == (Message("user", "second", attached),)
    assert edited[0].attached != (), "what waits for the next message is not an edit's"
    undone = made.acts.act(event(act="undo"), "", *given(talked))
    assert (undone.text, undone.attached) == ("first", attached)


def test_pictures_are_kept_with_a_conversation_that_is_kept(files: AttachedFiles, tmp_path: Path) -> None:
    made = page(files)
    hidden, kept = (files.take(png(1)),), (files.take(png(2)),)
    sent(made, "secret", hidden, incognito=True)
    assert not (tmp_path / "attached").exists()
    sent(made, "open", kept)
    assert [file.stem for file in (tmp_path / "attached").glob("*.png")] == [kept[0].sha256]


def test_what_a_browser_keeps_is_a_reference_that_only_this_app_can_have_made(files: AttachedFiles) -> None:
    made = page(files)
    talked = sent(made, "Look.", (files.take(png(1)),))[-1].conversation
    record = json.loads(json.dumps(record_of(talked, "salt")))
    assert conversation_of(record, "salt").turns == talked.turns
    assert base64.b64encode(files.png(talked.turns[0].message.images[0])).decode() not in json.dumps(record)
    # Another app, or a visitor who knows what somebody's picture is called, gets nothing.
    with pytest.raises(UserInputError, match="not attached here"):
        conversation_of(record, "pepper")
    for change in ({"seal": ""}, {"seal": None}, {"sha256": "0" * 64}, {"width": 9}, {"sha256": "../x"}):
        forged = json.loads(json.dumps(record))
        forged["turns"][0]["images"][0] |= change
        with pytest.raises(UserInputError):
            conversation_of(forged, "salt")


def test_an_answer_keeps_its_maker_only_with_the_picture_it_was_given_for(files: AttachedFiles) -> None:
    talked = sent(page(files), "Look.", (files.take(png(1)),))[-1].conversation
    record = record_of(talked, "salt")
    other = record_of(sent(page(files), "Look.", (files.take(png(2)),))[-1].conversation, "salt")
    record["turns"][0]["images"] = other["turns"][0]["images"]
    assert conversation_of(record, "salt").turns[1].reply is None


def test_a_file_brings_its_pictures_to_another_app(files: AttachedFiles, tmp_path: Path) -> None:
    talked = sent(page(files), "Look.", (files.take(png(1)),))[-1].conversation
    text = to_json(talked, "salt", packed(talked, "salt", files.png))
    elsewhere = AttachedFiles(tmp_path / "elsewhere")
    back = read_file(text, "pepper", elsewhere.take)
    (image,) = back.turns[0].message.images
    assert elsewhere.png(image) == files.png(talked.turns[0].message.images[0])
    assert back.turns[1].reply is None
    with pytest.raises(UserInputError, match="Picture 1 of the file is not base64"):
        read_file(text.replace('"pictures": {', '"pictures": {"x": "?",'), "pepper", elsewhere.take)


def test_exports_say_what_is_not_in_them(files: AttachedFiles) -> None:
    made = page(files)
    talked = sent(made, "Look.", (files.take(png(1)),))[-1].conversation
    assert "*Picture: 16 × 16 pixels" in to_markdown(talked)
    assert to_rows(talked) == ""

    def export(kind: str, conversation: Conversation) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(made.kept.manage(event(act="export", kind=kind), *given(conversation)).keep)
        return told

    assert "JSON has them in it" in export("markdown", talked)["note"]
    assert export("json", talked)["note"] == ""
    with pytest.raises(gr.Error, match="Branches with pictures are left out"):
        export("rows", talked)
    branch = sent(made, "text alone", (), replace(talked, tip=None))[-1].conversation
    told = export("rows", branch)
    assert told["text"].count("\n") == 1 and "left out" in told["note"]
    lost = replace(talked, turns=(replace(talked.turns[0], message=Message("user", "x", (Attached("0" * 64, 1, 1),))),))
    assert "1 of 1 pictures are not in the file" in export("json", replace(lost, tip=lost.turns[0].id))["note"]


def test_a_thumb_and_a_preference_hold_the_picture(files: AttachedFiles) -> None:
    store = FakeStore()
    made = page(files, store=store)
    attached = (files.take(png(1)), files.take(png(2)))
    talked = sent(made, "Which?", attached)[-1].conversation
    like: Any = SimpleNamespace(index=1, liked=True, value="")
    talked = made.rate(like, talked, VISITOR).conversation
    (rated,) = store.kept.values()
    assert isinstance(rated, RatingRow) and rated.config == "vision_ratings"
    columns = rated.columns()
    assert list(columns) == list(COLUMNS["vision_ratings"])
    assert columns["images"] == [files.png(one) for one in attached]
    assert columns["prompt"] == [
        {
            "role": "user",
            "content": [
                {"type": "image", "text": None},
                {"type": "image", "text": None},
                {"type": "text", "text": "Which?"},
            ],
        }
    ]
    first = talked.tip
    both = list(made.regenerate(*given(talked)))[-1].conversation
    edited = both.edited(str(both.tip), "The second.")
    after = made.acts.judge(event(act="save_preference", turn=edited.tip, over=both.tip), *given(edited))
    assert first and isinstance(after.conversation, Conversation)
    pair = next(row for row in store.kept.values() if isinstance(row, PreferenceRow))
    assert pair.config == "vision_preferences" and pair.columns()["images"] == columns["images"]


def test_without_its_picture_nothing_is_saved(files: AttachedFiles, tmp_path: Path) -> None:
    store = FakeStore()
    made = page(files, store=store)
    (image,) = attached = (files.take(png(1)),)
    talked = sent(made, "Look.", attached)[-1].conversation
    (tmp_path / "attached" / f"{image.sha256}.png").unlink()
    like: Any = SimpleNamespace(index=1, liked=True, value="")
    with pytest.raises(gr.Error, match="a row without its picture"):
        made.rate(like, talked, VISITOR)
    assert store.kept == {}
    prompt = talked.prompt_of(talked.turns[1].id)
    row = RatingRow(pair_provenance(), prompt, (talked.turns[1].message,), True)
    with pytest.raises(UserInputError, match="have to go with the row"):
        row.columns()


def pair_provenance() -> Any:
    from tests.contract.outbox_rows import provenance

    return provenance()


def test_battles_and_captures_by_hand_do_not_leave_pictures_out(files: AttachedFiles) -> None:
    talked = sent(page(files), "Look.", (files.take(png(1)),))[-1].conversation
    battle = BattlePage(Seeing(), FakeStore(), "salt", ())
    with pytest.raises(gr.Error, match="Battles are on text alone"):
        list(battle.compare("And now?", talked, REF))
    answer = talked.turns[1]
    with pytest.raises(UserInputError, match="about a picture"):
        prompt_of("Look.", [answer_picked(answer.id, answer.message.content, talked)], talked)


def test_other_pictures_are_another_item(files: AttachedFiles) -> None:
    makers = (Contender("a"), Contender("b"))
    items = {item_of((Message("user", "Look.", (files.take(png(n)),)),), makers) for n in (1, 1, 2)}
    assert len(items) == 2
    assert item_of((Message("user", "Look."),), makers) not in items


def test_a_deleted_conversation_takes_its_pictures_along(files: AttachedFiles) -> None:
    made = page(files)
    mine, shared = files.take(png(1)), files.take(png(2))
    talked = sent(made, "Look.", (mine, shared))[-1].conversation
    sent(made, "Look too.", (shared,))
    # The browser says which pictures none of its other conversations has.
    made.kept.manage(event(act="delete", id=talked.id, turns=[{"images": [{"sha256": mine.sha256}]}]), *given(talked))
    assert files.small(shared)
    with pytest.raises(UserInputError):
        files.png(mine)


def test_programs_send_pictures_in_base64(files: AttachedFiles) -> None:
    router = Seeing()
    api = ChatApi(router, files.take)
    data = base64.b64encode(png(1)).decode()
    answers = list(api.chat("Look.", images=[data, f"data:image/png;base64,{data}"]))
    assert answers[-1] == "You said: Look."
    assert router.asked[0][1][-1].images == (files.take(png(1)),) * 2
    for images, says in ((["?"], "expected a picture in base64"), ([data] * 5, "at most 4"), ("x", "list of texts")):
        with pytest.raises(gr.Error, match=says):
            list(api.chat("Look.", images=images))  # type: ignore[arg-type]
    with pytest.raises(gr.Error, match="text as content"):
        list(api.chat("Look.", history=[{"role": "user", "content": [{"type": "image"}]}]))  # type: ignore[dict-item]
    router.images = False
    with pytest.raises(gr.Error, match="reads text only"):
        list(api.chat("Look.", images=[data]))


def test_pictures_in_a_call_count_as_uploads(files: AttachedFiles) -> None:
    from components.access import Access
    from components.metered import metered_take
    from core.caller import called_by
    from core.limits import Limit, Limits
    from core.roles import Account, Role

    take = metered_take(files, Access(open=False, limits=replace(Limits(), upload=Limit(1, 10))))
    with called_by(Account(Role.VISITOR, address="1.2.3.4")):
        take(png(1), "picture")
        with pytest.raises(QuotaExceeded, match="megabytes of uploads"):
            take(png(1) + b"\0" * 1_000_000, "picture")


def test_messages_name_pictures_and_never_pass_them_off_as_text() -> None:
    image = Attached("0" * 64, 4, 3)
    asked: Sequence[Message] = (Message("user", "Look.", (image,)),)
    assert asked[0].as_dict()["content"] == [{"type": "image"}, {"type": "text", "text": "Look."}]
    assert "not shown here" in str(shown_messages(Conversation().ask("Look.", (image,))))
