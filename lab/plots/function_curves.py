"""Activation functions and their derivatives as curves."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.experiment import RunConfig
from lab.plots.canvas import axes, beside, fixed_figure, in_lines, style
from lab.plots.palette import INK, SILVER
from lab.plots.styles import legend_above, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def functions(
    choices: Iterable[str] = ("relu", "leaky_relu", "elu"),
    derivative: bool = False,
    ax: "Axes | None" = None,
    reach: float = 4.0,
) -> "Axes":
    """Draws several activation functions f(z), or their derivatives f'(z), around z = 0.

    Args:
        choices: Names, each with a parameter if wanted: `leaky_relu=0.1`.
        derivative: Whether to draw f' in place of f.
        ax: Where to draw.
        reach: The largest |z|.

    Raises:
        InputError: If a name or a parameter is not valid.
    """
    configs = [RunConfig(activation=choice) for choice in choices]
    z = np.linspace(-reach, reach, 801)
    with axes(ax) as ax:
        for config, curve in zip(configs, styles_of(configs), strict=True):
            values = broken(config.gate(z)) if derivative else config.f(z)
            ax.plot(z, values, lw=2.5, **(curve.options | {"marker": ""}))
        ax.set(xlabel="pre-activation z", ylabel="gate f'(z)" if derivative else "activation f(z)")
        if configs:
            ax.legend(handlelength=3)
    return ax


def function_pair(
    choices: Iterable[str], z: NDArray[Any] | None = None, reach: float | None = None
) -> "Figure":
    """Draws activation functions on the left and their derivatives on the right.

    Args:
        choices: Names, each with a parameter if wanted.
        z: Pre-activations of any shape, drawn as a histogram behind the curves.
        reach: The largest |z|; by default as far as 99 % of the pre-activations reach.
    """
    choices = list(choices)
    reach = _least_reach(z, reach)
    figure = fixed_figure((11, 4), left=0.06, right=0.94, bottom=0.14, top=0.97, wspace=0.42)
    with style():
        for ax, derivative in zip(figure.subplots(1, 2), (False, True), strict=True):
            functions(choices, derivative, ax, reach)
            if legend := ax.get_legend():
                legend.remove()  # One above serves both.
            if z is not None:
                _histogram_behind(ax, z, reach)
        legend_above(figure, styles_of([RunConfig(activation=choice) for choice in choices]))
    return figure


def _least_reach(z: NDArray[Any] | None, reach: float | None) -> float:
    if reach is None:
        finite = np.abs(z[np.isfinite(z)]) if z is not None else np.zeros(0)
        reach = float(np.percentile(finite, 99)) if finite.size else 0.0
    return max(4.0, math.ceil(reach))


def _histogram_behind(ax: "Axes", z: NDArray[Any], reach: float) -> None:
    behind = beside(ax)
    counts, edges = np.histogram(z, bins=100, range=(-reach, reach))
    behind.stairs(100 * counts / z.size, edges, fill=True, color=SILVER)
    behind.set_ylabel("share of pre-activations, %")
    ax.set_zorder(behind.get_zorder() + 1)
    ax.patch.set_visible(False)


def with_derivative(choice: str, ax: "Axes | None" = None) -> "Axes":
    """Draws one activation function, thick, and its derivative, thin and black.

    Args:
        choice: Its name, with a parameter if wanted.
        ax: Where to draw.
    """
    config = RunConfig(activation=choice)
    z = np.linspace(-4.0, 4.0, 801)
    with axes(ax, (4.5, 4.0)) as ax:
        [own] = styles_of([config])
        ax.plot(z, config.f(z), ls=own.line, color=own.colour, lw=4, label="f(z)")
        ax.plot(z, broken(config.gate(z)), color=INK, lw=1.4, label="f'(z)")
        ax.set(title=in_lines(config.title), xlim=(-4, 4), ylim=(-1.9, 4), xlabel="z")
        ax.set_xticks(range(-4, 5, 2))
    return ax


def broken(values: NDArray[Any]) -> NDArray[Any]:
    """Breaks a line where it jumps, so that a jump is not drawn as a slope."""
    steps = np.abs(np.diff(values, prepend=values[0], append=values[-1]))
    beside = np.maximum(steps[:-2], steps[2:])
    jumps = (steps[1:-1] > 0.1) & (steps[1:-1] > 5 * beside)
    return np.where(np.append(jumps, False), np.nan, values)
