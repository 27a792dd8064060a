"""Interrupts that are held back: they strike between two steps, once, and nothing is cut."""

import contextlib
import signal
import threading

import pytest

from lab.system.interrupts import held_back, in_whole_steps


def interrupt():
    signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def struck():
    """Checks that a block is ended by an interrupt, and gives it."""
    caught = []
    try:
        yield caught
    except KeyboardInterrupt as error:
        caught.append(error)
    assert caught, "no interrupt came"


@pytest.fixture(autouse=True)
def as_python_does_it():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    after = signal.signal(signal.SIGINT, before)
    assert after is signal.default_int_handler


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with struck(), held_back():
        interrupt()
        interrupt()
        done.append("whole")
    assert done == ["whole"]


def test_without_an_interrupt_nothing_happens():
    with held_back() as let_through:
        let_through()


def test_an_interrupt_strikes_where_it_is_let_through_and_only_once():
    done = []
    with struck(), held_back() as let_through:
        interrupt()
        done.append("before")
        try:
            let_through()
            done.append("after")
        finally:
            interrupt()  # The impatient second one, while it is cleaned up.
            done.append("cleaned up")
    assert done == ["before", "cleaned up"]


def test_a_block_within_a_block_hands_its_interrupt_on_to_the_outer_one():
    done = []
    with struck(), held_back():
        with held_back():
            interrupt()
        done.append("outer")
    assert done == ["outer"]


def test_an_error_within_the_block_is_not_swallowed():
    with pytest.raises(ZeroDivisionError), held_back():
        raise ZeroDivisionError
    with struck() as caught, held_back():
        interrupt()
        raise ZeroDivisionError
    assert isinstance(caught[0].__context__, ZeroDivisionError)


def test_an_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        interrupt()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_thread_is_never_struck_and_holds_nothing_back():
    done = []

    def work():
        with held_back() as let_through:
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            let_through()
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["worked"]


def test_steps_are_whole_and_closed_before_the_interrupt_goes_on():
    done = []

    def steps():
        try:
            for number in range(5):
                if number == 2:
                    interrupt()
                done.append(number)
                yield number
        finally:
            interrupt()
            done.append("closed")

    taken = []
    with struck(), in_whole_steps(steps()) as events:
        for number in events:
            taken.append(number)
    assert (taken, done) == ([0, 1], [0, 1, 2, "closed"])
