"""Preparing a training: one thread, which gives way to what comes later."""

import threading
import time

import pytest

from lab.widgets.background import Background, running
from lab.widgets.preparing import prepare, stop


@pytest.fixture(autouse=True)
def no_training():
    """Waits until no training of an earlier test goes on: preparing would give way to it."""
    end = time.monotonic() + 10
    while running():
        assert time.monotonic() < end, "an earlier training goes on"
        time.sleep(0.005)


class Steps:
    """Steps that wait until they are let go, and a note of those that are done."""

    def __init__(self, count: int = 3) -> None:
        self.count, self.done, self.closed = count, 0, False
        self.let, self.begun = threading.Semaphore(0), threading.Event()

    def __call__(self):
        try:
            for _ in range(self.count):
                self.begun.set()
                self.let.acquire(timeout=10)
                self.done += 1
                yield
        finally:
            self.closed = True

    def let_all(self):
        self.let.release(self.count)


def test_all_steps_are_taken():
    steps = Steps()
    steps.let_all()
    prepare(steps).join(10)
    assert (steps.done, steps.closed) == (3, True)


def test_a_later_choice_ends_what_is_prepared_after_the_step_in_hand():
    old, new = Steps(), Steps()
    threads = [prepare(old)]
    assert old.begun.wait(10)
    threads.append(prepare(new))
    old.let_all()
    new.let_all()
    for thread in threads:
        thread.join(10)
    assert (old.done, old.closed) == (1, True)
    assert (new.done, new.closed) == (3, True)


def test_a_training_that_begins_ends_it():
    steps, go_on = Steps(), threading.Event()

    def events():
        go_on.wait(10)
        yield from ()

    thread = prepare(steps)
    assert steps.begun.wait(10)
    Background(events).start()
    steps.let_all()
    thread.join(10)
    go_on.set()
    assert (steps.done, steps.closed) == (1, True)


def test_what_goes_wrong_is_left_to_the_training_to_tell(capfd):
    def wrong():
        yield
        raise ValueError("a function that cannot be traced")

    prepare(wrong).join(10)
    assert capfd.readouterr() == ("", "")
    steps = Steps()
    steps.let_all()
    prepare(steps).join(10)
    assert steps.done == 3  # It holds nothing up.


def test_it_can_be_stopped_after_the_step_in_hand():
    steps = Steps()
    thread = prepare(steps)
    assert steps.begun.wait(10)
    stop()
    steps.let_all()
    thread.join(10)
    assert (steps.done, steps.closed) == (1, True)
