"""`Live`: a front end that trains in the background, with Train, Pause, Stop and progress."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any

from ipywidgets import Button, IntProgress, Widget

from lab.errors import InputError, RunBusyError
from lab.runs import Runs
from lab.studies import HowFar, Study
from lab.training import EpochEnd, Phase
from lab.widgets import jobs, preparing
from lab.widgets.background import Background, running
from lab.widgets.cells import in_notebook
from lab.widgets.front import Front, box, button, row, running_loop

PAUSE, RESUME = "Pause", "Resume"
LOOK_SECONDS = 0.1
DRAW_SHARE = 0.06
READ_SECONDS = 1.0


class Live(Front):
    """A front end that trains, so that the notebook stays usable meanwhile.

    From a second after it is shown, TensorFlow loads and the programs compile in the background, so
    that Train begins at once. Every finished epoch is kept in the store. `await live.finished()`
    waits for the end.

    Attributes:
        runs: The recorded runs of the last training that came to its end.
    """

    _prepare: asyncio.TimerHandle | None = None  # See `Front`.

    def __init__(
        self,
        controls: Sequence[Widget],
        views: Sequence[Widget] = (),
        below: Sequence[Widget] = (),
        more: Sequence[Button] = (),
    ) -> None:
        """Stacks the controls, the buttons, what is below them, and a front end's other parts.

        Args:
            controls: What is above the buttons.
            views: What there is to see besides picture and table.
            below: What is below the buttons.
            more: Further buttons that begin something, as Train does.
        """
        self.runs = Runs([])
        self._job: jobs.Job | None = None
        self._background: Background | None = None
        self._refreshing = threading.RLock()  # A thread may wait for another one that holds it.
        self._watching: Future[None] | None = None
        self._far = HowFar([])
        self._drew = self._draw_cost = 0.0
        self.train = button("Train", "play", button_style="primary")
        self.pause = button("Pause", "pause", disabled=True)
        self.stop = button("Stop", "stop", disabled=True)
        self._beginning = (self.train, *more)
        self.progress = box(IntProgress, 0, "progress", "300px", max=1000)
        self.train.on_click(lambda _: self.start())
        self.pause.on_click(lambda _: self._pause_or_resume())
        self.stop.on_click(lambda _: self._stop())
        buttons = row(*self._beginning, self.pause, self.stop, self.progress)
        super().__init__([*controls, buttons, *below], views)
        self.say("Choose, then press Train.")

    def job(self) -> jobs.Job:
        """Returns what is to run, by the settings chosen; overridden by each front end.

        Raises:
            LabError: If a setting is not valid.
        """
        raise NotImplementedError

    def study(self) -> Study:
        """Returns the study that is chosen; overridden by each front end.

        Raises:
            LabError: If a setting is not valid.
        """
        raise NotImplementedError

    def draw(self) -> None:
        """Draws what is known so far; overridden by each front end."""
        raise NotImplementedError

    def prepare_soon(self) -> None:
        """Prepares the training, in the background, a moment after the last of several changes."""
        if self._prepare is not None:
            self._prepare.cancel()
        if self._handles and in_notebook() and self.loop is not None:  # It is shown.
            self._prepare = self.loop.call_later(READ_SECONDS, preparing.prepare, self._steps)

    def _steps(self) -> Generator[None]:
        return self.study().prepare()

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        self.prepare_soon()

    def close(self) -> None:
        """Takes it out of the page, and prepares nothing any more."""
        if self._prepare is not None:
            self._prepare.cancel()
            preparing.stop()
        super().close()

    def preview(self, job: jobs.Job) -> None:
        """Shows what is known of a job before it begins: what is recorded already."""
        self._job, self.runs = job, Runs([])
        self.progress.value = 0
        self.draw()
        self.keep_still_soon()

    def start(self) -> None:
        """Begins, as the Train button does; returns at once."""
        self._start(self.job)

    def _start(self, job: Callable[[], jobs.Job]) -> None:
        with self.sentences():
            if self.refresh():
                raise InputError("This training goes on already. Stop it to begin another one.")
            self._begin(job())

    def _begin(self, job: jobs.Job) -> None:
        background = Background(job.events)
        try:
            background.start()
        except RunBusyError:
            self.stop.disabled = False  # Its own front end may be gone from the page.
            raise
        self._job, self._background = job, background
        done = [line.config.epochs if line.result else line.done for line in job.lines]
        self._far = HowFar([line.config for line in job.lines], done)
        self.runs = Runs([])
        self.say("Beginning …")
        self._set_buttons(going=True)
        if self.loop is None or not self.loop.is_running():
            self.loop = running_loop()  # It can run elsewhere than it was made.
        if self.loop is not None:
            self._watching = asyncio.run_coroutine_threadsafe(self._watch(), self.loop)

    @property
    def lines(self) -> tuple[jobs.Line, ...]:
        """What is known of each run of the last training; empty before the first."""
        return self._job.lines if self._job else ()

    @property
    def busy(self) -> bool:
        """Whether a training goes on, or its end is not shown yet."""
        return self._background is not None

    async def finished(self) -> Runs:
        """Waits until the training has ended and is shown; returns its runs.

        Any loop works: the front end need not be made or started in it.
        """
        await self._watch()
        return self.runs

    async def _watch(self) -> None:
        while self.refresh():
            await asyncio.sleep(LOOK_SECONDS)

    def refresh(self) -> bool:
        """Shows what has happened since the last time; returns whether the training goes on."""
        with self._refreshing:
            job, background = self._job, self._background
            if job is None or background is None:
                return False
            alive = background.alive  # Asked before the events are taken: none is lost.
            with self.sentences():
                self._show_events(background.new_events())
                if not alive:
                    self._finish(job, background)
            if not alive:
                self._background = None
                self._set_buttons(going=False)
            return alive

    def _show_events(self, events: list[Any]) -> None:
        epochs = 0
        for event in events:
            if not isinstance(event, Phase):
                self.lines[event.run].add(event)
                self._far.add(event)
                epochs += isinstance(event, EpochEnd | jobs.Replayed)
            elif self._goes_on:
                self.say(f"{event.text[0].upper()}{event.text[1:]} …")
        if any(not isinstance(event, Phase) for event in events):
            self._show_progress()
        rested = time.monotonic() - self._drew
        if epochs and rested * DRAW_SHARE >= self._draw_cost:
            began = time.monotonic()
            self.draw()
            self._drew = time.monotonic()
            self._draw_cost = self._drew - began

    @property
    def _goes_on(self) -> bool:
        """Whether it is neither paused nor about to stop."""
        background = self._background
        return background is not None and not (background.stopping or background.paused)

    def _show_progress(self) -> None:
        self.progress.value = round(1000 * self._far.share)
        if self._goes_on:
            done = f"{self._far.share:.0%} done"
            self.say(f"{', '.join(filter(None, [done, self._far.left]))}.")

    def _finish(self, job: jobs.Job, background: Background) -> None:
        if background.complaint:
            sentence = background.complaint
        elif background.stopping:
            sentence = job.stopped
        else:
            self.runs, sentence = job.end()
            self.progress.value = 1000
        self.draw()
        self.say(sentence)
        self.keep_still()

    def _pause_or_resume(self) -> None:
        if self._background is None:
            return
        pausing = not self._background.paused
        self._far.restart()
        (self._background.pause if pausing else self._background.resume)()
        self.pause.description = RESUME if pausing else PAUSE
        self.pause.icon = "play" if pausing else "pause"
        self.say("Paused. Press Resume to go on." if pausing else "Going on …")

    def _stop(self) -> None:
        if self._background is not None:
            self.say("Stopping, as soon as the piece of work that has begun is done …")
            self._background.stop()
        elif other := running():
            other.stop()
            self.stop.disabled = True
            self.say("The other training stops. Then press Train to begin this one.")

    def _set_buttons(self, going: bool) -> None:
        for one in self._beginning:
            one.disabled = going
        self.pause.disabled = self.stop.disabled = not going
        self.pause.description, self.pause.icon = PAUSE, "pause"
