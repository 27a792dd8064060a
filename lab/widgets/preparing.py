"""Preparing: what a training would wait for is done in the background, while a student reads."""

import contextlib
import threading
from collections.abc import Callable, Generator

from lab.widgets.background import running

_one_at_a_time = threading.Lock()
_latest: object = None


def prepare(steps: Callable[[], Generator[None]]) -> threading.Thread:
    """Takes steps one by one in a thread, until others are given or a training begins.

    What goes wrong in them is not told here: the training that they prepare tells it.

    Args:
        steps: Makes the iterator whose pulls do the work.

    Returns:
        The thread that takes them.
    """
    global _latest
    _latest = own = object()
    thread = threading.Thread(target=_take, args=(steps, own), name="lab-prepare", daemon=True)
    thread.start()
    return thread


def stop() -> None:
    """Ends what is prepared, after the step in hand."""
    global _latest
    _latest = None


def _take(steps: Callable[[], Generator[None]], own: object) -> None:
    with _one_at_a_time, contextlib.suppress(Exception), contextlib.closing(steps()) as left:
        for _ in left:
            if _latest is not own or running():
                break
