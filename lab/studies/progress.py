"""The progress of a training on stderr, for callers from Python."""

import contextlib
from collections.abc import Generator, Sequence

from lab.experiment import Dataset, RunConfig
from lab.training import EpochEnd, Event, Phase, Progress, RunEnd


def with_progress(
    events: Generator[Event], configs: Sequence[RunConfig], dataset: Dataset
) -> Generator[Event]:
    """Passes on the events of a training, and shows its progress on stderr."""
    from tqdm.auto import tqdm

    done = [0] * len(configs)
    with (
        contextlib.closing(events),
        tqdm(total=sum(c.epochs for c in configs), unit=" epochs") as bar,
    ):
        for event in events:
            if isinstance(event, Phase):
                bar.set_description(event.text, refresh=True)
            else:
                bar.set_description(f"{dataset.name}, training", refresh=False)
                done[event.run] = max(done[event.run], _epochs_done(event, configs[event.run]))
                bar.update(sum(done) - bar.n)
            yield event


def _epochs_done(event: Progress | EpochEnd | RunEnd, config: RunConfig) -> int:
    if isinstance(event, RunEnd):
        return config.epochs  # Also of one that diverged: nothing of it is left to do.
    return event.epoch if isinstance(event, EpochEnd) or event.share == 1 else event.epoch - 1
