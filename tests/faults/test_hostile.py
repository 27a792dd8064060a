"""Run folders and data sets that someone made to do harm: refused in a sentence, or harmless.

They are read by `hostile.py` in processes of their own, with an audit hook and a cap on memory.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import hostile
import pytest

from lab import RunStore
from lab.errors import InputError, LabError
from lab.experiment import sources
from lab.runs.record import MOST_VALUES, Record, read_record
from lab.store.store import run_id

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes among the files"),
]

PARTS = 2
PROMISES = {
    "hostile": ("hostile run folders: only the lab's own error", 20_000, 500),
    "flip": ("bit flips: detected or harmless", 10_000, 300),
    "dataset": ("hostile data sets: only the lab's own error", 2_000, 100),
    "zip": ("hostile zip files: only the lab's own words", 5_000, 200),
}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", PROMISES)
def test_what_was_made_to_do_harm_is_refused_or_harmless(fast_path, promise, many, kind, part):
    name, *times = PROMISES[kind]
    count = many(*times) // PARTS
    command = [sys.executable, hostile.__file__, kind, fast_path, part * count, count]
    worker = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert worker.returncode == 0, worker.stderr
    told = json.loads(worker.stdout)
    with promise(name) as tally:
        tally.tried, tally.failures = told["tried"], told["failures"]


# The watch itself


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def endless() -> None:
    hostile.signal.alarm(1)
    with contextlib.suppress(BaseException):  # As a reader does that takes it for a damaged file.
        time.sleep(60)


DEEDS = {
    "exec": lambda folder: exec("1 + 1"),
    "subprocess": lambda folder: subprocess.run([sys.executable, "-c", ""]),
    "import": lambda folder: __import__("this_module_is_not_there"),
    "open /etc/hostname": lambda folder: Path("/etc/hostname").read_text(),
    "os.remove": lambda folder: (folder / "secret").unlink(missing_ok=True),
    " MB": lambda folder: bytearray(400 * 2**20).count(1),
    "waits for ever": lambda folder: endless(),
    " s": lambda folder: busy(2.2),
    "ZeroDivisionError": lambda folder: 1 / 0,
}
WATCH = """
import sys; from pathlib import Path
sys.path[:0] = sys.argv[2:]
import hostile, test_hostile
deed = test_hostile.DEEDS[sys.argv[1]]
hostile.signal.signal(hostile.signal.SIGALRM, hostile.too_late)
print(hostile.watched(hostile.Watch(), Path("/nowhere"), lambda: deed(Path("/nowhere"))))
"""


@pytest.mark.parametrize("deed", DEEDS)
def test_the_watch_sees_what_must_not_be_done(deed):
    folder = Path(__file__).parent
    command = [sys.executable, "-c", WATCH, deed, folder, folder.parent]
    told = subprocess.run(command, capture_output=True, text=True)
    assert deed in told.stdout, told.stderr


# What these tests found, one by one


@pytest.fixture
def runs(fast_path):
    return hostile.prepare(fast_path / "runs")


def test_links_inside_a_run_are_never_written_through(runs, fast_path):
    folder, secret = runs[0], fast_path / "secret"
    for name in ("run.json.tmp", "lock"):
        secret.write_text("secret")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
        with contextlib.suppress(LabError):
            RunStore(folder.parent).label(folder.name, "mine")
        assert secret.read_text() == "secret"
        (folder / name).unlink(missing_ok=True)


def test_a_linked_run_folder_is_never_written_into(runs, fast_path):
    home = fast_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("words")
    config, store = read_record(runs[1]).settings, RunStore(fast_path / "other")
    store.path.mkdir()
    data = hostile.blank()
    (store.path / run_id(config, data)).symlink_to(home)
    writer = store.writer(config, data)
    writer.add(hostile.made_up_epoch(config, 0))
    writer.close()
    assert [p.name for p in home.iterdir()] == ["thesis.txt"]
    assert writer.folder.name == f"{run_id(config, data)}.2"
    (home / "run.json").write_bytes((runs[1] / "run.json").read_bytes())
    with pytest.raises(LabError, match="symbolic link"):
        store.label(run_id(config, data), "mine")
    assert {p.name for p in home.iterdir()} == {"thesis.txt", "run.json"}


def test_a_copy_never_takes_along_what_a_link_points_to(runs, fast_path):
    folder, secret = runs[0], fast_path / "secret"  # It keeps the weights of every epoch.
    secret.write_text("secret")
    (folder / "weights-e0000.safetensors").unlink()
    (folder / "weights-e0000.safetensors").symlink_to(secret)
    with pytest.raises(LabError, match=r"weights-e0000\.safetensors|cannot be read"):
        RunStore(fast_path / "other").add_copy(RunStore(folder.parent)[folder.name])
    assert not list((fast_path / "other").glob("*"))


def test_the_size_of_a_run_counts_a_link_as_itself(runs):
    (runs[0] / "gone").symlink_to("nowhere")
    (run,) = (run for run in RunStore(runs[0].parent) if run.run_id == runs[0].name)
    files = [path for path in runs[0].iterdir() if path.name != "gone"]
    assert run.size() == sum(path.stat().st_size for path in files) + len("nowhere")


def test_the_longest_run_there_can_be_is_within_the_limits_of_a_record(runs):
    record = read_record(runs[0])
    epochs = [record.epochs[0].model_copy(update={"epoch": e}) for e in range(10_001)]

    def files(kind):
        (one, *_) = getattr(record, kind)
        names = [f"{kind}-e{e:04d}.safetensors" for e in range(10_001)]
        return tuple(
            one.model_copy(update={"name": name, "first": e, "last": e})
            for e, name in enumerate(names)
        )

    settings = record.settings.model_copy(update={"epochs": 10_000})
    changes = {"epochs": tuple(epochs), "units": files("units"), "weights": files("weights")}
    longest = record.model_copy(update=changes | {"settings": settings})
    (runs[0] / "run.json").write_text(longest.model_dump_json(indent=1))
    assert read_record(runs[0]) == Record.model_validate(longest.model_dump())
    assert (runs[0] / "run.json").read_text().count(",") > MOST_VALUES / 2


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"format": 1}'])
def test_a_record_in_another_encoding_is_refused(runs, content):
    (runs[0] / "run.json").write_bytes(content.decode().encode("utf-16"))
    with pytest.raises(LabError, match="is not strict JSON: 'utf-8' codec"):
        read_record(runs[0])


@pytest.mark.parametrize("way", ["a pipe", "a bomb", "a bomb that lies"])
def test_a_data_set_that_would_hang_or_fill_the_memory_is_refused(tmp_path, monkeypatch, way):
    path = tmp_path / "mnist.npz"
    if way == "a pipe":
        os.mkfifo(path)
    else:
        packing = zipfile.ZIP_DEFLATED if way == "a bomb" else zipfile.ZIP_BZIP2
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("x_train.npy", bytes(sources.MOST_BYTES + 1))
        if way == "a bomb that lies":
            path.write_bytes(hostile.understated(path.read_bytes(), sources.MOST_BYTES + 1))
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path))
    words = {"a pipe": "not a plain file", "a bomb": "more than 200,000,000"}
    with pytest.raises(InputError, match=f"is broken: .*{words.get(way, 'than deflate')}"):
        sources.load_dataset("mnist")
