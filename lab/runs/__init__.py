"""Recorded runs: reading them as if a stranger had written them, and their tables.

A run's folder, a collection of runs with its tables, why neurons died, one neuron, measures at the
end. Nothing here writes a run.
"""

from lab.runs import causes, measures, neurons, spreadsheets
from lab.runs.collection import Runs, each
from lab.runs.measures import (
    BY_TASK,
    CURVES,
    Better,
    Measure,
    by_task,
    dead_share,
    first_and_last,
    layer_words,
    measure,
    recorded,
)
from lab.runs.neurons import LayerView, Neuron
from lab.runs.record import (
    ARRAY_FILE,
    ENDED,
    LARGEST_RECORD,
    LOCK,
    RECORD,
    RUN_ID,
    ArrayFile,
    Arrays,
    EpochNumbers,
    Outside,
    Record,
    most_bytes,
    read_arrays,
    read_content,
    read_record,
)
from lab.runs.run import (
    NO_FILE_INSTEAD,
    Run,
    data_of,
    have_the_same_bits,
    iterate,
    lock_of,
    one_run,
    task_numbers_of_both,
)
from lab.runs.spreadsheets import to_csv
from lab.runs.tables import BY_LAYER, IDENTITY, TASK_RESULTS, tasks_words

__all__ = [
    "ARRAY_FILE",
    "BY_LAYER",
    "BY_TASK",
    "CURVES",
    "ENDED",
    "IDENTITY",
    "LARGEST_RECORD",
    "LOCK",
    "NO_FILE_INSTEAD",
    "RECORD",
    "RUN_ID",
    "TASK_RESULTS",
    "ArrayFile",
    "Arrays",
    "Better",
    "EpochNumbers",
    "LayerView",
    "Measure",
    "Neuron",
    "Outside",
    "Record",
    "Run",
    "Runs",
    "by_task",
    "causes",
    "data_of",
    "dead_share",
    "each",
    "first_and_last",
    "have_the_same_bits",
    "iterate",
    "layer_words",
    "lock_of",
    "measure",
    "measures",
    "most_bytes",
    "neurons",
    "one_run",
    "read_arrays",
    "read_content",
    "read_record",
    "recorded",
    "spreadsheets",
    "task_numbers_of_both",
    "tasks_words",
    "to_csv",
]
