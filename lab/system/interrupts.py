"""Ctrl-C and a notebook's Interrupt, held back until a step that must be whole is done."""

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

Event = TypeVar("Event")


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Holds interrupts back, so that they strike between two steps and never within one.

    An interrupt within TensorFlow's import would leave it broken until Python is restarted, and
    one within a clean-up would leave a run locked. It raises one that arrived at the block's end,
    or where the block lets it through; several count as one. Outside the main thread, where
    interrupts never strike, it does nothing.

    Yields:
        A function that lets an interrupt through: it raises `KeyboardInterrupt` if one arrived.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    waiting: list[int] = []

    def let_through() -> None:
        if waiting:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield let_through
    except KeyboardInterrupt:
        waiting.clear()  # It is on its way already.
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if waiting:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def in_whole_steps(events: Generator[Event]) -> Iterator[Iterator[Event]]:
    """Yields the events of a generator, and closes it; an interrupt strikes between two events."""
    with held_back() as let_through, closing(events):
        yield _each(events, let_through)


def ignore_more() -> None:
    """Ignores interrupts from now on, in a process that ends because of one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _each(events: Generator[Event], let_through: Callable[[], None]) -> Iterator[Event]:
    for event in events:
        let_through()
        yield event
