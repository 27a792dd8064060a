"""Preparing: what a training would wait for is done in the background, while a student reads."""

import contextlib
import threading
from collections.abc import Callable, Generator

from lab.widgets.background import running

_one_at_a_time = threading.Lock()
_latest: object = None


def prepare(steps: Callable[[], Generator[None]]) -> threading.Thread:
    """Runs steps one by one in a thread, until others are given or a training begins.

    An error in them is not shown here: the training that they prepare shows it.

    Args:
        steps: Makes the iterator whose pulls do the work.

    Returns:
        The thread that runs them.
    """
    global _latest
    _latest = own = object()
    thread = threading.Thread(target=_run_steps, args=(steps, own), name="lab-prepare", daemon=True)
    thread.start()
    return thread


def stop() -> None:
    """Stops preparing, after the step that runs now."""
    global _latest
    _latest = None


def _run_steps(steps: Callable[[], Generator[None]], own: object) -> None:
    with _one_at_a_time, contextlib.suppress(Exception), contextlib.closing(steps()) as left:
        for _ in left:
            if _latest is not own or running():
                break
