"""Published and closed-form numbers against the lab's own: `lab validate` prints the table.

The lab's own functions compute each number: activation functions, first weights, optimiser,
trainer. The limit on its distance from the published one has a reason, and is never chosen to fit:

- a number printed with five digits: half a unit of the last one;
- a share among n simulated networks: four standard errors √(p (1 - p) / n), which chance alone
  exceeds once in 16,000 times;
- a mean of few networks: 6.87 standard errors, the t quantile for 0.1 % at five degrees of freedom;
- a number that arithmetic fixes exactly: no difference.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab import activations
from lab.census import units
from lab.experiment import RunConfig, load_dataset, split
from lab.layout import Weights
from lab.network import adam, first_kernel, forward
from lab.store import RunStore
from lab.studies import TRIO, compare
from lab.system import compiled, load_tensorflow
from lab.training import EpochEnd, first_state, train

Values = NDArray[np.float64]
CHANCE, FEW = 4.0, 6.87
HIDDEN_LAYERS = 9  # Of Lu et al. (2019), whose networks have ten layers of weights.
NETWORKS = 20_000
SEEDS = 6
MOMENTS = {  # E f, E f², E f'², E f'.
    "relu": (0.39894, 0.5, 0.5, 0.5),
    "leaky_relu=0.01": (0.39495, 0.50005, 0.50005, 0.505),
    "leaky_relu=0.1": (0.35905, 0.505, 0.505, 0.55),
    "leaky_relu=0.2": (0.31915, 0.52, 0.52, 0.6),
    "leaky_relu=0.3": (0.27926, 0.545, 0.545, 0.65),
    "elu": (0.16052, 0.64495, 0.66810, 0.76158),
    "selu": (0.0, 1.0, 1.07157, 0.98523),
    "gelu": (0.28209, 0.42522, 0.45585, 0.5),
    "silu": (0.20662, 0.35578, 0.37948, 0.5),
    "mish": (0.24040, 0.45234, 0.47908, 0.56375),
    "tanh": (0.0, 0.39429, 0.46440, 0.60571),
    "sigmoid": (0.5, 0.29338, 0.04484, 0.20662),
    "softplus": (0.80606, 0.92125, 0.29338, 0.5),
}
BORN_DEAD_EITHER_SIGN = {2: 0.881, 3: 0.574, 5: 0.129, 10: 0.0012}
# One seed of an independent program: learning rate, then ReLU's dead units of layers 1 and 2 on
# all 48,000 training images and the test accuracies of ReLU, Leaky ReLU and ELU, all in %.
LADDER = {
    0.001: (0.6, 0.2, 97.7, 97.8, 97.6),
    0.005: (21.7, 7.4, 97.6, 97.4, 96.8),
    0.1: (99.6, 99.8, 37.3, 93.0, 54.2),
}


@dataclass(frozen=True)
class Check:
    """A published or closed-form number beside the lab's.

    Attributes:
        quantity: What it is.
        source: Where the expected number is from.
        expected: The published or closed-form number.
        found: The lab's.
        error: The standard error of the difference, or half a unit of the last published digit;
            0 if the two must be equal.
        limit: How many errors the two may differ by.
        differs: Whether they must differ by more than that.
    """

    quantity: str
    source: str
    expected: float
    found: float
    error: float = 0.0
    limit: float = 0.0
    differs: bool = False

    @property
    def errors(self) -> float:
        """By how many errors the lab's number lies above the expected one."""
        difference = self.found - self.expected
        if not difference:
            return 0.0
        return difference / self.error if self.error else math.copysign(math.inf, difference)

    @property
    def passed(self) -> bool:
        """Whether the lab's number is right; NaN never is."""
        near = bool(abs(self.errors) <= self.limit)
        return math.isfinite(self.found) and near != self.differs


def moments() -> Iterator[Check]:
    """Means over z ~ N(0, 1) of f, f², f'² and f', by Gauss-Legendre on either side of the kink."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = np.concatenate([6 * nodes - 6, 6 * nodes + 6])
    density = np.tile(6 * weights, 2) * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    for choice, published in MOMENTS.items():
        config = RunConfig(activation=choice)
        f, gate = config.f(z), config.gate(z)
        for name, values, expected in zip(
            ("E f", "E f²", "E f'²", "E f'"), (f, f**2, gate**2, gate), published, strict=True
        ):
            found = float(np.sum(values * density))
            yield Check(f"{config.title}: {name}", "quadrature", expected, found, 0.5e-5, 1.02)


def born_dead() -> Iterator[Check]:
    """The share of deep, narrow ReLU networks that are dead before any training."""
    for width in BORN_DEAD_EITHER_SIGN:
        exact = 1 - (1 - 2.0**-width) ** HIDDEN_LAYERS
        name = f"dead untrained networks, 9 × {width}"
        yield _share(f"{name}, one input", "1 - (1 - 2⁻ᴺ)⁹", exact, _dead_networks(width, [1.0]))
    for width, published in BORN_DEAD_EITHER_SIGN.items():
        digit = 0.5 * 10.0 ** -(4 if published < 0.01 else 3)
        found = _dead_networks(width, [1.0, -1.0])
        source = "simulation after Lu et al. 2019"
        name = f"dead untrained networks, 9 × {width}, input of either sign"
        yield _share(name, source, published, found, digit)


def born_shut() -> Iterator[Check]:
    """The share of untrained first-layer ReLU units that none of n orthogonal images opens.

    Each image lights a different pixel, so each opens a unit with probability 1/2, independently.
    """
    images = np.zeros((8, 28, 28), np.uint8)
    images.reshape(8, -1)[range(8), range(8)] = 255
    config = RunConfig(hidden=(8192,))
    z, _ = forward(config, first_state(config).weights, images)
    shut = config.gate(z) == 0
    for n in (1, 2, 4, 8):
        name = f"untrained units that none of {n} orthogonal images opens"
        yield _share(name, "2⁻ⁿ", 2.0**-n, shut[:n].all(axis=0))


def _share(name: str, source: str, expected: float, dead: Any, rounding: float = 0.0) -> Check:
    error = math.hypot(math.sqrt(expected * (1 - expected) / len(dead)), rounding)
    return Check(name, source, expected, float(dead.mean()), error, CHANCE)


def _dead_networks(width: int, inputs: Sequence[float]) -> NDArray[np.bool_]:
    """Which of many networks with these hidden layers give all of the inputs the same output.

    A layer of all networks is drawn as one wide kernel. Its scale differs from theirs, but with
    biases of 0 the scale does not matter.
    """
    config = RunConfig(hidden=(width,) * HIDDEN_LAYERS, initializer="he_normal")
    relu = activations.get("relu")
    a = np.tile(np.array(inputs)[:, None, None], (1, NETWORKS, 1))
    dead = np.zeros(NETWORKS, np.bool_)
    for layer in range(HIDDEN_LAYERS):
        kernel = first_kernel(config, layer, (a.shape[-1], NETWORKS * width))
        z = np.einsum("imk,kmw->imw", a, kernel.reshape(-1, NETWORKS, width))
        gates = relu.derivative(z, 0.0)
        dead |= (gates == 0).all(axis=(0, 2))
        a = relu.function(z, 0.0)
    return dead


def scale() -> Iterator[Check]:
    """Scaling a ReLU network's weights by a power of 2 kills and wakes no unit if biases are 0."""
    dataset = load_dataset("mnist-5k")
    config = RunConfig(hidden=(16,) * 8, initializer="he_normal")
    probe = dataset.x_train[split(dataset, config).probe]
    weights = first_state(config).weights
    dead = _dead_units(config, weights, probe)
    for power in (-8, 1, 10):
        scaled = Weights(weights.layout, tuple(w * np.float32(2.0**power) for w in weights))
        changed = int((_dead_units(config, scaled, probe) != dead).sum())
        name = f"units that change state if weights are × 2^{power} ({dead.sum()} of 128 dead)"
        yield Check(name, "arithmetic", 0, changed)


def _dead_units(config: RunConfig, weights: Any, images: Any) -> NDArray[np.bool_]:
    *hidden, _ = forward(config, weights, images)
    return np.array([(config.gate(z) == 0).all(axis=0) for z in hidden])


def propagation() -> Iterator[Check]:
    """How signals spread through untrained networks of several kinds."""
    image = load_dataset("mnist-5k").x_train[:1]
    width, draws = 256, 30
    for kind, kept in (("he_normal", 1.0), ("glorot_normal", 0.5)):
        positive, ratios = [], []
        for seed in range(draws):
            config = RunConfig(hidden=(width,) * 4, initializer=kind, seed=seed)
            layers = list(forward(config, first_state(config).weights, image))[:-1]
            positive.append(np.mean([z > 0 for z in layers]))
            squares = [np.mean(np.square(z)) for z in layers]
            ratios.append(np.mean([b / a for a, b in itertools.pairwise(squares)]))
        pairs = draws * width * 4
        error = 0.5 / math.sqrt(pairs)
        found = float(np.mean(positive))
        yield Check(f"{kind}: P(z > 0)", "symmetry", 0.5, found, error, CHANCE)
        yield _mean(f"{kind}: E z² from layer to layer", "He et al. 2015", kept, ratios, CHANCE)
    yield from _selu()


def _mean(name: str, source: str, expected: float, found: Any, limit: float) -> Check:
    error = float(np.std(found, ddof=1)) / math.sqrt(len(found))
    return Check(name, source, expected, float(np.mean(found)), error, limit)


def _selu() -> Iterator[Check]:
    source = "Klambauer et al. 2017"
    means, variances = np.transpose([_after_fifty("lecun_normal", s) for s in range(SEEDS)])
    yield _mean("SELU, LeCun, layer 50 of 512: mean", source, 0, means, FEW)
    yield _mean("SELU, LeCun, layer 50 of 512: variance", source, 1, variances, FEW)
    _, drifted = np.transpose([_after_fifty("he_normal", s) for s in range(SEEDS)])
    name = "SELU, He, layer 50 of 512: log₂ of the variance drifts"
    yield replace(_mean(name, source, 0, np.log2(drifted), FEW), differs=True)


def _after_fifty(kind: str, seed: int) -> tuple[float, float]:
    """Mean and variance of the activations of the 50th layer of 512 SELU units."""
    config = RunConfig(activation="selu", hidden=(512,) * 50, initializer=kind, seed=seed)
    a = np.random.default_rng(seed).standard_normal((100, 512)).astype(np.float32)
    for layer in range(50):
        z = a @ first_kernel(config, layer, (512, 512))
        a = config.f(z).astype(np.float32)
    return float(a.mean()), float(a.var())


def optimiser() -> Iterator[Check]:
    """Adam's first step, and how far it coasts after a steady gradient has stopped."""
    for gradient in (1e-5, 0.01, 30.0):
        exact = gradient / (gradient + 1e-7 / math.sqrt(0.001))
        (moved,) = _adam_moves([gradient])
        name = f"Adam: first step for a gradient of {gradient:g}, in learning rates"
        error = exact * float(np.finfo(np.float32).eps) / 0.001  # 1 - 0.999 in float32.
        yield Check(name, "Kingma & Ba 2015", exact, moved, error, 1)
    steady = 4000
    coasted = sum(_adam_moves([1.0] * steady + [0.0] * 300)[steady:])
    yield Check("Adam: coasts after the gradient stops", "geometric series", 9.05, coasted, 5e-3, 1)


def _adam_moves(gradients: Sequence[float]) -> list[float]:
    """How far down Adam moves a parameter at each of these gradients, in learning rates."""
    tf = load_tensorflow()
    weight, mean, square = (tf.Variable([0.0]) for _ in range(3))

    @compiled
    def step(gradient: Any, t: Any) -> None:
        adam([weight], [mean, square], [gradient], t, 1.0)

    moves = []
    for t, gradient in enumerate(gradients, start=1):
        weight.assign([0.0])  # From there a small move is not rounded.
        step(tf.constant([gradient]), tf.constant(float(t)))
        moves.append(-float(weight.numpy()[0]))
    return moves


def elu() -> Iterator[Check]:
    """Clevert et al. 2015, figure 2, on mnist-5k: ELU has means nearest 0 and the least loss.

    Eight layers of 128 units, SGD at 0.01, batches of 64.
    """
    choices = ("elu", "relu", "leaky_relu=0.1")
    shared: dict[str, Any] = {
        "hidden": (128,) * 8,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "batch_size": 64,
        "epochs": 5,
        "initializer": "he_normal",
    }
    configs = [RunConfig(activation=choice, **shared) for choice in choices]
    ends = [
        event
        for event in train(configs, load_dataset("mnist-5k"))
        if isinstance(event, EpochEnd) and event.epoch == configs[0].epochs
    ]
    ends.sort(key=lambda event: event.run)
    medians = [np.median(np.concatenate([np.abs(u.mean) for u in end.layers])) for end in ends]
    losses = [end.train_loss for end in ends]
    for name, values in (("median |mean activation|", medians), ("training loss", losses)):
        beaten = sum(values[0] < other for other in values[1:])
        name = f"8 × 128, SGD: functions whose {name} is larger than ELU's"
        yield Check(name, "Clevert et al. 2015", 2, beaten)


def ladder() -> Iterator[Check]:
    """The learning-rate ladder on full MNIST; recorded runs of the store are used."""
    for rate, published in LADDER.items():
        runs = compare(TRIO, SEEDS, "mnist", RunStore(), learning_rate=rate)
        by_name = {n: [r for r in runs if r.config.activation == n] for n in TRIO}
        dead = np.array([run.confirmed_fractions() for run in by_name["relu"]])
        accuracies = [[run.record.test_accuracy or math.nan for run in by_name[n]] for n in TRIO]
        titles = ["ReLU dead, layer 1", "ReLU dead, layer 2"]
        titles += [f"{by_name[n][0].config.title} test accuracy" for n in TRIO]
        for name, values, expected in zip(titles, [*dead.T, *accuracies], published, strict=True):
            yield _one_more_seed(f"{name} at {rate:g}, %", expected, 100 * np.array(values))


def _one_more_seed(
    name: str, expected: float, found: Values, source: str = "another program, one seed"
) -> Check:
    """Compares a single seed of another program with the mean of some of the lab's."""
    spread = float(np.std(found, ddof=1)) * math.sqrt(1 + 1 / len(found))
    error = math.hypot(spread, 0.05)
    return Check(name, source, expected, float(found.mean()), error, FEW)


def deep() -> Iterator[Check]:
    """A public notebook's 5 × 256 network: 28 to 66 % of a layer dead, and 97.6 % right.

    It does not say how large its batches are, on which the share depends: here 32. Its range over
    the layers is the error.
    """
    settings = {"hidden": (256,) * 5, "learning_rate": 0.005, "epochs": 12, "batch_size": 32}
    runs = compare("relu", SEEDS, "mnist", RunStore(), **settings)
    layers = [run.last_summaries(number) for run in runs for number in run.layers]
    dead = 100 * float(np.mean([units.fraction(layer, units.dead(layer)) for layer in layers]))
    source = "public notebook, one seed"
    yield Check("5 × 256: dead on the probe, mean of layers, %", source, 47, dead, 19, 1)
    accuracies = 100 * np.array([run.record.test_accuracy for run in runs], float)
    yield _one_more_seed("5 × 256: test accuracy, %", 97.6, accuracies, source)


SHORT: dict[str, Callable[[], Iterator[Check]]] = {
    "moments": moments,
    "born dead": born_dead,
    "born shut": born_shut,
    "scale": scale,
    "propagation": propagation,
    "optimiser": optimiser,
    "ELU": elu,
}
LONG = SHORT | {"ladder": ladder, "deep": deep}
