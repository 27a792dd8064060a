"""What is read of runs that learned tasks: every number is computed here once more."""

import itertools

import numpy as np
import pytest

import lab
from lab import RunConfig, RunStore, neurons
from lab.analysis import probes, surgery
from lab.errors import InputError, RunError
from lab.experiment import split, task_dataset
from lab.network import forward
from lab.runs import by_task, first_and_last, tasks_words

SETTINGS = {"hidden": (6, 5), "batch_size": 30, "tasks": "permuted", "task_epochs": 2}
PLAIN = {"hidden": (6, 5), "batch_size": 30, "epochs": 1}
WEIGHTS = SETTINGS | {"keep_weights": "every", "learning_rate": 0.02}


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("tasks") / "runs")
    lab.continual("relu", 2, tiny, store, number=3, **WEIGHTS)
    return store


@pytest.fixture
def run(store):
    return store.runs[0]


def test_accuracy_while_learning_is_the_mean_over_a_tasks_epochs(run):
    trained = [epoch.train_accuracy for epoch in run.record.epochs]
    expected = [trained[0], *(np.mean(trained[first : first + 2]) for first in (1, 3, 5))]
    np.testing.assert_allclose(by_task(run, "online_accuracy"), expected, rtol=1e-12)


def test_accuracy_at_the_end_is_that_of_a_tasks_last_epoch_on_its_own_images(run, tiny):
    for epoch, recorded in zip((0, 2, 4, 6), by_task(run, "end_accuracy"), strict=True):
        images = task_dataset(tiny, run.config, epoch)
        which = split(images, run.config).validation
        *_, scores = forward(run.config, run.weights(epoch), images.x_train[which])
        assert recorded == pytest.approx((scores.argmax(1) == images.y_train[which]).mean())


def test_shuffled_labels_are_judged_on_the_images_that_have_them(tiny, tmp_path):
    settings = SETTINGS | {"tasks": "shuffled_labels"}
    (run,) = lab.continual("relu", 1, tiny, tmp_path / "runs", number=2, **settings)
    last = [run.record.epochs[epoch].train_accuracy for epoch in (0, 2, 4)]
    assert by_task(run, "end_accuracy").tolist() == last


def test_norms_are_those_of_the_kept_weights(run):
    for layer in (1, 2):
        kernels = [run.weights(epoch).kernel(layer).astype(float) for epoch in range(7)]
        norms = np.array([np.sqrt((kernel**2).sum()) for kernel in kernels])
        moved = np.array([np.sqrt(((b - a) ** 2).sum()) for a, b in itertools.pairwise(kernels)])
        np.testing.assert_allclose(run.task_numbers(layer)["weight_norm"], norms, rtol=1e-5)
        np.testing.assert_allclose(by_task(run, "weight_norm", layer), norms[::2], rtol=1e-5)
        expected = [0, *(moved / norms[:-1]).reshape(3, 2).mean(axis=1)]
        np.testing.assert_allclose(by_task(run, "update_ratio", layer), expected, rtol=1e-4)


def test_clones_and_ranks_are_those_of_the_activations_on_the_probe_at_a_tasks_end(run, tiny):
    probe = split(tiny, run.config).probe
    for epoch, task in ((0, 0), (2, 1), (6, 3)):
        images = task_dataset(tiny, run.config, epoch).x_train[probe]
        *hidden, _ = forward(run.config, run.weights(epoch), images)
        for layer, z in enumerate(hidden, start=1):
            values = np.maximum(z, 0.0).astype(float)
            singular = np.linalg.svd(values, compute_uv=False)
            shares = singular / singular.sum()
            entropy = -sum(share * np.log(share) for share in shares if share > 0)
            assert by_task(run, "effective_rank", layer)[task] == pytest.approx(
                np.exp(entropy), rel=1e-4
            )
            stable = (singular**2).sum() / singular[0] ** 2
            assert by_task(run, "stable_rank", layer)[task] == pytest.approx(stable, rel=1e-4)
            assert by_task(run, "clones", layer)[task] == _units_too_many(values)
    assert np.isnan(run.task_numbers(1)["clones"][[1, 3, 5]]).all()  # Within a task.


def _units_too_many(values):
    """How many units are a clone of one before them, by their correlations one by one."""
    groups = [{unit} for unit in range(values.shape[1])]
    for one, other in itertools.combinations(range(values.shape[1]), 2):
        pair = values[:, [one, other]]
        if pair.std(axis=0).all() and abs(np.corrcoef(pair.T)[0, 1]) > 0.95:
            joined = [group for group in groups if group & {one, other}]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return values.shape[1] - len(groups)


def test_a_run_without_tasks_has_no_norms(tiny, tmp_path):
    (run,) = lab.compare("relu", 1, tiny, tmp_path / "runs", **PLAIN)
    assert np.isnan(run.task_numbers(1)["weight_norm"]).all()
    with pytest.raises(RunError, match="layer must be from 1 to 2"):
        run.task_numbers(3)


def test_what_is_no_measure_is_refused(run):
    with pytest.raises(
        InputError, match=r"Unknown measure 'online'\. Choose from: online_accuracy"
    ):
        by_task(run, "online")


def test_the_table_has_a_row_for_each_task_and_layer(store):
    table = store.runs.tasks()
    assert len(table) == 2 * 4 * 2
    first = table[(table.run_id == store.runs[0].run_id) & (table.layer == 2)]
    assert first.task.tolist() == [0, 1, 2, 3]
    assert first.epoch.tolist() == [0, 2, 4, 6]
    for column in ("online_accuracy", "end_accuracy", "dead_fraction", "weight_norm"):
        np.testing.assert_array_equal(first[column], by_task(store.runs[0], column, 2))


def test_runs_without_tasks_are_not_in_the_tables_of_tasks(tiny, tmp_path):
    runs = lab.compare("relu", 1, tiny, tmp_path / "runs", **PLAIN)
    assert len(runs.tasks()) == len(runs.task_results()) == len(runs.learning_tasks()) == 0


def test_the_results_set_the_first_tasks_beside_the_last(store):
    (row,) = store.runs.task_results().to_dict("records")
    curves = np.array([by_task(run, "online_accuracy") for run in store.runs])
    first, last = 100 * curves[:, 1].mean(), 100 * curves[:, 3].mean()
    assert row["activation"] == "ReLU"
    assert row["while learning, %"] == f"{first:.2f} → {last:.2f} ({last - first:+.2f})"
    dead = [
        [np.mean([by_task(run, "dead_fraction", n)[at] for run in store.runs]) for n in (1, 2)]
        for at in (0, -1)
    ]
    words = [" / ".join(f"{100 * share:.1f}" for share in of_layers) for of_layers in dead]
    assert row["dead, %"] == " → ".join(words)


def test_with_twenty_tasks_the_first_and_last_two_are_compared(store):
    config = RunConfig(tasks="permuted", epochs=20)
    last = store.runs[0].record.epochs[-1]
    epochs = [last.model_copy(update={"epoch": n, "train_accuracy": n / 100}) for n in range(21)]
    settings = {"settings": config, "epochs": tuple(epochs)}
    twenty = lab.Run(store.runs[0].folder, store.runs[0].record.model_copy(update=settings))
    assert twenty.few_tasks == 2
    assert first_and_last(twenty, "online_accuracy") == pytest.approx((0.015, 0.195))


@pytest.mark.slow
def test_where_tasks_show_data_sets_in_turn_the_first_and_last_are_whole_rounds(tiny, tmp_path):
    both = lab.join_datasets([tiny, tiny])
    settings = SETTINGS | {"tasks": "datasets", "task_epochs": 1}
    (run,) = runs = lab.continual("relu", 1, both, tmp_path / "runs", number=3, **settings)
    assert run.few_tasks == 2
    config = run.config.model_copy(update={"epochs": 50})
    fifty = lab.Run(run.folder, run.record.model_copy(update={"settings": config}))
    assert fifty.few_tasks == 6
    (row,) = runs.task_results().to_dict("records")
    curve = 100 * by_task(run, "online_accuracy")
    first, last = curve[1:3].mean(), curve[2:4].mean()
    assert row["while learning, %"] == f"{first:.2f} → {last:.2f} ({last - first:+.2f})"
    words = tasks_words(runs)
    assert "at its end: on the validation images of its data set. Accuracies" in words
    assert "the first 2 tasks → the last 2" in words
    assert words.endswith(" Tasks show tiny, tiny in turn.")


# What is computed later sees the images as the task showed them.


def test_pre_activations_are_those_of_the_epochs_task(run, tiny):
    probe = split(tiny, run.config).probe
    for epoch in (2, 3):
        seen = task_dataset(tiny, run.config, epoch).x_train[probe].reshape(len(probe), 784)
        weights = run.weights(epoch)
        z = seen.astype(np.float32) / 255 @ weights.kernel(1) + weights.bias(1)
        np.testing.assert_allclose(run.pre_activations(tiny, 1, epoch), z, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(run.layer(1).max_z[epoch], z.max(axis=0), rtol=1e-4, atol=1e-5)


def test_the_microscope_shows_the_images_as_the_network_saw_them(run, tiny):
    view = neurons.look(run, 1, 3, tiny)
    best = np.argsort(-view.z[:, 0], kind="stable")[: neurons.EXCITING]
    seen = task_dataset(tiny, run.config, 3).x_train[split(tiny, run.config).probe[best]]
    assert (view.neuron(0).images == seen).all()


@pytest.mark.parametrize("tasks", ["permuted", "class_pairs"])
def test_surgery_tests_on_the_last_task(tiny, tmp_path, tasks):
    settings = WEIGHTS | {"tasks": tasks}
    (run,) = lab.continual("relu", 1, tiny, tmp_path / "runs", number=2, **settings)
    cut = surgery.ablate(run, {1: [0]}, tiny)
    assert cut.accuracy_before == pytest.approx(run.record.test_accuracy, abs=1e-7)
    opened = probes.first_open(run, 1, tiny)
    assert (opened > 240).tolist() == run.confirmed(1).tolist()


def test_who_learned_tasks_cannot_be_trained_on_as_if_there_were_one(run, tiny):
    with pytest.raises(RunError, match="learns tasks one after the other, and its dead units can"):
        surgery.revive(run, dataset=tiny)
