"""How far a training is: epochs, the share, and the time left, worked out by hand."""

import contextlib
import io
import time
from collections.abc import Iterator

import pytest

from lab import Dataset, RunConfig
from lab.studies.progress import HowFar, with_progress
from lab.training import EpochEnd, Event, Phase, Progress, RunEnd

TWO = (RunConfig(epochs=4), RunConfig(epochs=6))


def step(run: int, epoch: int, share: float) -> Progress:
    return Progress(run, epoch, share, 0.5, 0.8)


def end(run: int, epoch: int) -> EpochEnd:
    return EpochEnd(run, epoch, 0.5, 0.8, 0.4, 0.9, 1.0, 1.0, 1.0, (), None)  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_epochs_count_in_part_and_a_run_that_ends_early_has_nothing_left() -> None:
    far = HowFar(TWO)
    assert (far.total, far.share, far.ended) == (10, 0, 0)
    far.add(step(0, 2, 0.5))
    assert far.done == [1.5, 0]
    far.add(end(1, 1))
    assert far.done == [1.5, 1]
    assert far.share == 0.25
    far.add(RunEnd(1, True, 0.5, 0.8, ()))
    assert far.done == [1.5, 6]
    assert (far.share, far.ended) == (0.75, 1)


def test_the_time_left_counts_neither_what_was_recorded_before_nor_a_pause(
    clock: list[float],
) -> None:
    far = HowFar(TWO, [3, 0])
    clock[0] = 150  # TensorFlow is loaded and the programs are compiled.
    far.add(step(0, 4, 0.5))
    assert far.left == ""
    clock[0] = 160
    far.add(step(0, 4, 1.0))
    far.add(step(1, 5, 0.5))  # It resumes: what was recorded before is not counted.
    assert far.left == "about 30 s left"  # Half an epoch took ten seconds, one and a half are left.
    far.restart()
    assert far.left == ""
    clock[0] = 1000
    far.add(step(1, 5, 0.75))
    clock[0] = 1000.5
    far.add(step(1, 6, 0.75))
    assert far.left == "about 1 s left"  # An eighth of one, rounded up.


def test_the_time_left_is_not_guessed_from_less_than_a_hundredth_of_the_work(
    clock: list[float],
) -> None:
    far = HowFar([RunConfig(epochs=50)] * 2)
    far.add(step(0, 1, 0.25))
    clock[0] += 60  # The second run's program is compiled.
    far.add(step(0, 1, 0.5))
    assert far.left == ""
    far.add(step(0, 2, 0.25))
    assert far.left == "about 1 h 39 min left"


def test_in_python_the_progress_is_whole_epochs_of_all_and_the_events_pass(tiny: Dataset) -> None:
    events = [Phase("compiling"), step(0, 1, 0.5), end(0, 3), end(1, 6), RunEnd(0, False, 1, 1, ())]
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        passed = list(with_progress((event for event in events), TWO, tiny))
    assert passed == events
    assert "compiling:   0%" in shown.getvalue()
    assert shown.getvalue().splitlines()[-1].split("\r")[-1].startswith("tiny, training: 100%|")
    assert "10/10" in shown.getvalue()


def test_in_python_the_time_left_is_in_words(tiny: Dataset, clock: list[float]) -> None:
    def events() -> Iterator[Event]:
        for epoch in (1, 2, 3, 4):
            clock[0] += 5
            time.sleep(0.15)  # The bar is drawn ten times a second at most.
            yield end(0, epoch)

    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        list(with_progress(events(), TWO[:1], tiny))
    assert "| 2/4 epochs, about 10 s left" in shown.getvalue()
    assert shown.getvalue().split("\r")[-1].strip().endswith("| 4/4 epochs")
    assert "00:" not in shown.getvalue()


def test_where_every_epoch_is_a_task_the_progress_is_in_tasks(tiny: Dataset) -> None:
    for config, unit in (
        (RunConfig(epochs=4, tasks="permuted"), "tasks"),
        (RunConfig(epochs=4, tasks="permuted", task_epochs=2), "epochs"),
    ):
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown):
            list(with_progress((event for event in [end(0, 4)]), [config], tiny))
        assert f"| 4/4 {unit}" in shown.getvalue()
