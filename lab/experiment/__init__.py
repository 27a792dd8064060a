"""What a run is, before it is trained: its settings, grids of them, and the data sets.

The settings and the data set's digest are a run's identity; the seed fixes all that is random.
"""

from lab.experiment import grids, sources, spelling
from lab.experiment.archives import BROKEN, open_archive
from lab.experiment.config import (
    LARGEST_SEED,
    MOST_EPOCHS,
    MOST_PIXELS,
    OWN_NETWORKS,
    SHAPES,
    Initializer,
    RunConfig,
)
from lab.experiment.data import Dataset, IndexArray, Split, fitted, split, stratified_order
from lab.experiment.grids import (
    VARIABLE,
    Plan,
    check_values,
    grid,
    read_plan,
    read_seeds,
    read_vary,
)
from lab.experiment.joining import join_datasets
from lab.experiment.sources import (
    NAMES,
    available,
    is_checked,
    load_dataset,
    load_recorded,
    write_npz,
)
from lab.experiment.spelling import VARIED, differences, differing, remedies, value_words, words_of
from lab.experiment.tasks import Task, task_dataset, task_in, task_of

__all__ = [
    "BROKEN",
    "LARGEST_SEED",
    "MOST_EPOCHS",
    "MOST_PIXELS",
    "NAMES",
    "OWN_NETWORKS",
    "SHAPES",
    "VARIABLE",
    "VARIED",
    "Dataset",
    "IndexArray",
    "Initializer",
    "Plan",
    "RunConfig",
    "Split",
    "Task",
    "available",
    "check_values",
    "differences",
    "differing",
    "fitted",
    "grid",
    "grids",
    "is_checked",
    "join_datasets",
    "load_dataset",
    "load_recorded",
    "open_archive",
    "read_plan",
    "read_seeds",
    "read_vary",
    "remedies",
    "sources",
    "spelling",
    "split",
    "stratified_order",
    "task_dataset",
    "task_in",
    "task_of",
    "value_words",
    "words_of",
    "write_npz",
]
