"""What a unit does on the probe set: its summaries, every measure made of them, its life.

A unit is dead if its gate f'(z) is 0 on every image; all other measures are functions of the same
summaries, one line each.
"""

from lab.census import clones, lives, units
from lab.census.units import COUNTS, GREATEST, SUMMED, SUMS, BoolArray, UnitSummaries

__all__ = [
    "COUNTS",
    "GREATEST",
    "SUMMED",
    "SUMS",
    "BoolArray",
    "UnitSummaries",
    "clones",
    "lives",
    "units",
]
