"""Training in the background: it begins, pauses, stops, fails, and there is only one."""

import threading
import time

import pytest

from lab.errors import RunBusyError, StoreError
from lab.training.events import Phase
from lab.widgets.background import Background


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class Steps:
    """Events that come when they are let go, and a note of whether they were closed."""

    def __init__(self, count=1000, error=None):
        self.count, self.error = count, error
        self.let = threading.Semaphore(0)
        self.given, self.closed = 0, False

    def __call__(self):
        try:
            for number in range(self.count):
                self.let.acquire()
                self.given = number + 1
                yield Phase(str(number))
            if self.error:
                raise self.error
        finally:
            self.closed = True


@pytest.fixture
def background():
    made = []

    def make(steps):
        made.append((Background(steps), steps))
        return made[-1][0]

    yield make
    for one, steps in made:
        one.stop()
        steps.let.release(2000)
        wait_for(lambda one=one: not one.alive)


def texts(events):
    return [event.text for event in events]


def test_events_are_taken_once_and_in_order(background):
    steps = Steps(3)
    one = background(steps)
    one.start()
    assert one.new_events() == []
    steps.let.release(2)
    wait_for(lambda: steps.given == 2)
    wait_for(lambda: one._queue.qsize() == 2)
    assert texts(one.new_events()) == ["0", "1"]
    steps.let.release(1)
    wait_for(lambda: not one.alive)
    assert texts(one.new_events()) == ["2"]
    assert steps.closed
    assert one.complaint == ""


def test_pause_pulls_nothing_more_until_resume(background):
    steps = Steps(10)
    one = background(steps)
    one.start()
    one.pause()
    steps.let.release(10)
    wait_for(lambda: steps.given == 1)
    time.sleep(0.05)
    assert steps.given == 1
    one.resume()
    wait_for(lambda: not one.alive)
    assert len(one.new_events()) == 10


@pytest.mark.parametrize("paused", [False, True])
def test_stop_ends_it_and_closes_the_events(background, paused):
    steps = Steps()
    one = background(steps)
    one.start()
    if paused:
        one.pause()
    one.stop()
    steps.let.release(1)
    wait_for(lambda: not one.alive)
    assert steps.closed
    assert steps.given == 1
    assert one.stopping


def test_two_at_once_are_refused_and_the_second_may_begin_afterwards(background):
    first, second = Steps(1), Steps(1)
    one, other = background(first), background(second)
    one.start()
    with pytest.raises(RunBusyError, match="Another training goes on in this notebook"):
        other.start()
    first.let.release(1)
    wait_for(lambda: not one.alive)
    other.start()
    second.let.release(1)
    wait_for(lambda: not other.alive)
    assert texts(other.new_events()) == ["0"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreError("The disk is full."), "The disk is full."),
        (ZeroDivisionError("oh"), "The training failed (ZeroDivisionError: oh)."),
    ],
)
def test_an_error_becomes_a_sentence_and_frees_the_place(background, error, sentence):
    steps = Steps(0, error)
    one = background(steps)
    one.start()
    wait_for(lambda: not one.alive)
    assert one.complaint == sentence
    after = background(Steps(0))
    after.start()
    wait_for(lambda: not after.alive)
    assert after.complaint == ""
