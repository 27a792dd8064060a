"""Runs that learn tasks: each is a plain run on a data set that was changed by hand."""

import itertools

import numpy as np
import pytest
from made import mostly_slow
from trained import SMALL, digest, epoch_ends, run_end

from lab import Dataset, RunConfig, gradients, join_datasets
from lab.errors import InputError
from lab.experiment import fitted, split, task_dataset, task_of
from lab.layout import Weights, mlp
from lab.network import first_weights, forward, gradients_of, program
from lab.network.optimizers import adam
from lab.system import load_tensorflow
from lab.training.events import Event, State
from lab.training.trainer import batch_order, prepare, train

KINDS = ("permuted", "shuffled_labels", "class_pairs", "datasets")
# On all training images: which ones a smaller probe has depends on their labels.
SETTINGS = SMALL | {"epochs": 2, "probe_size": "all"}
NETWORKS = {
    "mlp": {},
    "cnn": {"network": "cnn", "filters": (3, 4), "hidden": (8,)},
    "batch normalisation": {"normalization": "batch"},
}


@pytest.mark.parametrize("network", mostly_slow(NETWORKS, "mlp"))
def test_a_permuted_task_is_a_plain_run_on_images_permuted_by_hand(tiny, network: str) -> None:
    """XLA fuses the gathering of pixels into other loops, whose sums round in another order.

    Measured against the way that the weights have gone in an epoch, that is 7e-6 at the most here;
    one wrong pixel is beyond a hundredth. A convolutional network is not compiled by XLA: the same
    bits.
    """
    config = RunConfig(**SETTINGS | NETWORKS[network], tasks="permuted")
    events = list(train([config], tiny))
    ours = epoch_ends(events)
    for epoch in (1, 2):
        again = plain_epoch(config, task_dataset(tiny, config, epoch), ours[epoch - 1].state)
        (end,) = epoch_ends(again)[-1:]
        if network == "cnn":
            assert digest([end]) == digest([ours[epoch]])
        arrays = zip(
            ours[epoch].state.weights, end.state.weights, ours[epoch - 1].state.weights, strict=True
        )
        for mine, theirs, before in arrays:
            assert np.linalg.norm(mine - theirs) <= 1e-4 * np.linalg.norm(theirs - before)
        for name in ("train_loss", "validation_loss"):
            assert getattr(ours[epoch], name) == pytest.approx(getattr(end, name), rel=1e-5)
        for mine, theirs in zip(ours[epoch].layers, end.layers, strict=True):
            np.testing.assert_allclose(mine.mean, theirs.mean, rtol=1e-4, atol=1e-6)
    assert run_end(events).test_loss == pytest.approx(run_end(again).test_loss, rel=1e-5)


def test_shuffled_labels_are_a_plain_run_on_labels_shuffled_by_hand_to_the_bit(tiny) -> None:
    config = RunConfig(**SETTINGS, tasks="shuffled_labels")
    ours = epoch_ends(train([config], tiny))
    for epoch in (1, 2):
        again = plain_epoch(config, task_dataset(tiny, config, epoch), ours[epoch - 1].state)
        assert digest(epoch_ends(again)[-1:]) == digest([ours[epoch]])


def plain_epoch(config: RunConfig, dataset: Dataset, before: State) -> list[Event]:
    """The events of the epoch after a state, without tasks."""
    until = config.model_copy(update={"tasks": "none", "epochs": before.epoch + 1})
    return list(train([until], dataset, {0: before}))


def test_a_pair_of_classes_is_a_plain_run_on_its_images_alone_to_the_bit(tiny) -> None:
    config = RunConfig(**SETTINGS | {"epochs": 1}, tasks="class_pairs")
    (_, ours), task = epoch_ends(train([config], tiny)), task_of(tiny, config)
    used = np.concatenate([task.train, task.validation])
    pair = Dataset("pair", tiny.x_train[used], tiny.y_train[used], tiny.x_test, tiny.y_test)
    share = (len(task.validation) - 0.5) / len(used)
    plain = RunConfig(**SETTINGS | {"epochs": 1, "validation_split": share})
    assert len(split(pair, plain).train) == len(task.train)
    (_, alone) = epoch_ends(train([plain], pair))
    for mine, theirs in zip(ours.state.weights, alone.state.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        assert getattr(ours, name) == getattr(alone, name)


@pytest.fixture(scope="module")
def joined(tiny: Dataset) -> Dataset:
    """The tiny data set and its photographic negative, of half as many images."""
    x, y = 255 - tiny.x_train[:150], tiny.y_train[:150]
    return join_datasets([tiny, Dataset("negative", x, y, 255 - tiny.x_test, tiny.y_test)])


@pytest.mark.parametrize("number", mostly_slow((1, 2), 2))
def test_a_data_set_in_turn_is_a_plain_run_on_its_images_alone_to_the_bit(joined, number) -> None:
    """With an output for each class of both, as where tasks are none."""
    config = fitted(RunConfig(**SETTINGS | {"epochs": 2}, tasks="datasets"), joined)
    events, task = list(train([config], joined)), task_of(joined, config, number)
    before, ours = epoch_ends(events)[number - 1 : number + 1]
    used, arrays = np.concatenate([task.train, task.validation]), ("x_train", "y_train")
    mine = [getattr(joined, name)[used] for name in arrays]
    tested = [joined.x_test[task.test], joined.y_test[task.test]]
    alone = Dataset("alone", *mine, *tested, members=(20,))
    share = (len(task.validation) - 0.5) / len(used)
    plain = fitted(RunConfig(**SETTINGS | {"epochs": number, "validation_split": share}), alone)
    assert len(split(alone, plain).train) == len(task.train) == 120
    again = list(train([plain], alone, {0: before.state} if number > 1 else None))
    end = epoch_ends(again)[-1]
    for one, other in zip(ours.state.weights, end.state.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        assert getattr(ours, name) == getattr(end, name)
    if number == 2:
        assert run_end(events).test_accuracy == run_end(again).test_accuracy


def test_the_census_of_pairs_is_taken_on_images_of_all_classes(tiny: Dataset) -> None:
    config = RunConfig(**SETTINGS, tasks="class_pairs")
    for end in epoch_ends(train([config], tiny)):
        assert {layer.images for layer in end.layers} == {240}


@pytest.mark.parametrize("tasks", mostly_slow(KINDS, "permuted"))
def test_a_run_resumes_to_the_bit_within_a_task_and_between_tasks(
    tiny: Dataset, joined: Dataset, tasks: str
) -> None:
    images = joined if tasks == "datasets" else tiny
    settings = SETTINGS | {"epochs": 6, "tasks": tasks, "task_epochs": 2}
    config = fitted(RunConfig(**settings), images)
    events = list(train([config], images))
    whole = epoch_ends(events)
    for epoch in (2, 3, 6):  # Between tasks, within one, and with nothing left but the test.
        resumed = list(train([config], images, {0: whole[epoch].state}))
        assert digest(epoch_ends(resumed)) == digest(whole[epoch + 1 :])
        assert repr([end.by_layer for end in epoch_ends(resumed)]) == repr(
            [end.by_layer for end in whole[epoch + 1 :]]
        )
        assert run_end(resumed).test_loss == run_end(events).test_loss


def test_one_task_of_all_epochs_differs_from_several(tiny: Dataset) -> None:
    one, two = (
        epoch_ends(train([RunConfig(**SETTINGS, tasks="permuted", task_epochs=n)], tiny))
        for n in (2, 1)
    )
    assert digest(one[:2]) == digest(two[:2])
    assert digest(one[2:]) != digest(two[2:])


def test_a_run_that_learns_tasks_records_the_norms_of_its_kernels(tiny: Dataset) -> None:
    ends = epoch_ends(train([RunConfig(**SETTINGS, tasks="permuted")], tiny))
    for layer in (1, 2):
        kernels = [end.state.weights.kernel(layer).astype(float) for end in ends]
        norms = [end.by_layer["weight_norm"][layer - 1] for end in ends]
        np.testing.assert_allclose(norms, [np.sqrt((k**2).sum()) for k in kernels], rtol=1e-6)
        added = [0.0, *(np.sqrt(((b - a) ** 2).sum()) for a, b in itertools.pairwise(kernels))]
        np.testing.assert_allclose(
            [e.by_layer["update_norm"][layer - 1] for e in ends], added, rtol=1e-5
        )


@pytest.mark.parametrize("normalization", mostly_slow(("batch", "layer")))
def test_the_norm_of_a_normalised_layer_is_that_of_the_kernel_behind_it(
    tiny: Dataset, normalization: str
) -> None:
    config = RunConfig(**SETTINGS | {"epochs": 1}, tasks="permuted", normalization=normalization)
    (_, end) = epoch_ends(train([config], tiny))
    kernels = [array for array in end.state.weights if array.ndim == 2]
    wanted = [np.sqrt((kernel.astype(float) ** 2).sum()) for kernel in kernels[:-1]]
    np.testing.assert_allclose(end.by_layer["weight_norm"], wanted, rtol=1e-6)


def test_a_run_without_tasks_records_no_norms(tiny: Dataset) -> None:
    for end in epoch_ends(train([RunConfig(**SETTINGS)], tiny)):
        assert end.by_layer == {}


@pytest.mark.slow
def test_functions_of_one_seed_are_shown_the_same_tasks_side_by_side(tiny: Dataset) -> None:
    configs = [RunConfig(**SETTINGS, activation=a, tasks="permuted") for a in ("relu", "elu")]
    together = list(train(configs, tiny))
    for run, config in enumerate(configs):
        assert digest(epoch_ends(together, run)) == digest(epoch_ends(train([config], tiny)))


FULL = SETTINGS | {"batch_size": 240, "optimizer": "sgd", "learning_rate": 0.1}


def test_a_pull_toward_the_first_weights_is_in_every_step(tiny: Dataset) -> None:
    config = RunConfig(**FULL, l2=0.01, l2_init=0.3)
    first, before, after = (end.state.weights for end in epoch_ends(train([config], tiny)))
    slopes = gradients_of(config, before, tiny.x_train[:240], tiny.y_train[:240], step=0)
    for w, w_0, g, moved in zip(before, first, slopes, after, strict=True):
        by_hand = w - 0.1 * (g + 0.02 * w + 0.6 * (w - w_0))
        np.testing.assert_allclose(moved, by_hand, rtol=1e-4, atol=1e-6)


def test_before_each_later_task_weights_shrink_and_some_of_a_fresh_network_is_added(tiny) -> None:
    settings = FULL | {"epochs": 4, "first_bias": 0.5, "learning_rate": 1e-12}
    tasks = {"tasks": "permuted", "task_epochs": 2}
    config = RunConfig(**settings, **tasks, shrink=0.5, perturb=0.25)
    ends = epoch_ends(train([config], tiny))
    weights = [end.state.weights for end in ends]
    (seed,) = np.random.SeedSequence([0, 2, 0x7A5F]).generate_state(1)
    fresh = first_weights(RunConfig(**settings, seed=int(seed)))
    for first, same, third, fourth, new in zip(*weights[1:5], fresh, strict=True):
        np.testing.assert_allclose(first, same, atol=1e-8)
        np.testing.assert_allclose(third, 0.5 * same + 0.25 * new, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(third, fourth, atol=1e-8)
    np.testing.assert_allclose(weights[3].bias(1), 0.5 * 0.5 + 0.25 * 0.5)
    resumed = epoch_ends(train([config], tiny, {0: ends[2].state}))
    assert digest(resumed) == digest(ends[3:])


DYING = SMALL | {"epochs": 1, "first_bias": -0.1, "learning_rate": 0.01}


@pytest.mark.parametrize("optimizer", mostly_slow(["adam", "sgd"], "adam"))
def test_redo_resets_the_units_that_are_dormant_on_the_last_batch(tiny, optimizer: str) -> None:
    """Ten steps an epoch: the tenth is the last, so the record follows the reset."""
    settings = DYING | {"optimizer": optimizer, "momentum": 0.9 * (optimizer == "sgd")}
    plain = RunConfig(**settings)
    without = epoch_ends(train([plain], tiny))[1].state
    config = RunConfig(**settings, redo_steps=10, redo_threshold=0.3)
    reset = epoch_ends(train([config], tiny))[1].state
    last = batch_order(config, 1, np.arange(240))[225:]
    (seed,) = np.random.SeedSequence([0, 10, 0x7A60]).generate_state(1)
    fresh = first_weights(plain.model_copy(update={"seed": int(seed)}))
    names = [array.name for array in without.weights.layout.arrays]
    states = [without.weights, *(without.slots[i : i + 6] for i in range(0, len(without.slots), 6))]
    expected = [dict(zip(names, map(np.array, state), strict=True)) for state in states]
    *hidden, _ = forward(plain, without.weights, tiny.x_train[last])
    for layer, z in enumerate(hidden, start=1):
        size = np.maximum(z, 0).mean(axis=0)
        dormant = np.flatnonzero(size <= 0.3 * size.mean())
        assert 0 < len(dormant) < len(size)
        for unit in dormant:
            for place, arrays in enumerate(expected):
                new = fresh if place == 0 else None
                arrays[f"layer{layer}.kernel"][:, unit] = new.kernel(layer)[:, unit] if new else 0
                arrays[f"layer{layer}.bias"][unit] = -0.1 if new else 0
                arrays[f"layer{layer + 1}.kernel"][unit] = 0
    wanted = [array for arrays in expected for array in arrays.values()]
    for got, array in zip((*reset.weights, *reset.slots), wanted, strict=True):
        np.testing.assert_array_equal(got, array)


def test_a_run_with_redo_resumes_to_the_bit(tiny: Dataset) -> None:
    config = RunConfig(**DYING | {"epochs": 4}, redo_steps=7, redo_threshold=0.3)
    whole = epoch_ends(train([config], tiny))
    assert digest(whole) != digest(epoch_ends(train([RunConfig(**DYING | {"epochs": 4})], tiny)))
    for epoch in (1, 2):
        resumed = epoch_ends(train([config], tiny, {0: whole[epoch].state}))
        assert digest(resumed) == digest(whole[epoch + 1 :])


def test_with_an_old_state_adam_would_move_a_reset_unit_that_has_no_gradient() -> None:
    """An outgoing weight of 0: a fresh state leaves it there; the old one pulls it at once."""
    tf = load_tensorflow()
    moved = []
    for m, v in ((0.0, 0.0), (0.5, 0.25)):
        weight, mean, square = (tf.Variable([value]) for value in (0.0, m, v))
        adam([weight], [mean, square], [tf.constant([0.0])], tf.constant(1001.0), 0.01)
        moved.append(float(weight.numpy()[0]))
    rate = 0.01 * np.sqrt(1 - 0.999**1001) / (1 - 0.9**1001)
    assert moved == pytest.approx([0.0, -rate * 0.45 / (np.sqrt(0.25 * 0.999) + 1e-7)], rel=1e-4)


def test_the_state_of_a_run_holds_nothing_of_its_tasks(tiny: Dataset) -> None:
    """All that a task is follows from the settings: a state of another run would go on, too."""
    plain = epoch_ends(train([RunConfig(**SETTINGS)], tiny))[1].state
    state = State(1, plain.weights, plain.slots)
    on = epoch_ends(train([RunConfig(**SETTINGS, tasks="permuted")], tiny, {0: state}))
    assert [end.epoch for end in on] == [2]


@pytest.mark.slow
def test_permuted_tasks_are_prepared_beside_those_that_share_their_program(tiny: Dataset) -> None:
    configs = [RunConfig(hidden=(9,), epochs=1, tasks=tasks) for tasks in ("none", "permuted")]
    assert program(configs[0]) is program(configs[1])
    list(prepare(configs, tiny))
    traced = program(configs[0]).train.args[0].experimental_get_tracing_count
    assert traced() == 2
    list(train(configs, tiny))
    assert traced() == 2


def test_a_reset_unit_takes_fresh_weights_from_all_below_and_gives_nothing_to_others() -> None:
    layout = mlp((2, 3), (1, 2), 2)
    old, fresh = (
        Weights(layout, tuple(np.full(array.shape, value, np.float32) for array in layout.arrays))
        for value in (1.0, 5.0)
    )
    reset = old.with_reset([np.array([True, False]), np.array([False, True, False])], fresh)
    assert reset.kernel(1).tolist() == [[5, 1], [5, 1]]
    assert reset.kernel(2).tolist() == [[0, 5, 0], [1, 5, 1]]
    assert reset.kernel(3).tolist() == [[1, 1], [0, 0], [1, 1]]
    assert [reset.bias(layer).tolist() for layer in (1, 2, 3)] == [[5, 1], [1, 5, 1], [1, 1]]


def test_a_flow_refuses_what_changes_the_weights_between_its_steps(tiny: Dataset) -> None:
    config = RunConfig(tasks="permuted", shrink=0.5, epochs=2, hidden=(4,))
    with pytest.raises(InputError, match="shrink and perturb must be left out"):
        gradients.flow(config, tiny)
