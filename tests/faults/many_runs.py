"""One process that trains many runs, and prints what it holds after each, as JSON.

`many_runs.py COUNT SHAPES`: COUNT trainings of one shape, then SHAPES trainings of new shapes.
"""

import ctypes
import gc
import json
import os
import sys
from pathlib import Path

import psutil

sys.path[:0] = [str(Path(__file__).parents[1])]

# ruff: noqa: E402
from made import make_dataset

import lab

SETTINGS = {"epochs": 2, "batch_size": 60}
FIRST = (10, 8)


def held() -> tuple[float, int, int]:
    """Returns resident memory in MB, threads, and open files."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # What is freed and kept aside is not held.
    process = psutil.Process()
    return process.memory_info().rss / 2**20, process.num_threads(), process.num_fds()


def main(count: int, shapes: int) -> None:
    data, place = make_dataset(300, 100), Path(os.environ["LAB_STORE"])
    told = []
    for seed in range(count):
        runs = lab.compare(("relu",), [seed], data, place / "same", hidden=FIRST, **SETTINGS)
        runs.results()
        told.append(held())
    news = [told[-1]]
    for shape in range(shapes):
        hidden = (11 + shape, 8)
        lab.compare(("relu",), [0], data, place / "new", hidden=hidden, **SETTINGS).results()
        news.append(held())
    json.dump({"same": told, "new": news}, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
