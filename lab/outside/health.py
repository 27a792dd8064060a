"""What is measured of a network's hidden layers, before anything is called wrong."""

import dataclasses
import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.census import BoolArray, UnitSummaries, units
from lab.errors import RunError
from lab.layout import Site
from lab.outside.backward import Reached
from lab.outside.rules import STILL
from lab.runs import Run


@dataclass(frozen=True, eq=False)
class Health:
    """What one hidden layer does on the inputs of a census.

    A unit counts once: as dead, else as nearly dead, constant or dormant.

    Attributes:
        site: The layer.
        summaries: What each of its units does.
    """

    site: Site
    summaries: UnitSummaries

    @functools.cached_property
    def dead(self) -> BoolArray:
        """Units whose gate is 0 on every input."""
        return units.dead(self.summaries)

    @functools.cached_property
    def shut(self) -> BoolArray:
        """Units that are dead or nearly dead."""
        return units.nearly_dead(self.summaries) | self.dead

    @functools.cached_property
    def dormant(self) -> BoolArray:
        """Other units whose mean |a| is at most 0.025 of the layer's, and that vary."""
        return units.dormant(self.summaries) & ~self.shut & ~self._still

    @functools.cached_property
    def constant(self) -> BoolArray:
        """Other units that give the same value for every input, compared with layer or mean."""
        of_layer = units.constant(self.summaries) | self._still
        return of_layer & self.summaries.finite & ~self.shut & ~self.dormant

    @functools.cached_property
    def saturated(self) -> float | None:
        """Share of the values of a that are not 0, and where the gate is shut; None if unknown."""
        one = self.summaries
        if np.isnan(one.sup_gate) or not one.finite.any():
            return None
        flat = np.maximum(one.shut.astype(float) - one.zeros, 0)
        return float(flat[one.finite].mean() / one.images)

    @property
    def is_shut(self) -> bool:
        """Whether it lets no gradient through."""
        return bool(self.shut.all())

    @property
    def is_still(self) -> bool:
        """Whether it gives the same for every input."""
        return bool(self.summaries.finite.all() and self._still.all())

    @property
    def _still(self) -> BoolArray:
        return np.asarray(self.summaries.sd <= STILL * self.summaries.mean_abs)

    def z_range(self, which: BoolArray) -> tuple[float, float]:
        """Returns the smallest and the largest z of some units."""
        one = self.summaries
        return float(one.min_z[which].min()), float(one.max_z[which].max())


@dataclass(frozen=True, eq=False)
class Measured:
    """What a census says about a network.

    Attributes:
        run: The census, as a run.
        reached: The gradient at each hidden layer, if it is known.
    """

    run: Run
    reached: Reached | None

    @functools.cached_property
    def layers(self) -> list[Health]:
        """Its hidden layers, at the last epoch."""
        numbers = self.run.layers
        return [Health(self._site(n), self.run.last_summaries(n)) for n in numbers]

    def _site(self, number: int) -> Site:
        return self.run.layout.sites[number - 1]

    @property
    def inputs(self) -> int:
        """On how many inputs it was observed."""
        return self.run.record.probe_images

    def history(self, place: int) -> list[Health]:
        """Returns a layer, from 0, at every epoch."""
        whole = self.run.layer(place + 1)
        return [
            Health(
                self._site(place + 1),
                dataclasses.replace(whole, **{n: getattr(whole, n)[at] for n in units.ARRAYS}),
            )
            for at in range(self.run.last_epoch + 1)
        ]

    @functools.cached_property
    def ratios(self) -> NDArray[np.float64]:
        """The gradient relative to the last layer's, shape (parts + 1, layers); NaN: unknown."""
        if self.reached is None:
            return np.full((1, len(self.layers)), np.nan)
        return self.reached.ratios()

    @functools.cached_property
    def weights(self) -> dict[str, NDArray[np.float32]] | None:
        """The arrays of weights, by name; None if they were not kept."""
        try:
            return dict(self.run.weights(self.run.last_epoch).named)
        except RunError:
            return None

    @functools.cached_property
    def broken(self) -> Counter[str]:
        """How many weights of each layer, with or without a function, are not finite."""
        owners = {
            array: site.name for site in self.run.layout.sites for array in (site.kernel, site.bias)
        }
        found: Counter[str] = Counter()
        for name, array in (self.weights or {}).items():
            owner = owners.get(name) or name.rpartition(".")[0] or name
            found[owner] += int((~np.isfinite(array)).sum())
        return +found

    def below(self, place: int) -> Health | None:
        """Returns the layer that a layer, from 0, takes from; of an unknown one, the one before."""
        below = self.layers[place].site.below
        before = place - 1 if below is None else below - 1
        return self.layers[before] if before >= 0 else None
