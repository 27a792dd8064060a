"""Sequences of tasks as studies: defaults, what is refused, and going on where they were."""

import pytest

from lab import RunConfig, continual
from lab.errors import InputError
from lab.studies import plan_tasks
from lab.training.events import EpochEnd

SETTINGS = {"hidden": (6, 5), "batch_size": 30}


def test_by_default_three_functions_learn_twenty_permuted_tasks_of_an_epoch():
    study = plan_tasks()
    assert study.dataset.name == "mnist-5k"
    assert len(study.configs) == 9
    expected = RunConfig(tasks="permuted", epochs=20)
    assert study.configs[0] == expected
    assert expected.task_count == 20


def test_the_epochs_come_with_the_tasks(tiny):
    study = plan_tasks("relu", 1, tiny, number=4, task_epochs="3", tasks="class_pairs", **SETTINGS)
    (config,) = study.configs
    assert (config.epochs, config.task_epochs, config.task_count) == (12, 3, 4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"epochs": 5},
            "epochs must be left out, not 5: give the number of tasks, and task_epochs",
        ),
        (
            {"tasks": "none"},
            "tasks must be permuted, shuffled_labels, class_pairs or datasets, not 'none'",
        ),
        (
            {"tasks": "datasets"},
            "tasks must not be datasets for tiny, which is one data set: join two or more by +, ",
        ),
        ({"tasks": "rotated"}, "tasks must be none, permuted"),
        ({"number": 0}, "number must be a whole number from 1 to 10,000, not 0."),
        ({"number": 2.5}, "number must be a whole number from 1 to 10,000, not 2.5."),
        ({"task_epochs": 4, "number": 2501}, "number must be a whole number from 1 to 2,500, not"),
        ({"task_epochs": 0}, "task_epochs must be a whole number from 1 to 10,000, not 0."),
        (
            {"task_epochs": "many"},
            "task_epochs must be a whole number from 1 to 10,000, not 'many'",
        ),
        ({"task_epochs": float("inf")}, "task_epochs must be a whole number from 1 to 10,000"),
        ({"tasks": "class_pairs", "batch_size": 43}, "batch_size must be at most 42, the training"),
    ],
)
def test_what_makes_no_sequence_is_refused_before_any_training(tiny, settings, sentence):
    with pytest.raises(InputError) as refused:
        continual("relu", 1, tiny, **SETTINGS | settings)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("stop", [2, 3])
def test_a_stopped_sequence_goes_on_to_the_same_bits(tiny, tmp_path, stop):
    asked = {"number": 3, "task_epochs": 2, **SETTINGS}
    (whole,) = continual("relu", 1, tiny, tmp_path / "whole", **asked)
    events = plan_tasks("relu", 1, tiny, tmp_path / "stopped", **asked).events()
    for event in events:
        if isinstance(event, EpochEnd) and event.epoch == stop:
            break
    events.close()
    (run,) = continual("relu", 1, tiny, tmp_path / "stopped", **asked)
    assert run.record.test_loss == whole.record.test_loss
    for name, values in whole.task_numbers(1).items():
        assert run.task_numbers(1)[name].tobytes() == values.tobytes()
    for mine, theirs in zip(run.weights(), whole.weights(), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_a_label_is_written_on_the_runs_as_by_compare(tiny, tmp_path):
    settings = {"hidden": (4,), "batch_size": 50}
    (run,) = continual(("relu",), 1, tiny, tmp_path, number=1, label="ada", **settings)
    assert run.record.label == "ada"
