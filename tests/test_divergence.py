"""A run that diverged says when and where, wherever it is shown, and no mean takes it in."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from lab import Runs, plots
from lab.activations.source import OwnActivation
from lab.cli import terminal
from lab.figures import of_runs, of_studies
from lab.runs import measures
from lab.training.events import RunEnd
from lab.widgets import Compare, Microscope, jobs

NAN, HUGE = float("nan"), 3e38


def network(first=1.0, second=1.0, last=1.0):
    """Weights of 784-2-2-10: every kernel holds one value, every bias 0."""
    kernels = [np.full((784, 2), first), np.full((2, 2), second), np.full((2, 10), last)]
    return [array for kernel in kernels for array in (kernel, np.zeros(kernel.shape[1]))]


@pytest.fixture
def diverged(by_hand, two_kinds):
    """Makes a run of these networks, one for each epoch, that diverged at its end."""

    @np.errstate(all="ignore")
    def make(*networks, **settings):
        run = by_hand(two_kinds, list(networks), **settings)
        record = run.record
        epochs = (*record.epochs[:-1], record.epochs[-1].model_copy(update={"train_loss": NAN}))
        lost = record.model_copy(update={"status": "diverged", "epochs": epochs})
        return dataclasses.replace(run, record=lost)

    return make


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        (
            [network(), network(), network(second=NAN)],
            "Diverged in epoch 2: layer 2 was the first whose neurons went non-finite.",
        ),
        (
            [network(), network(first=NAN)],
            "Diverged in epoch 1: layer 1 was the first whose neurons went non-finite.",
        ),
        (  # 3e38 x 2 is beyond the largest number of single precision.
            [network(), network(second=HUGE), network(first=NAN)],
            "Diverged in epoch 2: layer 2 was the first whose neurons went non-finite, in epoch 1.",
        ),
        (
            [network(), network(last=NAN)],
            "Diverged in epoch 1: only the output layer went non-finite.",
        ),
    ],
)
def test_a_run_says_in_which_epoch_and_layer_it_diverged(diverged, networks, sentence):
    assert diverged(*networks).divergence == sentence


@pytest.mark.parametrize(
    ("networks", "ending"),
    [
        (
            [network(), network(first=NAN)],
            "Its function overflowed: in float32 value or slope is not finite from z = -89 down.",
        ),
        ([network(), network(last=NAN)], "only the output layer went non-finite."),
    ],
)
def test_a_function_that_overflows_is_named_where_neurons_went_non_finite(
    diverged, networks, ending
):
    run = diverged(*networks)
    own = OwnActivation(source="f", sup_gate=1.0, overflows=(-89.0, np.inf))
    record = run.record.model_copy(update={"own_activation": own})
    assert dataclasses.replace(run, record=record).divergence.endswith(ending)


@pytest.mark.slow
def test_a_run_that_did_not_diverge_says_nothing(by_hand, two_kinds):
    assert by_hand(two_kinds, [network(), network()]).divergence == ""


def test_a_damaged_run_says_when_it_diverged(diverged):
    run = diverged(network(), network(first=NAN))
    (run.folder / run.record.units[0].name).unlink()
    assert run.divergence == "Diverged in epoch 1; where it began cannot be read."


SENTENCE = "Diverged in epoch 1: layer 2 was the first whose neurons went non-finite."


@pytest.fixture
def pair(diverged, by_hand, two_kinds):
    """A run that diverged, and a healthy one of another seed."""
    lost = diverged(network(), network(second=NAN))
    return Runs([lost, by_hand(two_kinds, [network(), network()], seed=1)])


def test_it_has_no_accuracy_in_the_epoch_in_which_it_diverged(pair):
    curves = [measures.recorded(run, "validation_accuracy") for run in pair]
    assert np.array_equal(curves, [[0.5, np.nan], [0.5, 0.5]], equal_nan=True)
    assert measures.recorded(pair[0], "validation_loss").tolist() == [0.5, 0.5]


def test_the_mean_curve_ends_before_it_and_is_called_diverged(pair):
    ax = plots.learning_curves(pair, "validation_accuracy")
    thick = next(line for line in ax.lines if line.get_linewidth() == 3)
    assert np.array_equal(thick.get_ydata(), [50, np.nan], equal_nan=True)
    assert any("(diverged)" in text.get_text() for text in ax.texts)


def test_the_comparison_of_the_command_line_says_it(pair):
    console = Console(file=io.StringIO(), width=120)
    console.print(terminal.comparison(pair))
    text = " ".join(console.file.getvalue().split())
    assert f"ReLU, learning rate 0.001, seed 0: {SENTENCE}" in text
    assert "1 of 2 diverged" in text
    many = Runs([pair[0]] * 6)
    assert terminal._divergences(many).splitlines()[1:] == [
        *[f"ReLU, learning rate 0.001, seed 0: {SENTENCE}"] * 3,
        "3 more diverged",
    ]


def test_compare_says_it_and_gives_no_mean(pair):
    front = Compare(pair)
    assert SENTENCE in front.status.value
    mean = next(name for name in front.frame if "mean" in name)
    assert front.frame[mean].tolist() == ["1 of 2 diverged"]
    front.epoch.value = 0
    assert front.frame[front.frame.columns[2]].tolist() == ["50.00 %"]


def test_the_microscope_says_it(pair, two_kinds):
    assert SENTENCE in Microscope(pair[0], dataset=two_kinds).status.value


def test_a_race_says_diverged_in_place_of_a_test_accuracy(pair):
    assert jobs._finished_line(pair[0]).result == "diverged, recorded"
    line = jobs._finished_line(pair[1])
    line.add(RunEnd(0, True, NAN, 0.1, ()))
    assert line.result == "diverged"
    assert np.isnan(line.rows[-1]["validation_accuracy", 0])


def test_accuracy_over_the_rates_takes_no_run_that_diverged(diverged, by_hand, two_kinds):
    lost = diverged(network(), network(last=NAN))
    runs = Runs([lost, by_hand(two_kinds, [network(), network()], seed=1)])
    assert "diverged" in of_studies.dead_and_accuracy(runs).alt
    assert "1 of 2 diverged" in of_runs._race_words(runs)
    ax = plots.over_rates(runs, "test_accuracy")
    small, large = ax.lines[:2]
    assert np.isnan(large.get_ydata()).all()
    assert np.array_equal(small.get_ydata(), [np.nan, 50], equal_nan=True)


def test_without_a_terminal_a_run_that_diverges_is_said_to(pair):
    console = Console(file=io.StringIO(), width=80)
    terminal.show_progress(iter([RunEnd(0, True, NAN, 0.1, ())]), [pair[0].config], console)
    assert console.file.getvalue() == "ReLU, seed 0: diverged\n"


def test_lab_show_says_it(pair, lab_main):
    folder = pair[0].folder
    (folder / "run.json").write_text(pair[0].record.model_dump_json())
    code, out, _ = lab_main("show", pair[0].run_id, "--store", folder.parent)
    assert code == 0
    assert SENTENCE in " ".join(out.split())
