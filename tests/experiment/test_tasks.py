"""Tasks: what a run is shown follows from its seed and the task's number, and from nothing else."""

import re

import numpy as np
import pytest
from made import make_dataset

from lab import Dataset, RunConfig, join_datasets
from lab.errors import InputError
from lab.experiment import Task, fitted, split, task_dataset, task_of

PERMUTED, SHUFFLED, PAIRS = (
    RunConfig(tasks=tasks, epochs=20, batch_size=20)
    for tasks in ("permuted", "shuffled_labels", "class_pairs")
)


def classes_of(task: Task, dataset: Dataset) -> set[int]:
    return set(dataset.y_train[task.train].tolist())


def test_without_tasks_a_run_is_shown_the_data_set_as_it_is(tiny: Dataset) -> None:
    task, parts = task_of(tiny, RunConfig()), split(tiny, RunConfig())
    assert task.seen(tiny.x_train) is tiny.x_train
    assert task.labels is tiny.y_train
    for own, of_split in zip(
        (task.train, task.validation), (parts.train, parts.validation), strict=True
    ):
        assert own.tolist() == of_split.tolist()
    assert task.test.tolist() == list(range(100))
    assert task_dataset(tiny, RunConfig(), 3) is tiny


def test_every_place_of_a_permuted_image_holds_the_pixel_that_the_order_names(tiny) -> None:
    task, (image,) = task_of(tiny, PERMUTED, 2), tiny.x_train[:1]
    (seen,) = task.seen(tiny.x_train[:1])
    assert seen.shape == (28, 28)
    for place, pixel in enumerate(task.order):
        assert seen[divmod(place, 28)] == image[divmod(int(pixel), 28)]
    assert sorted(task.order) == list(range(784))


def test_the_channels_of_a_coloured_image_are_permuted_with_its_pixels() -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    coloured = Dataset("coloured", images, np.array([0, 1]), images, np.array([0, 1]))
    config = RunConfig(
        tasks="permuted", image_shape=(4, 5, 3), classes=2, batch_size=1, validation_split=0.5
    )
    task = task_of(coloured, config)
    assert (
        task.seen(images).reshape(2, 60).tolist() == images.reshape(2, 60)[:, task.order].tolist()
    )


def test_tasks_depend_on_the_seed_and_their_number_alone(tiny: Dataset) -> None:
    other = {"activation": "elu", "learning_rate": 0.5, "hidden": (3,), "epochs": 40}
    for config in (PERMUTED, SHUFFLED, PAIRS):
        alike = RunConfig(**config.model_dump() | other | {"parameter": None, "task_epochs": 2})
        another = config.model_copy(update={"seed": 1})
        first, same, seed_1, second = (
            (task.labels[task.train].tolist(), task.seen(tiny.x_test).tolist())
            for task in (
                task_of(tiny, config, 7),
                task_of(tiny, alike, 7),
                task_of(tiny, another, 7),
                task_of(tiny, config, 8),
            )
        )
        assert first == same
        assert first not in (seed_1, second)


def test_shuffled_labels_are_the_training_images_own_labels_in_another_order(tiny) -> None:
    task, parts = task_of(tiny, SHUFFLED), split(tiny, SHUFFLED)
    before, after = tiny.y_train[parts.train], task.labels[parts.train]
    assert np.bincount(after).tolist() == np.bincount(before).tolist()
    assert (after == before).mean() < 0.25  # By chance a tenth.
    assert (task.labels[parts.validation] == tiny.y_train[parts.validation]).all()


def test_a_round_of_pairs_takes_each_class_once(tiny: Dataset) -> None:
    tasks = [task_of(tiny, PAIRS, number) for number in range(1, 11)]
    pairs = [classes_of(task, tiny) for task in tasks]
    assert [len(pair) for pair in pairs] == [2] * 10
    assert set.union(*pairs[:5]) == set.union(*pairs[5:]) == set(range(10))
    assert pairs[:5] != pairs[5:]
    for task, pair in zip(tasks, pairs, strict=True):
        fewest = min(np.bincount(tiny.y_train[task.parts.train]))
        assert np.bincount(tiny.y_train[task.train]).max() == fewest
        assert len(task.train) == 2 * fewest
        assert set(tiny.y_train[task.validation]) == set(tiny.y_test[task.test]) == pair
        assert len(task.validation) == np.isin(tiny.y_train[240:], list(pair)).sum()


def test_of_an_odd_number_of_classes_one_sits_out_each_round() -> None:
    labels = np.arange(60) % 5
    images = np.zeros((60, 4, 4), np.uint8)
    five = Dataset("five", images, labels, images, labels)
    config = RunConfig(tasks="class_pairs", image_shape=(4, 4), classes=5, batch_size=4)
    pairs = [classes_of(task_of(five, config, number), five) for number in range(1, 7)]
    assert [len(a | b) for a, b in zip(pairs[::2], pairs[1::2], strict=True)] == [4, 4, 4]


@pytest.fixture(scope="module")
def joined(tiny: Dataset) -> Dataset:
    """Two of unequal size: 300 images of ten classes, and 60 of three."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (90, 28, 28), np.uint8), np.arange(90) % 3
    return join_datasets(
        [tiny, Dataset("small", images[:60], labels[:60], images[60:], labels[60:])]
    )


def test_tasks_show_the_data_sets_in_turn_with_as_many_training_images(tiny, joined):
    config = fitted(RunConfig(tasks="datasets", epochs=5, batch_size=20), joined)
    tasks = [task_of(joined, config, number) for number in range(1, 6)]
    assert [len(task.train) for task in tasks] == [48] * 5
    for task, classes in zip(tasks, 2 * [range(10), range(10, 13)] + [range(10)], strict=True):
        assert classes_of(task, joined) == set(classes)
        inside = np.isin(joined.y_train[task.parts.validation], classes)
        assert task.validation.tolist() == task.parts.validation[inside].tolist()
        assert task.test.tolist() == np.flatnonzero(np.isin(joined.y_test, classes)).tolist()
        assert (task.labels, task.order) == (joined.y_train, None)
    assert (joined.x_train[tasks[0].train] == tiny.x_train[:48]).all()
    assert tasks[0].train.tolist() == tasks[2].train.tolist()
    assert task_dataset(joined, config, 2).y_test.tolist() == (10 + np.arange(60, 90) % 3).tolist()


def test_the_data_sets_in_turn_need_several_with_images_in_every_part(tiny, joined):
    single = RunConfig(tasks="datasets")
    with pytest.raises(InputError, match="tasks must not be datasets for tiny, which is one data"):
        split(tiny, single)
    ours = joined.y_test < 10
    without = Dataset(
        "no test", joined.x_train, joined.y_train, joined.x_test[ours], joined.y_test[ours],
        members=(10, 3),
    )  # fmt: skip
    sentence = "tasks must not be datasets where a data set has no images to test on: data set 2 of"
    with pytest.raises(InputError, match=sentence):
        split(without, fitted(single.model_copy(update={"batch_size": 20}), without))
    sentence = (
        "batch_size must be at most 48, the training images of each data set of tiny+small, not 49."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        split(joined, fitted(RunConfig(tasks="datasets", batch_size=49), joined))
    with pytest.raises(InputError, match=r"image_shape, classes and members must be those of tiny"):
        split(joined, RunConfig(tasks="datasets", classes=13, batch_size=20))


def test_a_data_set_is_shown_as_the_task_of_the_epoch_has_it(tiny: Dataset) -> None:
    config = RunConfig(tasks="permuted", task_epochs=2)
    order = np.random.default_rng([0, 2, 0x7A5C]).permutation(784)
    by_hand = tiny.x_test.reshape(100, 784)[:, order].reshape(100, 28, 28)
    assert (task_dataset(tiny, config, 3).x_test == by_hand).all()
    assert (task_dataset(tiny, config, 4).x_test == by_hand).all()
    assert (task_dataset(tiny, config, 2).x_test != by_hand).any()
    labels = np.random.default_rng([0, 1, 0x7A5D]).permutation(tiny.y_train[:240])
    assert (task_dataset(tiny, SHUFFLED, 0).y_train[:240] == labels).all()
    pair = task_dataset(tiny, PAIRS, 1).y_test
    assert len(pair) == np.isin(tiny.y_test, np.unique(pair)).sum()
    assert len(np.unique(pair)) == 2


def test_pairs_need_images_of_each_class_in_every_part() -> None:
    whole = make_dataset(300, 100)
    rows = whole.y_test != 7
    without = Dataset("no 7", whole.x_train, whole.y_train, whole.x_test[rows], whole.y_test[rows])
    sentence = "tasks must not be class_pairs where a class has no images to test on: class 7 of no"
    with pytest.raises(InputError, match=sentence):
        split(without, PAIRS)


def test_a_batch_is_at_most_what_a_pair_has(tiny: Dataset) -> None:
    fewest = min(np.bincount(tiny.y_train[:240]))
    split(tiny, PAIRS.model_copy(update={"batch_size": 2 * fewest}))
    sentence = (
        f"batch_size must be at most {2 * fewest}, the training images of a pair of classes of "
        f"tiny, not {2 * fewest + 1}."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        split(tiny, PAIRS.model_copy(update={"batch_size": 2 * fewest + 1}))
