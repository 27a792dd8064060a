"""Figures of studies: their words hold the numbers of the verdicts, the rates and the maps."""

import re
from dataclasses import replace

import numpy as np
import pytest

import lab
from lab import Runs, RunStore, stats
from lab.figures import of_studies
from lab.runs import measures

SETTINGS = {"hidden": (6, 5), "epochs": 1, "batch_size": 30}


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("studies") / "runs")
    lab.compare(["elu", "relu"], 6, tiny, store, learning_rate=0.01, **SETTINGS)
    lab.compare("relu", 2, tiny, store, learning_rate=0.3, **SETTINGS)
    return store.runs


@pytest.fixture(scope="module")
def slow(runs):
    return runs.where(learning_rate=0.01)


def test_a_forest_holds_its_verdicts_in_words(slow):
    picture = of_studies.forest(slow, "tiny")
    (verdict,) = stats.verdicts(slow)
    assert picture.name == "tiny-forest"
    assert verdict.sentence in picture.alt
    (ax,) = picture.figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["ELU α=1"]
    assert "after Holm" not in picture.figure.get_supxlabel()  # One comparison needs none.


def test_only_comparisons_with_two_seeds_in_common_have_a_forest(runs, slow):
    assert of_studies.seeds_to_pair(slow)
    assert not of_studies.seeds_to_pair(runs.where(activation="relu"))
    assert not of_studies.seeds_to_pair(slow.where(seed=0))


def test_each_function_has_a_panel_over_the_rates_and_its_best_in_words(runs):
    picture = of_studies.learning_rates(runs, "tiny")
    titles = [ax.get_title(loc="left") for ax in picture.figure.axes]
    assert titles == ["ReLU", "ELU α=1"] * 2
    for row in stats.best_rates(runs).itertuples():
        assert (
            f"{row.activation}: {row.learning_rate:g}, with validation accuracy "
            f"{row.validation_accuracy:.2f} % and test accuracy {row.test_accuracy:.2f} % "
            f"({row.note})" in picture.alt
        )
    above, below = picture.figure.axes[:2], picture.figure.axes[2:]
    assert all(len({ax.get_ylim() for ax in block}) == 1 for block in (above, below))


def test_maps_by_rate_hold_means_spreads_and_gaps(runs):
    wanted = measures.measure("validation_accuracy")
    mean, spread, empty = of_studies.by_rate(runs, wanted)
    assert list(mean.index) == ["ReLU", "ELU α=1"]
    assert list(mean.columns) == ["0.01", "0.3"]
    assert empty.tolist() == [[False, False], [False, True]]
    cell = [wanted.printed(r) for r in runs.where(activation="relu", learning_rate=0.3)]
    assert len(cell) == 2
    assert mean.loc["ReLU", "0.3"] == pytest.approx(np.mean(cell))
    assert spread.loc["ReLU", "0.3"] == pytest.approx(abs(cell[0] - cell[1]) / np.sqrt(2))


def test_a_map_with_a_diverged_run_has_no_mean_there(runs):
    first = runs.where(activation="relu", learning_rate=0.3)[0]
    lost = replace(first, record=first.record.model_copy(update={"status": "diverged"}))
    picture = of_studies.rate_maps(Runs([lost if r is first else r for r in runs]), "tiny")
    assert len(re.findall("ReLU at 0.01: [0-9.]+, 0.3: diverged", picture.alt)) == 2
    assert len(re.findall("ELU α=1 at 0.01: [0-9.]+, 0.3: no run", picture.alt)) == 2


def test_forests_have_a_panel_for_each_measure_and_every_verdict_in_words():
    runs = RunStore("notebooks/recorded/remedies").runs
    ways = {label: runs.where(label=label) for label in ("no remedy", "leak", "warm-up")}
    verdicts = stats.corrected(
        [v for name in ("dead", "test_accuracy") for v in stats.between(ways, "no remedy", name)]
    )
    picture = of_studies.forests(ways["no remedy"], verdicts, "remedies")
    assert [ax.get_xlabel() for ax in picture.figure.axes] == [
        "share of dead neurons: difference from no remedy, points",
        "test accuracy: difference from no remedy, points",
    ]
    rows = [label.get_text() for label in picture.figure.axes[1].get_yticklabels()]
    assert rows == ["leak", "warm-up"]
    assert all(verdict.sentence in picture.alt for verdict in verdicts)
    assert picture.name == "remedies-forests"
