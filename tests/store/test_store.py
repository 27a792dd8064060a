"""The store: ids, places, the commit rule under faults, locks, labels and deletion.

The writer is fed with made-up epochs, so nothing is trained here.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from made import mostly_slow
from made_runs import (
    assert_epochs_are_kept,
    assert_named_files_exist,
    made_up_end,
    made_up_epoch,
    same_as_uninterrupted,
    write,
    write_all,
)
from safetensors.numpy import load

import lab.runs
import lab.store.writer
from lab import Dataset, RunConfig, RunStore
from lab.errors import InputError, RunBusyError, RunError, StoreError
from lab.store.store import default_path, run_id
from lab.store.writer import RunWriter, first_record

CONFIG = RunConfig(activation="relu", hidden=(3, 2), epochs=3, batch_size=30)
CONFIGS = {keep: CONFIG.model_copy(update={"keep_weights": keep}) for keep in ("last", "every")}


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def at_once(monkeypatch):
    """Commits every epoch, with what is needed to go on from it."""
    monkeypatch.setattr(lab.store.writer, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(lab.store.writer, "RESUME_SECONDS", 0.0)


# Identity

# Settings at their defaults are left out.
PINNED = (
    '{"activation":"leaky_relu","batch_size":30,"dataset":"%s","epochs":3,"hidden":[3,2],'
    '"parameter":0.1,"probe_size":"all","seed":7}'
)


@pytest.fixture(scope="module")
def blank() -> Dataset:
    images = np.zeros((2, 28, 28), np.uint8)
    return Dataset("blank", images, np.array([3, 4], np.uint8), images, np.array([5, 6], np.uint8))


def test_an_id_is_the_hash_of_the_settings_and_the_data_and_never_changes(blank):
    parts = [bytes([0, 0, 8, 3]) + np.array([2, 28, 28], ">u4").tobytes() + bytes(2 * 784)]
    parts += [bytes([0, 0, 8, 1, 0, 0, 0, 2, *labels]) for labels in ((3, 4), (5, 6))]
    x, y_train, y_test = (hashlib.sha256(part).hexdigest() for part in parts)
    content = hashlib.sha256((x + y_train + x + y_test).encode()).hexdigest()
    config = RunConfig(
        activation="leaky_relu=0.1",
        seed=7,
        hidden=(3, 2),
        epochs=3,
        batch_size=30,
        probe_size="all",
    )
    expected = hashlib.sha256((PINNED % content).encode()).hexdigest()[:8]
    assert run_id(config, blank) == f"leaky_relu-seed7-{expected}"
    assert run_id(config, blank) == "leaky_relu-seed7-f092bf95"


def test_an_id_changes_with_every_setting_and_with_the_data(blank, tiny):
    sgd = CONFIG.model_copy(update={"optimizer": "sgd"})
    changed = {
        "activation": "elu", "parameter": 0.5, "hidden": (3, 3), "optimizer": "sgd",
        "learning_rate": 0.002, "initializer": "he_normal", "first_bias": 0.1, "batch_size": 31,
        "epochs": 4, "seed": 1, "validation_split": 0.3, "train_size": 100, "probe_size": 50,
        "keep_weights": "every", "network": "another", "filters": (3,), "depth": 3,
        "normalization": "batch", "dropout": 0.5, "weight_decay": 0.1, "clip_norm": 1.0,
        "label_smoothing": 0.1, "warmup": 0.1, "schedule": "cosine", "input_scale": "standard",
        "image_shape": (8, 8), "classes": 3, "pixels": (0.1, 0.3), "network_sha256": "0" * 64,
        "members": (2, 8), "tasks": "permuted", "task_epochs": 3, "l2": 0.1, "l2_init": 0.1,
        "shrink": 0.6, "perturb": 0.01, "redo_steps": 9, "redo_threshold": 0.1,
        "replacement_rate": 0.001, "maturity": 50,
    }  # fmt: skip
    assert {*changed, "momentum", "nesterov", "source_sha256"} == set(RunConfig.model_fields)
    ids = [run_id(CONFIG.model_copy(update={k: v}), blank) for k, v in changed.items()]
    ids += [run_id(CONFIG, blank), run_id(CONFIG, tiny)]
    momentum = sgd.model_copy(update={"momentum": 0.5})
    ids += [run_id(momentum, blank), run_id(momentum.model_copy(update={"nesterov": True}), blank)]
    assert len(set(ids)) == len(changed) + 4
    assert run_id(RunConfig(**CONFIG.model_dump()), blank) == run_id(CONFIG, blank)


# Places


def test_the_store_is_where_lab_store_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "there"))
    assert default_path() == tmp_path / "there"
    assert RunStore().path == tmp_path / "there"


def test_the_store_is_the_nearest_folder_of_runs_upwards(monkeypatch, tmp_path):
    monkeypatch.delenv("LAB_STORE")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert default_path() == deep / "runs"
    (tmp_path / "runs").mkdir()
    assert default_path() == tmp_path / "runs"
    (tmp_path / "a" / "pyproject.toml").write_text('[project]\nname = "activation-lab"\n')
    (deep.parent / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert default_path() == tmp_path / "a" / "runs"
    (deep.parent / "runs").write_text("a file")
    assert default_path() == tmp_path / "a" / "runs"
    (deep / "runs").mkdir()
    assert default_path() == deep / "runs"


def test_places_that_cannot_be_looked_at_are_passed_over(monkeypatch, tmp_path):
    monkeypatch.delenv("LAB_STORE")
    here = tmp_path / "a"
    here.mkdir()
    (here / "runs").symlink_to("x" * 300)
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(here)
    assert default_path() == tmp_path / "runs"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the folder of a process")
def test_where_the_current_folder_is_gone_one_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv("LAB_STORE")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match=r"The current folder cannot be read: .*LAB_STORE\.$"):
        RunStore()


def test_links_that_lead_nowhere_stop_neither_a_store_nor_a_run(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    for place in (store.path / "x", store.path / run_id(CONFIG, tiny)[::-1], folder / "lock"):
        place.symlink_to("x" * 300)
    again = RunStore(store.path)
    assert [(run.run_id, run.status) for run in again] == [(folder.name, "interrupted")]
    assert again.refused == {}


def test_a_foreign_folder_and_a_file_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("words")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match=r"holds other things, such as '(thesis.txt|pictures)'"):
        RunStore(tmp_path)
    with pytest.raises(InputError, match=r"must be a folder, and .*thesis\.txt is a file\."):
        RunStore(tmp_path / "thesis.txt")
    for wrong in (3, ["runs"], "a\0b", b"runs", "\ud800", ""):
        with pytest.raises(InputError, match="The store must be a folder, such as 'runs', not"):
            RunStore(wrong)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pictures", "thesis.txt"]


@pytest.mark.parametrize("address", ["s3://bucket/runs", "https://a.invalid/runs", "file:/runs"])
def test_an_address_is_refused_however_it_is_named(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match="must be a folder of this machine, such as 'runs', and not"
    ):
        RunStore(address)
    monkeypatch.setenv("LAB_STORE", address)
    with pytest.raises(InputError, match=f"and not an address, such as {address}"):
        RunStore()
    assert os.listdir(tmp_path) == []


def test_an_empty_lab_store_is_as_good_as_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_STORE", "")
    assert default_path() == tmp_path / "runs"


def test_a_tilde_is_the_users_home(home, monkeypatch):
    assert RunStore("~/runs").path == home / "runs"
    monkeypatch.setenv("LAB_STORE", "~/others")
    assert RunStore().path == home / "others"


def test_an_absent_an_empty_and_a_hidden_files_only_folder_are_stores(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    assert list(RunStore(tmp_path)) == []
    assert list(RunStore(tmp_path / "new")) == []
    assert not (tmp_path / "new").exists()


def test_a_store_below_a_file_is_refused_in_one_sentence(tmp_path, tiny):
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, StoreError)) as caught:
        RunStore(tmp_path / "file" / "runs").writer(CONFIG, tiny)
    assert str(tmp_path / "file" / "runs") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder no one can write to")
def test_a_folder_that_cannot_be_written_to_is_refused_with_what_to_do(tiny):
    store = RunStore("/proc/activation-lab-runs")
    with pytest.raises(StoreError, match=r"/proc/activation-lab-runs cannot be .*LAB_STORE"):
        store.writer(CONFIG, tiny)


def test_a_link_that_someone_put_into_a_store_is_not_written_through(store, tmp_path):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("words")
    store.path.mkdir()
    (store.path / f".{os.getpid()}.tmp").symlink_to(thesis)
    before = os.listdir(store.path)
    store.check_writable()
    assert thesis.read_text() == "words"
    assert os.listdir(store.path) == before


# The commit rule


@pytest.mark.parametrize("keep", ["last", "every"])
def test_what_is_written_is_read_back_bit_for_bit(store, tiny, keep, at_once):
    write(store, CONFIGS[keep], tiny)
    same_as_uninterrupted(store.path / run_id(CONFIGS[keep], tiny), CONFIGS[keep])


def test_epochs_of_milliseconds_are_committed_together(store, tiny, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(lab.store.writer.time, "monotonic", lambda: clock[0])
    config = CONFIG.model_copy(update={"epochs": 9})
    writer = store.writer(config, tiny)
    kept = []
    for epoch in range(8):
        writer.add(made_up_epoch(config, epoch))
        kept.append(len(store[run_id(config, tiny)].record.epochs))
        clock[0] += 0.5
    writer.close()
    assert kept == [1, 1, 1, 1, 5, 5, 5, 5]
    assert len(store[run_id(config, tiny)].record.epochs) == 8


class _Faults:
    """Makes the k-th fsync or rename fail, and all later ones if asked; counts them."""

    def __init__(self, monkeypatch, at: int, error: BaseException, for_ever: bool) -> None:
        self.calls, self.hit = 0, False
        for name in ("fsync", "replace"):
            self._wrap(monkeypatch, name, getattr(os, name), at, error, for_ever)

    def _wrap(self, monkeypatch, name, real, at, error, for_ever) -> None:
        def call(*arguments, **options):
            self.calls += 1
            if self.calls == at or (for_ever and self.calls > at):
                self.hit = True
                raise error
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)


FULL = OSError(errno.ENOSPC, "No space left on device")
WAYS = {
    "the disk is full for a moment": (FULL, False),
    "the disk stays full": (FULL, True),
    "the user presses Ctrl-C": (KeyboardInterrupt(), False),
}


@pytest.mark.parametrize("way", mostly_slow(WAYS, "the disk is full for a moment"))
@pytest.mark.parametrize("keep", mostly_slow(["last", "every"], "last"))
def test_a_fault_at_any_step_of_a_commit_loses_no_epoch_and_the_run_goes_on(
    tmp_path, tiny, keep, way, at_once
):
    config = CONFIGS[keep]
    for at in range(1, 200):
        store = RunStore(tmp_path / str(at))
        acknowledged: list[int] = []
        writer = store.writer(config, tiny)
        with pytest.MonkeyPatch.context() as patch:
            faults = _Faults(patch, at, *WAYS[way])
            with contextlib.suppress(OSError, StoreError, KeyboardInterrupt):
                write_all(writer, acknowledged)
            with contextlib.suppress(OSError, StoreError, KeyboardInterrupt):
                writer.close()
        folder = store.path / run_id(config, tiny)
        assert_named_files_exist(folder)
        reopened = RunStore(store.path)
        assert reopened.refused == {}, f"after a fault at step {at}"
        if acknowledged:
            assert_epochs_are_kept(reopened[folder.name], acknowledged)
        if not faults.hit:
            assert at > 30
            break
        if not reopened.find(config, tiny):
            write(reopened, config, tiny)
        same_as_uninterrupted(folder, config)
        shutil.rmtree(store.path)


@pytest.mark.parametrize("keep", ["last", "every"])
def test_no_file_is_ever_changed_in_place_and_what_the_record_names_is_there_at_every_step(
    store, tiny, tmp_path, monkeypatch, keep, at_once
):
    config = CONFIGS[keep]
    folder = store.path / run_id(config, tiny)
    seen: dict[int, tuple[Path, bytes]] = {}

    def watched(real):
        def call(*arguments, **options):
            assert_named_files_exist(folder)
            result = real(*arguments, **options)
            assert_named_files_exist(folder)
            for path in folder.glob("*[sn]"):
                if path.stat().st_ino not in seen:
                    twin = tmp_path / f"twin-{len(seen)}"
                    os.link(path, twin)  # A file changed in place changes under both names.
                    seen[path.stat().st_ino] = (twin, twin.read_bytes())
            return result

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    write(store, config, tiny)
    monkeypatch.undo()
    assert len(seen) >= 4 + 5 + 2
    for twin, content in seen.values():
        assert twin.read_bytes() == content


def test_every_fault_of_the_disk_is_one_sentence(tmp_path, tiny, at_once):
    told = []
    for at in range(1, 10):
        with pytest.MonkeyPatch.context() as patch:
            writer = RunStore(tmp_path / str(at)).writer(CONFIG, tiny)
            _Faults(patch, at, FULL, True)
            with pytest.raises((OSError, StoreError)) as caught:
                write_all(writer, [])
            with contextlib.suppress(OSError, StoreError):
                writer.close()
        told.append((type(caught.value), str(caught.value).count("No space left on device")))
    assert told == [(StoreError, 1)] * 9


@pytest.mark.parametrize("code", ["EINVAL", "EBADF", "ENOTSUP"])
def test_a_disk_that_cannot_flush_folders_is_used_all_the_same(
    store, tiny, code, at_once, monkeypatch
):
    real = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(getattr(errno, code), "no folders")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write(store, CONFIG, tiny)
    same_as_uninterrupted(store.path / run_id(CONFIG, tiny), CONFIG)


def test_power_cut_before_the_record_is_replaced_leaves_litter_that_is_removed(
    store, tiny, at_once
):
    writer = store.writer(CONFIG, tiny)
    writer.add(made_up_epoch(CONFIG, 0))
    folder = writer.folder
    for name in ("units-e0001.safetensors", "run.json.tmp", "resume-e0001.safetensors.tmp"):
        (folder / name).write_bytes(b"torn")
    writer._lock.release()
    del writer
    assert RunStore(store.path)[folder.name].status == "interrupted"
    write(RunStore(store.path), CONFIG, tiny)
    same_as_uninterrupted(folder, CONFIG)


def test_a_folder_that_someone_put_into_a_run_does_not_stop_it(store, tiny, at_once):
    writer = store.writer(CONFIG, tiny)
    writer.add(made_up_epoch(CONFIG, 0))
    (writer.folder / ".ipynb_checkpoints").mkdir()
    with contextlib.closing(writer):
        writer.add(made_up_epoch(CONFIG, 1))
    assert len(store[writer.folder.name].record.epochs) == 2


def test_a_run_stopped_before_its_first_epoch_leaves_nothing(store, tiny):
    store.writer(CONFIG, tiny).close()
    assert list(store.path.iterdir()) == []


# Locks


@pytest.mark.slow
def test_a_second_writer_in_this_process_is_refused_and_the_first_goes_on(store, tiny, at_once):
    writer = store.writer(CONFIG, tiny)
    with pytest.raises(RunBusyError, match=f"{writer.folder.name} is being trained by another"):
        store.writer(CONFIG, tiny)
    writer.add(made_up_epoch(CONFIG, 0))
    with pytest.raises(RunBusyError):
        store.writer(CONFIG, tiny)
    assert store[writer.folder.name].status == "running"
    for action in (lambda: store.label(writer.folder.name, "mine"), store_delete(store, writer)):
        with pytest.raises(RunBusyError):
            action()
    with contextlib.closing(writer):
        for epoch in (1, 2, 3):
            writer.add(made_up_epoch(CONFIG, epoch))
        writer.end(made_up_end(CONFIG))
    same_as_uninterrupted(writer.folder, CONFIG)


def store_delete(store, writer):
    return lambda: store.delete(writer.folder.name)


def test_a_run_whose_function_is_not_registered_is_refused_and_leaves_nothing(store, tiny):
    unknown = RunConfig(activation="of_another_notebook", source_sha256="0" * 64)
    with pytest.raises(InputError, match="'of_another_notebook' is not registered here"):
        store.writer(unknown, tiny)
    assert list(store.path.iterdir()) == []


def test_a_run_that_another_process_ends_while_a_writer_looks_for_it_is_not_trained_again(
    store, tiny, at_once, monkeypatch
):
    other = store.writer(CONFIG, tiny)
    other.add(made_up_epoch(CONFIG, 0))
    look = RunStore._variants

    def look_and_be_late(*arguments):
        found = look(*arguments)
        if not other.record.confirmed:
            with contextlib.closing(other):
                for epoch in (1, 2, 3):
                    other.add(made_up_epoch(CONFIG, epoch))
                other.end(made_up_end(CONFIG))
        return found

    monkeypatch.setattr(RunStore, "_variants", look_and_be_late)
    with pytest.raises(RunBusyError, match="was finished by another process"):
        store.writer(CONFIG, tiny)
    assert [run.run_id for run in store] == [other.folder.name]


HOLDER = """
import sys
from pathlib import Path
import filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_writer_is_refused_while_another_process_writes(store, tiny, at_once):
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        writer.add(made_up_epoch(CONFIG, 0))
    lock = writer.folder / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunBusyError, match="another process"):
            store.writer(CONFIG, tiny)
    finally:
        holder.communicate()
    write(store, CONFIG, tiny)
    same_as_uninterrupted(writer.folder, CONFIG)


def test_looking_at_a_run_never_keeps_a_writer_from_it(store, tiny, at_once):
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        writer.add(made_up_epoch(CONFIG, 0))
    raw = json.loads((writer.folder / "run.json").read_text())
    (writer.folder / "run.json").write_text(json.dumps({**raw, "status": "running"}))
    (writer.folder / "lock").touch()
    run = store[writer.folder.name]
    done = threading.Event()

    def look():
        while not done.is_set():
            assert run.status in ("running", "interrupted")

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(50):
            writer = RunWriter(run.folder, first_record(run.run_id, CONFIG, tiny))
            (run.folder / "lock").touch()
            writer._lock.release()
    finally:
        done.set()
        for reader in readers:
            reader.join()


def test_an_array_is_kept_as_it_is_however_it_lies_in_memory(store, tiny):
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    ways = {"turned": table.T, "backwards": table[::-1], "every second": table[:, ::2]}
    ways["a number"] = np.array(2.0, np.float32)
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        file = writer._array_file("units", 7, 7, ways)
        found = load((writer.folder / file.name).read_bytes())
    for name, array in ways.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape


def test_looking_at_a_run_writes_nothing(store, tiny, at_once):
    write(store, CONFIG, tiny)
    folder = store.path / run_id(CONFIG, tiny)
    raw = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**raw, "status": "running"}))
    before = sorted(os.listdir(folder))
    assert RunStore(store.path)[folder.name].status == "interrupted"
    assert sorted(os.listdir(folder)) == before


# Old versions of filelock take the second for the lock of another.
@pytest.mark.parametrize("code", ["ENOSYS", *["ENOLCK"] * bool(lab.runs.NO_FILE_INSTEAD)])
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_disk_without_locks_is_refused_in_one_sentence(store, tiny, code, at_once, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    folder = _interrupted(store, tiny)
    before = sorted(os.listdir(folder))

    def no_lock(*_):
        raise OSError(getattr(errno, code), "no locks")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    for config in (CONFIG, CONFIG.model_copy(update={"seed": 1})):
        with pytest.raises(
            StoreError, match=r"The disk of the store .* has no locks.*LAB_STORE\.$"
        ):
            store.writer(config, tiny)
    assert store[folder.name].status == "interrupted"
    assert os.listdir(store.path) == [folder.name]
    assert sorted(os.listdir(folder)) == before


# Labels, deletion, look-up


@pytest.fixture
def three(store, tiny, at_once) -> RunStore:
    for seed in (0, 1, 2):
        write(store, CONFIG.model_copy(update={"seed": seed}), tiny)
    return store


def test_a_label_is_kept_shown_and_taken_away(three):
    assert three.label("relu-seed1", "  <b>mein Lauf</b> ✓").record.label == "  <b>mein Lauf</b> ✓"
    assert list(three.runs.runs().label.fillna("-")) == ["-", "  <b>mein Lauf</b> ✓", "-"]
    same_as_uninterrupted(three["relu-seed1"].folder, three["relu-seed1"].config)
    three.label("relu-seed1", "")
    assert three["relu-seed1"].record.label is None
    three.label("relu-seed1", "mine")
    assert three.label("relu-seed1", None).record.label is None
    for text in ("x" * 201, "two\nlines", "\x1b[2J", 5, ["mine"]):
        with pytest.raises(InputError, match="label must be at most 200 printable characters"):
            three.label("relu-seed1", text)


def test_a_deleted_run_is_gone_and_the_others_stay(three):
    folder = three["relu-seed1"].folder
    three.delete("relu-seed1")
    assert not folder.exists()
    assert [run.config.seed for run in three] == [0, 2]
    with pytest.raises(RunError, match="There is no run 'relu-seed1'"):
        three.delete("relu-seed1")


def test_a_run_that_cannot_be_taken_out_of_its_store_stays_whole(three, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    run = three["relu-seed1"]
    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(os, "rmdir", refused)
    with pytest.raises(StoreError, match=r"relu-seed1-.* could not be deleted .*: Permission den"):
        three.delete("relu-seed1")
    same_as_uninterrupted(run.folder, run.config)


def test_a_deletion_that_was_stopped_shows_no_run_and_the_next_one_finishes_it(three, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            three.delete("relu-seed1")
    assert [run.config.seed for run in three] == [0, 2]
    assert three.refused == {}
    assert len(os.listdir(three.path)) == 3
    three.delete("relu-seed2")
    assert len(os.listdir(three.path)) == 1


def test_a_link_in_the_place_of_a_deleted_run_is_not_followed(three, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    (three.path / ".deleted-0").symlink_to(tmp_path / "mine")
    three.delete("relu-seed1")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "words"
    assert [run.config.seed for run in three] == [0, 2]


@pytest.mark.parametrize("weights", [True, False])
def test_a_copy_for_others_holds_all_but_the_weights_if_so_wanted(three, tiny, tmp_path, weights):
    other = RunStore(tmp_path / "other")
    copy = other.add_copy(three["relu-seed1"], weights)
    original = three["relu-seed1"]
    assert copy.layer(2).max_z.tobytes() == original.layer(2).max_z.tobytes()
    assert copy.confirmed_fractions() == original.confirmed_fractions()
    assert repr(copy.record.epochs) == repr(original.record.epochs)  # NaN is unlike itself.
    assert other.find(copy.config, tiny).run_id == copy.run_id  # It need not be trained again.
    assert [path.name for path in copy.folder.glob("weights-*")] == (
        ["weights-e0003.safetensors"] if weights else []
    )
    if not weights:
        with pytest.raises(RunError, match=r"keeps no weights at all\. A run trained with"):
            copy.weights()
    with pytest.raises(StoreError, match=r"holds the run relu-seed1-.* already"):
        other.add_copy(original)
    assert other.refused == {}


def test_a_copy_that_cannot_be_finished_leaves_nothing(three, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    other = RunStore(tmp_path / "other")
    other.check_writable()
    monkeypatch.setattr(lab.store.writer.os, "fsync", full)
    with pytest.raises(StoreError, match=r"could not be kept in .*: No space left on device"):
        other.add_copy(three["relu-seed1"])
    assert list(other.path.iterdir()) == []


def test_an_unfinished_or_damaged_run_is_not_copied(three, tmp_path):
    run = three["relu-seed1"]
    next(run.folder.glob("units-*")).write_bytes(b"x")
    with pytest.raises(RunError, match="it is not copied"):
        RunStore(tmp_path / "other").add_copy(three["relu-seed1"])


def test_a_run_is_found_by_the_beginning_of_its_id_if_it_is_the_only_one(three):
    assert three["relu-seed2"].config.seed == 2
    ids = [run.run_id for run in three]
    assert three[ids[0]].run_id == ids[0]
    with pytest.raises(RunError) as caught:
        three["relu"]
    assert str(caught.value) == f"'relu' is not one run but several: {', '.join(ids)}."
    with pytest.raises(RunError, match=rf"no run 'rellu-seed2.*Did you mean {ids[2]}\?"):
        three[f"rellu{ids[2][4:]}"]
    with pytest.raises(RunError, match="There is no run ''"):
        three[""]


@pytest.mark.parametrize("name", [None, 0, b"relu", slice(0, 2), ["relu-seed1"]])
def test_what_is_no_text_is_refused_as_the_name_of_a_run(store, name):
    for use in (store.__getitem__, store.delete, lambda name: store.label(name, "mine")):
        with pytest.raises(InputError, match="A run must be named by its id, such as 'relu-seed0"):
            use(name)


@pytest.mark.parametrize("run", [None, 5, "relu-seed1"])
def test_what_is_no_run_is_not_copied(store, run):
    with pytest.raises(InputError, match="run must be one recorded run"):
        store.add_copy(run)


def test_a_run_recorded_with_other_data_is_not_taken_for_this_one(three, tiny):
    run = three["relu-seed0"]
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace(tiny.digest, "0" * 64))
    assert three.find(run.config, tiny) is None


# Runs that cannot go on here


def _interrupted(store, tiny, **changes) -> Path:
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        for epoch in (0, 1):
            writer.add(made_up_epoch(CONFIG, epoch))
    raw = json.loads((writer.folder / "run.json").read_text())
    (writer.folder / "run.json").write_text(json.dumps({**raw, **changes}))
    return writer.folder


def test_an_interrupted_run_is_kept_with_what_it_needs_to_go_on(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    run = RunStore(store.path)[folder.name]
    assert (run.status, run.last_epoch) == ("interrupted", 1)
    assert store.find(CONFIG, tiny) is None
    fed = made_up_epoch(CONFIG, 1).state
    assert all(map(np.array_equal, run.weights(), fed.weights))
    assert all(map(np.array_equal, run.resume_arrays()[0], fed.slots))
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        assert writer.folder == folder
        assert writer.state.epoch == 1
        write_all(writer, [])
    same_as_uninterrupted(folder, CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"processor": "another"},
        {"versions": {"python": "2.7"}},
        {"threads_per_operation": 16},
        {"environment": {"XLA_FLAGS": "--a"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_interrupted_elsewhere_is_kept_and_a_new_one_beside_it(store, tiny, changes, at_once):
    folder = _interrupted(store, tiny, **changes)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(store, CONFIG, tiny)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    beside = folder.with_name(f"{folder.name}.2")
    same_as_uninterrupted(beside, CONFIG)
    assert [run.run_id for run in store] == [folder.name, beside.name]
    assert store.find(CONFIG, tiny).run_id == beside.name
    assert store[folder.name].status == "interrupted"


def test_a_copy_of_a_run_folder_under_another_name_stops_nothing(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    shutil.copytree(folder, folder.with_name(f"{folder.name}.backup"))
    write(store, CONFIG, tiny)
    same_as_uninterrupted(folder, CONFIG)


@pytest.mark.parametrize("kind", ["resume", "units"])
def test_a_damaged_unfinished_run_does_not_stop_a_new_one(store, tiny, kind, at_once):
    folder = _interrupted(store, tiny)
    path = next(folder.glob(f"{kind}-*"))
    path.write_bytes(path.read_bytes()[:-1])
    write(store, CONFIG, tiny)
    assert store.find(CONFIG, tiny) is not None


def test_a_run_that_goes_on_is_running_from_the_moment_its_writer_has_it(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    assert store[folder.name].status == "interrupted"
    with contextlib.closing(store.writer(CONFIG, tiny)):
        assert store[folder.name].status == "running"
    assert store[folder.name].status == "interrupted"


def test_what_was_stopped_before_its_first_epoch_was_kept_is_not_shown_and_not_in_the_way(
    store, tiny, at_once
):
    folder = store.path / run_id(CONFIG, tiny)
    folder.mkdir(parents=True)
    for name in ("units-e0000.safetensors", "resume-e0000.safetensors.tmp", "run.json.tmp", "lock"):
        (folder / name).write_bytes(b"torn")
    assert (list(store), RunStore(store.path).refused) == ([], {})
    write(store, CONFIG, tiny)
    same_as_uninterrupted(folder, CONFIG)


def test_a_copy_without_its_record_is_refused_and_left_alone(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    (folder / "run.json").unlink()
    before = sorted(os.listdir(folder))
    assert store.refused == {folder.name: "run.json cannot be read: No such file or directory."}
    write(store, CONFIG, tiny)
    assert sorted(os.listdir(folder)) == before
    same_as_uninterrupted(folder.with_name(f"{folder.name}.2"), CONFIG)


def test_an_unreadable_record_is_left_alone_and_a_new_run_kept_beside_it(store, tiny, at_once):
    folder = _interrupted(store, tiny)
    (folder / "run.json").write_text("{")
    write(store, CONFIG, tiny)
    assert (folder / "run.json").read_text() == "{"
    assert list(store.refused) == [folder.name]
    same_as_uninterrupted(folder.with_name(f"{folder.name}.2"), CONFIG)


def test_a_linked_run_folder_is_not_followed(store, tiny, tmp_path, at_once):
    write(store, CONFIG, tiny)
    folder = store.path / run_id(CONFIG, tiny)
    folder.rename(tmp_path / folder.name)
    folder.symlink_to(tmp_path / folder.name)
    other = CONFIG.model_copy(update={"seed": 9})
    write(store, other, tiny)
    assert [run.run_id for run in store] == [run_id(other, tiny)]


def test_an_interrupted_run_that_keeps_every_epoch_names_each_once(tmp_path):
    config = RunConfig(activation="relu", hidden=(3, 2), batch_size=30, keep_weights="every")
    images, labels = np.zeros((100, 28, 28), np.uint8), np.arange(100, dtype=np.uint8) % 10
    data = Dataset("blank", images, labels, images, labels)
    with contextlib.closing(RunStore(tmp_path).writer(config, data)) as writer:
        for epoch in range(3):
            writer.add(made_up_epoch(config, epoch))
    (run,) = RunStore(tmp_path)
    assert run.status == "interrupted"
    assert run.kept_epochs == [0, 1, 2]
