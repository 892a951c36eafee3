"""The line and the drawings in it: positions, cancel, grace time, errors; and who looks up the names of models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.image.build import build_images
from backends.image.running import DrawingDesk, Line, RunningDrawing
from core.errors import GenerationFailed
from core.images import ImageSettings
from core.refs import ModelRef


def drawing(line: Line, orphan_seconds: float = 30.0) -> RunningDrawing:
    return RunningDrawing(ImageSettings("x"), total=4, orphan_seconds=orphan_seconds, leave_line=line.leave)


def test_one_at_a_time_and_the_others_know_how_many_are_ahead() -> None:
    line, go, drawn = Line(), threading.Semaphore(0), []
    started = threading.Semaphore(0)
    running = [drawing(line) for _ in range(4)]

    def job(one: RunningDrawing) -> None:
        drawn.append(one)
        started.release()
        go.acquire(timeout=60)
        one.end("done")

    for one in running:
        line.add(one, lambda one=one: job(one))
    assert started.acquire(timeout=60)
    assert [one.step.ahead for one in running] == [0, 1, 2, 3]
    running[1].cancel()
    assert [step.finish for step in running[1].listen()] == ["stopped"]
    assert [one.step.ahead for one in running] == [0, 0, 1, 2]
    assert len(drawn) == 1
    for _ in range(3):
        go.release()
    for one in (running[0], running[2], running[3]):
        assert list(one.listen())[-1].finish == "done"
    assert drawn == [running[0], running[2], running[3]]


def test_a_late_listener_gets_the_step_as_it_stands_and_those_to_come() -> None:
    one = drawing(Line())
    one.change(number=2, preview=b"p")
    heard = one.listen()
    assert next(heard).preview == b"p"
    one.note("cut")
    one.note("cut")
    one.end("done")
    last = list(heard)[-1]
    assert (last.finish, last.notes, last.number) == ("done", ("cut",), 2)
    one.change(number=9)
    one.fail(GenerationFailed("too late"))
    assert one.step.number == 2


def test_an_error_reaches_every_listener() -> None:
    one = drawing(Line())
    one.fail(GenerationFailed("The engine failed."))
    for _ in range(2):
        with pytest.raises(GenerationFailed):
            list(one.listen())


def test_a_drawing_that_nobody_listens_to_is_stopped_after_the_grace_time() -> None:
    stopped = threading.Event()
    line = Line()

    def leave(one: RunningDrawing) -> bool:
        stopped.set()
        return line.leave(one)

    one = RunningDrawing(ImageSettings("x"), total=4, orphan_seconds=0.05, leave_line=leave)
    listener = one.listen()
    one.change(number=1)
    next(listener)
    listener.close()
    assert stopped.wait(60)
    assert one.stop_wanted


def test_the_desk_forgets_the_oldest_finished_and_never_a_running_one() -> None:
    desk, line = DrawingDesk(most=1), Line()
    running, finished = drawing(line), drawing(line)
    finished.end("done")
    desk.keep(finished)
    desk.keep(running)
    assert desk.get(running.id) is running
    assert desk.get(finished.id) is None
    running.cancel()


def test_names_that_visitors_give_are_looked_up_as_they_may_see_them(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def looked_up(whose: str) -> Callable[[str, str], ModelRef]:
        def resolve(repo_id: str, revision: str) -> ModelRef:
            asked.append((whose, repo_id))
            return ModelRef(repo_id, "a" * 40)

        return resolve

    images = build_images(
        data_dir=tmp_path, image_model="operator/own", endpoint="http://127.0.0.1:9", resolve=looked_up("machine")
    )
    images.visitors = looked_up("visitor")
    images.pin("operator/own")
    images.pin("operator/private")
    assert asked == [("machine", "operator/own"), ("visitor", "operator/private")]
