"""Training in the background: one thread collects the events, and the front end takes them."""

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import closing

from lab.errors import LabError, RunBusyError
from lab.training import Event

_one_at_a_time = threading.Lock()
_running: "Background | None" = None


def running() -> "Background | None":
    """Returns the training at work in this process, if there is one."""
    return _running if _running is not None and _running.alive else None


class Background:
    """Pulls an iterator of events in a thread; can be paused, resumed and stopped.

    Only one trains in a process at a time. All methods return at once.

    Attributes:
        error: What ended the training too early, if something did.
    """

    def __init__(self, events: Callable[[], Generator[Event]]) -> None:
        """Takes what makes the events; nothing happens before `start`."""
        self._events = events
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._go_on, self._stop = threading.Event(), threading.Event()
        self._go_on.set()
        self._thread = threading.Thread(target=self._pull, name="lab-background", daemon=True)
        self.error: Exception | None = None

    def start(self) -> None:
        """Begins.

        Raises:
            RunBusyError: If another training is going on in this process.
        """
        global _running
        if not _one_at_a_time.acquire(blocking=False):
            raise RunBusyError(
                "Another training goes on in this notebook. Press Stop to end it, "
                "or wait until it ends."
            )
        _running = self
        self._thread.start()

    def _pull(self) -> None:
        try:
            with closing(self._events()) as events:
                for event in events:
                    self._queue.put(event)
                    self._go_on.wait()
                    if self._stop.is_set():
                        break
        except Exception as error:  # The front end shows it.
            self.error = error
        finally:
            _one_at_a_time.release()

    def new_events(self) -> list[Event]:
        """Returns the events since the last call."""
        events = []
        while not self._queue.empty():
            events.append(self._queue.get())
        return events

    def pause(self) -> None:
        """Stops pulling until `resume`; work that has begun is finished."""
        self._go_on.clear()

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._go_on.set()

    def stop(self) -> None:
        """Ends it after the work that has begun; finished epochs are kept."""
        self._stop.set()
        self._go_on.set()

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    @property
    def paused(self) -> bool:
        """Whether it waits for `resume`."""
        return not self._go_on.is_set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @property
    def complaint(self) -> str:
        """What went wrong, as a sentence; empty if nothing did."""
        if self.error is None:
            return ""
        if isinstance(self.error, LabError):
            return str(self.error)
        return f"The training failed ({type(self.error).__name__}: {self.error})."
