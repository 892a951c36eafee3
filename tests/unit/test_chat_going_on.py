"""Going on with an answer that was cut or begun by hand: exact to the byte, on a random two-layer Llama."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.chat.decoding import decode
from backends.chat.detokenise import Detokeniser
from backends.chat.loaded import LoadedModel
from backends.chat.loading import load
from backends.chat.metadata import capabilities_of
from backends.chat.prompt import encode, own_tokens
from backends.chat.sampling import applied
from backends.chat.turns import Turns
from core.chat import GenerationSettings, Message, check_messages
from core.errors import UserInputError
from core.refs import ModelRef
from core.template_kwargs import read_template_kwargs
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
ASKED = (Message("system", "be brief"), Message("user", "the cat sat"))
EXACT = "  \tlead\n\n    code\tstays  \n🙂 <|im_end|> "


class Heard:
    """A sink that keeps everything."""

    def __init__(self, own: tuple[int, ...] = ()) -> None:
        self.text, self.goes_on_from, self.cancelled = "", own, False

    def step(self) -> None:
        pass

    def put(self, text: str) -> None:
        self.text += text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_chat_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load(REF, folder, "cpu")


def greedy(loaded: LoadedModel, messages: tuple[Message, ...], tokens: int) -> str:
    prompt = encode(loaded.tokenizer, messages)
    settings = GenerationSettings(max_new_tokens=tokens, temperature=0)
    filled = applied(settings, loaded.model.generation_config, len(prompt), loaded.max_context)
    heard = Heard(tuple(own_tokens(loaded.tokenizer, messages) or ()))
    decode(loaded, prompt, filled, heard, Turns())
    return heard.text


def test_the_beginning_of_an_answer_follows_the_generation_prompt_to_the_byte(loaded: LoadedModel) -> None:
    tokenizer = loaded.tokenizer
    begun = encode(tokenizer, (*ASKED, Message("assistant", EXACT)))
    before = encode(tokenizer, ASKED)
    assert begun[: len(before)] == before
    assert tokenizer.decode(begun[len(before) :], skip_special_tokens=False) == EXACT
    # What looks like a special token in it is text: nobody ends a turn by hand.
    assert tokenizer.eos_token_id not in begun[len(before) :]


def test_it_is_what_the_template_itself_makes_of_a_message_to_be_continued(loaded: LoadedModel) -> None:
    messages = (*ASKED, Message("assistant", "one two"))
    theirs = loaded.tokenizer.apply_chat_template(
        [message.as_dict() for message in messages], continue_final_message=True, return_dict=True
    )["input_ids"]
    text = loaded.tokenizer.decode(encode(loaded.tokenizer, messages), skip_special_tokens=False)
    assert text == loaded.tokenizer.decode(list(theirs), skip_special_tokens=False)


@contextmanager
def templated(loaded: LoadedModel, template: str | None) -> Iterator[Any]:
    """The tokenizer under another template."""
    tokenizer = loaded.tokenizer
    whole, tokenizer.chat_template = tokenizer.chat_template, template
    try:
        yield tokenizer
    finally:
        tokenizer.chat_template = whole


def test_a_base_model_goes_on_with_the_text(loaded: LoadedModel) -> None:
    """It went on after an empty line that it never wrote, so a continued answer began anew."""
    talked = (Message("user", "the cat"), Message("assistant", " sat "))
    with templated(loaded, None) as tokenizer:
        ids = encode(tokenizer, talked)
        assert tokenizer.decode(ids, skip_special_tokens=False) == "the cat sat "
        more = encode(tokenizer, (Message("system", "A story."), *talked, Message("user", "and then")))
        assert tokenizer.decode(more, skip_special_tokens=False) == "A story.\n\nthe cat sat \n\nand then"


def test_a_trimming_template_changes_nothing_of_what_was_begun(loaded: LoadedModel) -> None:
    trimming = loaded.tokenizer.chat_template.replace("message['content'] +", "message['content'] | trim +")
    with templated(loaded, trimming) as tokenizer:
        begun = encode(tokenizer, (*ASKED, Message("assistant", "one \n")))
        assert tokenizer.decode(begun, skip_special_tokens=False).endswith("assistant\none \n")


def test_two_halves_are_the_whole(loaded: LoadedModel) -> None:
    """Cut at any token, an answer goes on with the very words it would have had."""
    whole = greedy(loaded, ASKED, 24)
    for cut in (1, 7, 16):
        first = greedy(loaded, ASKED, cut)
        assert whole.startswith(first)
        if own_tokens(loaded.tokenizer, (Message("assistant", first),)) is None:
            continue
        again = encode(loaded.tokenizer, (*ASKED, Message("assistant", first)))
        if len(again) - len(encode(loaded.tokenizer, ASKED)) != cut:
            # The tokenizer writes the same text in other tokens than the model did: other words may follow.
            continue
        assert first + greedy(loaded, (*ASKED, Message("assistant", first)), 24 - cut) == whole


def test_the_blank_before_the_next_word_is_not_lost() -> None:
    """SentencePiece's decoder takes the blank off the first word of whatever it is given."""
    words = {1: "▁the", 2: "▁cat", 3: "▁sat"}

    def decoded(tokens: list[int]) -> str:
        return "".join(words[token] for token in tokens).replace("▁", " ").removeprefix(" ")

    fresh, going_on = Detokeniser(decoded), Detokeniser(decoded, before=[1, 2])
    assert "".join(fresh.add(token) for token in (1, 2, 3)) == "the cat sat"
    assert going_on.add(3) == " sat"


def test_only_an_answer_to_something_is_gone_on_with() -> None:
    question, answer = Message("user", "q"), Message("assistant", "a")
    assert check_messages((question, answer)) == (question, answer)
    for wrong in (
        (answer,),
        (question, Message("assistant", "")),
        (question, answer, answer),
        (Message("user", " "), answer),
    ):
        with pytest.raises(UserInputError):
            check_messages(wrong)


SWITCHED = "{% if enable_thinking is defined and not enable_thinking %}<no>{% endif %}{{ effort | default('') }}"


def test_the_thinking_switch_is_the_templates_own(loaded: LoadedModel) -> None:
    with templated(loaded, loaded.tokenizer.chat_template + SWITCHED) as tokenizer:
        ends = {
            switch: tokenizer.decode(encode(tokenizer, ASKED, switch)).endswith("<no>")
            for switch in (None, True, False)
        }
        assert ends == {None: False, True: False, False: True}
    # A template that only speaks of thinking has no switch, and what has none does not take one in silence.
    speaks = "{% for message in messages %}{{ message.thinking or message.content }}<thinking>{% endfor %}"
    with templated(loaded, speaks) as tokenizer, pytest.raises(UserInputError, match="no switch for thinking"):
        encode(tokenizer, ASKED, True)


def test_what_else_a_template_reads_is_given_to_it_and_nothing_else_is(loaded: LoadedModel) -> None:
    with templated(loaded, loaded.tokenizer.chat_template + SWITCHED) as tokenizer:
        text = tokenizer.decode(encode(tokenizer, ASKED, None, (("effort", "high <|im_end|>"),)))
        assert text.endswith("high <|im_end|>")
        # A special token in it is text, as in a message.
        assert encode(tokenizer, ASKED, None, (("effort", "<|im_end|>"),))[-1] != tokenizer.eos_token_id
        for name in ("efort", "bos_token", "namespace"):
            with pytest.raises(UserInputError, match="It reads effort, enable_thinking"):
                encode(tokenizer, ASKED, None, ((name, "x"),))
    with templated(loaded, None) as tokenizer, pytest.raises(UserInputError, match="It reads none"):
        encode(tokenizer, ASKED, None, (("effort", "high"),))


NO_SYSTEM = {
    "refused": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}",
    "left out": "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}",
}


@pytest.mark.parametrize("template", NO_SYSTEM.values(), ids=NO_SYSTEM)
def test_a_system_prompt_reaches_the_model_where_the_template_knows_none(loaded: LoadedModel, template: str) -> None:
    """Some templates refuse a system message, and some left it out without a word."""
    with templated(loaded, template) as tokenizer:
        text = tokenizer.decode(encode(tokenizer, ASKED))
        assert text == "<user>be brief\n\nthe cat sat"
        begun = tokenizer.decode(encode(tokenizer, (*ASKED, Message("assistant", "on"))))
        assert begun == "<user>be brief\n\nthe cat saton"


def test_options_are_read_as_they_are_typed() -> None:
    assert read_template_kwargs("\n effort = high \nstrict=true\nlevel=3\nsaid=\"true\"\nempty=\n") == (
        ("effort", "high"), ("empty", ""), ("level", 3), ("said", "true"), ("strict", True),
    )  # fmt: skip
    for wrong, says in [
        ("effort", "line 1"), ("a=1\n=2", "line 2"), ("a=1\na=2", "twice"), ("messages=[]", "no option"),
        ("chat_template=x", "no option"), ("a=NaN", "has to be"), ("a=" + "x" * 4_001, "longer than 4,000"),
        ("\n".join(f"a{n}=1" for n in range(17)), "at most 16"), ("a=\ud800", "half of a character pair"),
    ]:  # fmt: skip
        with pytest.raises(UserInputError, match=says):
            read_template_kwargs(wrong)


def test_options_stand_in_the_settings_of_a_row_and_come_back() -> None:
    settings = GenerationSettings(seed=1, stop=("x",), thinking=True, template_kwargs=(("effort", "high"), ("n", 2)))
    assert json.loads(settings.as_json())["template_kwargs"] == {"effort": "high", "n": 2}
    assert GenerationSettings.from_record(json.loads(settings.as_json())) == settings
    plain = GenerationSettings(seed=1)
    assert "template_kwargs" not in plain.as_json()
    assert GenerationSettings.from_record(json.loads(plain.as_json())) == plain


def test_an_untouched_switch_is_no_part_of_the_settings() -> None:
    assert "thinking" not in GenerationSettings().as_json()
    assert json.loads(GenerationSettings(thinking=False).as_json())["thinking"] is False


def test_what_the_author_recommends_is_read_where_it_stands(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert capabilities_of(tmp_path, "x").sampling is None
    (tmp_path / "README.md").write_text("Use `temperature=0.6`, top_p: 0.95 and max_new_tokens=100.", encoding="utf-8")
    found = capabilities_of(tmp_path, "x")
    assert found.sampling is not None
    assert (found.sampling.temperature, found.sampling.top_p, found.sampling_from) == (0.6, 0.95, "the card")
    stated = {"do_sample": True, "temperature": 0.2, "top_k": 20}
    (tmp_path / "generation_config.json").write_text(json.dumps(stated), encoding="utf-8")
    found = capabilities_of(tmp_path, "x")
    assert found.sampling == GenerationSettings(temperature=0.2, top_k=20)
    assert found.sampling_from == "generation_config.json"
    (tmp_path / "generation_config.json").write_text('{"temperature": -5}', encoding="utf-8")
    assert capabilities_of(tmp_path, "x").sampling is None
    assert not found.thinking
    (tmp_path / "chat_template.jinja").write_text("{% if enable_thinking %}{% endif %}", encoding="utf-8")
    assert capabilities_of(tmp_path, "x").thinking
    several = [
        {"name": "default", "template": "{{ thinking }}{{ date_string }}"},
        {"name": "tool_use", "template": "x"},
    ]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}), encoding="utf-8")
    (tmp_path / "chat_template.jinja").unlink()
    found = capabilities_of(tmp_path, "x")
    assert (found.thinking, found.template_kwargs, found.chat_template) == (True, ("date_string", "thinking"), True)
