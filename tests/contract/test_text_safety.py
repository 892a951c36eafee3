"""Texts that the operator's checks object to: flagged or withheld with a sentence, and the verdict kept; by words and by a real classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from backends.safety.build import TextChecks, TextSafetySettings, build_text_safety
from backends.safety.checked import CheckedAnswer, checked_prompt
from core.chat import GenerationSettings, Message
from core.errors import PromptRefused, UserInputError, Withheld
from core.refs import ModelRef
from core.text_safety import NOTHING_CHECKS, TextVerdict
from tests.fakes import REF, FakeAnswer
from tests.tiny_models import make_tiny_tokenizer

ASKED = (Message("system", "be kind"), Message("user", "hello"))


def unpinned(model: str) -> ModelRef:
    raise AssertionError("a folder is not asked of the Hub")


def checks(tmp_path: Path, words: str = "", **more: object) -> TextChecks:
    path = ""
    if words:
        (tmp_path / "words.txt").write_text(words, encoding="utf-8")
        path = str(tmp_path / "words.txt")
    built = build_text_safety(
        TextSafetySettings(path, **more),  # type: ignore[arg-type]
        endpoint="http://127.0.0.1:9",
        token=None,
        pin=unpinned,
    )
    assert built is not None
    return built


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Path]:
    """A tiny real classifier whose last label wins when a text holds many of the letter z."""

    def made(labels: Sequence[str]) -> Path:
        import torch
        from transformers import BertConfig, BertForSequenceClassification

        folder = tmp_path_factory.mktemp("classifier")
        tokenizer = make_tiny_tokenizer()
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=64, num_labels=len(labels), id2label=dict(enumerate(labels)),
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = BertForSequenceClassification(config).eval()
            z = tokenizer("z", add_special_tokens=False)["input_ids"][0]
            with torch.no_grad():
                # The embedding of z alone reaches the pooler; every other text stays at the bias.
                model.bert.embeddings.word_embeddings.weight.zero_()
                model.bert.embeddings.position_embeddings.weight.zero_()
                model.bert.embeddings.token_type_embeddings.weight.zero_()
                model.bert.embeddings.word_embeddings.weight[z] = torch.linspace(-1, 1, 16)
                for parameter in model.bert.encoder.parameters():
                    parameter.zero_()
                model.bert.encoder.layer[0].output.LayerNorm.weight.fill_(1.0)
                model.bert.encoder.layer[0].attention.output.LayerNorm.weight.fill_(1.0)
                model.bert.pooler.dense.weight.copy_(torch.eye(16))
                model.bert.pooler.dense.bias.zero_()
                model.classifier.weight.zero_()
                model.classifier.weight[-1] = torch.linspace(-4, 4, 16)
                model.classifier.bias.zero_()
                model.classifier.bias[0] = 4.0
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return made


def test_nothing_is_built_where_nothing_is_set() -> None:
    built = build_text_safety(TextSafetySettings(), endpoint="http://127.0.0.1:9", token=None, pin=unpinned)
    assert built is None
    assert "Nothing checks" in NOTHING_CHECKS


def test_a_word_list_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UserInputError, match="PROVING_TEXT_FILTER"):
        build_text_safety(TextSafetySettings("/nowhere/words.txt"), endpoint="", token=None, pin=unpinned)


def test_a_flagged_answer_is_shown_and_the_verdict_is_kept(tmp_path: Path) -> None:
    check = checks(tmp_path, "# ours\nbanana\n")
    answer = CheckedAnswer(FakeAnswer(REF, GenerationSettings(), ["a ", "banana"]), check, checked_prompt(check, ASKED))
    assert "".join(delta.text for delta in answer.listen()) == "a banana"
    reply = answer.reply()
    told = json.loads(reply.safety or "")
    assert reply.content == "a banana"
    assert told["answer"] == {
        "by": ["words"], "flagged": True, "found": [{"by": "words", "label": "rule 2"}], "withheld": False,
    }  # fmt: skip
    assert told["prompt"]["flagged"] is False
    assert "banana" not in json.dumps(told)


def test_a_withheld_answer_is_never_seen_and_said(tmp_path: Path) -> None:
    check = checks(tmp_path, "banana", action="withhold")
    inner = FakeAnswer(REF, GenerationSettings(), ["one ", "two ", "banana"])
    answer = CheckedAnswer(inner, check, TextVerdict())
    heard = []
    with pytest.raises(Withheld, match=r"rule 1.*withheld"):
        for delta in answer.listen():
            heard.append(delta.text)
            assert answer.reply().content == ""
    assert heard == []
    assert answer.reply().content == ""
    kind = CheckedAnswer(FakeAnswer(REF, GenerationSettings(), ["one ", "two"]), check, TextVerdict())
    assert [delta.text for delta in kind.listen()] == ["one two"]
    assert kind.reply().content == "one two"


def test_a_prompt_is_refused_or_flagged(tmp_path: Path) -> None:
    asked = (Message("user", "banana long ago"), Message("assistant", "yes"), Message("user", "a BANANA now"))
    with pytest.raises(PromptRefused, match=r"rule 1.*Change it"):
        checked_prompt(checks(tmp_path, "banana", action="withhold"), asked)
    assert checked_prompt(checks(tmp_path, "banana"), asked).flagged
    # What was said long ago was looked at then.
    assert not checked_prompt(checks(tmp_path, "banana"), (*asked[:2], Message("user", "now"))).flagged


def test_a_classifier_looks_at_all_of_a_long_text(tmp_path: Path, classifier: Callable[[Sequence[str]], Path]) -> None:
    check = checks(tmp_path, classifier=str(classifier(["neutral", "toxic"])), threshold=0.5)
    assert not check.check("the cat sat on the mat").flagged
    assert check.check("z" * 40).flagged
    # Far behind the first window.
    verdict = check.check("the cat sat " * 60 + "z" * 80)
    assert verdict.flagged and verdict.found[0].label == "toxic" and 0.5 <= (verdict.found[0].share or 0) <= 1
    assert "classifier" in check.describe()


def test_labels_that_do_not_tell_are_not_guessed(tmp_path: Path, classifier: Callable[[Sequence[str]], Path]) -> None:
    vague = classifier(["LABEL_0", "LABEL_1"])
    failed = checks(tmp_path, classifier=str(vague)).check("hello")
    assert not failed.withheld and "PROVING_TEXT_CLASSIFIER_LABELS" in failed.failed
    assert "not checked" in failed.sentence("This answer")
    assert checks(tmp_path, classifier=str(vague), action="withhold").check("hello").withheld
    assert checks(tmp_path, classifier=str(vague), labels=("label_1",)).check("z" * 40).flagged
    wrong = checks(tmp_path, classifier=str(vague), labels=("toxic",)).check("hello")
    assert "does not have" in wrong.failed


def test_pickle_weights_are_not_loaded(tmp_path: Path, classifier: Callable[[Sequence[str]], Path]) -> None:
    folder = classifier(["neutral", "toxic"])
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "no model.safetensors" in checks(tmp_path, classifier=str(folder)).check("hello").failed
