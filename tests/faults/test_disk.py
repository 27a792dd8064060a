"""Disks that are full, fail, or lose power; stores that cannot be written to; many at once."""

import contextlib
import errno
import io
import os
import random
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from made_runs import (
    assert_epochs_are_kept,
    assert_named_files_exist,
    made_up_end,
    made_up_epoch,
    same_as_uninterrupted,
    write,
)
from test_kill import all_told, blank, processes, start

import lab.store.writer
import lab.system.machine
from lab import RunConfig, RunStore
from lab.errors import InputError, LabError, StoreError
from lab.store.store import run_id

__all__ = ["processes"]

pytestmark = pytest.mark.faults

SMALL = RunConfig(activation="relu", hidden=(3, 2), epochs=4, batch_size=30)
CONFIGS = {keep: SMALL.model_copy(update={"keep_weights": keep}) for keep in ("last", "every")}
AT_ONCE = {"COMMIT_SECONDS": 0.0, "RESUME_SECONDS": 0.0}
NOBODY = 65534
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root: mounts, or another user"
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Commits every epoch, with what is needed to go on from it; loads no TensorFlow."""
    for name, value in AT_ONCE.items():
        monkeypatch.setattr(lab.store.writer, name, value)
    monkeypatch.setattr(lab.machine, "threads_per_operation", lambda: 1)


def feed(store: RunStore, config: RunConfig, acknowledged: list[int]) -> None:
    """Writes the rest of a run, and notes every epoch that was taken."""
    with contextlib.closing(store.writer(config, blank())) as writer:
        first = writer.state.epoch + 1 if writer.state else 0
        for epoch in range(first, config.epochs + 1):
            writer.add(made_up_epoch(config, epoch))
            acknowledged.append(epoch)
        writer.end(made_up_end(config))


def assert_kept(path: Path, config: RunConfig, acknowledged: list[int]) -> None:
    """Checks that all that was acknowledged can be read, and nothing else is there."""
    folder = path / run_id(config, blank())
    if folder.exists():
        assert_named_files_exist(folder)
    store = RunStore(path)
    assert store.refused == {}
    if acknowledged:
        run = store[folder.name]
        assert_epochs_are_kept(run, range(run.last_epoch + 1))
        assert run.last_epoch >= max(acknowledged)


def goes_on(path: Path, config: RunConfig) -> None:
    """Checks that the run goes on to its end, once the fault is over."""
    store = RunStore(path)
    if not store.find(config, blank()):
        feed(store, config, [])
    same_as_uninterrupted(path / run_id(config, blank()), config)


# One step fails: the k-th write, fsync or rename, for every k


class Steps:
    """Counts the writes, fsyncs and renames, and makes one fail, or all from there on."""

    def __init__(self, patch, at: int, fault: BaseException, for_ever: bool) -> None:
        self.at, self.fault, self.for_ever = at, fault, for_ever
        self.calls = 0
        self.patch(patch, os, "fsync")
        self.patch(patch, os, "replace")
        opened = io.open

        def open_counted(path, mode="r", *arguments, **options):
            file = opened(path, mode, *arguments, **options)
            return _Torn(file, self) if set("wx") & set(mode) else file

        patch.setattr(io, "open", open_counted)

    def patch(self, patch, module, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments, **options):
            self.step()
            return real(*arguments, **options)

        patch.setattr(module, name, call)

    def step(self) -> None:
        self.calls += 1
        if self.calls == self.at or (self.for_ever and self.calls > self.at):
            raise self.fault


class _Torn:
    """A file of which half is written where writing fails."""

    def __init__(self, file, steps: Steps) -> None:
        self._file, self._steps = file, steps

    def write(self, content):
        try:
            self._steps.step()
        except BaseException:
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise
        return self._file.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def __getattr__(self, name: str):
        return getattr(self._file, name)


FAULTS = {
    "full for a moment": (OSError(errno.ENOSPC, "No space left on device"), False),
    "full": (OSError(errno.ENOSPC, "No space left on device"), True),
    "broken": (OSError(errno.EIO, "Input/output error"), True),
    "over quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), False),
    "interrupted": (KeyboardInterrupt(), False),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("keep", CONFIGS)
def test_a_fault_at_every_write_fsync_and_rename_loses_no_acknowledged_epoch(
    fast_path, promise, many, keep, fault
):
    config = CONFIGS[keep].model_copy(update={"epochs": many(4, 1)})
    with promise("fault at every write, fsync, rename: no epoch lost") as tally:
        for at in range(1, 1000):
            acknowledged: list[int] = []
            path = fast_path / str(at)
            with pytest.MonkeyPatch.context() as patch, tally.case(f"step {at}"):
                steps = Steps(patch, at, *FAULTS[fault])
                raised = None
                try:
                    feed(RunStore(path), config, acknowledged)
                except (LabError, OSError, KeyboardInterrupt) as error:
                    raised = error
                patch.undo()
                told_in_a_sentence = isinstance(raised, StoreError | KeyboardInterrupt | None)
                assert told_in_a_sentence, repr(raised)
                assert_kept(path, config, acknowledged)
                goes_on(path, config)
            shutil.rmtree(path, ignore_errors=True)
            if steps.calls < at:
                break
    assert at > 9 * (config.epochs + 2)  # Units, state, record: each is written, flushed, renamed.


# Power is cut: what was not flushed may be lost, or torn, or there


class Disk:
    """A log of what was done to a folder, to be replayed up to any step as a disk may have it."""

    def __init__(self, patch, folder: Path) -> None:
        self.folder, self.log = folder, []
        fsync, replace, unlink, mkdir = os.fsync, os.replace, os.unlink, os.mkdir

        def mkdir_logged(path, *arguments, **options):
            mkdir(path, *arguments, **options)
            self.log.append(("make", Path(path)))

        def fsync_logged(descriptor):
            fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path == folder:
                self.log.append(("flush folder",))
            elif path.is_dir():
                self.log.append(("flush above", path))
            else:
                self.log.append(("write", path.name, path.read_bytes()))

        def replace_logged(source, target, **options):
            replace(source, target, **options)
            self.log.append(("rename", Path(source).name, Path(target).name))

        def unlink_logged(path, **options):
            unlink(path, **options)
            self.log.append(("remove", Path(path).name))

        for module, name, call in (
            (os, "mkdir", mkdir_logged),
            (os, "fsync", fsync_logged),
            (os, "replace", replace_logged),
            (os, "unlink", unlink_logged),
        ):
            patch.setattr(module, name, call)

    def restore(self, step: int, keeps) -> None:
        """Makes of the folder what may be left of it if power is cut after a step."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.has_folder(step, keeps):
            self.folder.mkdir(parents=True)
            for name, content in self.after_power_cut(step, keeps).items():
                (self.folder / name).write_bytes(content)

    def has_folder(self, step: int, keeps) -> bool:
        """Tells whether the folder may be there: for sure once those above it were flushed."""
        log = self.log[:step]
        made = [
            (number, path)
            for number, (kind, *rest) in enumerate(log)
            if kind == "make"
            for path in rest
        ]
        return self.folder in [path for _, path in made] and all(
            ("flush above", path.parent) in log[number:] or keeps() for number, path in made
        )

    def after_power_cut(self, step: int, keeps) -> dict[str, bytes]:
        """Returns the files as they may be if power is cut after a step.

        Content that was flushed is there. A rename or removal is there for sure only after the
        folder was flushed; of those since, `keeps()` tells which the disk had done already. Such
        a file system may do them in any order.
        """
        files: dict[str, bytes] = {}
        flushed = max([i for i in range(step) if self.log[i] == ("flush folder",)], default=-1)
        for number, (kind, *what) in enumerate(self.log[:step]):
            if kind == "write":
                files[what[0]] = what[1]
            elif kind == "rename" and what[0] in files and (number < flushed or keeps()):
                files[what[1]] = files.pop(what[0])
            elif kind == "remove" and (number < flushed or keeps()):
                files.pop(what[0], None)
        return files


@pytest.mark.parametrize("keep", CONFIGS)
def test_a_power_cut_at_any_step_loses_no_acknowledged_epoch(
    fast_path, promise, many, keep, monkeypatch
):
    config, dice = CONFIGS[keep], random.Random(3)
    path = fast_path / "new" / "runs"
    folder = path / run_id(config, blank())
    acknowledged: list[tuple[int, int]] = []  # The length of the log, and the epoch.
    with monkeypatch.context() as patch:
        disk = Disk(patch, folder)
        with contextlib.closing(RunStore(path).writer(config, blank())) as writer:
            for epoch in range(config.epochs + 1):
                writer.add(made_up_epoch(config, epoch))
                acknowledged.append((len(disk.log), epoch))
            writer.end(made_up_end(config))
    assert sum(kind == "rename" for kind, *_ in disk.log) >= 3 * config.epochs
    ways = [lambda: True, lambda: False, *[lambda: dice.random() < 0.5] * many(10, 1)]
    with promise("power cut at every step: no finished epoch lost") as tally:
        for step in range(len(disk.log) + 1):
            for way in ways:
                with tally.case(f"step {step}"):
                    disk.restore(step, way)
                    assert_named_files_exist(folder)
                    assert_kept(path, config, [e for before, e in acknowledged if before <= step])


# The disk is full


@contextlib.contextmanager
def small_disk(path: Path, kilobytes: int):
    path.mkdir()
    options = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@root
def test_on_a_full_disk_one_sentence_is_printed_and_the_epochs_before_are_kept(
    tmp_path, promise, many
):
    config = SMALL.model_copy(update={"epochs": 30, "keep_weights": "every"})
    stopped = []
    with promise("full disk: one sentence, earlier epochs readable") as tally:
        for number in range(many(50, 5)):
            size = 20 + number * 550 // many(50, 5)
            disk = tmp_path / str(size)
            with tally.case(f"{size} KiB"), small_disk(disk, size):
                acknowledged: list[int] = []
                with pytest.raises(StoreError, match="No space left on device"):
                    feed(RunStore(disk / "runs"), config, acknowledged)
                stopped.append(len(acknowledged))
                assert_kept(disk / "runs", config, acknowledged)
                subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
                goes_on(disk / "runs", config)
    assert 0 in stopped
    assert max(stopped) > 10


def feed_with_a_limit(path: Path, tell, most: int) -> None:
    """Feeds while no file may have more than some bytes, and tells what became of it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    for name, value in AT_ONCE.items():
        setattr(lab.store.writer, name, value)
    lab.system.machine.threads_per_operation = lambda: 1
    acknowledged: list[int] = []
    try:
        feed(RunStore(path), SMALL, acknowledged)
    except Exception as error:
        tell.send((type(error), str(error), acknowledged))


def test_where_files_may_not_grow_one_sentence_is_printed(tmp_path, processes, promise, many):
    with promise("full disk: one sentence, earlier epochs readable") as tally:
        for number in range(many(50, 5)):
            most = 100 + number * 30_000 // many(50, 5)  # The largest file has 29,000 bytes.
            path = tmp_path / str(most)
            process, hear = start(processes, feed_with_a_limit, path, most)
            with tally.case(f"{most} bytes"):
                ((kind, sentence, acknowledged),) = all_told(hear)
                assert kind is StoreError
                assert "File too large" in sentence
                assert "\n" not in sentence
                assert_kept(path, SMALL, acknowledged)
                goes_on(path, SMALL)
            process.join()


# Stores that cannot be written to, and stores in odd places


def feed_as_nobody(path: Path, tell) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        feed_with_a_limit(path, tell, resource.RLIM_INFINITY)
        store = RunStore(path)
        tell.send((store.refused, [run.last_epoch for run in store]))
    except Exception as error:
        tell.send(error)


@root
@pytest.mark.parametrize("mode", [0o555, 0o500, 0o000], ids=oct)
@pytest.mark.parametrize("what", ["store", "run"])
def test_a_read_only_store_is_refused_before_training_and_can_be_read(
    tmp_path, processes, promise, mode, what
):
    path = tmp_path / "runs"
    write(RunStore(path), SMALL.model_copy(update={"seed": 1}), blank())
    folder = path / run_id(SMALL, blank())
    if what == "run":
        path.chmod(0o777)
        with contextlib.closing(RunStore(path).writer(SMALL, blank())) as writer:
            writer.add(made_up_epoch(SMALL, 0))
        folder.chmod(mode)
    else:
        path.chmod(mode)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    process, hear = start(processes, feed_as_nobody, path)
    with promise("read-only store: one sentence, runs readable") as tally, tally.case(oct(mode)):
        told = all_told(hear)
        process.join()
        if what == "run" and mode != 0o555:  # It cannot be looked into: a new one is beside it.
            ((refused, epochs),) = told
            assert (list(refused), epochs) == ([folder.name], [4, 4])
        elif mode == 0o555:
            (kind, sentence, acknowledged), (refused, epochs) = told
            assert issubclass(kind, LabError)
            assert (sentence.count("ermission denied"), acknowledged) == (1, [])
            assert (refused, sorted(epochs)) == ({}, [0, 4] if what == "run" else [4])
        else:
            (kind, sentence, acknowledged), error = told
            assert (kind, acknowledged) == (InputError, [])
            assert "cannot be read: Permission denied" in sentence
            assert isinstance(error, InputError)
    assert [p.name for p in path.iterdir() if p.name.startswith(".")] == []


def delete_as_nobody(path: Path, tell) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        RunStore(path).delete("relu")
    except Exception as error:
        tell.send((type(error), str(error)))


@root
def test_a_run_of_a_store_that_is_read_only_is_not_deleted_by_half(tmp_path, processes, promise):
    path = tmp_path / "runs"
    write(RunStore(path), SMALL, blank())
    (run,) = RunStore(path)
    run.folder.chmod(0o777)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    process, hear = start(processes, delete_as_nobody, path)
    with promise("read-only store: one sentence, runs readable") as tally, tally.case("delete"):
        ((kind, sentence),) = all_told(hear)
        assert kind is StoreError
        assert sentence.endswith(f"could not be deleted from {path}: Permission denied.")
        same_as_uninterrupted(run.folder, SMALL)
    process.join()


ODD_PLACES = (
    "with spaces",
    "übungen/Läufe – ä",
    "実験/走行",
    "'quoted' \"twice\"",
    "$HOME ~ %s {x} \\n",
    "-rf",
    "a" * 200,
    "missing/folders/below",
    "😀",
    "tab\there",
)


@pytest.mark.parametrize("place", ODD_PLACES)
def test_a_store_can_be_anywhere(tmp_path, promise, place, lab_main):
    path = tmp_path / place
    with promise("stores in odd places") as tally, tally.case(place):
        feed(RunStore(path), SMALL, [])
        same_as_uninterrupted(path / run_id(SMALL, blank()), SMALL)
        code, out, _ = lab_main("table", "runs", "--store", path)
        assert (code, "finished" in out) == (0, True)


@root
def test_a_store_can_be_on_another_file_system_and_copied_from_it(tmp_path, promise):
    with (
        promise("stores in odd places") as tally,
        tally.case("another file system"),
        small_disk(tmp_path / "disk", 2000),
    ):
        feed(RunStore(tmp_path / "disk" / "runs"), SMALL, [])
        (run,) = RunStore(tmp_path / "disk" / "runs")
        RunStore(tmp_path / "here").add_copy(run)
        same_as_uninterrupted(tmp_path / "here" / run.run_id, SMALL)


def test_one_sentence_says_that_the_folder_of_a_store_vanished(tmp_path, promise):
    with promise("full disk: one sentence, earlier epochs readable") as tally:
        for after in range(SMALL.epochs):
            path = tmp_path / str(after)
            with tally.case(f"gone after epoch {after}"):
                writer = RunStore(path).writer(SMALL, blank())
                for epoch in range(after + 1):
                    writer.add(made_up_epoch(SMALL, epoch))
                shutil.rmtree(path)
                with pytest.raises(StoreError, match=r"could not be kept in .*No such file"):
                    writer.add(made_up_epoch(SMALL, after + 1))
                with pytest.raises(StoreError, match="No such file"):
                    writer.close()
                feed(RunStore(path), SMALL, [])


# Many writers, and readers beside them


def write_many(path: Path, tell, first: int, runs: int) -> None:
    for name, value in AT_ONCE.items():
        setattr(lab.store.writer, name, value)
    lab.system.machine.threads_per_operation = lambda: 1
    for seed in range(first, first + runs):
        feed(RunStore(path), SMALL.model_copy(update={"seed": seed}), [])
    tell.send("done")


def read_many(path: Path, tell, seconds: float) -> None:
    """Reads all runs again and again until it has to stop; reports what was torn."""
    until, reads = time.monotonic() + seconds, 0
    while time.monotonic() < until and not (path / ".stop").exists():
        store = RunStore(path)
        if refused := store.refused:
            tell.send(f"refused: {refused}")
        for run in store:
            try:
                layers = [run.layer(number) for number in run.layers]
                assert len(layers[0].mean) == run.last_epoch + 1
                assert_epochs_are_kept(run, [run.last_epoch])
                reads += 1
            except Exception as error:
                tell.send(f"{run.run_id} at epoch {run.last_epoch}: {error}")
    tell.send(reads)


def test_many_writers_and_readers_beside_them_never_meet_a_torn_run(
    tmp_path, processes, promise, many
):
    path = tmp_path / "runs"
    path.mkdir()
    writers, runs = many(8, 3), many(50, 4)
    readers = [start(processes, read_many, path, 300.0) for _ in range(2)]
    at_work = [start(processes, write_many, path, n * runs, runs) for n in range(writers)]
    done = [all_told(hear) for _, hear in at_work]
    (path / ".stop").touch()
    told = [all_told(hear) for _, hear in readers]
    with promise("many writers, readers beside them: no torn read") as tally:
        for seed in range(writers * runs):
            with tally.case(seed):
                config = SMALL.model_copy(update={"seed": seed})
                same_as_uninterrupted(path / run_id(config, blank()), config)
    assert done == [["done"]] * writers
    assert [torn for lines in told for torn in lines[:-1]] == []
    assert min(lines[-1] for lines in told) > 10
