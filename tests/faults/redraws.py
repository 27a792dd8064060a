"""One front end that is drawn again and again; prints what the process holds after each, as JSON.

`redraws.py FRONT STORE COUNT`
"""

import gc
import itertools
import json
import sys

import psutil
from ipywidgets import Widget
from matplotlib.figure import Figure

from lab import RunStore, widgets
from lab.widgets import jobs


def held() -> tuple[float, int, int, int]:
    """Returns resident memory in MB, widgets, figures, and observers of all widgets."""
    gc.collect()
    figures = sum(isinstance(one, Figure) for one in gc.get_objects())
    observers = sum(
        len(calls)
        for widget in Widget.widgets.values()
        for by_kind in widget._trait_notifiers.values()
        for calls in by_kind.values()
    )
    memory = psutil.Process().memory_info().rss / 2**20
    return memory, len(Widget.widgets), figures, observers


def redraws(name: str, store: RunStore):
    """Makes a front end, then draws it anew, in another way, each time it is advanced."""
    if name == "Compare":
        front = widgets.Compare(store)
        for measure in itertools.cycle(value for _, value in front.measure.options):
            front.measure.value = measure
            front.draw()
            yield
    if name == "Microscope":
        front = widgets.Microscope(store)
        for number in itertools.count():
            front.epoch.value = number % (front.epoch.max + 1)
            front.neuron.value = number % len(front.neuron.options)
            yield
    if name == "ProbeSize":
        front = widgets.ProbeSize(store)
        for size in itertools.cycle(value for _, value in front.images.options):
            front.images.value = size
            front.draw()
            yield
    if name == "Playground":
        front = widgets.Playground(store=store)
        for number in itertools.count():
            front.chooser.sliders["elu"].value = number % 20 / 10
            front.draw()
            yield
    if name == "Race":
        front, runs = widgets.Race(), list(store)[:3]
        front._job = jobs.Job(
            tuple(map(jobs._finished_line, runs)), lambda: iter(()), lambda: (store.runs, ""), ""
        )
        while True:
            front.draw()
            front.keep_still()
            yield
    if name == "KillMap":
        front = widgets.KillMap()
        front._job = front.job()
        for number in itertools.count():
            for grid in front.grids.values():
                grid.picked = number % 16
            front.draw()
            yield


def main(name: str, store: str, count: str) -> None:
    told = []
    for _ in itertools.islice(redraws(name, RunStore(store)), int(count)):
        told.append(held())
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
