"""The figure over the tasks: its curves are what was recorded, its table and words the results."""

import numpy as np
import pytest

import lab
from lab import RunStore, figures, plots
from lab.errors import InputError
from lab.figures.of_runs import pictures
from lab.runs import by_task, tasks_words

SETTINGS = {"hidden": (6, 5), "batch_size": 30}


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("tasks") / "runs")
    return lab.continual("relu", 2, tiny, store, number=3, task_epochs=2, **SETTINGS)


@pytest.fixture(scope="module")
def picture(runs):
    return figures.over_tasks(runs, "tiny")


def test_the_panels_are_accuracies_and_of_each_layer_dead_neurons_weights_and_rank(picture):
    *panels, table = picture.figure.axes
    assert [ax.get_ylabel() for ax in panels] == [
        "accuracy while learning, %",
        "accuracy at the task's end, %",
        "dead, % of layer 1",
        "dead, % of layer 2",
        "weight norm, layer 1",
        "weight norm, layer 2",
        "effective rank, layer 1",
        "effective rank, layer 2",
    ]
    assert {ax.get_xlabel() for ax in panels} == {"task"}
    assert len(table.tables) == 1


def test_other_panels_can_be_chosen_and_are_named_in_the_words(runs):
    panels = [("end_accuracy", 1), ("dead_fraction", 2), ("update_ratio", 1)]
    picture = figures.over_tasks(runs, panels=panels)
    *drawn, table = picture.figure.axes
    labels = ["accuracy at the task's end, %", "dead, % of layer 2", "update ratio, layer 1"]
    assert [ax.get_ylabel() for ax in drawn] == labels
    assert picture.alt.startswith(f"Curves over the tasks ({'; '.join(labels)}), below them a")
    assert len(table.tables) == 1


@pytest.mark.parametrize(
    ("measure", "layer", "scale"), [("online_accuracy", 1, 100), ("weight_norm", 2, 1)]
)
def test_a_curve_goes_from_the_untrained_network_to_the_last_task(runs, measure, layer, scale):
    ax = plots.over_tasks(runs, measure, layer)
    thick = max(ax.get_lines()[:3], key=lambda line: line.get_linewidth())
    expected = scale * np.mean([by_task(run, measure, layer) for run in runs], axis=0)
    assert thick.get_xdata().tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(thick.get_ydata(), expected, rtol=1e-6)


def test_table_words_and_caption_hold_the_results(runs, picture):
    (row,) = runs.task_results().to_dict("records")
    (table,) = picture.figure.axes[-1].tables
    cells = [" ".join(cell.get_text().get_text().split()) for cell in table.get_celld().values()]
    for name, value in row.items():
        assert value in cells
        assert value in picture.alt
        assert name in picture.alt or name == "activation"
    assert tasks_words(runs) in picture.alt
    caption = " ".join(picture.figure.get_supxlabel().split())
    assert tasks_words(runs) in caption
    assert "tasks permuted, task epochs 2, seeds 0, 1" in caption


def test_a_measure_that_is_none_is_refused(runs):
    with pytest.raises(InputError, match="Unknown measure 'loss'"):
        plots.over_tasks(runs, "loss")


@pytest.mark.slow
def test_only_runs_that_learn_tasks_have_the_figure(runs, tiny, tmp_path):
    plain = lab.compare("relu", 1, tiny, tmp_path / "runs", epochs=1, **SETTINGS)
    for some, expected in ((runs, 1), (plain, 0)):
        names = [found.name for found in pictures(some)]
        assert sum(name.endswith("-over-tasks") for name in names) == expected


def test_runs_without_tasks_are_refused_in_a_sentence(tiny, tmp_path):
    runs = lab.compare(("relu",), 1, tiny, tmp_path, hidden=(4,), epochs=1, batch_size=50)
    with pytest.raises(InputError, match="runs must hold at least one run"):
        figures.over_tasks(runs)
    with pytest.raises(InputError, match="learns no tasks"):
        by_task(runs[0], "online_accuracy")
