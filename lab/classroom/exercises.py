"""The exercises of the lessons: for each one a check that gives a hint, never the answer."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from lab import activations, causes, probes, stats, surgery, units
from lab.classroom.answers import WrongAnswerError, called, matches
from lab.config import RunConfig
from lab.runs import Run
from lab.sources import load_dataset
from lab.tables import Runs

Check = Callable[..., None]
CHECKS: dict[str, Check] = {}
FUNCTION = ("activation", "parameter", "source_sha256")


def _exercise(number: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        CHECKS[number] = check
        return check

    return add


def _wrong_if(wrong: bool, hint: str) -> None:
    if wrong:
        raise WrongAnswerError(hint)


@_exercise("1.1")
def _gate_of_leaky_relu(gate: Any) -> None:
    z = np.array([-3.0, -0.5, 0.25, 2.0])
    for alpha in (0.01, 0.3):
        leaky = f"leaky_relu={alpha}"
        mistakes = {
            "This is f(z). The gate is its slope f'(z).": activations.activate(leaky, z),
            "Your gate is 0 on the left: this is ReLU's. A leak lets something through.": z > 0,
            "Your two sides are swapped: where z is positive, the slope is 1.": np.where(
                z > 0, alpha, 1
            ),
            "Your slope on the left is always 0.01. Use α.": activations.gate("leaky_relu", z),
            "A slope is not negative here: f rises on both sides.": np.where(z > 0, 1, -alpha),
        }
        matches(called(gate, z, alpha), activations.gate(leaky, z), mistakes)


@_exercise("1.2")
def _gradient_after_twenty_sigmoids(left: Any) -> None:
    mistakes = {
        "A gate multiplies the gradient; after twenty gates, multiply twenty times.": 20 * 0.25,
        "You used sigmoid's value at 0. The gate is its slope there.": 0.5**20,
        "You used six gates. The exercise has twenty.": 0.25**6,
        "Each gate is a factor: multiply, do not divide by their number.": 0.25 / 20,
        "This is left after one gate. The gradient passes twenty.": 0.25,
        "Sigmoid's gate is not 1 anywhere. What is the largest it can be?": 1,
        "You are one gate short, or one too far: count them again.": 0.25**19,
    }
    matches(left, 0.25**20, mistakes)


@_exercise("1.3")
def _gate_of_elu_from_its_output(gate: Any) -> None:
    a = np.array([-0.75, -0.2, 0.5, 2.0])
    for alpha in (1.0, 2.0):
        mistakes = {
            "You have a, not z: solve f(z) = a for exp(z).": (
                np.where(a > 0, 1, alpha * np.exp(a))
            ),
            "On the left you give a itself. At a = 0 the slope must be α.": np.where(a > 0, 1, a),
            "This is right for α = 1 only.": np.where(a > 0, 1, a + 1),
            "On the right the slope of ELU is 1.": a + alpha,
        }
        matches(called(gate, a, alpha), np.where(a > 0, 1, a + alpha), mistakes)


@_exercise("1.4")
def _an_activation_function_can_fall(name: str, low: float, high: float) -> None:
    at_low, at_high = activations.activate(name, [low, high])
    _wrong_if(low >= high, "The first z must be the smaller one.")
    _wrong_if(
        at_low == at_high,
        f"{name} is flat from {low:g} to {high:g}: it does not fall. "
        f"Look in the playground for a gate below 0.",
    )
    _wrong_if(
        at_low < at_high,
        f"From z = {low:g} to {high:g}, {name} rises. Look in the playground for a gate below 0.",
    )


@_exercise("2.1")
def _parameters_of_a_network(count: Any) -> None:
    mistakes = {
        "You have counted the weights. Each neuron also has a bias.": 83_900,
        "The last layer, with its ten neurons, is missing.": 83_550,
        "This is the network of the lesson. Yours has layers of 100 and 50.": 669_706,
        "An image has 28 × 28 pixels, not 28.": 28 * 100 + 100 + 5050 + 510,
    }
    matches(count, 84_060, mistakes)


@_exercise("2.2")
def _dead_neurons_by_hand(dead: Any) -> None:
    z = np.array(
        [[-1.0, 2.0, 0.0, -9.0, 0.0], [-2.0, -1.0, 0.0, 1.0, -0.5], [-0.1, -3.0, 0.0, -9.0, -4.0]]
    )
    right = np.array([True, False, True, False, True])
    mistakes = {
        "You ask about some image, or the mean. Ask whether all images leave the neuron shut.": (
            (z <= 0).any(axis=0)
        ),
        "You have one answer for each image. Asked for is one for each neuron: see `axis`.": (
            (z <= 0).all(axis=1)
        ),
        "Is z = 0 above 0? A neuron whose z is exactly 0 lets nothing through.": (z < 0).all(
            axis=0
        ),
        "The mean of z can be negative while one image lies above 0.": z.mean(axis=0) < 0,
        "These are the living neurons.": ~right,
        "You count the dead neurons. Asked for is True or False for each neuron.": 3,
    }
    found = called(dead, z)
    matches(found, right, mistakes)


@_exercise("2.3")
def _steps_of_the_textbook(steps: Any) -> None:
    mistakes = {
        "These are the steps of one epoch. The textbook takes ten.": 375,
        "A fifth of the 60,000 images is kept for validation: nothing is learnt from them.": 4690,
        "One step takes a whole batch of 128 images.": 480_000,
    }
    matches(steps, 3750, mistakes)


@_exercise("2.4")
def _a_small_network(answer: Any) -> None:
    run = _one_run(answer)
    _on("mnist-5k", run)
    numbers = run.layout.parameters
    _wrong_if(
        numbers > 12_000,
        f"Your network has {numbers:,} parameters, more than 12,000. Most of them lie between the "
        f"pixels and the first layer.",
    )
    accuracy = run.record.test_accuracy
    _wrong_if(accuracy is None, "Your run has not ended: train it to the end.")
    _wrong_if(
        float(accuracy or 0) < 0.85,
        f"It reads {accuracy:.1%} of the test images, fewer than 85 %. Try another learning rate, "
        f"or more epochs.",
    )


@_exercise("3.1")
def _paired_difference(recorded: Any, points: Any) -> None:
    """The answer is in points; `recorded` are the runs on full MNIST."""
    mean = {rate: _differences(recorded, rate) for rate in (0.001, 0.005)}
    right = float(mean[0.005].mean())
    mistakes = {
        "You subtracted ELU's accuracy from ReLU's. Asked for is ELU − ReLU.": -right,
        "This is the difference at the learning rate 0.001. Asked for is 0.005.": (
            float(mean[0.001].mean())
        ),
        "One point is one percent: multiply by 100.": right / 100,
        **{
            f"This is the difference for seed {seed} alone. Take the mean of all three.": value
            for seed, value in mean[0.005].items()
        },
    }
    matches(points, right, mistakes, tolerance=0.01, rounding=0.0101)


def _differences(recorded: Runs, rate: float) -> Any:
    accuracy = _by_seed(recorded.where(learning_rate=rate))
    return accuracy["elu"] - accuracy["relu"]


def _by_seed(runs: Runs) -> Any:
    """Returns test accuracies in percent: a row for each seed, a column for each function."""
    table = runs.runs()
    return 100 * table.pivot_table(index="seed", columns="activation", values="test_accuracy")


@_exercise("3.2")
def _more_dead_and_yet_better(more: Any, fewer: Any) -> None:
    """Refutes: the more neurons are dead, the lower the test accuracy."""
    one, other = _one_run(more), _one_run(fewer)
    _wrong_if(
        one.record.dataset != other.record.dataset,
        "Your runs learnt from different data sets: then anything can be the reason.",
    )
    first, second = (sum(_dead(run)) for run in (one, other))
    _wrong_if(
        first <= second,
        f"Your first run has {first} dead neurons and your second {second}. "
        f"The first must have more.",
    )
    _wrong_if(
        _accuracy(one) <= _accuracy(other),
        f"Your first run has more dead neurons and reads {_accuracy(one):.2%}; the second reads "
        f"{_accuracy(other):.2%}. That agrees with the claim: look on.",
    )


@_exercise("3.3")
def _beats_elu(answer: Any) -> None:
    _wrong_if(
        answer is None or callable(answer),
        "The answer must be the name of your function as text. First give the function to the lab: "
        "`lab.register(name, function)`; then put the name in `mine`.",
    )
    runs = _runs(answer)
    own = {run.config.seed: run for run in runs if run.record.own_activation}
    elu = {run.config.seed: run for run in runs if run.config.activation == "elu"}
    _wrong_if(not own, "None of these runs has a function of your own: see `lab.register`.")
    names = {run.config.activation for run in runs if run.record.own_activation}
    _wrong_if(len(names) > 1, "Compare one function of yours with ELU at a time.")
    _wrong_if(not elu, "There is no run with ELU to compare with.")
    _wrong_if(
        own.keys() != elu.keys() or len(own) < 3,
        "Each seed needs a run of both functions, and three seeds at least.",
    )
    _wrong_if(
        len(Runs(runs).groups(("seed", *FUNCTION))) > 1,
        "Only the activation function may differ between the runs.",
    )
    better = sum(_accuracy(own[seed]) > _accuracy(elu[seed]) for seed in own)
    _wrong_if(
        better < len(own),
        f"Your function is above ELU on {better} of {len(own)} seeds. Asked for is all of them. "
        f"Look at the playground: some functions there are straight on the right and bend down on "
        f"the left. Try one of that kind.",
    )


@_exercise("4.1")
def _exactly_a_hundred_dead(model: Any) -> None:
    """The answer is the Keras model."""
    _wrong_if(not hasattr(model, "layers"), "The answer must be the Keras model.")
    pixels = load_dataset("mnist-5k").x_train
    images = pixels.reshape(len(pixels), -1) / np.float32(255)
    dead = []
    for layer in model.layers[1:3]:
        kernel, bias = layer.get_weights()
        z = images @ kernel + bias
        dead.append(int((z <= 0).all(axis=0).sum()))
        images = np.maximum(z, 0)
    if dead[0] == 100:
        return
    _wrong_if(
        dead[0] < 100 <= dead[1],
        f"In layer 2, {dead[1]} neurons are dead. Asked for is layer 1, which has {dead[0]}.",
    )
    _wrong_if(
        dead[0] == 0,
        "No neuron of layer 1 is dead. What can you do to a bias, so that z is never above 0?",
    )
    _wrong_if(dead[0] == 512, "All 512 neurons are dead. Change 100 of the biases, not all.")
    raise WrongAnswerError(f"{dead[0]} neurons of layer 1 are dead. Asked for are 100.")


@_exercise("4.2")
def _largest_harmless_rate(answer: Any) -> None:
    """The answer are the runs that were tried: two at least, with the rate between them known."""
    _wrong_if(
        answer is None,
        "`rates` must be a list of numbers in square brackets, such as [0.001, 0.1].",
    )
    runs = sorted(_runs(answer), key=lambda run: run.config.learning_rate)
    _wrong_if(
        len(Runs(runs).groups(("learning_rate",))) > 1,
        "Only the learning rate may differ between the runs.",
    )
    _wrong_if(
        any(run.config.activation != "relu" for run in runs), "Train networks of ReLU neurons."
    )
    shares = {run.config.learning_rate: _dead(run)[0] / run.layout.widths[0] for run in runs}
    harmless = [rate for rate, share in shares.items() if share < 0.05]
    deadly = [rate for rate, share in shares.items() if share >= 0.05]
    _wrong_if(not deadly, "No rate that you tried kills 5 % of layer 1: try larger ones.")
    _wrong_if(not harmless, "Every rate that you tried kills 5 % of layer 1: try smaller ones.")
    best, next_one = max(harmless), min([r for r in deadly if r > max(harmless)], default=0.0)
    _wrong_if(not next_one, "Try larger rates, until 5 % of layer 1 die.")
    _wrong_if(
        next_one > 2.001 * best,
        f"{best:g} is harmless and {next_one:g} kills, but what is between them? Bring them "
        f"within a factor of 2.",
    )


@_exercise("4.3")
def _always_negative_and_not_dead(run: Any, layer: int, unit: int) -> None:
    run = _one_run(run)
    run.check_unit(layer, unit)
    last = run.last_summaries(layer)
    _wrong_if(
        not units.always_negative(last)[unit],
        f"The largest z of this neuron is {last.max_z[unit]:.3g}: it is not always negative.",
    )
    _wrong_if(
        bool(units.dead(last)[unit]),
        f"This neuron is dead: with {run.config.title} the gate is shut where z is negative. "
        f"Which function leaves it open?",
    )


@_exercise("4.4")
def _saved_by_one_change(answer: Any, lost: Any) -> None:
    run, before = _one_run(answer), _one_run(lost)
    changed = _changed(run.config, before.config)
    _wrong_if(not changed, "You have changed nothing.")
    _wrong_if(
        "first_bias" in changed,
        "Leave the first bias at −1: save the network in spite of it.",
    )
    _wrong_if(
        len(changed) > 1,
        f"You have changed {', '.join(changed)}. Change one thing only: what the three networks "
        f"have in common stands in `common`.",
    )
    shares = [n / width for n, width in zip(_dead(run), run.layout.widths, strict=True)]
    _wrong_if(
        max(shares) > 0.1,
        f"Of its layers {' / '.join(f'{share:.0%}' for share in shares)} are dead: more than "
        f"10 %. Which function cannot die at all?",
    )


def _changed(one: RunConfig, other: RunConfig) -> list[str]:
    """Returns the settings that differ; what makes the activation function is one."""
    names = [name for name, value in one if value != getattr(other, name)]
    return list(dict.fromkeys("activation" if name in FUNCTION else name for name in names))


@_exercise("5.1")
def _largest_pre_activation(largest: Any) -> None:
    rng = np.random.default_rng(5)
    x, w, b = rng.random((6, 3)), rng.normal(size=(3, 4)), np.array([-9.0, 0.5, -1.0, 2.0])
    z = x @ w + b
    mistakes = {
        "The bias is missing.": (x @ w).max(axis=0),
        "You have one number for each image. Asked for is one for each neuron: see `axis`.": (
            z.max(axis=1)
        ),
        "You applied ReLU: a largest z below 0 is what tells a dead neuron.": (
            np.maximum(z, 0).max(axis=0)
        ),
        "This is the mean. One image above 0 is enough to keep a neuron alive.": z.mean(axis=0),
        "This is the smallest z.": z.min(axis=0),
        "You have subtracted the bias.": (x @ w - b).max(axis=0),
    }
    matches(called(largest, x, w, b), z.max(axis=0), mistakes)


@_exercise("5.2")
def _fall_by_bias(run: Any, unit: int, fall: Any) -> None:
    cause = causes.find(_one_run(run), 1).get(unit)
    if cause is None or np.isnan(cause.by_bias):
        raise WrongAnswerError(f"The record does not show how neuron {unit} of layer 1 died.")
    whole = cause.edge_before - cause.edge_after
    last = float(run.weights()[1][unit])
    first = float(run.weights(cause.since - 1)[1][unit])
    mistakes = {
        "Mind the sign: a fall is what it was before, minus what it is after.": -cause.by_bias,
        "This is the fall of the largest z. Asked for is the part of the bias.": whole,
        "This is the part of the weights. Asked for is the part of the bias.": whole
        - cause.by_bias,
        "You went on to the last epoch. Stop at the epoch of its death.": first - last,
    }
    matches(fall, cause.by_bias, mistakes, tolerance=0.01, rounding=0.0051)


@_exercise("5.3")
def _died_and_came_back(run: Any, unit: int, died: int, revived: int) -> None:
    lived = _one_run(run).lives(2)
    run.check_unit(2, unit)
    _wrong_if(died >= revived, "First it dies, then it comes back: look at the two epochs.")
    _wrong_if(
        not lived.dead[:, unit].any(),
        f"Neuron {unit} of layer 2 was never dead. Did you take layer 1?",
    )
    _wrong_if(
        not lived.revived[:, unit].any(), f"Neuron {unit} of layer 2 never came back. Look on."
    )
    run.check_epoch(revived)
    _wrong_if(not lived.died[died, unit], f"It did not die in epoch {died}. Move the epoch.")
    _wrong_if(not lived.revived[revived, unit], f"It did not come back in epoch {revived}.")


@_exercise("5.4")
def _an_image_that_wakes(run: Any, unit: int, image: Any) -> None:
    _wrong_if(
        not _one_run(run).lives(1).dead[-1, unit],
        f"Neuron {unit} of layer 1 is not dead: it needs no waking.",
    )
    pixels = np.asarray(image, np.float64)
    _wrong_if(
        pixels.size != 784, f"An image has 28 × 28 pixels; yours has the shape {pixels.shape}."
    )
    _wrong_if(
        not bool((pixels >= 0).all() and (pixels <= 1).all()),
        f"Your pixels go from {pixels.min():.3g} to {pixels.max():.3g}. A pixel is from 0 to 1.",
    )
    weights, biases = run.weights()[:2]
    z = float(pixels.ravel() @ weights[:, unit] + biases[unit])
    _wrong_if(
        z <= 0,
        f"With your image z = {z:.3g}: the neuron sleeps on. Which pixels push z up, and which "
        f"down? Look at its incoming weights.",
    )


@_exercise("6.1")
def _dead_share_from_gates(share: Any) -> None:
    gates = np.array([[0, 0.5, 0, 0.01, 0], [0, 0, 0, 0.01, 1], [0, 0, 0, 0.01, 0.0]])
    mistakes = {
        "You count the shut gates of all images. Count neurons that no image opens.": (
            (gates == 0).mean()
        ),
        "You count neurons that some image leaves shut. Ask whether all images do.": (
            (gates == 0).any(axis=0).mean()
        ),
        "You ask for each image. Ask for each neuron: see `axis`.": (
            (gates == 0).all(axis=1).mean()
        ),
        "This is the share of the living.": 0.6,
        "This is their number. Asked for is their share of all neurons.": 2.0,
    }
    matches(called(share, gates), 0.4, mistakes)


@_exercise("6.2")
def _images_until_the_truth(run: Any, images: Any) -> None:
    """Asked for is layer 2, and the order in which probes grow."""
    opened = probes.first_open(_one_run(run), 2)
    all_images = _one_run(run).record.train_images
    alive = opened[opened <= all_images]
    mistakes = {
        "You took the dead neurons, too: no image ever opens their gates.": int(opened.max()),
        "After so many images the first neuron is known to live. Go on to the last.": (
            int(alive.min())
        ),
        "Half of the living neurons are known by then. Go on to the last.": float(np.median(alive)),
        "This is the mean. One neuron that waits longer still looks dead.": float(alive.mean()),
        "These are all training images. Fewer are enough.": all_images,
    }
    matches(images, int(alive.max()), mistakes, tolerance=0.0001)


@_exercise("6.3")
def _interval_of_three_seeds(recorded: Any, half: Any) -> None:
    """The answer is the half width in points; `recorded` are the runs on full MNIST."""
    differences = _differences(recorded, 0.005)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    t = float(student_t.ppf(0.975, len(differences) - 1))
    mistakes = {
        "1.96 is for very many seeds. With three of them the t distribution has 2 degrees of "
        "freedom.": 1.96 * error,
        "This is the standard error alone. Multiply it by t.": error,
        "Divide the standard deviation by the square root of the number of seeds.": (
            t * error * math.sqrt(len(differences))
        ),
        "Divide by n − 1 in the standard deviation: `std(ddof=1)`.": (
            t * error * math.sqrt((len(differences) - 1) / len(differences))
        ),
        "You have 3 degrees of freedom. They are one less than the seeds.": (
            float(student_t.ppf(0.975, len(differences))) * error
        ),
        "95 % leave 2.5 % on each side: use 0.975.": float(student_t.ppf(0.95, 2)) * error,
        "This is the whole width. Asked for is the part on one side, the ± of the mean.": (
            2 * t * error
        ),
        "One point is one percent: multiply by 100.": t * error / 100,
    }
    matches(half, t * error, mistakes, tolerance=0.01)


@_exercise("6.4")
def _taken_out_unnoticed(run: Any, units_out: Any) -> None:
    """The answer are units of layer 1: as many as are dead, and no image gets another class."""
    run = _one_run(run)
    _wrong_if(
        isinstance(units_out, Mapping),
        "The answer must be the neurons of layer 1 alone, a list of their numbers.",
    )
    dead = int(run.confirmed(1).sum())
    cut = surgery.ablate(run, {1: units_out})
    out = len(cut.removed[0])
    _wrong_if(
        cut.changed > 0,
        f"Without these {out} neurons {cut.changed:,} of {cut.images:,} training images get "
        f"another class. Which neurons send nothing at all?",
    )
    _wrong_if(
        out < dead,
        f"No image gets another class: good. But you took {out} out, and {dead} can go.",
    )


@_exercise("7.1")
def _width_without_pairs(runs: Any, times: Any) -> None:
    """Asked for are Leaky ReLU and ReLU; the answer is a ratio of two spreads."""
    accuracy = _by_seed(Runs(_runs(runs)))
    relu, leaky, elu = (accuracy[name] for name in ("relu", "leaky_relu", "elu"))
    apart, pairs = math.sqrt(relu.var() + leaky.var()), float((leaky - relu).std())
    mistakes = {
        "This is how many times as wide the interval with pairs is. Asked for is the other way "
        "round: without pairs, divided by with pairs.": pairs / apart,
        "This is the ratio of the variances. The width goes with their square root.": (
            (apart / pairs) ** 2
        ),
        "Add the variances s₁² and s₂², and then take the root: standard deviations do not add.": (
            (relu.std() + leaky.std()) / pairs
        ),
        "This has the spread of ReLU alone. Without pairs the ups and downs of both count.": (
            relu.std() / pairs
        ),
        "This has the spread of Leaky ReLU alone. Without pairs the ups and downs of both "
        "count.": leaky.std() / pairs,
        "This is ELU's. Asked for is Leaky ReLU's.": (
            math.sqrt(relu.var() + elu.var()) / (elu - relu).std()
        ),
        "This is the spread without pairs. Divide it by the spread in pairs.": apart,
        "This is the spread in pairs. By it, divide the spread without pairs.": pairs,
    }
    matches(times, apart / pairs, mistakes, tolerance=0.01)


@_exercise("7.2")
def _holding_after_holm(holding: Any) -> None:
    """Of the second list, 6 · 0.004 and 5 · 0.009 are below 0.05, and 4 · 0.014 is not."""
    for p_values, right in (([0.03, 0.2], 0), ([0.009, 0.016, 0.004, 0.04, 0.014, 0.02], 2)):
        p = np.array(p_values)
        in_turn = np.sort(p) * np.arange(len(p), 0, -1) <= 0.05
        mistakes = {
            "You count the p-values as they are. Multiply before you compare.": (p <= 0.05).sum(),
            "You multiply each by the number of all. Holm asks less after each that holds: one "
            "less.": (p * len(p) <= 0.05).sum(),
            "You go on after one that is above 0.05. Stop there.": in_turn.sum(),
            "You multiply in the order of the list. First sort it, the smallest in front.": (
                (p * np.arange(len(p), 0, -1) <= 0.05).sum()
            ),
            "These are those that do not hold.": len(p) - right,
        }
        found = called(holding, list(p_values))
        _wrong_if(
            np.shape(found) == np.shape(p),
            "You give a value for each comparison. Asked for is the number of those that hold.",
        )
        matches(found, right, mistakes)


@_exercise("7.3")
def _agrees_just_as_well(verdict: Any, points: Any) -> None:
    """The answer is a difference inside the interval of a verdict that does not exclude 0."""
    _wrong_if(
        not isinstance(verdict, stats.Verdict) or verdict.excludes_zero,
        "The first answer must be the verdict on Leaky ReLU, `leaky`.",
    )
    value = float(points)
    low, high = (verdict.amount(end) for end in (verdict.paired.low, verdict.paired.high))
    _wrong_if(value == 0, "0 is what the claim says. Name another difference.")
    _wrong_if(
        not verdict.paired.low <= value <= verdict.paired.high,
        f"The interval goes from {low} to {high}. A difference outside does not agree with it.",
    )


@_exercise("7.4")
def _a_study_of_ones_own(answer: Any, lesson: Any) -> None:
    """The second answer are the runs of the lesson: one's own must not all be among them."""
    runs, known = _runs(answer), {run.run_id for run in _runs(lesson)}
    _wrong_if(
        all(run.run_id in known for run in runs),
        "These are the runs of the lesson. Ask something that it has not answered.",
    )
    found = stats.verdicts(runs)
    _wrong_if(
        not found,
        "There is nothing to compare: train at least two activation functions with the same "
        "settings.",
    )
    _wrong_if(
        any(verdict.problem for verdict in found),
        "; ".join(verdict.problem for verdict in found if verdict.problem)
        + ": a lower learning rate may help.",
    )
    fewest = min(verdict.paired.n for verdict in found)
    _wrong_if(
        fewest < stats.FEWEST_SEEDS,
        f"{fewest} seeds in pairs are too few for a verdict. How many are the fewest?",
    )


def _runs(answer: Any) -> Sequence[Run]:
    listed = isinstance(answer, Iterable) and not isinstance(answer, str)
    runs = [answer] if isinstance(answer, Run) else list(answer) if listed else []
    _wrong_if(
        not runs or not all(isinstance(run, Run) for run in runs),
        "The answer must be recorded runs, such as `lab.compare` gives.",
    )
    return runs


def _one_run(answer: Any) -> Run:
    runs = _runs(answer)
    _wrong_if(
        len(runs) > 1,
        f"The answer must be one run, not {len(runs)}: pick one by [0], or train with seeds=1.",
    )
    return runs[0]


def _on(dataset: str, run: Run) -> None:
    found = run.record.dataset
    _wrong_if(found != dataset, f"Your network learnt from {found}. Asked for is {dataset}.")


def _dead(run: Run) -> list[int]:
    """Counts a run's dead neurons by layer, on all training images."""
    return [int(run.confirmed(layer).sum()) for layer in run.layers]


def _accuracy(run: Run) -> float:
    accuracy = run.record.test_accuracy
    if accuracy is None:
        raise WrongAnswerError("A run of yours has not ended: train it to the end.")
    return accuracy
