"""Keras models of every kind, with dead units planted in them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SHUT = -1000.0  # So far out that every function that can be dead is dead.


@dataclass(frozen=True)
class Planted:
    """A model, its probe, and the units that are dead in it.

    Attributes:
        model: The Keras model.
        probe: Its inputs.
        dead: Of each site, by name, the units that were planted as dead.
        unseen: The layers that cannot be observed.
    """

    model: Any
    probe: Any
    dead: dict[str, list[int]]
    unseen: tuple[str, ...] = ()


ZOO: dict[str, Callable[[], Planted]] = {}


def kind(name: str) -> Callable[[Callable[[], Planted]], Callable[[], Planted]]:
    def keep(build: Callable[[], Planted]) -> Callable[[], Planted]:
        ZOO[name] = build
        return build

    return keep


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def plant(layer: Any, *units: int, z: float = SHUT) -> list[int]:
    """Gives units of a layer one z, whatever comes in."""
    kernel, bias = (np.array(w) for w in layer.get_weights())
    kernel[..., list(units)], bias[list(units)] = 0, z
    layer.set_weights([kernel, bias])
    return list(units)


def plant_channels(layer: Any, *units: int) -> list[int]:
    """Gives channels of a depthwise convolution one z, whatever comes in."""
    kernel, bias = (np.array(w) for w in layer.get_weights())
    kernel[..., list(units), :], bias[list(units)] = 0, SHUT
    layer.set_weights([kernel, bias])
    return list(units)


def alive() -> dict[str, Any]:
    """Returns first weights that let every unit live: z is near 1, whatever comes in."""
    import keras

    small = keras.initializers.RandomNormal(stddev=0.01, seed=0)
    return {"kernel_initializer": small, "bias_initializer": "ones"}


def dense(units: int = 8, activation: Any = None, **more: Any) -> Any:
    import keras

    return keras.layers.Dense(units, activation, **alive(), **more)


def of(layers: list[Any], inputs: Any = (6,)) -> Any:
    import keras

    return keras.Sequential([keras.Input(inputs), *layers])


@kind("Sequential, fused relu")
def sequential() -> Planted:
    model = of([dense(8, "relu", name="a"), dense(7, "relu", name="b"), dense(3)])
    dead = {"a": plant(model.layers[0], 1, 4), "b": plant(model.layers[1], 6)}
    return Planted(model, numbers(40, 6), dead)


@kind("functional, two branches, residual")
def functional() -> Planted:
    import keras

    x = inputs = keras.Input((6,))
    left, right = dense(8, "relu", name="left"), dense(8, "relu", name="right")
    added = keras.layers.Add()([left(x), right(x)])
    last = dense(8, name="last")
    out = dense(2)(keras.layers.ReLU(name="sum")(keras.layers.Add()([last(added), added])))
    model = keras.Model(inputs, out)
    dead = {"left": plant(left, 0, 3), "right": plant(right, 3, 5), "sum": plant(last, 7)}
    return Planted(model, numbers(40, 6), dead)


@kind("functional, keras.ops on its tensors")
def functional_operations() -> Planted:
    import keras

    inputs = keras.Input((6,))
    first, second = dense(8, name="one"), dense(8, name="two")
    x = keras.ops.relu(first(inputs))
    x = keras.activations.relu(second(x), negative_slope=0.0)
    model = keras.Model(inputs, dense(2)(x), name="mine")
    names = [op.name for op in model.operations if type(op).__name__ in ("Relu", "ReLU")]
    dead = dict(zip(names, (plant(first, 2), plant(second, 1, 3)), strict=True))
    return Planted(model, numbers(40, 6), dead)


@kind("subclassed, fused and as a layer")
def subclassed() -> Planted:
    import keras

    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="mine")
            self.first = dense(8, "relu", name="first")
            self.second, self.act = dense(8, name="second"), keras.layers.ReLU(name="act")
            self.last = dense(2, name="last")

        def call(self, x: Any, training: bool = False) -> Any:
            return self.last(self.act(self.second(self.first(x))))

    model = Mine()
    model(numbers(2, 6))
    return Planted(
        model,
        numbers(40, 6),
        {"first": plant(model.first, 5), "act": plant(model.second, 0, 1, 2)},
    )


@kind("subclassed, keras.ops and tf.nn in call")
def in_call() -> Planted:
    import keras
    import tensorflow as tf

    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="mine")
            self.parts = [dense(8, name=f"part{n}") for n in range(6)]

        def call(self, x: Any) -> Any:
            one, two, three, four, five, last = self.parts
            x = keras.ops.relu(one(x))
            x = tf.nn.relu(two(x))
            x = keras.activations.relu(three(x))
            x = tf.nn.elu(four(x))
            x = tf.nn.leaky_relu(five(x), 0.1)
            return last(x)

    model = Mine()
    model(numbers(2, 6))
    parts = [plant(part, n) for n, part in enumerate(model.parts[:5])]
    names = ["mine.relu.1", "mine.relu.2", "mine.relu.3", "mine.elu", "mine.leakyrelu"]
    return Planted(
        model, numbers(40, 6), {**dict(zip(names, parts, strict=True)), "mine.leakyrelu": []}
    )


@kind("layer of one's own, tf.nn in call")
def own_layer() -> Planted:
    import keras
    import tensorflow as tf

    class Block(keras.layers.Layer):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.inner = dense(8)

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return tf.nn.relu(self.inner(x))

    model = of([Block(name="one"), Block(name="two"), dense(2)])
    dead = {
        "one.relu": plant(model.layers[0].inner, 1),
        "two.relu": plant(model.layers[1].inner, 0, 7),
    }
    return Planted(model, numbers(40, 6), dead)


@kind("nested models")
def nested() -> Planted:
    import keras

    inner = of([dense(6, "relu", name="hidden")], (8,))
    inputs = keras.Input((6,))
    outer = dense(8, "relu", name="outer")
    model = keras.Model(
        inputs, dense(2)(of([inner, dense(4, "relu", name="after")], (8,))(outer(inputs)))
    )
    after = model.layers[2].layers[-1]
    dead = {
        "outer": plant(outer, 4),
        "hidden": plant(inner.layers[0], 1, 2),
        "after": plant(after, 3),
    }
    return Planted(model, numbers(40, 6), dead)


@kind("two layers of one name, nested")
def same_names() -> Planted:
    import keras

    one = keras.Sequential([keras.Input((6,)), dense(8, "relu", name="hidden")], name="one")
    two = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden")], name="two")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, dense(2)(two(one(inputs))))
    dead = {"one.hidden": plant(one.layers[0], 4), "two.hidden": plant(two.layers[0], 1, 2)}
    return Planted(model, numbers(40, 6), dead)


@kind("shared layer: dead in every call")
def shared() -> Planted:
    import keras

    a, b = keras.Input((6,)), keras.Input((6,))
    both = dense(8, "relu", name="both")
    model = keras.Model([a, b], dense(2)(keras.layers.Concatenate()([both(a), both(b)])))
    kernel, bias = (np.array(w) for w in both.get_weights())
    kernel[:, 2], bias[2] = 1, 0  # Dead where all inputs are below 0: in the second call alone.
    both.set_weights([kernel, bias])
    dead = {"both": plant(both, 1, 5)}
    return Planted(model, [abs(numbers(40, 6)), -abs(numbers(40, 6))], dead)


@kind("shared activation layer over two dense layers")
def shared_activation() -> Planted:
    import keras

    inputs = keras.Input((6,))
    one, two, act = dense(8, name="one"), dense(8, name="two"), keras.layers.ReLU(name="act")
    model = keras.Model(inputs, dense(2)(act(two(act(one(inputs))))))
    plant(one, 1, 2, 3)
    plant(two, 2, 3, 4)
    return Planted(model, numbers(40, 6), {"act": [2, 3]})


@kind("shared nested model")
def shared_model() -> Planted:
    import keras

    inner = of([dense(6, "relu", name="hidden")], (6,))
    a, b = keras.Input((6,)), keras.Input((6,))
    model = keras.Model([a, b], dense(2)(keras.layers.Concatenate()([inner(a), inner(b)])))
    dead = {"hidden": plant(inner.layers[0], 3)}
    return Planted(model, [numbers(40, 6), numbers(40, 6, seed=1)], dead)


@kind("activation layers")
def activation_layers() -> Planted:
    import keras

    layers = keras.layers
    kinds = {
        "relu": layers.ReLU(name="relu"),
        "relu6": layers.ReLU(6.0, name="relu6"),
        "prelu": layers.PReLU(name="prelu"),
        "elu": layers.ELU(name="elu"),
        "activation": layers.Activation("relu", name="activation"),
        "silu": layers.Activation("silu", name="silu"),
        "gelu": layers.Activation("gelu", name="gelu"),
        "tanh": layers.Activation("tanh", name="tanh"),
        "sigmoid": layers.Activation("sigmoid", name="sigmoid"),
        "selu": layers.Activation("selu", name="selu"),
        "leaky": layers.LeakyReLU(name="leaky"),
    }
    model = of([part for act in kinds.values() for part in (dense(8), act)] + [dense(2)])
    dead = {}
    for number, name in enumerate(kinds):
        dead[name] = plant(model.layers[2 * number], 1, 6)
    return Planted(model, numbers(40, 6), dead | {"leaky": []})


@kind("objects as activation")
def objects() -> Planted:
    import functools

    import keras
    import tensorflow as tf

    class Squared:
        def __call__(self, z: Any) -> Any:
            return keras.ops.square(keras.ops.relu(z))

    kinds = {
        "squared": Squared(),
        "tensorflow": tf.nn.relu,
        "function": lambda z: tf.maximum(z, 0.0),
        "layer": keras.layers.ReLU(name="relu"),
        "partial": functools.partial(keras.activations.leaky_relu, negative_slope=0.3),
    }
    model = of([dense(8, act, name=name) for name, act in kinds.items()] + [dense(2)])
    dead = {name: plant(model.get_layer(name), 2, 3) for name in kinds}
    dead["relu"] = dead.pop("layer")
    return Planted(model, numbers(40, 6), dead | {"partial": []})


@kind("Conv1D, 2D, 3D, depthwise, transposed")
def convolutions() -> Planted:
    import keras

    layers = keras.layers
    small = alive()["kernel_initializer"]
    of_two = {"depthwise_initializer": small, "activation": "relu", "bias_initializer": "ones"}
    more = {"activation": "relu", **alive()}
    made = [
        layers.Conv3D(5, 2, name="three", **more),
        layers.Reshape((5, 5, 25)),
        layers.Conv2D(6, 3, name="two", **more),
        layers.DepthwiseConv2D(2, name="depthwise", **of_two),
        layers.SeparableConv2D(
            4, 2, padding="same", name="separable", pointwise_initializer=small, **of_two
        ),
        layers.Conv2DTranspose(3, 2, name="transposed", **more),
        layers.Reshape((9, 3)),
        layers.Conv1D(7, 2, name="one", **more),
        layers.GlobalAveragePooling1D(),
        dense(2),
    ]
    model = of(made, (6, 6, 6, 1))
    by_name = {layer.name: layer for layer in model.layers}
    dead = {
        "three": plant(by_name["three"], 0, 2),
        "two": plant(by_name["two"], 5),
        "depthwise": plant_channels(by_name["depthwise"], 1, 2),
        "separable": _plant_separable(by_name["separable"], 3),
        "transposed": _plant_transposed(by_name["transposed"], 0),
        "one": plant(by_name["one"], 1, 2, 3),
    }
    return Planted(model, numbers(20, 6, 6, 6, 1), dead)


def _plant_separable(layer: Any, unit: int) -> list[int]:
    depthwise, pointwise, bias = (np.array(w) for w in layer.get_weights())
    pointwise[..., unit], bias[unit] = 0, SHUT
    layer.set_weights([depthwise, pointwise, bias])
    return [unit]


def _plant_transposed(layer: Any, unit: int) -> list[int]:
    kernel, bias = (np.array(w) for w in layer.get_weights())
    kernel[..., unit, :], bias[unit] = 0, SHUT
    layer.set_weights([kernel, bias])
    return [unit]


@kind("after BatchNormalization")
def normalised() -> Planted:
    import keras

    layers = keras.layers
    small = alive()["kernel_initializer"]
    model = of(
        [
            layers.Conv2D(6, 3, use_bias=False, kernel_initializer=small),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="channels"),
            layers.Flatten(),
            layers.Dense(8, use_bias=False, kernel_initializer=small),
            layers.BatchNormalization(name="norm2"),
            layers.Activation("relu", name="units"),
            layers.Dropout(0.5),
            layers.GaussianNoise(0.5),
            dense(2),
        ],
        (8, 8, 1),
    )
    dead = {}
    for norm, name in (("norm", "channels"), ("norm2", "units")):
        layer = model.get_layer(norm)
        gamma, beta, *moving = (np.array(w) for w in layer.get_weights())
        gamma[[1, 3]], beta[[1, 3]] = 0, -1
        layer.set_weights([gamma, beta + (gamma > 0), *moving])
        dead[name] = [1, 3]
    return Planted(model, numbers(30, 8, 8, 1), dead)


@kind("Dense and TimeDistributed over sequences")
def over_time() -> Planted:
    import keras

    layers = keras.layers
    inner = dense(6, "relu", name="inner")
    model = of(
        [
            dense(8, "relu", name="plain"),
            layers.TimeDistributed(inner, name="wrapped"),
            layers.GlobalAveragePooling1D(),
            dense(2),
        ],
        (5, 4),
    )
    dead = {"plain": plant(model.get_layer("plain"), 0), "inner": plant(inner, 2, 4)}
    return Planted(model, numbers(30, 5, 4), dead)


@kind("transformer block on tokens")
def transformer() -> Planted:
    import keras

    layers = keras.layers
    tokens = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    mlp = dense(16, "relu", name="mlp")
    smooth = dense(16, "gelu", name="smooth")
    y = layers.Dropout(0.1)(dense(8)(smooth(dense(8)(mlp(x)))))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    model = keras.Model(tokens, dense(2)(layers.GlobalAveragePooling1D()(x)))
    dead = {"mlp": plant(mlp, 3, 9, 15), "smooth": plant(smooth, 0)}
    return Planted(model, np.random.default_rng(0).integers(0, 20, (30, 7)), dead)


@kind("LSTM, GRU and a dense part")
def recurrent() -> Planted:
    import keras

    layers = keras.layers
    head = dense(8, "relu", name="head")
    model = of(
        [
            layers.LSTM(5, return_sequences=True, name="lstm"),
            layers.Bidirectional(layers.GRU(4, return_sequences=True, name="gru"), name="both"),
            layers.SimpleRNN(4, activation="relu", name="simple"),
            head,
            dense(2),
        ],
        (6, 3),
    )
    dead = {"head": plant(head, 1)}
    unseen = ("lstm", "forward_gru", "backward_gru", "simple")
    return Planted(model, numbers(30, 6, 3), dead, unseen)


@kind("ReLU by hand, tf.maximum")
def by_hand() -> Planted:
    import keras
    import tensorflow as tf

    class ByHand(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.maximum(x, 0.0)

    model = of([dense(8), ByHand(name="mine"), dense(8, "relu", name="seen"), dense(2)])
    return Planted(model, numbers(30, 6), {"seen": plant(model.layers[2], 4)}, ("mine",))


@kind("a tf.function within a model")
def in_a_function() -> Planted:
    import keras
    import tensorflow as tf

    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="mine")
            self.first, self.last = dense(8, "relu", name="first"), dense(2)

        @tf.function
        def call(self, x: Any) -> Any:
            return self.last(tf.nn.relu(self.first(x)))

    model = Mine()
    model(numbers(2, 6))
    dead = plant(model.first, 2, 3)
    return Planted(model, numbers(30, 6), {"first": dead, "mine.relu": dead})


@kind("a loop, and functions that are none of one value")
def not_seen() -> Planted:
    import keras
    import tensorflow as tf

    class Loop(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.while_loop(lambda n, _: n < 2, lambda n, x: (n + 1, tf.nn.relu(x)), (0, x))[1]

    none = {
        "norm": lambda z: z / tf.norm(z),
        "by_input": lambda z: z / tf.norm(z, axis=-1, keepdims=True),
        "batch": lambda z: tf.nn.relu(z - tf.reduce_mean(z, axis=0)),
        "random": lambda z: z * tf.random.uniform(tf.shape(z)),
        "step": lambda z: tf.cast(z > 0, tf.float32),
        "sign": tf.sign,
        "softmax": "softmax",
    }
    hidden = [dense(8, function, name=name) for name, function in none.items()]
    model = of([*hidden, Loop(name="loop"), dense(8, "relu", name="seen"), dense(2, "softmax")])
    return Planted(model, numbers(30, 6), {"seen": plant(model.layers[-2], 4)}, (*none, "loop"))


@kind("inputs as a list")
def list_of_inputs() -> Planted:
    import keras

    a, b = keras.Input((6,)), keras.Input((5, 5, 1))
    left = dense(8, "relu", name="left")
    right = keras.layers.Conv2D(4, 2, activation="relu", name="right", **alive())
    joined = keras.layers.Concatenate()([left(a), keras.layers.GlobalMaxPooling2D()(right(b))])
    model = keras.Model([a, b], dense(2)(joined))
    dead = {"left": plant(left, 7), "right": plant(right, 0, 1)}
    return Planted(model, [numbers(30, 6), numbers(30, 5, 5, 1)], dead)


@kind("inputs as a dict")
def dict_of_inputs() -> Planted:
    import keras

    inputs = {"wide": keras.Input((6,), name="wide"), "deep": keras.Input((3,), name="deep")}
    left, right = dense(8, "relu", name="left"), dense(4, "relu", name="right")
    joined = keras.layers.Concatenate()([left(inputs["wide"]), right(inputs["deep"])])
    model = keras.Model(inputs, {"one": dense(2, name="one")(joined), "two": dense(1)(joined)})
    dead = {"left": plant(left, 7), "right": plant(right, 0, 1)}
    return Planted(model, {"deep": numbers(30, 3), "wide": numbers(30, 6)}, dead)


def _of_dtype(policy: str) -> Planted:
    import keras

    layers = keras.layers
    more = {"activation": "relu", "dtype": policy, **alive()}
    model = of(
        [
            layers.Conv2D(4, 3, name="conv", **more),
            layers.Flatten(dtype=policy),
            layers.Dense(8, name="dense", **more),
            layers.Dense(8, name="pre", dtype=policy),
            layers.Activation("gelu", dtype=policy, name="gelu"),
            layers.Dense(2, dtype="float32"),
        ],
        (6, 6, 1),
    )
    dead = {"conv": plant(model.layers[0], 2), "dense": plant(model.layers[2], 3, 5)}
    return Planted(model, numbers(30, 6, 6, 1), {**dead, "gelu": plant(model.layers[3], 0)})


@kind("mixed_float16")
def half() -> Planted:
    return _of_dtype("mixed_float16")


@kind("float64")
def double() -> Planted:
    return _of_dtype("float64")


@kind("mixed_bfloat16")
def brain() -> Planted:
    return _of_dtype("mixed_bfloat16")
