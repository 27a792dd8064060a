"""Studies: what is recorded is loaded, what was stopped goes on, bad input comes to nothing."""

import contextlib

import numpy as np
import pytest

import lab.studies.study
from lab import RunConfig, RunStore, compare
from lab.census import units
from lab.errors import InputError, RunBusyError
from lab.store.store import run_id
from lab.studies.study import plan
from lab.training.events import EpochEnd, RunEnd

SETTINGS = {"hidden": (6, 5), "epochs": 3, "batch_size": 30}
SECONDS = ("train_seconds", "validation_seconds", "census_seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny) -> RunStore:
    """A comparison that nothing interrupted."""
    store = RunStore(tmp_path_factory.mktemp("whole") / "runs")
    compare(("relu", "elu"), 2, tiny, store, **SETTINGS)
    return store


def assert_same_runs(got: RunStore, expected: RunStore) -> None:
    assert [run.run_id for run in got] == [run.run_id for run in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.status == other.status == "finished"
        for mine, theirs in zip(one.record.epochs, other.record.epochs, strict=True):
            assert mine.model_dump(exclude=SECONDS) == theirs.model_dump(exclude=SECONDS)
        assert one.record.test_loss == other.record.test_loss
        assert one.record.test_accuracy == other.record.test_accuracy
        assert all(map(np.array_equal, one.weights(), other.weights()))
        for number in (1, 2):
            assert np.array_equal(one.confirmed(number), other.confirmed(number))
            for name in units.ARRAYS:
                mine, theirs = (getattr(run.layer(number), name) for run in (one, other))
                assert mine.tobytes() == theirs.tobytes()
                assert mine.dtype == theirs.dtype


def test_a_comparison_returns_its_runs_in_the_order_asked_for(whole, tiny):
    runs = compare(("elu", "relu"), (1, 0), tiny, whole, **SETTINGS)
    asked = [(1, "elu"), (1, "relu"), (0, "elu"), (0, "relu")]
    assert [(run.config.seed, run.config.activation) for run in runs] == asked
    assert {run.last_epoch for run in runs} == {3}
    assert len(runs.epochs()) == 4 * 4 * 2


def test_a_recorded_comparison_is_loaded_and_nothing_is_trained(whole, tiny, monkeypatch):
    study = plan(("relu", "elu"), 2, tiny, whole, **SETTINGS)
    files = {p: p.stat().st_mtime_ns for p in whole.path.rglob("*")}
    assert study.missing() == []
    assert list(study.events()) == []
    monkeypatch.setattr(
        lab.studies.study, "load_tensorflow", lambda: pytest.fail("loaded TensorFlow")
    )
    runs = compare(("relu", "elu"), 2, tiny, whole, **SETTINGS)
    assert [run.run_id for run in runs] == [run_id(config, tiny) for config in study.configs]
    assert {p: p.stat().st_mtime_ns for p in whole.path.rglob("*")} == files


def test_only_what_is_missing_is_trained(whole, tiny):
    study = plan(("relu", "leaky_relu"), 1, tiny, whole, **SETTINGS)
    assert [config.activation for config in study.missing()] == ["leaky_relu"]
    try:
        events = list(study.events())
        assert {event.run for event in events if hasattr(event, "run")} == {0}
        assert [e.epoch for e in events if isinstance(e, EpochEnd)] == [0, 1, 2, 3]
        assert [run.config.activation for run in study.runs()] == ["relu", "leaky_relu"]
    finally:
        whole.delete("leaky_relu")


@pytest.mark.parametrize("stop", range(0, 16, 3))
def test_a_stopped_study_keeps_its_epochs_and_goes_on_to_the_same_bits(whole, tiny, tmp_path, stop):
    store = RunStore(tmp_path / "runs")
    study = plan(("relu", "elu"), 2, tiny, store, **SETTINGS)
    events = study.events()
    finished: dict[int, int] = {}
    ended: set[int] = set()
    records = 0
    for event in events:
        if isinstance(event, EpochEnd):
            finished[event.run] = event.epoch
            records += 1
        elif isinstance(event, RunEnd):
            ended.add(event.run)
        if records > stop:
            break
    events.close()
    for i, config in enumerate(study.configs):
        if i not in finished:
            continue
        run = RunStore(store.path)[run_id(config, tiny)]
        assert run.status == ("finished" if i in ended else "interrupted")
        assert run.last_epoch == finished[i]
        same = whole[run_id(config, tiny)]
        for number in (1, 2):
            kept = same.layer(number).max_z[: finished[i] + 1]
            assert np.array_equal(run.layer(number).max_z, kept)
    left = [config for i, config in enumerate(study.configs) if i not in ended]
    assert study.missing() == left
    compare(("relu", "elu"), 2, tiny, store, **SETTINGS)
    assert_same_runs(store, whole)


def test_a_run_that_is_finished_elsewhere_while_tensorflow_loads_is_not_trained_again(
    whole, tiny, tmp_path, monkeypatch
):
    store = RunStore(tmp_path / "runs")

    def load_and_meanwhile():
        monkeypatch.undo()
        compare("relu", 1, tiny, store, **SETTINGS)

    monkeypatch.setattr(lab.studies.study, "load_tensorflow", load_and_meanwhile)
    with contextlib.suppress(RunBusyError):
        events = [*plan("relu", 1, tiny, store, **SETTINGS).events()]
        assert not any(isinstance(event, EpochEnd) for event in events)
    assert [path.name for path in store.path.iterdir()] == [whole["relu-seed0"].run_id]


def test_two_studies_in_one_process_do_not_write_one_run(tiny, tmp_path):
    store = RunStore(tmp_path / "runs")
    first = plan("relu", 1, tiny, store, **SETTINGS).events()
    for event in first:
        if isinstance(event, EpochEnd):
            break
    with pytest.raises(RunBusyError, match=r"relu-seed0-.* is being trained"):
        compare("relu", 1, tiny, store, **SETTINGS)
    assert [e.epoch for e in first if isinstance(e, EpochEnd)] == [1, 2, 3]
    assert [run.status for run in store] == ["finished"]


def test_a_busy_run_frees_the_others_of_its_study(tiny, tmp_path):
    store = RunStore(tmp_path / "runs")
    with_one = store.writer(RunConfig(activation="elu", **SETTINGS), tiny)
    try:
        with pytest.raises(RunBusyError):
            compare(("relu", "elu"), 1, tiny, store, **SETTINGS)
        assert [p.name for p in store.path.iterdir()] == [with_one.folder.name]
    finally:
        with_one.close()


def test_seeds_are_a_number_or_the_seeds_themselves(tiny):
    def seeds(given):
        return [config.seed for config in plan("relu", given, tiny, **SETTINGS).configs]

    assert seeds(3) == [0, 1, 2]
    assert seeds([7, 2]) == [7, 2]
    assert seeds(range(5, 8)) == [5, 6, 7]
    assert seeds(np.array([4])) == [4]


def test_runs_named_twice_are_trained_once(tiny):
    names = ("relu", "leaky_relu", "leaky_relu=0.01", "relu", "leaky_relu=0.1")
    configs = plan(names, [0, 0], tiny, **SETTINGS).configs
    assert [(c.activation, c.parameter) for c in configs] == [
        ("relu", None),
        ("leaky_relu", 0.01),
        ("leaky_relu", 0.1),
    ]


BAD = {
    "an unknown activation": ({"activations": ["rellu"]}, r"'rellu'.*Did you mean 'relu'\?"),
    "no activation": ({"activations": []}, r"activations must be one or more names.* not \[\]"),
    "numbers for activations": (
        {"activations": 5},
        "activations must be one or more names.* not 5",
    ),
    "nothing for activations": ({"activations": None}, "activations must be .*names.* not None"),
    "a number for one": ({"activations": ["relu", 3]}, r"activations must be .* not \['relu', 3\]"),
    "an array of no dimension": ({"seeds": np.array(3)}, r"seeds must be .* not array\(3\)"),
    "a huge seed": ({"seeds": [10**5000]}, "seed must be a whole number from 0"),
    "a parameter of none": ({"activations": "relu=1"}, "relu takes no parameter"),
    "a slope that is no number": ({"activations": "leaky_relu=nan"}, "finite number .*'nan'"),
    "no seed": ({"seeds": 0}, "seeds must be .*from 1 to 10,000.* not 0"),
    "an empty list of seeds": ({"seeds": []}, r"seeds must be .* not \[\]"),
    "a negative number of seeds": ({"seeds": -2}, "seeds must be .* not -2"),
    "a negative seed": ({"seeds": [-1]}, "seed must be a whole number from 0 .* not -1"),
    "half a seed": ({"seeds": [1.5]}, "seed.* 1.5"),
    "a broken number of seeds": ({"seeds": 2.5}, "seeds must be .* not 2.5"),
    "seeds in words": ({"seeds": ["first"]}, "seed.*'first'"),
    "a negative rate": ({"learning_rate": -0.1}, r"learning_rate must be .* not -0\.1"),
    "a NaN rate": ({"learning_rate": float("nan")}, "learning_rate must be .* not nan"),
    "a split of 1": ({"validation_split": 1}, "validation_split must be .* not 1"),
    "no epochs": ({"epochs": 0}, "epochs must be .* not 0"),
    "no units": ({"hidden": (6, 0)}, r"hidden must be .* not \(6, 0\)"),
    "a huge parameter": (
        {"activations": "leaky_relu", "parameter": 10**400},
        "parameter .* of leaky_relu must be a finite number",
    ),
    "an unknown setting": ({"learning_rat": 1}, "Unknown setting 'learning_rat'.*learning_rate"),
    "an unknown dataset": ({"dataset": "minst"}, "Unknown dataset 'minst'"),
}


@pytest.mark.parametrize(("given", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_sentence_before_any_work(
    given, sentence, tmp_path, monkeypatch
):
    if "dataset" not in given:
        monkeypatch.setattr(
            lab.studies.study, "load_dataset", lambda _: pytest.fail("loaded the data")
        )
    monkeypatch.setattr(
        lab.studies.study, "load_tensorflow", lambda: pytest.fail("loaded TensorFlow")
    )
    place = tmp_path / "runs"
    with pytest.raises(InputError, match=sentence) as caught:
        compare(**{"store": place, **SETTINGS, **given})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not place.exists()


def test_a_batch_larger_than_the_data_is_refused_before_tensorflow(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(
        lab.studies.study, "load_tensorflow", lambda: pytest.fail("loaded TensorFlow")
    )
    with pytest.raises(InputError, match=r"batch_size must be at most 240, .* of tiny, not 241"):
        compare("relu", 1, tiny, tmp_path / "runs", batch_size=241)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_a_file_is_refused_before_the_data_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(lab.studies.study, "load_dataset", lambda _: pytest.fail("loaded the data"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a folder"):
        compare(store=tmp_path / "file")


@pytest.mark.parametrize(("slip", "right"), [("activation", "activations"), ("seed", "seeds")])
def test_a_run_s_own_words_are_refused_with_the_study_s(slip, right, tiny, tmp_path):
    with pytest.raises(InputError, match=f"{slip} must be given as {right}"):
        compare(dataset=tiny, store=tmp_path / "runs", **{slip: 1})


def test_a_recorded_run_that_is_damaged_is_trained_again_beside_it(tiny, tmp_path):
    store = RunStore(tmp_path / "runs")
    (run,) = compare("relu", 1, tiny, store, **SETTINGS)
    with next(run.folder.glob("units-*")).open("ab") as file:
        file.write(b"x")
    (again,) = compare("relu", 1, tiny, store, **SETTINGS)
    assert again.run_id == f"{run.run_id}.2"
    np.testing.assert_array_equal(again.weights()[0], run.weights()[0])


def test_many_runs_are_trained_in_waves(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(lab.studies.study, "WAVE", 2)
    study = plan("relu", 5, tiny, tmp_path / "runs", **SETTINGS)
    ended = [event.run for event in study.events() if isinstance(event, RunEnd)]
    assert sorted(ended) == [0, 1, 2, 3, 4]
    assert [run.config.seed for run in study.runs()] == [0, 1, 2, 3, 4]
