"""Tasks one after the other: what a run is shown in each of them.

A task depends only on the seed and its own number. So a resumed run goes on exactly, and runs of
one seed are shown the same tasks.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from lab.experiment.config import RunConfig
from lab.experiment.data import (
    ByteArray,
    Dataset,
    IndexArray,
    Split,
    fewest_of_a_group,
    groups_of,
    split,
)

# Keep the numbers that tasks are drawn from apart from those of the weights and of the batches.
PIXELS, LABELS, PAIRS = 0x7A5C, 0x7A5D, 0x7A5E


@dataclass(frozen=True, eq=False)
class Task:
    """What a run is shown in one task.

    Attributes:
        number: Its number, from 1.
        parts: The run's split, the same in all tasks: units are observed on the whole probe.
        train: The images of `x_train` that it trains on, as many in every task.
        validation: Those that it is validated on.
        test: The images of `x_test` that it is tested on.
        labels: The label of each image of `x_train`.
        order: For each place of a flattened image the pixel that goes there, int32 of shape
            (pixels,); None where every pixel stays in its place.
    """

    number: int
    parts: Split
    train: IndexArray
    validation: IndexArray
    test: IndexArray
    labels: ByteArray
    order: IndexArray | None = None

    def seen(self, images: ByteArray) -> ByteArray:
        """Returns images, uint8 of shape (n, height, width), as the task shows them."""
        if self.order is None:
            return images
        return images.reshape(len(images), -1)[:, self.order].reshape(images.shape)


def task_of(dataset: Dataset, config: RunConfig, number: int = 1) -> Task:
    """Returns a task of a run.

    - `permuted`: one random order of the pixels for all images (Online Permuted MNIST, Dohare et
      al. 2024).
    - `shuffled_labels`: each training image gets the label of another at random (Lyle et al.
      2023); the images to validate and to test on keep their own, which cannot be learned.
    - `class_pairs`: images of two classes, as many of each (as Split MNIST, Zenke et al. 2017).
      A round of tasks takes each class once, in random pairs; if the number of classes is odd, one
      is left out.
    - `datasets`: the images of each of the data sets that were joined, in turn: 1, 2, 1, 2, …;
      as many training images of each.

    Args:
        dataset: The data set.
        config: The settings of the run.
        number: The task's number, from 1; where tasks is `none` there is one.

    Raises:
        InputError: If the settings do not fit the data set.
    """
    parts, labels = split(dataset, config), dataset.y_train
    every = np.arange(len(dataset.x_test))
    task = Task(number, parts, parts.train, parts.validation, every, labels)
    if config.tasks == "permuted":
        order = _random(config, number, PIXELS).permutation(dataset.x_train[0].size)
        return dataclasses.replace(task, order=order.astype(np.int32))
    if config.tasks == "shuffled_labels":
        shuffled = labels.copy()
        shuffled[parts.train] = _random(config, number, LABELS).permutation(labels[parts.train])
        return dataclasses.replace(task, labels=shuffled)
    if config.tasks == "class_pairs":
        return _of_groups(task, dataset, config, _pair(config, number))
    if config.tasks == "datasets":
        return _of_groups(task, dataset, config, np.array([(number - 1) % len(config.members)]))
    return task


def task_in(dataset: Dataset, config: RunConfig, epoch: int) -> Task:
    """Returns the task that an epoch of a run belongs to; epoch 0 is in the first."""
    return task_of(dataset, config, config.task_at(epoch))


def _random(config: RunConfig, number: int, of: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, number, of])


def _pair(config: RunConfig, number: int) -> IndexArray:
    """Returns the two classes of a task."""
    before, place = divmod(number - 1, config.classes // 2)
    classes = _random(config, before + 1, PAIRS).permutation(config.classes)
    return classes[2 * place : 2 * place + 2]


def _of_groups(task: Task, dataset: Dataset, config: RunConfig, chosen: IndexArray) -> Task:
    """Keeps the images of some groups: to train on, as many of each as the smallest group has."""
    train, labels, tested = task.parts.train, dataset.y_train, dataset.y_test
    groups, most = groups_of(config, labels), fewest_of_a_group(config, labels[train])
    first = [train[groups[train] == group][:most] for group in chosen]
    return dataclasses.replace(
        task,
        train=np.sort(np.concatenate(first)),
        validation=task.validation[np.isin(groups[task.validation], chosen)],
        test=task.test[np.isin(groups_of(config, tested), chosen)],
    )


def task_dataset(dataset: Dataset, config: RunConfig, epoch: int) -> Dataset:
    """Returns the data set as the task of an epoch shows it to a run, made by hand.

    Its pixels are permuted, its labels shuffled, and its test images are those of the task. Where
    tasks is `none` it is the data set itself.

    Args:
        dataset: The data set.
        config: The settings of the run.
        epoch: The epoch; 0 is in the first task.
    """
    if config.tasks == "none":
        return dataset
    task = task_in(dataset, config, epoch)
    return dataclasses.replace(
        dataset,
        x_train=task.seen(dataset.x_train),
        y_train=task.labels,
        x_test=task.seen(dataset.x_test[task.test]),
        y_test=dataset.y_test[task.test],
    )
