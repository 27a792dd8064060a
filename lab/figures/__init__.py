"""Whole figures with a name, a caption and their words, ready to save: of runs, studies, neurons.

Each combines plots of `lab.plots`, which draw on one pair of axes.
"""

from lab.figures import captioned, of_analyses, of_neurons, of_studies
from lab.figures.captioned import CaptionedFigure
from lab.figures.gallery import write_gallery
from lab.figures.of_analyses import removal
from lab.figures.of_filters import filters
from lab.figures.of_neurons import digits, life_over_tasks, portrait
from lab.figures.of_redundancy import redundancy
from lab.figures.of_runs import (
    Curve,
    dead_neurons,
    ladders,
    learning_curves,
    life_maps,
    live_figure,
    lives_and_deaths,
    pictures,
    race_figure,
)
from lab.figures.of_studies import forest
from lab.figures.of_tasks import over_tasks

__all__ = [
    "CaptionedFigure",
    "Curve",
    "captioned",
    "dead_neurons",
    "digits",
    "filters",
    "forest",
    "ladders",
    "learning_curves",
    "life_maps",
    "life_over_tasks",
    "live_figure",
    "lives_and_deaths",
    "of_analyses",
    "of_neurons",
    "of_studies",
    "over_tasks",
    "pictures",
    "portrait",
    "race_figure",
    "redundancy",
    "removal",
    "write_gallery",
]
