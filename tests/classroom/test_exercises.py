"""Every exercise: its model answer passes, and each typical mistake gets the right hint."""

import dataclasses
import re
import tomllib
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

import lab
from lab import RunConfig, RunStore, stats
from lab.activations import registry
from lab.classroom import check
from lab.classroom.exercises import CHECKS, WHY
from lab.runs import measures

LESSONS = Path(__file__).parent.parent.parent / "notebooks"
RECORDED = RunStore(LESSONS / "recorded").runs
USUAL = RECORDED.where(dataset="mnist", learning_rate=0.001)
RAISED = RECORDED.where(dataset="mnist", learning_rate=0.005)
REMEDIES = RunStore(LESSONS / "recorded" / "remedies").runs
TASKS = RunStore(LESSONS / "recorded" / "tasks").runs
(FILTERS,) = RunStore(LESSONS / "recorded" / "shown_filters").runs
SMALL = RECORDED.where(label="weights of every epoch")[0]


def relu_at(seed, runs=RAISED):
    return runs.where(activation="relu", seed=seed)[0]


def elu_at(seed, runs=RAISED):
    return runs.where(activation="elu", seed=seed)[0]


DEAD = int(np.flatnonzero(SMALL.lives(1).dead[-1])[0])
LIVING = int(np.flatnonzero(~SMALL.lives(1).dead[-1])[0])
DIED = int(SMALL.lives(1).dead_since[-1, DEAD])


def verdict_on(values, others):
    """The verdict on six seeds of Leaky ReLU, in percent of the test images."""
    return stats.Verdict(
        config=RunConfig(activation="leaky_relu"),
        against=RunConfig(),
        where="mnist-5k",
        measure=measures.measure("test_accuracy"),
        seeds=tuple(range(6)),
        paired=stats.paired(values, others),
    )


UNDECIDED = verdict_on([90, 91, 92, 93, 94, 95], [91, 90, 92, 93, 95, 94])
DECIDED = verdict_on([90, 91, 92, 93, 94, 95], [80, 82, 81, 83, 84, 85])


WAYS = {label: REMEDIES.where(label=label) for label in sorted({r.record.label for r in REMEDIES})}
BOTH = stats.corrected(
    [v for name in ("dead", "test_accuracy") for v in stats.between(WAYS, "no remedy", name)]
)


def bias(epoch):
    return float(SMALL.weights(epoch)[1][DEAD])


def largest(epoch):
    return float(SMALL.layer(1).max_z[epoch, DEAD])


RIGHT = [
    ("1.1", lambda z, alpha: [1 if value > 0 else alpha for value in z]),
    ("1.2", 9.094947017729282e-13),
    ("1.3", lambda a, alpha: np.minimum(a, 0) + np.where(a > 0, 1, alpha)),
    ("1.4", "gelu", -3, -0.8),
    ("1.4", "silu", -4, -2),
    ("1.4", "mish", -4, -2),
    ("2.1", 84_060),
    ("2.2", lambda z: [max(column) <= 0 for column in z.T]),
    ("2.2", lambda z: (z.max(axis=0) <= 0).astype(int)),
    ("2.3", 3750),
    ("3.1", RECORDED.where(dataset="mnist"), -0.51),
    ("3.2", relu_at(0), elu_at(0)),
    ("4.3", RAISED.where(activation="leaky_relu", seed=0)[0], 1, None),
    ("5.1", lambda x, w, b: [max(w[:, j] @ row + b[j] for row in x) for j in range(4)]),
    ("5.2", SMALL, DEAD, bias(DIED - 1) - bias(DIED)),
    ("5.3", SMALL, 10, 2, 3),
    ("5.4", SMALL, DEAD, SMALL.weights()[0][:, DEAD] > 0),
    ("3.1", RECORDED.where(dataset="mnist"), -0.50),  # From the printed means, 96.75 - 97.25.
    ("6.1", lambda gates: sum(not column.any() for column in gates.T) / gates.shape[1]),
    ("6.2", SMALL, 277),
    ("6.3", RECORDED.where(dataset="mnist"), 1.05),
    ("6.4", SMALL, np.flatnonzero(SMALL.confirmed(1))),
    ("6.5", FILTERS, 2),
    ("7.1", RAISED, 1.311),
    ("7.2", lambda p: next(i for i, x in enumerate(sorted(p)) if x * (len(p) - i) > 0.05)),
    ("7.2", lambda p: sum(q <= 0.05 for q in stats.holm(p))),
    ("7.3", UNDECIDED, 0.93),
    ("7.3", UNDECIDED, -0.93),
    ("8.1", REMEDIES, 37.75),
    ("8.1", REMEDIES, 100 * (19.7 - 12.2) / 19.7),  # From the printed means.
    ("8.2", lambda z: (z - z.mean(axis=0)) / z.std(axis=0)),
    ("8.2", lambda z: (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 0.001)),  # As Keras does.
    ("8.2", lambda z: (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)),
    ("8.2", lambda z: np.array([(c - c.mean()) / c.std() for c in z.T]).T.tolist()),
    ("8.3", BOTH, "batch normalisation"),
    ("8.3", BOTH, " Leak"),
    ("8.3", BOTH, "smaller rate"),
    ("9.1", 1168),
    (
        "9.2",
        lambda x, k, b: [[(x[i:, j:][:3, :3] * k).sum() + b for j in (0, 1, 2)] for i in (0, 1)],
    ),
    ("9.2", lambda x, k, b: correlate2d(x, k, "valid") + b),
    ("9.3", lambda z: z.max(axis=(0, 1, 2)) <= 0),
    ("9.3", lambda z: [int(not (z[..., j] > 0).any()) for j in range(z.shape[-1])]),
    ("9.4", FILTERS, 0, 0.0464),
    ("9.4", FILTERS, 0, 0.047),
    ("9.4", FILTERS, 4, 0.3632),
    (
        "10.1",
        lambda w, first, s: sum(s * (a - b) ** 2 for a, b in zip(w.flat, first.flat, strict=True)),
    ),
    ("10.1", lambda w, first, s: s * np.linalg.norm(w - first) ** 2),
    ("10.2", lambda a, t: [abs(c).mean() <= t * abs(a).mean() for c in a.T]),
    ("10.2", lambda a, t: (abs(a).sum(axis=0) <= t * abs(a).sum() / a.shape[1]).astype(int)),
    ("10.3", TASKS, "ReLU, ReDo"),
]
"""By hand: 784 · 100 + 100 + 100 · 50 + 50 + 50 · 10 + 10 = 84,060; 10 · 48,000 / 128 = 3,750.
The test accuracies at 0.005, ELU − ReLU: 97.12 − 97.36, 96.18 − 97.17, 96.94 − 97.23 %, in the
mean −0.5067 points; their standard deviation is 0.4193, and 0.4193 / √3 · 4.3027 = 1.042. Leaky
ReLU's: 97.41, 97.27, 97.50 %; the variances are 0.013433 and, of ReLU, 0.009433, that of the
differences 0.0133: √(0.022867 / 0.0133) = 1.311. The differences of 7.3 are −1, 1, 0, 0, −1, 1:
their mean is 0, their standard deviation √0.8, and √(0.8 / 6) · 2.5706 = 0.9386. Of the 128 neurons
of six networks 151 are dead without a remedy and 94 with warm-up: 100 · 57 / 151 = 37.75; in layer
1 alone 116 and 49, in layer 2 35 and 45. Of each seed 20, 30, 13, 28, 35, 25 and
13, 12, 9, 25, 16, 19: the mean of the six shares is 35.80. The life of neuron 10 is printed in
lesson 5. The last living neuron of layer 2 opens at image 277: counted below."""


@pytest.mark.parametrize("answer", RIGHT, ids=[answer[0] for answer in RIGHT])
def test_a_right_answer_passes(answer):
    if answer[-1] is None:  # The neuron of layer 1 whose largest z is the lowest.
        answer = (*answer[:-1], int(answer[1].layer(1).max_z[-1].argmin()))
    assert check(*answer), check(*answer)


def dead_as(reduce):
    return lambda z: reduce(z <= 0)


def moved(x, k, change=lambda patch, k: (patch * k).sum(), step=1):
    """What a kernel gives at every place where it fits, by two loops."""
    rows, columns = (range(0, n - 2, step) for n in x.shape)
    return np.array([[change(x[i : i + 3, j : j + 3], k) for j in columns] for i in rows])


SEED_1 = object()  # Stands for the difference of seed 1, which the test computes.
WRONG = [
    ("1.1", lambda z, a: np.where(z > 0, z, a * z), "This is f(z)"),
    ("1.1", lambda z, a: (z > 0) * 1.0, "this is ReLU's"),
    ("1.1", lambda z, a: np.where(z > 0, a, 1), "sides are swapped"),
    ("1.1", lambda z, a: np.where(z > 0, 1, 0.01), "always 0.01"),
    ("1.1", lambda z, a: np.where(z > 0, 1, -a), "not negative"),
    ("1.1", lambda z, a: 1 if z > 0 else a, "np.where"),
    ("1.1", lambda z, a: None, "returns nothing"),
    ("1.1", 0.01, "must be a function"),
    ("1.2", 5.0, "multiply twenty times"),
    ("1.2", 0.5**20, "sigmoid's value at 0"),
    ("1.2", 0.25**6, "six gates"),
    ("1.2", 0.0125, "do not divide"),
    ("1.3", lambda a, alpha: np.where(a > 0, 1, alpha * np.exp(a)), "You have a, not z"),
    ("1.3", lambda a, alpha: np.where(a > 0, 1, a), "give a itself"),
    ("1.3", lambda a, alpha: np.where(a > 0, 1, a + 1), "right for α = 1 only"),
    ("1.3", lambda a, alpha: a + alpha, "On the right the slope of ELU is 1"),
    ("1.4", "gelu", -1, -2, "must be the smaller one"),
    ("1.4", "relu", -2, -1, "is flat"),
    ("1.4", "elu", -2, -1, "elu rises"),
    ("1.4", "rellu", -2, -1, "Did you mean 'relu'"),
    ("2.1", 83_900, "Each neuron also has a bias"),
    ("2.1", 83_550, "The last layer"),
    ("2.1", 669_706, "network of the lesson"),
    ("2.1", 8_460, "28 × 28"),
    ("2.2", lambda z: (z <= 0).any(axis=0), "Ask whether all images leave"),
    ("2.2", lambda z: (z <= 0).all(axis=1), "one for each neuron"),
    ("2.2", lambda z: (z < 0).all(axis=0), "Is z = 0 above 0?"),
    ("2.2", lambda z: z.mean(axis=0) < 0, "mean of z"),
    ("2.2", lambda z: (z > 0).any(axis=0), "living neurons"),
    ("2.2", lambda z: (z <= 0).all(axis=0).sum(), "You count"),
    ("2.3", 375, "one epoch"),
    ("2.3", 4690, "kept for validation"),
    ("2.3", 480_000, "a whole batch"),
    ("2.4", elu_at(0), "The exercise asks for mnist-5k"),
    ("2.4", SMALL, "more than 12,000"),
    ("3.1", RECORDED.where(dataset="mnist"), 0.5067, "The exercise asks for ELU − ReLU"),
    ("3.1", RECORDED.where(dataset="mnist"), -0.005067, "multiply by 100"),
    ("3.1", RECORDED.where(dataset="mnist"), -0.1833, "at the learning rate 0.001"),
    ("3.1", RECORDED.where(dataset="mnist"), SEED_1, "for seed 1 alone"),
    ("3.2", elu_at(0), relu_at(0), "The first must have more"),
    ("3.2", relu_at(0), relu_at(0), "The first must have more"),
    ("3.2", relu_at(0), relu_at(0, USUAL), "That agrees with the claim"),
    ("3.2", relu_at(0), SMALL, "different data sets"),
    ("3.2", USUAL, RAISED, "must be one run, not 9"),
    ("3.3", RAISED, "None of these runs has a function of your own"),
    ("4.1", "model", "must be the Keras model"),
    ("4.2", USUAL, "Only the learning rate may differ"),
    ("4.2", USUAL.where(activation="elu", seed=0), "Train networks of ReLU neurons"),
    ("4.2", USUAL.where(activation="relu", seed=0), "try larger ones"),
    ("4.2", RAISED.where(activation="relu", seed=0), "try smaller ones"),
    ("4.2", [relu_at(0), relu_at(0, USUAL)], "0.001 is harmless and 0.005 kills"),
    ("4.3", relu_at(0), 1, 5, "Which function leaves it open?"),
    ("4.3", elu_at(0), 1, 3, "it is not always negative"),
    ("4.3", elu_at(0), 3, 0, "layer must be from 1 to 2"),
    ("4.3", elu_at(0), 1, 512, "unit must be from 0 to 511"),
    ("4.4", SMALL, SMALL, "You have changed nothing"),
    ("4.4", elu_at(0, USUAL), relu_at(0), "changed activation, learning_rate. Change one"),
    ("4.4", relu_at(0), relu_at(0, USUAL), "more than 10 %"),
    ("5.1", lambda x, w, b: (x @ w).max(axis=0), "The bias is missing"),
    ("5.1", lambda x, w, b: (x @ w + b).max(axis=1), "one for each neuron"),
    ("5.1", lambda x, w, b: np.maximum(x @ w + b, 0).max(axis=0), "You applied ReLU"),
    ("5.1", lambda x, w, b: (x @ w + b).mean(axis=0), "This is the mean"),
    ("5.1", lambda x, w, b: (x @ w + b).min(axis=0), "smallest"),
    ("5.1", lambda x, w, b: (x @ w - b).max(axis=0), "subtracted the bias"),
    ("5.1", lambda x, w, b: (x @ w + b).max(), "The exercise asks for an array of shape (4,)"),
    ("5.2", SMALL, DEAD, bias(DIED) - bias(DIED - 1), "Mind the sign"),
    ("5.2", SMALL, DEAD, largest(DIED - 1) - largest(DIED), "the fall of the largest z"),
    ("5.2", SMALL, DEAD, bias(DIED - 1) - bias(10), "Stop at the epoch of its death"),
    ("5.2", SMALL, LIVING, 0.1, "does not show how neuron"),
    ("5.3", SMALL, 10, 3, 2, "First it dies"),
    ("5.3", SMALL, 10, 1, 3, "It did not die in epoch 1"),
    ("5.3", SMALL, 10, 2, 4, "It did not come back in epoch 4"),
    ("5.3", SMALL, 10, 2, 11, "epoch must be from 0 to 10"),
    ("5.3", SMALL, 1, 2, 3, "was never dead"),
    ("5.4", SMALL, DEAD, np.zeros(784), "the neuron sleeps on"),
    ("5.4", SMALL, DEAD, 255 * np.ones((28, 28)), "A pixel is from 0 to 1"),
    ("5.4", SMALL, DEAD, np.zeros((28, 27)), "has 28 × 28 pixels"),
    ("5.4", SMALL, LIVING, np.zeros(784), "is not dead: it needs no waking"),
    ("1.2", 0.25, "after one gate"),
    ("1.2", 1, "not 1 anywhere"),
    ("1.2", 0.25**19, "one gate short"),
    ("2.1", 84_061, "This is not right"),
    ("2.3", 3751, "This is not right"),
    ("2.2", lambda z: z.mean(axis=0) <= 0, "or the mean"),
    ("2.4", "a model", "must be recorded runs"),
    ("2.4", RAISED, "pick one by [0]"),
    ("3.3", None, "give the function to the lab"),
    ("3.3", lambda z: z, "give the function to the lab"),
    ("4.2", None, "in square brackets"),
    ("4.2", [], "must be recorded runs"),
    ("5.1", lambda x, w, b: max(x @ w + b), "Python's `max` cannot decide"),
    ("5.1", lambda x, w, b: w @ x + b, "Mind the order"),
    ("6.1", lambda gates: (gates == 0).mean(), "shut gates of all images"),
    ("6.1", lambda gates: (gates == 0).any(axis=0).mean(), "Ask whether all images do"),
    ("6.1", lambda gates: (gates == 0).all(axis=1).mean(), "for each neuron: see `axis`"),
    ("6.1", lambda gates: (gates != 0).any(axis=0).mean(), "share of the living"),
    ("6.1", lambda gates: (gates == 0).all(axis=0).sum(), "The exercise asks for their share"),
    ("6.2", SMALL, 3201, "the dead neurons, too"),
    ("6.2", SMALL, 3200, "Fewer are enough"),
    ("6.2", SMALL, 1, "Go on to the last"),
    ("6.3", RECORDED.where(dataset="mnist"), 1.96 * 0.2421, "2 degrees of freedom"),
    ("6.3", RECORDED.where(dataset="mnist"), 0.2421, "standard error alone"),
    ("6.3", RECORDED.where(dataset="mnist"), 1.804, "square root of the number of seeds"),
    ("6.3", RECORDED.where(dataset="mnist"), 0.8506, "ddof=1"),
    ("6.3", RECORDED.where(dataset="mnist"), 0.7705, "one less than the seeds"),
    ("6.3", RECORDED.where(dataset="mnist"), 2.92 * 0.2421, "use 0.975"),
    ("6.3", RECORDED.where(dataset="mnist"), 2.083, "whole width"),
    ("6.3", RECORDED.where(dataset="mnist"), 0.01042, "multiply by 100"),
    ("6.4", SMALL, [LIVING], "get another class. Which neurons send nothing"),
    ("6.4", SMALL, [DEAD], "and 17 can go"),
    ("6.4", SMALL, {1: [DEAD]}, "a list of their numbers"),
    ("6.4", SMALL, [64], "unit must be from 0 to 63"),
    ("6.5", FILTERS, 0, "Neuron 0 is dead by the lab's rule, too"),
    ("6.5", FILTERS, 6, "Neuron 6 gives 0 on 95 % of its values. Another one"),
    ("6.5", FILTERS, 8, "Check your way"),
    ("7.1", RAISED, 0.7627, "the other way round"),
    ("7.1", RAISED, 1.719, "goes with their square root"),
    ("7.1", RAISED, 1.847, "standard deviations do not add"),
    ("7.1", RAISED, 0.8422, "the spread of ReLU alone"),
    ("7.1", RAISED, 1.0049, "the spread of Leaky ReLU alone"),
    ("7.1", RAISED, 1.2122, "The exercise asks for Leaky ReLU's"),
    ("7.1", RAISED, 0.1512, "Divide it by the spread in pairs"),
    ("7.1", RAISED, 0.1153, "Divide the spread without pairs by it"),
    ("7.1", None, 1.311, "must be recorded runs"),
    ("7.2", lambda p: sum(q <= 0.05 for q in p), "Multiply before you compare"),
    ("7.2", lambda p: sum(q * len(p) <= 0.05 for q in p), "by the number of all"),
    ("7.2", lambda p: sum(q * (len(p) - i) <= 0.05 for i, q in enumerate(p)), "First sort it"),
    (
        "7.2",
        lambda p: sum(q * (len(p) - i) <= 0.05 for i, q in enumerate(sorted(p))),
        "You go on after one",
    ),
    ("7.2", lambda p: sum(q > 0.05 for q in stats.holm(p)), "that do not hold"),
    ("7.2", stats.holm, "a value for each comparison"),
    ("7.2", lambda p: 0, "This is not right"),
    ("7.3", UNDECIDED, 0, "what the claim says"),
    ("7.3", UNDECIDED, 0.95, "The interval goes from −0.94 to 0.94"),
    ("7.3", UNDECIDED, float("nan"), "does not agree"),
    ("7.3", DECIDED, 9, "the verdict on Leaky ReLU"),
    ("7.3", RAISED, 0.1, "the verdict on Leaky ReLU"),
    ("7.4", RAISED, RAISED, "the runs of the lesson"),
    ("7.4", RAISED, USUAL, "3 seeds in pairs are too few"),
    ("7.4", SMALL, USUAL, "nothing to compare"),
    ("7.4", None, USUAL, "must be recorded runs"),
    ("8.1", REMEDIES, 7.42, "the difference in points"),
    ("8.1", REMEDIES, 62.25, "die all the same"),
    ("8.1", REMEDIES, 0.3775, "how many of 100"),
    ("8.1", REMEDIES, 100 * (151 / 94 - 1), "Divide by those that die without it"),
    ("8.1", REMEDIES, 100 * (1 - 49 / 116), "layer 1 alone"),
    ("8.1", REMEDIES, 100 * (1 - 45 / 35), "layer 2 alone"),
    ("8.1", REMEDIES, 35.80, "the mean of six shares"),
    ("8.1", REMEDIES, "many", "must be a number"),
    ("8.2", lambda z: (z - z.mean()) / z.std(), "Each neuron has its own"),
    ("8.2", lambda z: z - z.mean(axis=0), "Divide by the standard deviation"),
    ("8.2", lambda z: z / z.std(axis=0), "Subtract the mean first"),
    ("8.2", lambda z: (z - z.mean(axis=0)) / z.var(axis=0), "Take its root"),
    ("8.2", lambda z: (z - z.mean(axis=0)) * z.std(axis=0), "Divide by it"),
    ("8.2", lambda z: ((z.T - z.mean(axis=1)) / z.std(axis=1)).T, "over the images"),
    ("8.2", lambda z: np.maximum((z - z.mean(axis=0)) / z.std(axis=0), 0), "applied ReLU"),
    ("8.2", lambda z: z.mean(axis=0), "an array of shape (4, 3)"),
    ("8.3", BOTH, "warm-up", "does not show that it saves neurons"),
    ("8.3", BOTH, "weight decay", "does not show that it saves neurons"),
    ("8.3", BOTH, "no remedy", "what the others are compared with"),
    ("8.3", BOTH, "dropout", "Choose from: batch normalisation, leak"),
    ("8.3", REMEDIES, "leak", "must be the verdicts of the lesson"),
    ("8.4", REMEDIES.where(label="no remedy"), REMEDIES, "You have changed nothing"),
    ("8.4", REMEDIES.where(label="leak"), REMEDIES, "Keep ReLU"),
    ("8.4", REMEDIES.where(label="smaller rate"), REMEDIES, "Keep the learning rate"),
    ("8.4", REMEDIES.where(label="weight decay"), REMEDIES, "has tried this remedy"),
    ("8.4", REMEDIES.where(label="warm-up"), REMEDIES, "has tried this remedy"),
    ("8.4", REMEDIES.where(label="batch normalisation"), REMEDIES, "has tried this remedy"),
    ("8.4", USUAL, REMEDIES, "Train on mnist-5k"),
    ("8.4", None, REMEDIES, "must be recorded runs"),
    ("9.1", 1152, "Each filter also has a bias"),
    ("9.1", 160, "looks at all 8 maps, and has nine weights"),
    ("9.1", 144, "And each filter has a bias"),
    ("9.1", 1280, "one bias, not one for each map"),
    ("9.1", 73, "There are 16"),
    ("9.1", 1160, "You took the filters for the maps"),
    ("9.1", 1168 * 49, "count them once"),
    ("9.2", lambda x, k, b: moved(x, k), "The bias is missing"),
    ("9.2", lambda x, k, b: moved(x, k) - b, "Add it"),
    ("9.2", lambda x, k, b: moved(x, k, lambda p, k: (p * k + b).sum()), "nine times"),
    ("9.2", lambda x, k, b: np.maximum(moved(x, k) + b, 0), "You applied ReLU"),
    ("9.2", lambda x, k, b: convolve2d(x, k, "valid") + b, "You turned the kernel round"),
    ("9.2", lambda x, k, b: moved(x, k.T) + b, "are swapped"),
    ("9.2", lambda x, k, b: correlate2d(x, k, "same") + b, "You padded the image"),
    ("9.2", lambda x, k, b: moved(x, k, lambda p, k: (p * k).mean()) + b, "Take the sum"),
    ("9.2", lambda x, k, b: moved(x, k, step=2) + b, "in steps of 1"),
    ("9.2", lambda x, k, b: moved(x[:-1, :-1], k) + b, "how often does a kernel of 3 fit into 5"),
    ("9.2", lambda x, k, b: x @ k, "Your function failed"),
    ("9.3", dead_as(lambda shut: shut.all(axis=0)), "You ask for each place"),
    ("9.3", dead_as(lambda shut: shut.all(axis=(1, 2))), "You ask for each image"),
    ("9.3", dead_as(lambda shut: shut.any(axis=(0, 1, 2))), "not whether some place does"),
    ("9.3", lambda z: (z < 0).all(axis=(0, 1, 2)), "Is z = 0 above 0"),
    ("9.3", lambda z: z.mean(axis=(0, 1, 2)) <= 0, "You took the mean of z"),
    ("9.3", lambda z: (z > 0).any(axis=(0, 1, 2)), "the living filters"),
    ("9.3", dead_as(lambda shut: shut.all(axis=(0, 1, 2)).sum()), "You count"),
    ("9.3", dead_as(lambda shut: shut.all(axis=(1, 2, 3))), "Ask for each filter"),
    ("9.4", FILTERS, 0, -0.0464, "The bias has to rise"),
    ("9.4", FILTERS, 0, 0.2383, "Does this filter need that much"),
    ("9.4", FILTERS, 0, -0.2383, "This is its bias"),
    ("9.4", FILTERS, 0, 0.0464 - 0.2383, "asks for the rise"),
    ("9.4", FILTERS, 0, 1, "less is enough"),
    ("9.4", FILTERS, 1, 1, "is alive"),
    ("9.4", FILTERS, 8, 1, "unit must be from 0 to 7"),
    ("9.4", FILTERS, 0, "much", "not the kind of answer"),
    ("10.1", lambda w, first, s: ((w - first) ** 2).sum(), "The strength is missing"),
    ("10.1", lambda w, first, s: s * (w**2).sum(), "the pull toward 0, which is l2"),
    ("10.1", lambda w, first, s: s * (first**2).sum(), "only the first weights"),
    ("10.1", lambda w, first, s: s * (w - first).sum(), "one up and one down cancel"),
    ("10.1", lambda w, first, s: s * abs(w - first).sum(), "the absolute distance"),
    ("10.1", lambda w, first, s: s * np.mean((w - first) ** 2), "Take the sum"),
    ("10.1", lambda w, first, s: s * np.linalg.norm(w - first), "the root of the sum"),
    ("10.1", lambda w, first, s: ((s * (w - first)) ** 2).sum(), "squared the strength"),
    ("10.1", lambda w, first, s: s * ((w + first) ** 2).sum(), "Subtract the first ones"),
    ("10.1", lambda w, first, s: s * (w - first) ** 2, "a number for each weight"),
    ("10.2", lambda a, t: abs(a).max(axis=0) <= t * abs(a).mean(), "the mean over the images"),
    ("10.2", lambda a, t: abs(a).mean(axis=0) <= t, "a share of the layer's mean"),
    ("10.2", lambda a, t: a.mean(axis=0) <= t * a.mean(), "Take its size, |a|"),
    ("10.2", lambda a, t: abs(a).mean(0) <= t * abs(a).mean(0).max(), "not with its largest"),
    ("10.2", lambda a, t: abs(a).mean(axis=1) <= t * abs(a).mean(), "over the images: see"),
    ("10.2", lambda a, t: abs(a) <= t * abs(a).mean(), "You ask for each image"),
    ("10.2", lambda a, t: abs(a).mean(axis=0) > t * abs(a).mean(), "not silent"),
    ("10.2", lambda a, t: (abs(a).mean(axis=0) <= t * abs(a).mean()).sum(), "You count"),
    ("10.2", lambda a, t: np.array([0, 1, 5]), "Give true or false for each"),
    ("10.3", TASKS, "ELU", "it learns worse, by 22.8 points on average (from 18.0 to 27.6)"),
    ("10.3", TASKS, "ReLU", "That agrees with the claim"),
    ("10.3", TASKS, "ReLU, l2_init", "do not double: 9.8 → 10.6"),
    ("10.3", TASKS, "ReLU, anew", "do not double"),
    ("10.3", TASKS, "ReDo", "Choose from: "),
    ("10.3", None, "ReLU, ReDo", "must be recorded runs"),
    ("10.4", TASKS.where(label="ReLU"), TASKS, "Train both functions"),
    ("10.4", [*TASKS.where(label="ReLU"), *TASKS.where(label="ELU")], TASKS, "other tasks than"),
    (
        "10.4",
        [*TASKS.where(label="ReLU, l2_init"), *TASKS.where(label="ELU, l2_init")],
        TASKS,
        "You changed l2_init",
    ),
    ("10.4", USUAL, TASKS, "Train on mnist-5k"),
]


@pytest.mark.parametrize("case", WRONG, ids=[f"{case[0]}-{case[-1]}" for case in WRONG])
def test_a_typical_mistake_fails_with_its_hint(case):
    exercise, *answer, hint = case
    if answer[-1] is SEED_1:
        one, other = (runs(1).record.test_accuracy for runs in (elu_at, relu_at))
        answer[-1] = 100 * (one - other)
    verdict = check(exercise, *answer)
    assert not verdict
    assert hint in verdict.message


def test_after_277_images_nobody_in_layer_2_looks_dead_who_is_not():
    digits = lab.load_dataset("mnist-5k")
    kernel, bias, kernel_2, bias_2 = SMALL.weights()[:4]
    from lab.experiment.data import stratified_order

    order = stratified_order(digits.y_train[:3200])
    images = digits.x_train[:3200][order].reshape(3200, 784) / np.float32(255)
    z = np.maximum(images @ kernel + bias, 0) @ kernel_2 + bias_2
    silent = [int((z[:n] <= 0).all(axis=0).sum()) for n in (276, 277, 3200)]
    assert silent == [4, 3, 3]


def test_the_formulas_behind_the_checks_are_those_of_the_textbook():
    z = np.array([-3.0, -0.5, 0.25, 2.0])
    assert np.allclose(registry.gate("leaky_relu=0.3", z), [0.3, 0.3, 1, 1])
    a = registry.activate("elu=2", z)
    assert np.allclose(registry.gate("elu=2", z), np.where(a > 0, 1, a + 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains a small network on mnist-5k."""
    store = tmp_path_factory.mktemp("trained") / "runs"

    def train(activation="relu", seeds=1, **settings):
        settings = {"hidden": (8,), "epochs": 1} | settings
        return lab.compare(activation, seeds, "mnist-5k", store, **settings)

    return train


@pytest.mark.slow
def test_a_network_is_judged_by_its_size_and_by_what_it_reads(trained):
    assert "It reads" in check("2.4", trained(learning_rate=1e-6)).message
    assert "fewer than 85 %" in check("2.4", trained(learning_rate=1e-6)).message
    assert check("2.4", trained(hidden=(14,), epochs=10, learning_rate=0.005))


@pytest.mark.slow
def test_a_function_of_your_own_has_to_win_on_every_seed_under_the_same_rules(trained):
    tf = lab.system.machine.load_tensorflow()
    lab.register("weak", lambda z: 0.01 * tf.tanh(z))
    rules = {"hidden": (32,), "epochs": 2, "learning_rate": 0.005}
    both = trained(("weak", "elu"), 3, **rules)
    assert "is above ELU on 0 of 3 seeds" in check("3.3", both).message
    assert "no run with ELU" in check("3.3", both.where(activation="weak")).message
    assert "three seeds at least" in check("3.3", trained(("weak", "elu"), 2, **rules)).message
    other = [*both.where(activation="weak"), *trained("elu", 3, **rules | {"learning_rate": 1e-6})]
    assert "Only the activation function may differ" in check("3.3", other).message
    rules = {"hidden": (128, 128), "epochs": 3, "learning_rate": 0.005}
    lab.register("bent", lambda z: z * tf.sigmoid(2 * z))
    won = trained(("bent", "elu"), 3, **rules)
    assert check("3.3", won)
    assert "one function of yours" in check("3.3", [*won, *trained("weak", 3, **rules)]).message


def test_the_neurons_of_a_model_are_counted_on_the_digits():
    from lab.network.keras_model import build_model

    model = build_model(RunConfig())
    biases = model.layers[1].get_weights()[1]

    def verdict(dead, layer=1):
        changed = biases.copy()
        changed[:dead] = -100
        fresh = build_model(RunConfig())
        fresh.layers[layer].set_weights([fresh.layers[layer].get_weights()[0], changed])
        return check("4.1", fresh)

    assert verdict(100)
    assert "99 neurons of layer 1 are dead" in verdict(99).message
    assert "No neuron of layer 1 is dead" in verdict(0).message
    assert "Change 100 of the biases, not all" in verdict(512).message
    assert "The exercise asks for layer 1, which has 0." in verdict(100, layer=2).message


@pytest.mark.slow
def test_the_largest_harmless_rate_needs_a_deadly_one_near_it(trained):
    wide = {"hidden": (64,), "epochs": 2}
    low, high = (trained(learning_rate=rate, **wide)[0] for rate in (0.001, 1.0))
    assert high.confirmed(1).mean() > 0.05
    assert "what is between them" in check("4.2", [low, high]).message
    near = trained(learning_rate=0.5, **wide)[0]
    assert "try smaller ones" in check("4.2", [near, high]).message


@pytest.mark.slow
def test_a_lost_network_is_saved_by_one_change_but_not_by_its_first_bias(trained):
    lost = trained(first_bias=-1.0)[0]
    assert check("4.4", trained("leaky_relu", first_bias=-1.0), lost)
    assert "Leave the first bias" in check("4.4", trained(), lost).message
    two = trained("leaky_relu", first_bias=-1.0, epochs=2)
    assert "changed activation, epochs" in check("4.4", two, lost).message


@pytest.mark.slow
def test_a_study_of_ones_own_has_six_seeds_and_no_run_that_diverged(trained):
    both = trained(("relu", "elu"), 6)
    assert check("7.4", both, RAISED)
    assert check("7.4", both, trained("relu", 6)), "half of it may be known"
    assert "the runs of the lesson" in check("7.4", trained("relu", 6), both).message
    five = [*trained("relu", 6), *trained("elu", 5)]
    assert "5 seeds in pairs are too few" in check("7.4", five, RAISED).message
    lost = both[0].record.model_copy(update={"status": "diverged"})
    one_lost = [dataclasses.replace(both[0], record=lost), *both[1:]]
    assert "ReLU diverged with seed 0: a lower" in check("7.4", one_lost, RAISED).message


@pytest.mark.slow
def test_a_remedy_of_ones_own_saves_neurons_on_three_seeds_and_reads(trained):
    network_a = {"hidden": (64, 64), "epochs": 5, "learning_rate": 0.02}
    assert check("8.4", trained(seeds=3, normalization="layer", **network_a), REMEDIES)
    slow = trained(seeds=3, optimizer="sgd", **network_a)
    assert "It saves neurons, but the networks read" in check("8.4", slow, REMEDIES).message
    assert check("8.4", trained(seeds=3, optimizer="sgd", momentum=0.9, **network_a), REMEDIES)
    hard = trained(seeds=3, initializer="he_normal", **network_a)
    assert "% of the neurons are dead, on average" in check("8.4", hard, REMEDIES).message
    one = trained(optimizer="sgd", **network_a)
    assert "train with three seeds" in check("8.4", one, REMEDIES).message
    two = trained(seeds=3, **network_a | {"optimizer": "sgd", "epochs": 1})
    assert "changed optimizer, epochs. Change one" in check("8.4", two, REMEDIES).message
    assert "Try one remedy" in check("8.4", [*slow, *hard], REMEDIES).message


@pytest.mark.slow
def test_dying_matters_where_relu_loses_much_more_than_elu(trained):
    network = {"hidden": (32, 32), "learning_rate": 0.005, "epochs": 10, "batch_size": 16}
    pairs = network | {"tasks": "class_pairs", "task_epochs": 2}
    relu, elu = trained("relu", **pairs), trained("elu", **pairs)
    assert check("10.4", [*relu, *elu], TASKS)
    slow = trained(("relu", "elu"), **pairs | {"batch_size": 128})
    assert "points more than ELU" in check("10.4", slow, TASKS).message
    other = trained("elu", **pairs | {"task_epochs": 1})
    assert "must learn the same tasks" in check("10.4", [*relu, *other], TASKS).message


def test_the_recorded_runs_of_a_plan_are_those_that_it_names():
    for file in (LESSONS / "recorded").glob("*.toml"):
        plan = tomllib.loads(file.read_text(encoding="utf-8"))
        planned = {
            (label, RunConfig(**plan["settings"] | differing, seed=seed))
            for label, differing in plan["ways"].items()
            for seed in plan["seeds"]
        }
        runs = RunStore(file.with_suffix("")).runs
        assert {(run.record.label, run.config) for run in runs} == planned
        assert {run.record.dataset for run in runs} == {plan["dataset"]}
        assert all(run.is_whole() for run in runs)


def test_every_exercise_stands_in_its_lesson_with_a_solution_and_a_check():
    found = {}
    for path in sorted(LESSONS.glob("*.ipynb"))[1:]:
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for number in re.findall(r"^### Exercise (\d+\.\d) · ", text, re.MULTILINE):
            found[number] = path.name
        solutions = [c for c in cells if "solution" in c.metadata.get("tags", [])]
        checks = [c for c in cells if c.source.splitlines()[-1].startswith('check("')]
        numbers = [number for number in found if found[number] == path.name]
        assert len(solutions) == len(checks) == len(numbers)
        assert 3 <= len(numbers) <= 5
        assert [" ".join(c.outputs[0].data["text/plain"].split()) for c in checks] == [
            f"Exercise {number}: right. {WHY[number]}" for number in numbers
        ]
    assert list(found) == list(CHECKS)
    assert all(name.startswith(number.split(".")[0].zfill(2)) for number, name in found.items())
