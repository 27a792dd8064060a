"""What the census costs as a callback of Keras's `fit`, of one epoch of a convolutional network.

    uv run python tests/benchmarks/outside.py

Conv 16, Conv 32 with stride 2, Dense 64; 48,000 images of MNIST, batches of 128; a probe of 9,600.
Epochs with and without take turns, so that a machine whose speed drifts is fair to both.
"""

import time
from typing import Any

import keras
import numpy as np
import typer

import lab

layers = keras.layers
LIMIT = 0.10


def network() -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def seconds(work: Any) -> tuple[float, float]:
    """Returns the time on the clock, and that of all cores."""
    clock, cores = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cores


def main(rounds: int = 5, dataset: str = "mnist", images: int = 48_000) -> None:
    """Prints the shares, of the best of some rounds."""
    model = network()  # Before the lab loads TensorFlow: it has all cores, as a user's own.
    data = lab.load_dataset(dataset)
    x = (data.x_train[:images] / np.float32(255))[..., None]
    y = data.y_train[:images].astype(np.int32)
    census = lab.Census(x[: images // 5])
    model.fit(x[:1280], y[:1280], batch_size=128, verbose=0)
    first, _ = seconds(lambda: (census.set_model(model), census.on_train_begin()))
    plain, observed = [], []
    for _ in range(rounds):
        plain.append(seconds(lambda: model.fit(x, y, batch_size=128, verbose=0)))
        observed.append(seconds(census._observer.observe))
    epoch, cost = (np.min(found, axis=0) for found in (plain, observed))
    print(f"before the first step: {first:.1f} s")
    for name, of_epoch, of_census in zip(("clock", "cores"), epoch, cost, strict=True):
        share = of_census / of_epoch
        print(f"{name}: epoch {of_epoch:.2f} s, census {of_census:.2f} s, {share:.1%} of an epoch")
    print(f"limit: {LIMIT:.0%}")


if __name__ == "__main__":
    typer.run(main)
