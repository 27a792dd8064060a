"""What to train: comparisons and sweeps, in this process or in others, and training a run again.

What is recorded is never trained a second time.
"""

from lab.studies import workers
from lab.studies.continual import continual, plan_tasks
from lab.studies.progress import HowFar, epochs_done, with_progress
from lab.studies.study import TRIO, Study, compare, finish, gather, plan
from lab.studies.sweeps import sweep
from lab.studies.verify import judge, repetition
from lab.studies.workers import Workers

__all__ = [
    "TRIO",
    "HowFar",
    "Study",
    "Workers",
    "compare",
    "continual",
    "epochs_done",
    "finish",
    "gather",
    "judge",
    "plan",
    "plan_tasks",
    "repetition",
    "sweep",
    "with_progress",
    "workers",
]
