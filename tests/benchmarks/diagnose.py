"""How often the health check is right: on 200 healthy networks, and 200 with one planted fault.

    uv run python tests/benchmarks/diagnose.py

It makes two draws of networks, and writes what was found to `diagnose.csv` beside this file and the
rates to the README and `docs/diagnose.md`. The limits in `lab/outside/rules.py` were chosen on the
first draw; the second was held back.

A network is healthy if it was trained at sensible settings and classifies at least 85 % of other
images right (chance is 10 %). A sabotaged one is a copy of it with one fault planted at a known
layer; those whose gradients explode, and those of sigmoid whose gradients vanish, are deep networks
of their own, before any training. A false alarm is any finding in a healthy network. A miss is a
planted fault that is not found, by its kind, at its layer.
"""

import functools
import textwrap
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.stats import binomtest

import lab
from lab.system import load_tensorflow

tf = load_tensorflow()
import keras  # noqa: E402  # In silence, after TensorFlow.

layers = keras.layers
TABLE = Path(__file__).with_suffix(".csv")
ROOT = Path(__file__).parents[2]
MARKS = ("<!-- rates -->", "<!-- /rates -->")
NETWORKS, DRAWS = 200, ("first", "held-back")
LEARNED, PROBE, BATCH = 0.85, 500, 64
AT_ZERO = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")  # f(0) = 0
FUNCTIONS = {
    "dead": ("relu", "relu", "relu6"),
    "nearly dead": ("elu", "gelu", "silu", "sigmoid", "softplus"),
    "saturated": ("tanh", "sigmoid"),
    "constant": (*AT_ZERO, "sigmoid", "relu6", "selu"),
    "dormant": AT_ZERO,
    "non-finite": (*AT_ZERO, "softplus", "selu"),
    "exploding gradient": ("relu", "leaky_relu"),
    "vanishing gradient": ("sigmoid", "tanh", "relu", "elu"),
}
KINDS = tuple(FUNCTIONS)
LOW = {"elu": 9.0, "gelu": 5.5}  # There a gate is below a thousandth, and not 0 in float32.


@functools.cache
def images(name: str) -> tuple[Any, ...]:
    """Images from 0 to 1, their labels; 8 x 8 pixels of digits, 14 x 14 of mnist-5k."""
    if name == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return x.reshape(-1, 8, 8, 1).astype(np.float32) / 16, y.astype(np.int32)
    data = lab.load_dataset("mnist-5k")
    x = np.concatenate([data.x_train, data.x_test]).astype(np.float32) / 255
    small = x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))[..., None]
    return small, np.concatenate([data.y_train, data.y_test]).astype(np.int32)


class Network:
    """A network with its images; the places of its hidden layers by name."""

    def __init__(self, kind: str, rng: Any) -> None:
        self.rng = rng
        self.data = str(rng.choice(["digits", "mnist-5k"]))
        x, y = images(self.data)
        order = rng.permutation(len(x))
        self.x, self.y = x[order[:1200]], y[order[:1200]]
        self.others = x[order[1200:1797]], y[order[1200:1797]]
        self.function = str(rng.choice(FUNCTIONS[kind]))
        keras.utils.set_random_seed(int(rng.integers(2**31)))
        least = 2 if kind == "vanishing gradient" else 1
        self.normalised = rng.random() < 0.15
        self.convolutions = int(rng.choice([0, 1, 2], p=[0.5, 0.25, 0.25]))
        most = 3 if self.function == "sigmoid" else 5
        least = 1 if self.convolutions else least
        self.dense = int(rng.integers(least, max(most - self.convolutions, least + 1)))
        self.model = self.build()

    def build(self) -> Any:
        model = keras.Sequential([keras.Input(self.x.shape[1:])])
        first = str(self.rng.choice(["glorot_uniform", "he_normal"]))
        for n in range(self.convolutions):
            filters, stride = int(self.rng.choice([8, 16])), int(self.rng.integers(1, 3))
            kernel = {"kernel_initializer": first, "strides": stride, "padding": "same"}
            self.add(model, layers.Conv2D, f"conv_{n + 1}", filters, kernel_size=3, **kernel)
        model.add(layers.Flatten())
        for n in range(self.dense):
            width = int(self.rng.choice([16, 32, 64]))
            self.add(model, layers.Dense, f"dense_{n + 1}", width, kernel_initializer=first)
        model.add(layers.Dense(10, name="scores"))
        return model

    def add(self, model: Any, layer: Any, name: str, units: int, **choices: Any) -> None:
        if self.normalised:
            model.add(layer(units, name=f"{name}_linear", use_bias=False, **choices))
            model.add(layers.BatchNormalization(name=f"{name}_norm", momentum=0.9))
            model.add(layers.Activation(self.function, name=name))
        else:
            model.add(layer(units, activation=self.function, name=name, **choices))

    @property
    def hidden(self) -> list[str]:
        found = [layer.name for layer in self.model.layers if hasattr(layer, "activation")]
        return [name for name in found if "linear" not in name and name != "scores"]

    def arrays(self, name: str) -> tuple[Any, Any]:
        """What scales and what shifts a hidden layer's z; both end with the units."""
        normal = self.normalised and name != "scores"
        layer = self.model.get_layer(f"{name}_norm" if normal else name)
        return (layer.gamma, layer.beta) if normal else (layer.kernel, layer.bias)

    def given(self, name: str) -> Any:
        """What a hidden layer gives for the training images, shape (values, units)."""
        part = keras.Model(self.model.inputs[0], self.model.get_layer(name).output)
        a = part(self.x, training=False).numpy()
        return a.reshape(-1, a.shape[-1])

    def largest_z(self, name: str) -> Any:
        """The largest z of each unit, with the function left out."""
        layer = self.model.get_layer(name)
        function, layer.activation = layer.activation, keras.activations.linear
        z = self.given(name).max(axis=0)
        layer.activation = function
        return z

    def train(self, optimizer: Any, steps: int) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer.build(self.model.trainable_variables)
        x, y = tf.constant(self.x), tf.constant(self.y)
        rows = self.rng.integers(0, len(self.x), (steps, BATCH))

        @tf.function
        def steps_of(rows: Any) -> None:
            for row in rows:
                with tf.GradientTape() as tape:
                    value = loss(tf.gather(y, row), self.model(tf.gather(x, row), training=True))
                variables = self.model.trainable_variables
                optimizer.apply(tape.gradient(value, variables), variables)

        steps_of(tf.constant(rows))

    def accuracy(self) -> float:
        x, y = self.others
        return float((self.model(x, training=False).numpy().argmax(axis=1) == y).mean())

    def diagnosis(self) -> Any:
        data = self.x[:PROBE], self.y[:PROBE]
        census = lab.Census.of(self.model, data, batch_size=PROBE)  # So few shapes are compiled.
        return lab.diagnose(census)

    @property
    def words(self) -> str:
        sizes = [self.model.get_layer(name).output.shape[-1] for name in self.hidden]
        norm = ", batch normalisation" if self.normalised else ""
        kind = f"{self.convolutions} convolutions, " if self.convolutions else ""
        return f"{self.data}, {self.function}, {kind}{'-'.join(map(str, sizes))}{norm}"


def healthy(kind: str, rng: Any) -> Network:
    """Trains networks until one has learned."""
    while True:
        network = Network(kind, rng)
        if rng.random() < 0.75:
            optimizer = keras.optimizers.Adam(10 ** rng.uniform(-3, -2.3))
        else:
            optimizer = keras.optimizers.SGD(10 ** rng.uniform(-2, -1), momentum=0.9)
        network.train(optimizer, int(rng.integers(200, 500)))
        if network.accuracy() >= LEARNED:
            return network


# Sabotage: each plants one fault, and returns the name of its layer.


def some_units(network: Network, name: str, whole: float) -> Any:
    """All units of a layer with some probability, else 40 to 70 % of them."""
    units = network.arrays(name)[1].shape[0]
    share = 1.0 if network.rng.random() < whole else network.rng.uniform(0.4, 0.7)
    return network.rng.permutation(units)[: int(np.ceil(share * units))]


def shut(network: Network, below: float) -> str:
    """Moves the biases of some units until their largest z lies below zero."""
    name = str(network.rng.choice(network.hidden))
    units, bias = some_units(network, name, 0.5), network.arrays(name)[1]
    values, z = bias.numpy(), network.largest_z(name)
    values[units] -= z[units] + below * network.rng.uniform(1, 1.2)
    bias.assign(values)
    return name


def dead(network: Network) -> str:
    if network.rng.random() < 1 / 3 and (name := too_fast(network)):
        return name
    return shut(network, 1.0)


def too_fast(network: Network) -> str:
    """Trains on at rates far too high, until half of a layer gives 0 for every image."""
    before = network.model.get_weights()
    for rate in 3.0 ** np.arange(-1, 8):
        network.train(keras.optimizers.SGD(rate), 3)
        finite = all(np.isfinite(array).all() for array in network.model.get_weights())
        for name in network.hidden if finite else ():
            if (network.given(name).max(axis=0) == 0).mean() >= 0.5:
                return name
        network.model.set_weights(before)
    return ""


def nearly_dead(network: Network) -> str:
    return shut(network, LOW.get(network.function, 12.0))


def saturated(network: Network) -> str:
    """Scales what leads into a layer, until 80 % of its values lie at an end of the function."""
    end, before = 1e-3 if network.function == "tanh" else 0.25e-3, network.model.get_weights()
    for name in map(str, network.rng.permutation(network.hidden)):
        network.model.set_weights(before)
        for _ in range(20):
            a = network.given(name)
            gate = 1 - a**2 if network.function == "tanh" else a * (1 - a)
            if (gate <= end).mean() >= 0.8:
                return name
            for array in network.arrays(name):
                array.assign(2 * array)
    raise RuntimeError("No layer saturates: where an image is blank, z stays at 0.")


def constant(network: Network) -> str:
    name = str(network.rng.choice(network.hidden))
    scale, bias = (array.numpy() for array in network.arrays(name))
    units = some_units(network, name, 0.5)
    scale[..., units], bias[units] = 0, network.rng.uniform(0.3, 1, len(units))
    for array, values in zip(network.arrays(name), (scale, bias), strict=True):
        array.assign(values)
    return name


def dormant(network: Network) -> str:
    """Makes what leads into some units a thousand times smaller."""
    name = str(network.rng.choice(network.hidden))
    units = some_units(network, name, 0.0)
    for array in network.arrays(name):
        values = array.numpy()
        values[..., units] *= 0.001
        array.assign(values)
    return name


def nonfinite(network: Network) -> str:
    name = str(network.rng.choice([*network.hidden, "scores"]))
    array = network.arrays(name)[network.rng.integers(2)]
    values = array.numpy()
    values.flat[network.rng.integers(values.size)] = network.rng.choice([np.nan, np.inf, -np.inf])
    array.assign(values)
    return f"{name}_norm" if network.normalised and name != "scores" else name


def deep(network: Network, depth: int, scale: float) -> str:
    """Puts a deep network, not trained yet, in the place of a network."""
    width = int(network.rng.choice([16, 32, 64]))
    variance = 2 if network.function in ("relu", "leaky_relu") else 1
    first = keras.initializers.VarianceScaling(
        scale**2 * variance, seed=int(network.rng.integers(2**31))
    )
    made = [
        layers.Dense(width, network.function, name=f"dense_{n + 1}", kernel_initializer=first)
        for n in range(depth)
    ]
    network.model = keras.Sequential(
        [keras.Input(network.x.shape[1:]), layers.Flatten(), *made, layers.Dense(10, name="scores")]
    )
    network.normalised, network.convolutions = False, 0
    return "dense_1"


def exploding(network: Network) -> str:
    return deep(network, int(network.rng.integers(5, 9)), network.rng.uniform(8, 15))


def vanishing(network: Network) -> str:
    if network.function == "sigmoid":
        return deep(network, int(network.rng.integers(8, 12)), 1.0)
    at = int(network.rng.integers(1, len(network.hidden)))
    scale, _ = network.arrays(network.hidden[at])
    scale.assign(1e-5 * scale)
    return network.hidden[at - 1]


PLANT = dict(
    zip(
        KINDS,
        (dead, nearly_dead, saturated, constant, dormant, nonfinite, exploding, vanishing),
        strict=True,
    )
)


def worst(found: Any) -> dict[str, float]:
    """The largest share of each kind in any layer; the largest and smallest relative gradient."""
    gradients = [one.gradient for one in found.layers if one.gradient is not None] or [np.nan]
    shares = {
        "dead": max(one.dead / one.units for one in found.layers),
        "nearly_dead": max((one.dead + (one.nearly_dead or 0)) / one.units for one in found.layers),
        "saturated": max(one.saturated or 0 for one in found.layers),
        "constant": max(one.constant / one.units for one in found.layers),
        "dormant": max(one.dormant / one.units for one in found.layers),
        "largest_gradient": max(gradients),
        "smallest_gradient": min(gradients),
    }
    return {name: float(f"{value:.3g}") for name, value in shares.items()}


def row_of(network: Network, kind: str, layer: str, accuracy: float) -> dict[str, Any]:
    words, found = network.words, network.diagnosis()
    return {
        "planted": kind,
        "layer": layer,
        "network": words,
        "accuracy": round(accuracy, 3),
        "found": "; ".join(f"{one.kind} at {one.layer}" for one in found.findings),
        **worst(found),
    }


def pair(draw: int, number: int) -> list[dict[str, Any]]:
    """Makes a healthy network and a sabotaged one, and diagnoses both."""
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([draw, number])
    network = healthy(kind, rng)
    accuracy = network.accuracy()
    rows = [row_of(network, "", "", accuracy)]
    layer = PLANT[kind](network)
    rows.append(row_of(network, kind, layer, network.accuracy()))
    return [{"draw": DRAWS[draw], "number": number, **row} for row in rows]


def is_wrong(row: Any) -> bool:
    """Tells whether a diagnosis is a false alarm, or misses the planted fault."""
    found = row.found.split("; ")
    return f"{row.planted} at {row.layer}" not in found if row.planted else bool(row.found)


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """Returns how many of each draw are false alarms and misses, with Wilson's 95 % intervals."""
    table = table.assign(wrong=[is_wrong(row) for row in table.itertuples()])
    rows = []
    for draw in DRAWS:
        for name, planted in (("false alarms", False), ("misses", True)):
            of = table[(table.draw == draw) & (table.planted.ne("") == planted)]
            if not len(of):
                continue
            test = binomtest(int(of.wrong.sum()), len(of)).proportion_ci(method="wilson")
            counts = {"draw": draw, "what": name, "wrong": int(of.wrong.sum()), "of": len(of)}
            rows.append({**counts, "rate": of.wrong.mean(), "low": test.low, "high": test.high})
    return pd.DataFrame(rows)


def sentence(table: pd.DataFrame, draw: str) -> str:
    """Says the rates of a draw."""
    alarms, misses = (row for row in rates(table).itertuples() if row.draw == draw)
    words = (
        f"In the {draw} draw: {alarms.wrong} false alarms on {alarms.of} healthy networks "
        f"({_share(alarms)}), and {misses.wrong} of {misses.of} planted faults missed "
        f"({_share(misses)})."
    )
    return textwrap.fill(words, 100, break_on_hyphens=False)


def _share(row: Any) -> str:
    rate, low, high = (f"{100 * share:.1f}" for share in (row.rate, row.low, row.high))
    return f"{rate} %, 95 % interval {low} to {high} %"


def by_kind(table: pd.DataFrame) -> str:
    """Returns how many faults of each kind were missed, as a table in Markdown."""
    lines = ["| planted | missed in the first draw | in the held-back draw |", "|---|---|---|"]
    for kind in KINDS:
        found = [table[(table.draw == draw) & (table.planted == kind)] for draw in DRAWS]
        cells = [f"{sum(map(is_wrong, of.itertuples()))} of {len(of)}" for of in found]
        lines.append(f"| {kind} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def pages(table: pd.DataFrame) -> dict[Path, str]:
    """Returns the README and the page on diagnosing, with these rates between their marks."""
    first, held_back = (sentence(table, draw) for draw in DRAWS)
    rates_on = {
        "README.md": held_back,
        "docs/diagnose.md": f"\n{first}\n{held_back}\n\n{by_kind(table)}\n",
    }
    written = {}
    for name, words in rates_on.items():
        before, _, rest = (ROOT / name).read_text(encoding="utf-8").partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        written[ROOT / name] = f"{before}{MARKS[0]}\n{words}\n{MARKS[1]}{after}"
    return written


def read(path: Path = TABLE) -> pd.DataFrame:
    """Returns a recorded table."""
    return pd.read_csv(path, keep_default_na=False)


def main(
    draws: Annotated[int, typer.Option(help="1 for the first draw alone.")] = 2,
    networks: int = NETWORKS,
    out: Path = TABLE,
    resume: Annotated[bool, typer.Option(help="Keep what the table holds already.")] = False,
) -> None:
    """Makes the networks, writes the table, and prints the rates."""
    began = time.perf_counter()
    rows = read(out).to_dict("records") if resume and out.exists() else []
    done = {(row["draw"], row["number"]) for row in rows}
    for draw in range(draws):
        for number in range(networks):
            if (DRAWS[draw], number) in done:
                continue
            rows += pair(draw, number)
            if number % 8 == 7:
                keras.backend.clear_session()
                pd.DataFrame(rows).to_csv(out, index=False)
                print(
                    f"{DRAWS[draw]} {number + 1}: {time.perf_counter() - began:.0f} s", flush=True
                )
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False)
    print(rates(table).to_string(index=False), by_kind(table), sep="\n")
    if out == TABLE and len(table) == 2 * len(DRAWS) * NETWORKS:
        for path, text in pages(table).items():
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
