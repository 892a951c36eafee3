"""The batch: what is made in it is what `model.generate` makes alone, and what happens to one happens to that one only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.chat import batched, paged
from backends.chat.answers import BufferedAnswer
from backends.chat.batched import BatchedEngine
from backends.chat.fitting import Resident, resident, shape_for, unfit
from backends.chat.loaded import LoadedModel
from backends.chat.loading import load
from backends.chat.paged import PAGE, PagedBatch, Shape
from backends.chat.prompt import encode
from backends.chat.sampling import applied
from backends.chat.steps import StepThread
from backends.chat.turns import Turns
from core.chat import GenerationSettings, Message
from core.errors import Busy, GenerationFailed, OutOfMemory
from core.refs import ModelRef
from tests.contract.engine_cases import busy, heard, until
from tests.tiny_models import make_tiny_chat_model

REF = ModelRef("local/tiny", "f" * 40)
SHAPE = Shape(tokens=2048, step_tokens=64, requests=8)
PROMPTS = (
    "the cat",
    "one",
    "a model answers what a person asks, one two three",
    "the cat sat on the mat " * 6,
    "user",
    "assistant system",
    "three two one " * 3,
    "what a person asks",
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """In float32, so that a batch of eight rounds to the same tokens as each alone."""
    model = load(REF, make_tiny_chat_model(tmp_path_factory.mktemp("tiny")), "cpu")
    return LoadedModel(REF, model.model.float(), model.tokenizer, "float32", "cpu", model.max_context)


class Room:
    """One batch, and what it takes to ask it. `hold` stops it before its next step."""

    def __init__(self, loaded: LoadedModel, shape: Shape = SHAPE) -> None:
        self.loaded = loaded
        self.turns = Turns()
        self.engine = BatchedEngine(loaded, shape, StepThread(self.turns))
        self.freed: list[str] = []
        self._open = threading.Event()
        self._open.set()
        self.steps = 0
        step = self.engine.step

        def held() -> None:
            self._open.wait(60)
            step()
            self.steps += 1

        self.engine.step = held  # type: ignore[method-assign]

    def hold(self) -> None:
        self._open.clear()

    def go(self) -> None:
        self._open.set()

    def ask(self, text: str = "the cat", **given: object) -> BufferedAnswer:
        prompt = self.prompt(text)
        settings = GenerationSettings(**{"max_new_tokens": 24, "temperature": 0, **given})  # type: ignore[arg-type]
        settings = applied(settings, self.loaded.model.generation_config, len(prompt), self.loaded.max_context)
        answer = BufferedAnswer(
            REF, settings, backend="CPU", dtype="float32", path="batched", prompt_tokens=len(prompt), orphan_seconds=60
        )
        self.engine.submit(prompt, answer, lambda: self.freed.append(answer.id))
        return answer

    def prompt(self, text: str) -> list[int]:
        return encode(self.loaded.tokenizer, (Message("user", text),))

    def batch(self) -> PagedBatch:
        batch = self.engine._batch
        assert batch is not None
        return batch

    def generated(self, text: str, **arguments: object) -> str:
        """What transformers itself answers."""
        import torch

        prompt = torch.tensor([self.prompt(text)])
        given = {"max_new_tokens": 24, "pad_token_id": 0, **arguments}
        with self.turns.held():
            whole = self.loaded.model.generate(prompt, attention_mask=torch.ones_like(prompt), **given)
        return self.loaded.decode(whole[0, prompt.shape[1] :].tolist()).rstrip("\ufffd")

    def all_free(self) -> bool:
        return not busy() and self.batch().reserved == 0 and not self.engine._seats


@pytest.fixture
def room(loaded: LoadedModel) -> Iterator[Room]:
    room = Room(loaded)
    yield room
    room.go()


def sampled(room: Room, text: str, seed: int, **arguments: object) -> str:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return room.generated(text, do_sample=True, **arguments)


def together(room: Room, ask: Callable[[], list[BufferedAnswer]]) -> list[str]:
    """The texts of requests that all came before the first step."""
    room.hold()
    answers = ask()
    room.go()
    return [heard(answer) for answer in answers]


def test_greedy_sampled_and_penalised_at_once_are_each_what_generate_gives(room: Room) -> None:
    sampling = {"temperature": 1.3, "top_p": 0.9, "top_k": 20}
    texts = together(
        room,
        lambda: [
            room.ask(PROMPTS[0]),
            room.ask(PROMPTS[1], seed=11, **sampling),
            room.ask(PROMPTS[2], repetition_penalty=8.0),
            room.ask(PROMPTS[0], seed=12, temperature=0.7, top_k=0, top_p=1.0),
        ],
    )
    assert texts == [
        room.generated(PROMPTS[0], do_sample=False),
        sampled(room, PROMPTS[1], 11, **sampling),
        room.generated(PROMPTS[2], do_sample=False, repetition_penalty=8.0),
        sampled(room, PROMPTS[0], 12, temperature=0.7, top_k=0, top_p=1.0),
    ]
    assert room.steps < 4 * 24, "they were made one after the other, not together"
    assert texts[2] != room.generated(PROMPTS[2], do_sample=False)


def test_eight_unequal_prompts_greedy_are_each_what_they_are_alone(room: Room) -> None:
    texts = together(room, lambda: [room.ask(prompt) for prompt in PROMPTS])
    assert texts == [room.generated(prompt, do_sample=False) for prompt in PROMPTS]


def test_one_that_comes_later_joins_without_waiting(room: Room) -> None:
    first = room.ask(max_new_tokens=500)
    listener = first.listen()
    next(listener)
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)
    assert not first.done
    first.cancel()
    until(room.all_free)


def test_the_models_own_processors_apply_in_the_batch(loaded: LoadedModel) -> None:
    config = loaded.model.generation_config
    kept = config.no_repeat_ngram_size
    config.no_repeat_ngram_size = 2
    try:
        room = Room(loaded)
        assert heard(room.ask()) == room.generated("the cat", do_sample=False)
    finally:
        config.no_repeat_ngram_size = kept
    assert heard(Room(loaded).ask()) != heard(room.ask(max_new_tokens=5))


@pytest.mark.parametrize("temperature", [0.0, 0.0001, 100.0])
def test_no_temperature_harms_the_others(room: Room, temperature: float) -> None:
    texts = together(room, lambda: [room.ask(temperature=temperature), room.ask("one"), room.ask(top_k=1_000_000)])
    assert texts[1] == room.generated("one", do_sample=False)
    until(room.all_free)


def test_a_sampler_that_raises_ends_its_own_answer_only(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = paged.chooser

    def broken(loaded: LoadedModel, prompt: list[int], settings: GenerationSettings) -> paged.Choose:
        if settings.max_new_tokens != 23:
            return chooser(loaded, prompt, settings)

        def fail(scores: object) -> int:
            raise RuntimeError("the sampler broke")

        return fail

    monkeypatch.setattr(batched, "chooser", broken)
    room.hold()
    good, bad = room.ask(), room.ask(max_new_tokens=23)
    room.go()
    with pytest.raises(GenerationFailed, match="Try again"):
        heard(bad)
    assert heard(good) == room.generated("the cat", do_sample=False)
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)
    until(room.all_free)


def test_numbers_that_are_not_finite_fail_and_leave_no_kept_beginning(loaded: LoadedModel) -> None:
    import torch

    room = Room(loaded)
    weight = loaded.model.model.norm.weight
    kept = weight.detach().clone()
    long = "the cat sat on the mat " * 24
    with torch.no_grad():
        weight.fill_(float("nan"))
    try:
        with pytest.raises(GenerationFailed, match="not finite"):
            heard(room.ask(long))
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert room.batch().kept == 0
    assert heard(room.ask(long)) == room.generated(long, do_sample=False)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (ValueError("shape"), GenerationFailed),
    ],
)
def test_a_step_that_fails_is_told_to_all_in_it_and_the_next_gets_a_fresh_batch(
    room: Room, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    listeners = [room.ask(text, max_new_tokens=400).listen() for text in PROMPTS[:3]]
    for listener in listeners:
        next(listener)
    before = room.batch()

    def fail(self: PagedBatch) -> None:
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(PagedBatch, "step", fail)
        for listener in listeners:
            with pytest.raises(expected):
                for _ in listener:
                    pass
    assert len(room.freed) == 3
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)
    assert room.batch() is not before


def test_those_who_waited_when_the_batch_failed_are_answered(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(loaded, Shape(2048, 64, requests=1))
    step, fails = PagedBatch.step, iter([True])

    def once(self: PagedBatch) -> object:
        if next(fails, False):
            raise RuntimeError("broken")
        return step(self)

    monkeypatch.setattr(PagedBatch, "step", once)
    room.hold()
    first, second = room.ask(), room.ask("one")
    room.go()
    with pytest.raises(GenerationFailed):
        heard(first)
    assert heard(second) == room.generated("one", do_sample=False)


def test_a_batch_that_cannot_be_made_is_told_to_all_and_tried_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PagedBatch, *args: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(PagedBatch, "__init__", fail)
        room.hold()
        answers = [room.ask(), room.ask("one")]
        room.go()
        for answer in answers:
            with pytest.raises(OutOfMemory):
                heard(answer)
        until(lambda: not busy())
    assert len(room.freed) == 2
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)


def test_a_thread_that_dies_tells_everybody_and_the_next_request_gets_another(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    class Killed(BaseException):
        pass

    def die(self: PagedBatch) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(PagedBatch, "step", die)
        room.hold()
        answers = [room.ask(), room.ask("one")]
        room.go()
        for answer in answers:
            with pytest.raises(GenerationFailed):
                heard(answer)
        until(lambda: not busy())
    assert len(room.freed) == 2
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)


# Slots.


def test_a_cancel_frees_the_slot_in_the_queue_in_the_prompt_and_in_the_answer(loaded: LoadedModel) -> None:
    room = Room(loaded, Shape(2048, step_tokens=16, requests=1))
    room.hold()
    running, queued = room.ask(max_new_tokens=500), room.ask("one")
    queued.cancel()
    room.go()
    assert next(running.listen()).text
    until(lambda: queued.id in room.freed)
    running.cancel()
    until(room.all_free)
    assert set(room.freed) == {running.id, queued.id}

    # Sixteen tokens in a step: this prompt takes several, and the first of them is awaited.
    room.hold()
    steps = room.steps
    long = room.ask("the cat sat on the mat " * 24)
    room.go()
    until(lambda: room.steps > steps)
    room.hold()
    until(lambda: room.engine._seats or long.done)
    long.cancel()
    room.go()
    until(room.all_free)
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)


def test_stop_frees_the_slot_within_two_steps(room: Room) -> None:
    answer = room.ask(max_new_tokens=500)
    next(answer.listen())
    room.hold()
    answer.cancel()
    steps = room.steps
    room.go()
    until(room.all_free)
    assert room.steps - steps <= 2
    assert answer.steps < 500


def test_a_stop_string_frees_the_slot_and_nothing_after_it_is_shown(room: Room) -> None:
    whole = room.generated("the cat", do_sample=False)
    stop = whole[3:5]
    answer = room.ask(stop=(stop,))
    assert heard(answer) == whole[: whole.index(stop)]
    assert answer.reply().finish == "stop"
    until(room.all_free)
    assert answer.steps < 24


def test_requests_wait_for_cache_and_nobody_overtakes(loaded: LoadedModel) -> None:
    """Each may come to all of the cache but a little, so that two never fit together."""
    room = Room(loaded, Shape(tokens=1024, step_tokens=64, requests=8))
    room.hold()
    answers = [room.ask("the cat", max_new_tokens=900) for _ in range(2)] + [room.ask("one", max_new_tokens=5)]
    listener = answers[2].listen()
    first = answers[0].listen()
    room.go()
    next(first)
    told = next(listener)
    assert told.waiting is not None and told.waiting.place == 2 and told.waiting.seconds is not None
    assert not answers[1].done and not answers[2].done
    answers[0].cancel()
    second = answers[1].listen()
    while next(second).waiting:
        pass
    answers[1].cancel()
    assert "".join(delta.text for delta in listener) == room.generated("one", do_sample=False, max_new_tokens=5)
    until(room.all_free)


def test_a_full_queue_says_so_and_lets_the_next_in_when_there_is_room(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched, "MOST_WAITING", 2)
    room.hold()
    room.ask(), room.ask()
    with pytest.raises(Busy, match="Try again in about") as refusal:
        room.ask()
    assert refusal.value.retry_after is not None
    room.go()
    until(room.all_free)
    assert heard(room.ask("one")) == room.generated("one", do_sample=False)


# What is kept.


def test_the_next_turn_does_not_read_the_first_ones_again(room: Room) -> None:
    long = "the cat sat on the mat " * 24
    prompt = len(room.prompt(long))
    assert prompt > 4 * PAGE
    first = heard(room.ask(long))
    kept = room.batch().kept
    assert kept >= prompt // PAGE
    asked: list[int] = []
    schedule = room.batch()._processor.inputs_and_outputs.prepare_batch_tensors

    def counting(*args: object, **kwargs: object) -> None:
        asked.append(sum(request.query_length for request in kwargs["requests_in_batch"]))  # type: ignore[attr-defined]
        schedule(*args, **kwargs)

    room.batch()._processor.inputs_and_outputs.prepare_batch_tensors = counting
    assert heard(room.ask(long)) == first == room.generated(long, do_sample=False)
    assert asked[0] <= PAGE, "only what is not in a whole kept block is read again"


def test_memory_that_is_kept_gives_way_to_requests(loaded: LoadedModel) -> None:
    room = Room(loaded, Shape(tokens=256, step_tokens=64, requests=8))
    texts = [f"{number} the cat sat on the mat, {number} three two one" * 3 for number in range(6)]
    for text in texts:
        assert heard(room.ask(text))
        batch = room.batch()
        assert batch.kept <= batch.blocks
    assert batch.kept > 0
    assert heard(room.ask(texts[-1])) == room.generated(texts[-1], do_sample=False)
    assert heard(room.ask("one", max_new_tokens=150)) == room.generated("one", do_sample=False, max_new_tokens=150)
    batch.forget()
    assert (batch.kept, batch.reserved) == (0, 0)
    pool = batch._processor.cache.pool
    assert pool.num_free_sectors == batch.blocks


# Which models.


def test_a_model_whose_batch_gives_other_scores_is_not_batched(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resident(loaded, StepThread(Turns()), lambda: None).engine is not None
    add = PagedBatch.add

    def mixed_up(self: PagedBatch, name: str, prompt: list[int], tokens: int, choose: paged.Choose) -> None:
        add(self, name, prompt[::-1], tokens, choose)

    monkeypatch.setattr(PagedBatch, "add", mixed_up)
    refused = resident(loaded, StepThread(Turns()), lambda: None)
    assert refused == Resident(loaded, None, "this architecture cannot be batched")


def test_what_cannot_be_batched_is_known_from_the_config(loaded: LoadedModel) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    window = MistralForCausalLM(MistralConfig(vocab_size=64, num_key_value_heads=2, sliding_window=8, **small))
    assert "sliding window" in unfit(window)
    assert unfit(loaded.model) == ""
    old = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=1, n_head=2))
    model = LoadedModel(REF, old.eval(), loaded.tokenizer, "float32", "cpu", 64)
    # Whatever it is decided to be, it is decided without an error.
    assert resident(model, StepThread(Turns()), lambda: None).loaded is model


def test_the_cache_follows_the_memory_that_is_free(loaded: LoadedModel) -> None:
    each = paged.bytes_per_token(loaded.model)
    assert each == 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, size of a head, bytes of a float32
    assert shape_for(loaded, 10**12) == shape_for(loaded, None)
    fitted = shape_for(loaded, 8 * 5000 * each)
    assert fitted is not None and fitted.tokens == 5000 // PAGE * PAGE
    assert shape_for(loaded, 8 * 500 * each) is None


def test_memory_after_many_evictions_is_what_it_was(tmp_path: Path) -> None:
    """The batch goes with its model: nothing of ten loads is left."""
    import gc
    import weakref

    from backends.registry import ModelRegistry

    registry: ModelRegistry[Resident] = ModelRegistry(most=1)
    folder = make_tiny_chat_model(tmp_path / "tiny")
    steps = StepThread(Turns())
    gone: list[weakref.ref[object]] = []
    for number in range(10):
        ref = ModelRef("local/tiny", f"{number}" * 40)
        lease = registry.lease(ref, lambda ref=ref: resident(load(ref, folder, "cpu"), steps, lambda: None))
        room = Room.__new__(Room)
        room.loaded, room.freed, room.engine = lease.model.loaded, [], lease.model.engine
        assert heard(room.ask("one"))
        until(lambda: not busy())
        gone.append(weakref.ref(room.batch()._processor.cache.cache_tensor))
        lease.release()
        del lease, room
    assert registry.drop(ref)
    gc.collect()
    assert [each() for each in gone] == [None] * 10


def test_a_process_that_ends_in_the_middle_of_an_answer_ends_in_peace(tmp_path: Path) -> None:
    """A thread inside torch while the interpreter went away ended the process with SIGABRT."""
    import subprocess
    import sys

    folder = make_tiny_chat_model(tmp_path / "tiny")
    program = """
import sys
from backends.router import build_chat
from core.chat import GenerationSettings, Message
router = build_chat(data_dir=__import__("pathlib").Path(sys.argv[2]), chat_model=sys.argv[1], endpoint="http://127.0.0.1:9")
for seed in (None, 1, None):
    settings = GenerationSettings(max_new_tokens=1900, temperature=1.0, top_k=0, seed=seed)
    for delta in router.start(router.start_model(), (Message("user", "go"),), settings).listen():
        break
"""
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "data")]
    for _ in range(2):
        ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=150)
        assert ended.returncode == 0, ended.stderr[-2000:]
