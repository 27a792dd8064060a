"""A click on a curve opens its run in the microscope."""

import asyncio

import pytest

import lab
from lab import RunStore
from lab.errors import InputError
from lab.widgets import Compare, Race
from lab.widgets.opened import clicked

SETTINGS = {"hidden": (6, 5), "epochs": 2, "batch_size": 30}


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("opened") / "runs")
    lab.compare(("relu", "elu"), 2, tiny, store, **SETTINGS)
    lab.compare("relu", 1, tiny, store, learning_rate=0.1, **SETTINGS)
    return store


def test_every_curve_of_the_picture_leads_to_the_run_whose_values_it_shows(store):
    compare = Compare(store)
    (panel,) = compare.picture.panels
    found = []
    for group in dict.fromkeys(curve["group"] for curve in panel["curves"]):
        seeds = [c for c in panel["curves"] if c["group"] == group and not c["mean"]]
        for place, curve in enumerate(seeds):
            run = clicked(compare.chosen, group, place)
            accuracies = [100 * epoch.validation_accuracy for epoch in run.record.epochs]
            assert curve["values"] == pytest.approx(accuracies, rel=1e-5)
            found.append(run.run_id)
    assert sorted(found) == sorted(run.run_id for run in store.runs)


@pytest.mark.slow
def test_a_click_opens_the_run_below_and_the_next_one_in_its_place(store):
    compare = Compare(store)
    compare.picture.picked = ["ELU α=1, learning rate 0.001", 1, 1]
    (first,) = compare.opened.children
    assert (first.run.value.config.title, first.run.value.config.seed) == ("ELU α=1", 1)
    assert "Opened below in the microscope: ELU α=1, tiny" in compare.status.value
    compare.picture.picked = ["ReLU, learning rate 0.1", 0, 2]
    (second,) = compare.opened.children
    assert second.run.value.config.learning_rate == 0.1
    assert first.comm is None  # It is closed.


def test_what_is_not_recorded_yet_is_a_sentence(store):
    race = Race("relu")
    race.picture.picked = ["ReLU", 0, 1]
    assert "opens its run in the microscope when training ends" in race.status.value
    with pytest.raises(InputError, match="when training ends"):
        clicked(store.runs, "GELU", 0)


def test_after_a_race_a_curve_leads_to_its_own_run_though_one_was_recorded_before(tiny, tmp_path):
    store = RunStore(tmp_path)
    lab.compare("relu", 1, tiny, store, **SETTINGS)

    async def script():
        race = Race("relu", 2, tiny, store, **SETTINGS)
        race.start()
        await race.finished()
        return race

    race = asyncio.run(asyncio.wait_for(script(), 60))
    (panel,) = [p for p in race.picture.panels if p["title"] == "validation accuracy, %"]
    seeds = [curve for curve in panel["curves"] if not curve["mean"]]
    for place, curve in enumerate(seeds):
        race.picture.picked = ["ReLU", place, place]
        run = race.opened.children[0].run.value
        accuracies = [100 * epoch.validation_accuracy for epoch in run.record.epochs]
        assert curve["values"] == pytest.approx(accuracies, rel=1e-5)
