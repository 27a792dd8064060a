"""The inputs of a network, such as images, on which a census is taken, batch by batch."""

import functools
import hashlib
import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lab.errors import InputError

Batch = tuple[Any, Any]
WANTED = (
    "probe must be an array of inputs, a list or dict of arrays for several inputs, a tuple (x, y) "
    "with labels, or a tf.data.Dataset of batches"
)


class Probe:
    """Inputs, with labels or without, that can be gone through again and again.

    Arrays can be larger than the memory, such as NumPy's memmap: only a batch is read at a time.

    Attributes:
        inputs: An array, or a list or dict of arrays, or a `tf.data.Dataset`.
        labels: An array, or None.
        images: How many inputs there are.
        digest: SHA-256 of their content, shapes and types.
    """

    def __init__(self, given: Any) -> None:
        """Reads all inputs once: to count them, to check them, and for their digest.

        Raises:
            InputError: If they are neither arrays nor a `tf.data.Dataset`, or if they are empty, of
                different lengths, or not numbers.
        """
        self._dataset = given if hasattr(given, "element_spec") else None
        labelled = isinstance(given, tuple) and len(given) == 2
        self.inputs: Any = given[0] if labelled else given
        self.labels: Any = given[1] if labelled else None
        if self._dataset is None:
            self._check_arrays()
        self.images, self.digest = self._read()

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one input; None if there are several, or if they come as a `Dataset`."""
        shape = getattr(self.inputs, "shape", None)
        return None if shape is None else tuple(int(n) for n in shape[1:])

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields inputs and labels, or None, in order; the last batch may be smaller.

        Args:
            size: How many in a batch; a `Dataset` has its own batches.
        """
        if self._dataset is not None:
            for batch in self._dataset:
                yield batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)
            return
        for start in range(0, self.images, size):
            part = functools.partial(_part, slice(start, min(start + size, self.images)))
            yield (
                _mapped(part, self.inputs),
                None if self.labels is None else part(self.labels),
            )

    def _check_arrays(self) -> None:
        arrays = _flat(self.inputs)
        if not all(hasattr(array, "shape") and hasattr(array, "dtype") for array in arrays):
            raise InputError(f"{WANTED}, not {reprlib.repr(self.inputs)}.")
        lengths = {len(array) if len(array.shape) else 0 for array in arrays} or {0}
        if self.labels is not None:
            if not len(getattr(self.labels, "shape", ())):
                raise InputError(f"{WANTED}; these labels are {reprlib.repr(self.labels)}.")
            lengths.add(len(self.labels))
        if lengths == {0}:
            raise InputError("probe must hold at least one input; it is empty.")
        if len(lengths) > 1:
            raise InputError(
                f"probe must hold as many of each input and label: these are {sorted(lengths)}."
            )
        self.images = lengths.pop()

    def _read(self) -> tuple[int, str]:
        digest, images = hashlib.sha256(), 0
        for x, y in self.batches(1000):
            arrays = [np.asarray(array) for array in (*_flat(x), *([] if y is None else [y]))]
            for array in arrays:
                _check_numbers(array, images)
                digest.update(f"{array.dtype}{array.shape[1:]}".encode())
                digest.update(np.ascontiguousarray(array).data)
            images += len(arrays[0])
        if not images:
            raise InputError("probe must hold at least one input; it is empty.")
        return images, digest.hexdigest()


def inputs_in(x: Any) -> int:
    """Returns how many inputs a batch holds."""
    return len(_flat(x)[0])


def _check_numbers(array: Any, before: int) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(f"probe must hold numbers, not the type {array.dtype}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        raise InputError(
            f"probe must hold only finite numbers; input {before + int(bad.argmax())} has NaN or "
            f"infinity in it."
        )


def _part(part: slice, array: Any) -> Any:
    return np.asarray(array[part])


def _flat(inputs: Any) -> list[Any]:
    if isinstance(inputs, dict):
        return list(inputs.values())
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _mapped(function: Any, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return {name: function(array) for name, array in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [function(array) for array in inputs]
    return function(inputs)
