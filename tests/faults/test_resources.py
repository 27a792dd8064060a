"""One kernel, many runs, redraws and displays: memory, threads, files and widgets stay flat."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernels import Notebook

pytestmark = pytest.mark.faults

HERE = Path(__file__).parent
RECORDED = HERE.parents[1] / "notebooks" / "recorded"
FLAT, NEW_SHAPE = 5.0, 40.0  # MB; a compiled shape takes 31 to 35, which XLA keeps.


def told_by(script: str, *arguments: object) -> dict:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=550)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_of_many_trainings_in_one_process_nothing_stays(promise, many, record_property):
    count, shapes = many(200, 30), many(10, 3)
    told = told_by("many_runs.py", count, shapes)
    warm, (_, *news) = told["same"][10:], told["new"]
    grown, per_shape = warm[-1][0] - warm[0][0], (news[-1][0] - news[0][0]) / (shapes - 1)
    record_property("figures", f"{count} trainings: {grown:+.1f} MB; new shape: {per_shape:.1f} MB")
    with promise("one kernel, many runs: flat") as tally:
        for number, (_, threads, files) in enumerate(warm):
            with tally.case(f"training {number}"):
                assert threads <= warm[0][1]
                assert files <= warm[0][2]
        with tally.case("memory of all trainings"):
            assert grown <= FLAT, [round(memory, 1) for memory, *_ in warm]
        with tally.case("memory of a new shape"):
            assert per_shape <= NEW_SHAPE, [round(memory, 1) for memory, *_ in news]


FRONTS = ("Race", "Compare", "Microscope", "KillMap", "ProbeSize", "Playground")


@pytest.mark.parametrize("front", FRONTS)
def test_redrawing_a_front_end_many_times_adds_nothing(front, promise, many, record_property):
    count = many(504, 60) // len(FRONTS)
    told = told_by("redraws.py", front, RECORDED, count)
    warm = told[len(told) // 2 :]
    grown = warm[-1][0] - warm[0][0]
    record_property("figures", f"{front}, {count} redraws: {grown:+.1f} MB")
    with promise("redraws of a front end: flat") as tally:
        for number, (_, *counts) in enumerate(warm):
            with tally.case(f"{front}, redraw {number}"):
                assert counts == warm[0][1:]  # Widgets, figures, observers.
        with tally.case(f"{front}, memory"):
            assert grown <= FLAT, [round(memory, 1) for memory, *_ in warm]


SHOW = """
front = {front}
front
"""
COUNT = """
import ctypes, gc, psutil, threading, time, warnings
from ipywidgets import Widget
warnings.simplefilter("ignore")
time.sleep({pause})
while any(thread.name == "lab-prepare" for thread in threading.enumerate()):
    time.sleep(0.1)
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # What is freed and kept aside is not held.
print(psutil.Process().memory_info().rss / 2**20, len(Widget.widgets),
      len(__import__("comm").get_comm_manager().comms))
"""
SHOWN = {
    "Race": "widgets.Race()",
    "Compare": "widgets.Compare(store)",
    "Microscope": "widgets.Microscope(store)",
    "KillMap": "widgets.KillMap()",
    "ProbeSize": "widgets.ProbeSize(store)",
    "Playground": "widgets.Playground(store=store)",
}


def test_a_cell_that_shows_a_front_end_again_and_again_adds_nothing(promise, many, record_property):
    notebook, count = Notebook(), many(50, 8)
    try:
        notebook.run(
            f"import lab\nfrom lab import widgets\nstore = lab.RunStore({str(RECORDED)!r})"
        )
        with promise("displays of front ends: flat") as tally:
            for front, code in SHOWN.items():
                held = []
                for number in range(2 + count):
                    # The first displays wait for what they prepare, which takes memory once.
                    pause = 2 if number < 3 and front in ("Race", "KillMap") else 0
                    reply = notebook.end(notebook.begin(SHOW.format(front=code), cell_id=front))
                    assert reply.status == "ok", reply
                    held.append([float(n) for n in notebook.run(COUNT.format(pause=pause)).split()])
                first, *others = held[1:]
                grown = others[-1][0] - held[len(held) // 3][0]
                record_property("figures", f"{front}, {count} displays: {grown:+.1f} MB")
                for number, counts in enumerate(others):
                    with tally.case(f"{front}, display {number}"):
                        assert counts[1:] == first[1:]  # Widgets, comms.
                with tally.case(f"{front}, memory"):
                    assert grown <= FLAT, [round(memory, 1) for memory, *_ in held]
    finally:
        notebook.close()
