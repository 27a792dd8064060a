"""Numbers that overflow, vanish or are NaN are reported as they are and change no other run."""

import math

import numpy as np
import pytest
from made import make_dataset
from test_kill import assert_the_same_bits

import lab
from lab import Dataset, RunConfig, Runs, stats, studies
from lab.census import units
from lab.cli import shared

pytestmark = pytest.mark.faults

SETTINGS = {"hidden": (6, 5), "epochs": 4, "batch_size": 60}
HEALTHY = RunConfig(activation="relu", **SETTINGS)
WILD = {
    "a large rate": RunConfig(activation="leaky_relu=1000", learning_rate=1000.0, **SETTINGS),
    "plain SGD": RunConfig(
        activation="leaky_relu=0.5", optimizer="sgd", learning_rate=1000.0, **SETTINGS
    ),
    "a steep slope": RunConfig(
        activation="leaky_relu=1", optimizer="sgd", learning_rate=50.0, momentum=0.9, **SETTINGS
    ),
    "in the middle": RunConfig(
        activation="leaky_relu=1", optimizer="sgd", learning_rate=3.0, **SETTINGS
    ),
}


@pytest.fixture(scope="module")
def data():
    return make_dataset(300, 100)


def train(configs, data, place) -> Runs:
    study = studies.gather(configs, data, place)
    for _ in study.events():
        pass
    return study.runs()


def test_runs_that_diverge_change_no_bit_of_those_beside_them(tmp_path, data, promise):
    (alone,) = train([HEALTHY], data, tmp_path / "alone")
    beside, *lost = train([HEALTHY, *WILD.values()], data, tmp_path / "beside")
    with promise("numeric faults: neighbours untouched, reported as they are") as tally:
        with tally.case("the healthy one"):
            assert_the_same_bits(beside, alone)
        for name, run in zip(WILD, lost, strict=True):
            with tally.case(name):
                losses = [run.record.epochs[-1].validation_loss, run.record.test_loss]
                finite = all(np.isfinite(array).all() for array in [*run.weights(), losses])
                assert (run.status == "diverged") == (not finite)
                assert finite == (run.divergence == "")
                if not finite:
                    assert run.divergence.startswith(f"Diverged in epoch {run.last_epoch}: ")
    assert sum(run.status == "diverged" for run in lost) >= 3
    assert (lost[-1].status, lost[-1].last_epoch) == ("diverged", 2)


def test_a_run_that_diverged_is_never_best_and_in_no_mean(tmp_path, data, promise):
    wild = [
        RunConfig(
            activation="leaky_relu=0.5", optimizer="sgd", learning_rate=1000.0, seed=s, **SETTINGS
        )
        for s in range(3)
    ]
    tame = [c.model_copy(update={"learning_rate": 0.01}) for c in wild]
    runs = train([*tame, *wild], data, tmp_path / "runs")
    lost = runs.where(learning_rate=1000.0)
    with promise("numeric faults: a diverged run is never best, in no mean") as tally:
        with tally.case("they diverged"):
            assert {run.status for run in lost} == {"diverged"}
        with tally.case("best rate"):
            assert stats.best_rates(runs).learning_rate.tolist() == [0.01]
        with tally.case("summary"):
            rows = runs.summary().set_index("learning_rate")
            accuracies = [run.record.test_accuracy for run in runs.where(learning_rate=0.01)]
            assert rows.test_accuracy[0.01] == pytest.approx(np.mean(accuracies), abs=1e-12)
            assert math.isnan(rows.test_accuracy[1000.0])
            assert rows.diverged.to_dict() == {0.01: 0, 1000.0: 3}
        with tally.case("best rate in words"):
            assert "1000" not in shared.best_rates_in_words(runs).to_string()


def test_units_whose_sums_overflow_are_non_finite_and_not_dead(tmp_path, data, promise):
    """Each of 14 layers multiplies by about 1000: the last sums exceed single precision."""
    from lab.training.events import EpochEnd
    from lab.training.trainer import train as trained

    config = RunConfig(
        activation="leaky_relu=-1000",
        first_bias=-1000.0,
        **SETTINGS | {"hidden": (6,) * 14, "initializer": "he_normal"},
    )
    first = next(event for event in trained([config], data) if isinstance(event, EpochEnd))
    with promise("numeric faults: overflow in the census") as tally:
        for number, layer in enumerate(first.layers, start=1):
            with tally.case(f"layer {number}"):
                bad = units.nonfinite(layer)
                assert not (bad & units.dead(layer)).any()
                assert np.isnan(layer.mean[bad]).all()
                finite = np.isfinite(layer.mean) & np.isfinite(layer.max_z)
                assert finite[~bad].all()
        with tally.case("it overflows"):
            assert units.nonfinite(first.layers[-1]).all()


def flat(value: int, labels: str) -> Dataset:
    """Images of one value; the labels of all classes, or of one but for a single image."""
    images = np.full((100, 28, 28), value, np.uint8)
    nearly_one = np.where(np.arange(100), 3, 4)
    classes = (np.arange(100) % 10 if labels == "all" else nearly_one).astype(np.uint8)
    return Dataset(f"flat {value}", images, classes, images[:50], classes[:50])


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("labels", ["all", "nearly one"])
def test_images_without_contrast_and_nearly_one_class_come_to_an_honest_end(
    tmp_path, promise, value, labels
):
    config = RunConfig(activation="relu", **SETTINGS | {"batch_size": 20})
    with (
        promise("numeric faults: constant images, nearly one class") as tally,
        tally.case((value, labels)),
    ):
        (run,) = train([config], flat(value, labels), tmp_path / "runs")
        assert run.status == "finished"
        assert math.isfinite(run.record.test_loss)
        assert run.record.test_accuracy == pytest.approx(0.1 if labels == "all" else 1.0, abs=0.1)
        for number in run.layers:  # On images that are all the same, a unit has one activation.
            layer = run.layer(number)
            assert np.allclose(layer.sd, 0, atol=1e-4)
            assert np.array_equal(layer.min_z, layer.max_z)
        assert len(Runs([run]).results()) == 1


def test_a_network_of_dead_units_alone_learns_the_classes_shares(tmp_path, data, promise):
    with promise("numeric faults: all units dead") as tally, tally.case("first bias -1000"):
        config = RunConfig(activation="relu", first_bias=-1000.0, **SETTINGS)
        (run,) = train([config], data, tmp_path / "runs")
        assert run.status == "finished"
        assert run.confirmed_fractions() == [1.0, 1.0]
        first, last = run.weights(), run.weights()
        assert all(np.isfinite(array).all() for array in last)
        assert np.array_equal(first[1], np.full(6, -1000, np.float32))  # No gradient reached it.
        assert run.record.epochs[-1].validation_loss == pytest.approx(math.log(10), abs=0.1)
        assert lab.Runs([run]).results()["dead, %"].tolist() == ["100.0 / 100.0"]
