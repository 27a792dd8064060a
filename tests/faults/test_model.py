"""A store driven at random, beside a model that knows what was acknowledged.

A clock by hand decides when the writer commits, so that the model knows it, too.
"""

import contextlib
import itertools
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from made_runs import assert_epochs_are_kept, assert_named_files_exist, made_up_end, made_up_epoch
from test_kill import blank

import lab.store.writer
import lab.system.machine
from lab import RunConfig, RunStore
from lab.errors import RunBusyError, RunError, StoreError
from lab.runs.record import ENDED
from lab.store.store import run_id
from lab.store.writer import RunWriter

pytestmark = pytest.mark.faults

COMMON = {"hidden": (3, 2), "epochs": 5, "batch_size": 30}
CONFIGS = (
    RunConfig(activation="relu", **COMMON),
    RunConfig(activation="elu", keep_weights="every", **COMMON),
)
DATA = blank()
NEVER = -1e9
LABELS = ("mine", "<b>", "$$_^{", "")


@dataclass
class Known:
    """What the model knows of a run.

    Attributes:
        config: Its settings.
        kept: How many epochs were acknowledged as committed.
        resumable: The epoch from which it can go on; None if from its beginning.
        ended: Whether it has finished.
        damaged: Whether a file of it was spoilt.
        label: Its label.
    """

    config: RunConfig
    kept: int = 0
    resumable: int | None = None
    ended: bool = False
    damaged: bool = False
    label: str | None = None


@dataclass
class Open:
    """What the model knows of a writer: what it took and has not committed, and since when."""

    writer: RunWriter
    next: int
    pending: int = 0
    committed: float = NEVER
    resumable: float = field(default=0.0)


class StoreMachine(RuleBasedStateMachine):
    """The rules; `known` and `open` are the model."""

    steps = itertools.count()

    @initialize()
    def begin_store(self):
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.path, self.other = self.folder / "runs", self.folder / "other"
        self.known: dict[str, Known] = {}
        self.open: dict[str, Open] = {}
        self.clock = 1000.0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lab.store.writer, "time", SimpleNamespace(monotonic=lambda: self.clock))
        self.patch.setattr(lab.store.disk, "LOCK_SECONDS", 0.0)
        self.patch.setattr(lab.machine, "threads_per_operation", lambda: 1)

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        for one in self.open.values():
            one.writer._lock.release(force=True)
        self.patch.undo()
        shutil.rmtree(self.folder)

    @property
    def store(self) -> RunStore:
        return RunStore(self.path)

    def expected_place(self, config: RunConfig) -> str | None:
        """The folder that a writer should take; None if the run is finished."""
        name = run_id(config, DATA)
        variants = sorted(n for n in self.known if n.partition(".")[0] == name)
        if any(self.known[n].ended and not self.known[n].damaged for n in variants):
            return None
        for variant in variants:
            if not self.known[variant].ended and not self.known[variant].damaged:
                return variant
        number = 1 + max((int(v.partition(".")[2] or 1) for v in variants), default=0)
        return f"{name}.{number}" if variants else name

    @rule(config=st.sampled_from(CONFIGS))
    def begin_or_resume(self, config):
        place = self.expected_place(config)
        if place is None:
            with pytest.raises(RunBusyError, match="was finished"):
                self.store.writer(config, DATA)
            return
        if place in self.open:
            with pytest.raises(RunBusyError, match="is being trained"):
                self.store.writer(config, DATA)
            return
        writer = self.store.writer(config, DATA)
        assert writer.folder.name == place
        known = self.known.get(place)
        resumable = known.resumable if known else None
        assert (writer.state.epoch if writer.state else None) == resumable
        first = 0 if resumable is None else resumable + 1
        self.open[place] = Open(writer, first, resumable=self.clock)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), epochs=st.integers(1, 3), wait=st.sampled_from([0.5, 2.5, 11.0]))
    def add_epochs(self, data, epochs, wait):
        name = data.draw(st.sampled_from(sorted(self.open)))
        one = self.open[name]
        config = one.writer.record.settings
        for _ in range(min(epochs, config.epochs + 1 - one.next)):
            self.clock += wait
            one.writer.add(made_up_epoch(config, one.next))
            known = self.known.get(name, Known(config))
            if one.next >= known.kept:
                one.pending += 1
                self.committed(name, one, known, one.next)
            one.next += 1

    def committed(self, name: str, one: Open, known: Known, epoch: int) -> None:
        """Notes what an added epoch must have committed."""
        if self.clock - one.resumable >= 10:
            one.resumable = self.clock
            known.resumable = epoch
        elif self.clock - one.committed < 2:
            return
        known.kept, one.pending, one.committed = known.kept + one.pending, 0, self.clock
        self.known[name] = known

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data):
        name = data.draw(st.sampled_from(sorted(self.open)))
        one = self.open[name]
        config = one.writer.record.settings
        if one.next <= config.epochs:
            return
        one.writer.end(made_up_end(config))
        one.writer.close()
        known = self.known.setdefault(name, Known(config))
        known.kept, known.ended, known.resumable = config.epochs + 1, True, None
        del self.open[name]

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close(self, data):
        name = data.draw(st.sampled_from(sorted(self.open)))
        one = self.open.pop(name)
        one.writer.close()
        if one.next:  # It holds a state, taken here or before.
            known = self.known.setdefault(name, Known(one.writer.record.settings))
            known.kept += one.pending
            known.resumable = one.next - 1
        else:
            self.known.pop(name, None) if name not in self.known else None

    @precondition(lambda self: self.open)
    @rule(data=st.data(), litter=st.sets(st.sampled_from(["units", "resume", "run.json"])))
    def crash(self, data, litter):
        name = data.draw(st.sampled_from(sorted(self.open)))
        one = self.open.pop(name)
        one.writer._lock.release(force=True)
        number = self.known[name].kept if name in self.known else 0
        for kind in sorted(litter):
            whole = kind if kind == "run.json" else f"{kind}-e{number:04d}.safetensors"
            end = "" if kind == "units" else ".tmp"
            (one.writer.folder / f"{whole}{end}").write_bytes(b"torn")

    @precondition(lambda self: self.known)
    @rule(data=st.data(), text=st.sampled_from(LABELS))
    def label(self, data, text):
        name = data.draw(st.sampled_from(sorted(self.known)))
        if name in self.open:
            with pytest.raises(RunBusyError):
                self.store.label(name, text)
        elif self.is_readable(name):
            assert self.store.label(name, text).record.label == (text or None)
            self.known[name].label = text or None
        else:
            with pytest.raises(RunError):
                self.store.label(name, text)

    def is_readable(self, name: str) -> bool:
        return name not in self.store.refused

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def delete(self, data):
        name = data.draw(st.sampled_from(sorted(self.known)))
        if name in self.open:
            with pytest.raises(RunBusyError):
                self.store.delete(name)
            return
        self.store.delete(name)
        del self.known[name]
        assert not (self.path / name).exists()

    @precondition(lambda self: set(self.known) - set(self.open))
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "gone"]))
    def corrupt(self, data, how):
        name = data.draw(st.sampled_from(sorted(set(self.known) - set(self.open))))
        files = sorted(p for p in (self.path / name).glob("*.*") if p.is_file())
        record = {f.name for f in self.named_files(name)} | {"run.json"}
        path = data.draw(st.sampled_from([p for p in files if p.name in record] or files))
        content = bytearray(path.read_bytes())
        if how == "flip" and path.name != "run.json":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1
            path.write_bytes(content)
        elif how == "gone" and path.name != "run.json":
            path.unlink()
        else:
            path.write_bytes(content[:-5])
        self.known[name].damaged = True

    def named_files(self, name: str):
        with contextlib.suppress(RunError):
            record = self.store[name].record
            return [
                file
                for file in (*record.units, *record.weights, record.resume, record.confirmed)
                if file
            ]
        return []

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def copy_in_part(self, data):
        """A student copies some of a run's files by hand: it is refused, or what it says is so."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        files = sorted(p for p in (self.path / name).iterdir() if p.is_file())
        chosen = data.draw(st.sets(st.sampled_from(files), min_size=1))
        shutil.rmtree(self.other, ignore_errors=True)
        (self.other / name).mkdir(parents=True)
        for path in chosen:
            shutil.copy(path, self.other / name)
        copies = RunStore(self.other)
        known = self.known[name]
        for run in copies:
            assert run.run_id == name
            if run.is_whole():
                assert_epochs_are_kept(run, range(known.kept))
        if "run.json" in {p.name for p in chosen}:
            assert len(list(copies)) + len(copies.refused) == 1
        assert all(copies.refused.values())

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def copy(self, data):
        """The lab's own copy: whole, or refused in one sentence."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        shutil.rmtree(self.other, ignore_errors=True)
        known, copies = self.known[name], RunStore(self.other)
        try:
            copy = copies.add_copy(self.store[name])
        except (RunError, StoreError):
            assert known.damaged or not known.ended
            assert not self.other.exists() or list(self.other.iterdir()) == []
        else:
            assert known.ended
            assert_epochs_are_kept(copy, range(known.kept))
            assert all(copy.weights(epoch) for epoch in copy.kept_epochs)

    @invariant()
    def nothing_is_lost_and_nothing_else_is_shown(self):
        next(self.steps)
        store = self.store
        refused, runs = store.refused, {run.run_id: run for run in store}
        assert set(runs) | set(refused) == set(self.known)
        assert all(self.known[name].damaged and reason for name, reason in refused.items())
        for name, run in runs.items():
            known = self.known[name]
            assert run.record.label == known.label
            assert len(run.record.epochs) == known.kept
            status = (
                "finished" if known.ended else "running" if name in self.open else "interrupted"
            )
            assert run.status == status
            if not known.damaged:
                assert run.is_whole()
                assert_named_files_exist(run.folder)
                assert_epochs_are_kept(run, range(known.kept))

    @invariant()
    def after_a_commit_there_is_no_litter(self):
        for name, one in self.open.items():
            if one.committed == self.clock:
                named = {file.name for file in self.named_files(name)} | {"run.json", "lock"}
                assert {p.name for p in (self.path / name).iterdir()} == named

    @invariant()
    def what_is_finished_is_found_and_nothing_else(self):
        for config in CONFIGS:
            found = self.store.find(config, DATA)
            ended = [n for n, k in self.known.items() if k.config == config and k.ended]
            whole = [name for name in ended if not self.known[name].damaged]
            if whole:
                assert found.run_id in whole
                assert found.record.status in ENDED
            elif found is not None:  # Damaged in a place that is read only when it is asked for.
                assert found.run_id in ended


def test_a_store_driven_at_random_keeps_what_was_acknowledged_and_shows_nothing_else(promise, many):
    before = next(StoreMachine.steps)
    long = settings(
        max_examples=many(800, 40),
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with promise("store driven at random: as the model says (steps)") as tally:
        with tally.case("machine"):
            run_state_machine_as_test(StoreMachine, settings=long)
        tally.tried = next(StoreMachine.steps) - before
