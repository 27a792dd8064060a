"""`Opened`: where a run opens in the microscope when its curve is clicked."""

from collections.abc import Callable
from typing import Any

from ipywidgets import VBox

from lab.errors import InputError
from lab.plots import styles
from lab.runs import Run, Runs
from lab.widgets.front import Front
from lab.widgets.microscope import Microscope


class Opened(VBox):
    """An empty place below a front end, until a curve of its picture is clicked."""

    def __init__(self, front: Front, runs: Callable[[], Runs]) -> None:
        """Listens to the clicks.

        Args:
            front: Whose picture shows the curves.
            runs: Returns the recorded runs that it shows.
        """
        super().__init__()
        self._front, self._runs = front, runs
        self._microscope: Microscope | None = None
        front.add_below(self)
        front.picture.observe(lambda change: self._open(change["new"]), names="picked")

    def _open(self, picked: list[Any]) -> None:
        with self._front.sentences():
            run = clicked(self._runs(), *picked[:2])
            if self._microscope is not None:
                self._microscope.close()
            self._microscope = Microscope([run])
            self.children = (self._microscope,)
            self._front.say(f"Opened below in the microscope: {run.title}.")


def clicked(runs: Runs, group: str, place: int) -> Run:
    """Returns the run whose curve was clicked.

    Args:
        runs: The runs that the picture shows.
        group: The name of a group of them, as the picture gives it.
        place: The run's place in its group, from 0.

    Raises:
        InputError: If it is not recorded yet.
    """
    groups = runs.groups()
    names = styles.labels([some[0].config for some in groups])
    if group not in names:
        raise InputError("A click on a curve opens its run in the microscope when training ends.")
    return groups[names.index(group)][place]
