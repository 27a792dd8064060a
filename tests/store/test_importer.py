"""Keeping runs that were trained elsewhere: whole or not at all, and never over one another."""

import contextlib
import shutil

import pytest
from made_runs import made_up_end, made_up_epoch, write

from lab import RunConfig, RunStore
from lab.errors import RunBusyError, RunError, StoreError
from lab.runs.run import have_the_same_bits
from lab.store.importer import RunImporter, files_of, unpack, unpacked

CONFIG = RunConfig(activation="relu", hidden=(3, 2), epochs=3, batch_size=30)


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def elsewhere(tmp_path, tiny) -> RunStore:
    """A finished run of another store."""
    store = RunStore(tmp_path / "elsewhere")
    write(store, CONFIG, tiny)
    return store


def grown(tmp_path, tiny, epochs: int):
    """The run as it was after some epochs."""
    store = RunStore(tmp_path / f"after {epochs}")
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        for epoch in range(epochs):
            writer.add(made_up_epoch(CONFIG, epoch))
        if epochs > CONFIG.epochs:
            writer.end(made_up_end(CONFIG))
    return next(iter(store))


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_files_of_a_run_make_the_same_run_elsewhere(elsewhere, tmp_path):
    (run,) = elsewhere
    files = files_of(run)
    assert set(files) == {"run.json", *(file.name for file in run.record.files)}
    with unpacked(files) as copy:
        assert have_the_same_bits(copy, run)
        assert copy.record == run.record or repr(copy.record) == repr(run.record)  # NaN.
        place = copy.folder
    assert not place.exists()


def test_files_that_are_not_those_of_a_run_are_refused(elsewhere, tmp_path):
    files = files_of(next(iter(elsewhere)))
    name = next(name for name in files if name.startswith("weights"))
    for bad in ({**files, name: b"x"}, {n: c for n, c in files.items() if n != name}):
        with pytest.raises(RunError), unpacked(bad):
            pytest.fail("it was taken")


def test_a_full_temporary_disk_is_one_sentence(elsewhere, monkeypatch):
    import errno
    import os

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = files_of(next(iter(elsewhere)))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with (
            pytest.raises(StoreError, match=r"could not be kept in .*: No space left on device"),
            unpacked(files),
        ):
            pytest.fail("it was taken")
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with (
        pytest.raises(StoreError, match=r"No temporary folder .*: No space.*TMPDIR"),
        unpacked(files),
    ):
        pytest.fail("it was taken")


def test_a_file_is_never_written_outside_of_the_runs_folder(elsewhere, tmp_path):
    files = files_of(next(iter(elsewhere)))
    unpack({**files, "../../escaped": b"x"}, tmp_path / "a" / "b")
    assert not (tmp_path / "escaped").exists()
    assert [path.name for path in tmp_path.rglob("escaped")] == ["escaped"]
    assert (tmp_path / "a" / "b" / files_run_id(files) / "escaped").exists()


def files_run_id(files) -> str:
    import json

    return json.loads(files["run.json"])["run_id"]


def test_a_run_grows_as_it_is_sent_and_keeps_just_what_its_record_names(store, tiny, tmp_path):
    with contextlib.closing(store.importer(CONFIG, tiny)) as importer:
        for epochs in (1, 2, 4):
            run = grown(tmp_path, tiny, epochs)
            if epochs == 2:  # Committed in one piece, so not the pieces that are kept here.
                assert importer.goes_on_with(run)
            kept = importer.keep(run)
            assert kept.last_epoch == min(epochs, 4) - 1
            assert names(importer.folder) == {
                "lock",
                "run.json",
                *(file.name for file in run.record.files),
            }
    (kept,) = RunStore(store.path)
    assert kept.status == "finished"
    assert have_the_same_bits(kept, run)
    assert "lock" not in names(kept.folder)


def test_a_run_that_lacks_what_is_kept_does_not_go_on_with_it(store, tiny, tmp_path):
    with contextlib.closing(store.importer(CONFIG, tiny)) as importer:
        importer.keep(grown(tmp_path, tiny, 3))
        assert not importer.goes_on_with(grown(tmp_path, tiny, 1))


def test_nothing_stays_of_a_run_that_was_not_kept(store, tiny):
    importer = store.importer(CONFIG, tiny)
    assert importer.run is None
    (importer.folder / "units-e0000.safetensors").write_bytes(b"half")
    assert RunStore(store.path).refused == {}
    importer.close()
    assert list(store.path.iterdir()) == []


def test_what_a_killed_receiver_left_is_in_nobodys_way(store, tiny, elsewhere):
    importer = store.importer(CONFIG, tiny)
    (importer.folder / "weights-e0003.safetensors").write_bytes(b"half")
    importer._lock.release()  # As the end of its process does.
    assert RunStore(store.path).refused == {}
    (run,) = elsewhere
    kept = store.add_copy(run, beside=True)
    assert kept.run_id == run.run_id
    assert have_the_same_bits(kept, run)
    assert names(kept.folder) == {"run.json", *(file.name for file in run.record.files)}


def test_a_run_in_hand_and_one_that_has_ended_are_busy(store, tiny, elsewhere):
    with contextlib.closing(store.importer(CONFIG, tiny)):
        with pytest.raises(RunBusyError, match="is being trained by another process"):
            store.importer(CONFIG, tiny)
        with pytest.raises(RunBusyError):
            store.writer(CONFIG, tiny)
    store.add_copy(next(iter(elsewhere)))
    with pytest.raises(RunBusyError, match="was finished by another process just now"):
        store.importer(CONFIG, tiny)


def test_a_damaged_run_is_left_alone_and_a_new_one_is_begun_beside_it(store, tiny, tmp_path):
    run = grown(tmp_path, tiny, 2)
    shutil.copytree(run.folder, store.path / run.run_id)
    next((store.path / run.run_id).glob("resume-*")).write_bytes(b"x")
    with pytest.raises(RunError, match="is damaged"):
        RunImporter(store.path / run.run_id)
    with contextlib.closing(store.importer(CONFIG, tiny)) as importer:
        assert importer.folder.name == f"{run.run_id}.2"
        assert importer.keep(run).run_id == f"{run.run_id}.2"
    assert RunStore(store.path)[f"{run.run_id}.2"].is_whole()


def test_a_full_disk_is_one_sentence_and_what_was_kept_stays(store, tiny, tmp_path, monkeypatch):
    import errno
    import os

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with contextlib.closing(store.importer(CONFIG, tiny)) as importer:
        importer.keep(grown(tmp_path, tiny, 1))
        later = grown(tmp_path, tiny, 3)
        monkeypatch.setattr("lab.store.writer.os.fsync", full)
        with pytest.raises(StoreError, match=r"could not be kept in .*: No space left on device"):
            importer.keep(later)
        monkeypatch.undo()
    (kept,) = RunStore(store.path)
    assert kept.last_epoch == 0
    assert kept.is_whole()
