"""The gradient of the loss that reaches each activation site of a Keras model, without training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.outside.observer import Loss, Observer

PARTS = 10
FITS = 1e-7  # The gradient of a smaller loss is 0 in float32.


@dataclass(frozen=True, eq=False)
class Reached:
    """The gradient of the loss at each site.

    Attributes:
        loss: The name of the loss; None if the network's outputs are not finite.
        fits: Whether the loss is 0 except for rounding, so that it has no gradient.
        norms: Root mean square over the inputs of the Euclidean norm of the gradient of an input's
            loss by z, shape (parts of the inputs, sites).
        sizes: How many inputs each part has.
    """

    loss: str | None
    fits: bool
    norms: NDArray[np.float64]
    sizes: NDArray[np.int64]

    def ratios(self) -> NDArray[np.float64]:
        """Returns the norms relative to the last site's that is not 0; 0 where all are 0.

        Shape (parts + 1, sites): those on each part, and last, those on all inputs.
        """
        weights = self.sizes[:, None] / self.sizes.sum()
        of_all = np.sqrt((weights * self.norms**2).sum(axis=0))
        rows = np.vstack([self.norms, of_all])
        last = np.array([next((n for n in row[::-1] if n), 1.0) for row in rows])
        with np.errstate(invalid="ignore"):  # Infinity by infinity: a network that overflowed.
            return np.asarray(rows / last[:, None])


def reached(observer: Observer) -> Reached:
    """Measures the gradient at each site, on all inputs of the observer's probe.

    Args:
        observer: What observes the model; its probe has labels.

    Raises:
        InputError: If the gradient cannot be taken, with the reason.
    """
    probe = observer.probe
    x, y = next(probe.batches(min(probe.images, 100)))
    if y is None:
        raise InputError("the data has no labels; give (x, y), or an array y in the file")
    outputs = observer.outputs(x)
    if not hasattr(outputs, "shape"):
        raise InputError("the model has several outputs")
    outputs = np.asarray(outputs)
    if not np.isfinite(outputs).all():
        unknown = np.full((1, len(observer.layout.sites)), np.nan)
        return Reached(None, False, unknown, np.array([probe.images]))
    labels = np.asarray(y if probe.labels is None else probe.labels)
    name, loss = _loss_of(observer.model, outputs, labels)
    found = list(observer.gradients(loss, max(1, probe.images // PARTS)))
    sizes = np.array([size for _, _, size in found])
    total = float(sum(loss for _, loss, _ in found))
    squares = np.array([one for one, _, _ in found], np.float64)
    norms = np.sqrt(squares / sizes[:, None])
    return Reached(name, total <= FITS * sizes.sum(), norms, sizes)


def _loss_of(model: Any, outputs: NDArray[Any], y: NDArray[Any]) -> tuple[str, Loss]:
    """Returns the model's own loss, or the usual one for these labels and outputs, by its name."""
    import keras

    given = getattr(model, "loss", None)
    if isinstance(given, str | keras.losses.Loss):
        loss = keras.losses.get(given)
        name = str(getattr(loss, "name", None) or getattr(loss, "__name__", given))
        return name, lambda y, outputs: loss(_like(y, outputs), outputs)
    name, choices = _usual(outputs, y)
    function = getattr(keras.losses, name)
    return name, lambda y, outputs: function(_like(y, outputs), outputs, **choices)


def _like(y: Any, outputs: Any) -> Any:
    """Gives labels the axis that a single output has, as `fit` does."""
    is_flat = outputs.shape[-1] == 1 and y.shape.rank == outputs.shape.rank - 1
    return y[..., None] if is_flat else y


def _usual(outputs: NDArray[Any], y: NDArray[Any]) -> tuple[str, dict[str, bool]]:
    """Returns the name of the usual loss, and whether it is of scores before a softmax."""
    classes, whole = outputs.shape[-1], bool(np.all(y == np.round(y)))
    plain, is_class = y.size == len(y), outputs.ndim == 2
    between = bool(np.all((outputs >= 0) & (outputs <= 1)))
    is_softmax = between and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)
    if is_class and classes > 1 and plain and whole:
        if y.min() < 0 or y.max() >= classes:
            raise InputError(
                f"the labels must be from 0 to {classes - 1}, because the model has "
                f"{classes} outputs; they are from {y.min():g} to {y.max():g}"
            )
        return "sparse_categorical_crossentropy", {"from_logits": not is_softmax}
    if is_class and classes == 1 and plain and set(np.unique(y)) <= {0, 1}:
        return "binary_crossentropy", {"from_logits": not between}
    if y.shape[1:] == outputs.shape[1:] or (classes == 1 and plain):
        if classes > 1 and whole and y.min() >= 0 and np.all(y.sum(axis=-1) == 1):
            return "categorical_crossentropy", {"from_logits": not is_softmax}
        return "mean_squared_error", {}
    raise InputError(
        f"labels of shape {y.shape[1:]} fit no usual loss of outputs of shape {outputs.shape[1:]}; "
        f"compile the model with its loss"
    )
