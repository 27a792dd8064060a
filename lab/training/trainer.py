"""The trainer: many runs side by side on one machine, each the same to the bit as if alone.

`train` is an iterator of events. Between pulls only the pieces of work already begun go on. So to
stop, stop pulling; to pause, wait before the next pull.

Each run advances in pieces of about a quarter of a second on a pool with one thread to a core.
A piece calls one compiled program, shared by all runs of one activation function, optimiser and
shape; a run's weights and optimiser state are `tf.Variable` arguments, updated in place.
"""

import functools
import itertools
import time
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.census import BoolArray, UnitSummaries, clones, units
from lab.experiment import Dataset, IndexArray, RunConfig, Task, task_of
from lab.layout import Weights
from lab.network import (
    activations,
    first_weights,
    generator_seeds,
    learning_rates,
    numbers_of,
    program,
    recipe_of,
)
from lab.system import (
    check_modes,
    condition_warnings,
    cores,
    is_tensorflow_loaded,
    load_tensorflow,
    lower_priority,
    pulled_in_own_thread,
)
from lab.training.events import EpochEnd, Event, Phase, Progress, RunEnd, State
from lab.training.replacement import mature_steps, next_step, of_least_use, one_unit

PIECE_SECONDS = 0.25
FRESH, RESET = 0x7A5F, 0x7A60  # Keep weights that are drawn later apart from the first ones.


@pulled_in_own_thread
def train(
    configs: Sequence[RunConfig], dataset: Dataset, states: Mapping[int, State] | None = None
) -> Generator[Event]:
    """Trains runs side by side and yields what happens, as it happens.

    Args:
        configs: The runs to train.
        dataset: The images to train, validate and test on.
        states: The states of runs that resume, by the run's position.

    Yields:
        `Phase` before work that takes seconds; `Progress` several times a second; `EpochEnd` for
        epoch 0 and each trained epoch; `RunEnd` once a run is done.

    Raises:
        InputError: If settings do not fit the data set, before any training.
    """
    states = states or {}
    tasks = [task_of(dataset, config) for config in configs]
    if not is_tensorflow_loaded():
        yield Phase("loading TensorFlow")
    images = Images(dataset)
    check_modes(load_tensorflow())
    for sentence in condition_warnings():
        warnings.warn(sentence, stacklevel=2)
    yield Phase("compiling")
    yield from _side_by_side(
        [
            Trainee(index, config, tasks[index], images, states.get(index) or first_state(config))
            for index, config in enumerate(configs)
        ]
    )


@pulled_in_own_thread
def prepare(configs: Sequence[RunConfig], dataset: Dataset) -> Generator[None]:
    """Does beforehand what `train` would wait for: loads TensorFlow, compiles the runs' programs.

    It compiles at low priority.

    Args:
        configs: The runs that may be trained.
        dataset: The images they would be trained on.

    Yields:
        Nothing, after each piece of work of a second or so: the place to stop.
    """
    load_tensorflow()
    yield
    lower_priority()  # Not before: the threads of TensorFlow's own would have it for ever.
    images = Images(dataset)
    kinds = {(id(program(c)), c.batch_size, c.train_size, c.tasks): c for c in configs}
    for config in kinds.values():
        _advance(Trainee(0, config, task_of(dataset, config), images, first_state(config)))
        yield


def first_state(config: RunConfig) -> State:
    """Returns the untrained network's state: seeded first weights, optimiser arrays of zeros."""
    relu = {"activation": "relu", "parameter": None, "source_sha256": None}
    alike = config if config.shapes_network else config.model_copy(update=relu)
    weights = _first_weights(alike)
    replacement = weights.layout.replacement if config.replacement_rate else []
    slots, of_units = (
        tuple(np.zeros(array.shape, np.float32) for array in group)
        for group in (weights.layout.slots(config.optimizer), replacement)
    )
    return State(0, weights, slots, of_units)


def fresh_weights(config: RunConfig, number: int, use: int) -> Weights:
    """Returns first weights for a run's network that differ for each number and use."""
    (seed,) = np.random.SeedSequence([config.seed, number, use]).generate_state(1)
    return first_state(config.model_copy(update={"seed": int(seed)})).weights


def pulled_to(config: RunConfig) -> list[NDArray[np.float32]]:
    """Returns the first values of the trained arrays, if the loss pulls the weights."""
    if not recipe_of(config).pulls:
        return []
    weights = first_state(config).weights
    return [weights.named[array.name] for array in weights.layout.trained]


@functools.lru_cache(maxsize=4)
def _first_weights(config: RunConfig) -> Weights:
    """Makes the first weights; runs of one seed, one after the other, share them."""
    return first_weights(config)


def batch_order(config: RunConfig, epoch: int, train: IndexArray) -> IndexArray:
    """Returns the training images in the order in which an epoch takes them.

    The order depends only on the seed and the epoch, so that a resumed run equals an
    uninterrupted one and runs of one seed see the same batches.
    """
    return np.random.default_rng([config.seed, epoch]).permutation(train)


def _side_by_side(runs: Sequence["Trainee"]) -> Iterator[Event]:
    """Advances the runs evenly: a free core takes the idle run that is furthest behind."""
    idle = set(runs)
    busy: dict[Future[list[Event] | None], Trainee] = {}
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="lab-train")
    try:
        while idle or busy:
            while idle and len(busy) < cores():
                run = min(idle, key=lambda run: (run.position, run.index))
                idle.remove(run)
                busy[pool.submit(_advance, run)] = run
            events = []
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                run = busy.pop(future)
                piece = future.result()
                if piece is not None:
                    idle.add(run)
                    events += piece
            yield from events
    finally:
        pool.shutdown(cancel_futures=True)


def _advance(run: "Trainee") -> list[Event] | None:
    with load_tensorflow().device("CPU:0"):
        return next(run.pieces, None)


class Images:
    """A data set on TensorFlow's side: training and test images in one array of bytes.

    Attributes:
        dataset: The data set.
        pixels: uint8 of shape (training + test images, height, width).
        labels: int32 of shape (training + test images,).
    """

    def __init__(self, dataset: Dataset) -> None:
        """Copies a data set's images and labels into two tensors."""
        self.dataset = dataset
        pixels = np.concatenate([dataset.x_train, dataset.x_test])
        with load_tensorflow().device("CPU:0"):
            self.pixels = load_tensorflow().constant(pixels)
        self.labels = self._with_test(dataset.y_train)

    def inputs(self, task: Task) -> tuple[Any, ...]:
        """Returns the inputs of the compiled programs: pixels, labels, and their order if any."""
        own = task.labels is not self.dataset.y_train
        labels = self._with_test(task.labels) if own else self.labels
        if task.order is None:
            return self.pixels, labels
        with load_tensorflow().device("CPU:0"):
            return self.pixels, labels, load_tensorflow().constant(task.order)

    def test(self, task: Task) -> IndexArray:
        """Returns the places of a task's test images: behind the training images."""
        return len(self.dataset.x_train) + task.test

    def _with_test(self, labels: NDArray[Any]) -> Any:
        every = np.concatenate([labels, self.dataset.y_test]).astype(np.int32)
        with load_tensorflow().device("CPU:0"):
            return load_tensorflow().constant(every)


class Trainee:
    """One run while it trains: its weights, its optimiser's state and its place in the epoch.

    Attributes:
        index: Position of the run in `configs`.
        task: What it is shown.
        epoch: The last finished epoch.
        step: Finished steps of the running epoch.
        pieces: Does the next piece of work each time it is advanced, and gives its events.
    """

    def __init__(
        self, index: int, config: RunConfig, task: Task, images: Images, state: State
    ) -> None:
        """Puts a run's state into TensorFlow's variables."""
        tf = load_tensorflow()
        self.index, self.config, self.images = index, config, images
        self._show(task)
        self.program = program(config)
        self.sup_gate = config.function.largest_gate(config.parameter)
        self.fresh = state.epoch == 0
        self.epoch, self.step = state.epoch, 0
        self._before = None if config.tasks == "none" else state.weights
        self.steps = -(-len(task.train) // config.batch_size)
        self.alike = self.steps if self._can_be_filled else len(task.train) // config.batch_size
        self._steps_per_piece = 1
        self._layers: tuple[UnitSummaries, ...] | None = None
        self._validation: tuple[float, float] | None = None
        with tf.device("CPU:0"):
            self.weights = [tf.Variable(array) for array in state.weights]
            self.slots = [tf.Variable(array) for array in state.slots]
            self.first = [tf.constant(array) for array in pulled_to(config)]
            self.replacement = [tf.Variable(array) for array in state.replacement]
            self.totals = tf.Variable(np.zeros(2))
            self.numbers = tf.constant(numbers_of(config))
            self.parameter = tf.constant(config.alpha, tf.float32)
            self.shut = tf.constant(units.NEARLY * self.sup_gate, tf.float32)
            self.seeds = tf.constant(generator_seeds(config, self.program.generators), tf.int64)
        self.pieces = self._pieces()

    @property
    def _can_be_filled(self) -> bool:
        """Whether images that do not count may fill a batch: not if it keeps batch means."""
        layout = self.program.layout
        return layout.trained == layout.arrays

    @property
    def position(self) -> float:
        """Epochs done, the running one in part; -1 before the record of the untrained network."""
        return -1.0 if self.fresh else self.epoch + self.step / self.steps

    def _pieces(self) -> Iterator[list[Event]]:
        self._compile()
        self._turn_to(self.epoch)
        yield []
        if self.fresh:
            yield [self._record(None, 0.0)]
        while self.epoch < self.config.epochs and self._is_finite():
            yield from self._train_epoch()
        yield [self._end()]

    def _show(self, task: Task) -> None:
        self.task, self.inputs = task, self.images.inputs(task)

    def _turn_to(self, epoch: int) -> None:
        """Goes to the task that an epoch belongs to."""
        number = self.config.task_at(epoch)
        if number != self.task.number:
            self._show(task_of(self.images.dataset, self.config, number))

    def _shrink_and_perturb(self) -> None:
        """Shrinks all trained weights and adds some of a fresh network's (Ash & Adams 2020).

        The optimiser's state stays.
        """
        shrink, perturb = self.config.shrink, self.config.perturb
        fresh = fresh_weights(self.config, self.task.number, FRESH)
        arrays = self.program.layout.arrays
        for array, weights, new in zip(arrays, self.weights, fresh, strict=True):
            if array.trained:
                weights.assign(shrink * weights + perturb * new)

    def _next_reset(self) -> int:
        """Returns at which step of the epoch units are reset next; its last if none is before."""
        config, left = self.config, self.steps - self.step
        if config.replacement_rate:
            rate, maturity = config.replacement_rate, config.maturity
            waits = (
                next_step(age.numpy(), int(due.numpy()[0]), rate, maturity, left)
                for _, age, due in self._by_unit
            )
            return self.step + min(waits)
        if config.redo_steps:
            since = self._steps_done % config.redo_steps
            return self.step + min(config.redo_steps - since, left)
        return self.steps

    @property
    def _by_unit(self) -> Iterator[tuple[Any, ...]]:
        """Each layer's utility, age and count of continual backprop."""
        return zip(*(self.replacement[kind::3] for kind in range(3)), strict=True)

    def _reset_units(self, order: IndexArray, steps: int) -> float:
        """Resets units, if it is time, and returns the seconds that it took.

        Args:
            order: The epoch's images.
            steps: How many steps were trained since the last call.
        """
        began = time.perf_counter()
        if self.config.replacement_rate:
            self._reset(self._replaceable(steps))
        elif self.config.redo_steps and self._steps_done % self.config.redo_steps == 0:
            self._reset(self._dormant(order))
        return time.perf_counter() - began

    @property
    def _steps_done(self) -> int:
        return self.epoch * self.steps + self.step

    def _dormant(self, order: IndexArray) -> list[BoolArray]:
        """Returns the units that are dormant on the last batch, as ReDo resets them.

        Sokar et al. (2023) reset every 1,000 steps.
        """
        size = self.config.batch_size
        _, layers = self._census(order[(self.step - 1) * size : self.step * size])
        return [units.dormant(layer, self.config.redo_threshold) for layer in layers]

    def _replaceable(self, steps: int) -> list[BoolArray]:
        """Returns the units that continual backprop replaces now; sets utility and age to 0."""
        chosen, one = [], one_unit(self.config.replacement_rate)
        for utility, age, due in self._by_unit:
            ages, maturity = age.numpy(), self.config.maturity
            count, rest = divmod(int(due.numpy()[0]) + mature_steps(ages, steps, maturity), one)
            some = of_least_use(utility.numpy(), ages, maturity, count)
            for variable in (utility, age):
                variable.assign(np.where(some, np.float32(0), variable.numpy()))
            due.assign([rest])
            chosen.append(some)
        return chosen

    def _reset(self, some: Sequence[BoolArray]) -> None:
        """Gives some units of each layer fresh weights and a fresh state of the optimiser.

        The number of Adam's steps, which is one for all units, goes on.
        """
        if not any(of_layer.any() for of_layer in some):
            return
        state, layout = self._state(), self.program.layout
        fresh = fresh_weights(self.config, self._steps_done, RESET)
        zeros = Weights(layout, tuple(map(np.zeros_like, state.weights)))
        parts = range(0, len(state.slots), len(layout.arrays))
        slots = [Weights(layout, state.slots[i : i + len(layout.arrays)]) for i in parts]
        for variables, group in (
            (self.weights, [state.weights.with_reset(some, fresh)]),
            (self.slots, [part.with_reset(some, zeros) for part in slots]),
        ):
            for variable, array in zip(variables, itertools.chain(*group), strict=True):
                variable.assign(array)

    def _compile(self) -> None:
        """Runs the compiled programs on no data, which compiles them if no run has before."""
        self._train_steps(self._order(1), 0, 0)
        self._observe(np.zeros(0, np.intp), counting=False)

    def _train_epoch(self) -> Iterator[list[Event]]:
        self._turn_to(self.epoch + 1)
        if self.config.shrinks_or_perturbs and self.config.begins_task(self.epoch + 1):
            self._shrink_and_perturb()
        order = self._order(self.epoch + 1)
        self.totals.assign([0.0, 0.0])
        seconds = 0.0
        while self.step < self.steps:
            began = time.perf_counter()
            end = self.alike if self.step < self.alike else self.steps
            stop = min(self.step + self._steps_per_piece, end, self._next_reset())
            loss, accuracy = self._train_steps(order, self.step, stop)
            elapsed = time.perf_counter() - began
            self._steps_per_piece = max(1, int(PIECE_SECONDS / elapsed * (stop - self.step)))
            trained, self.step = stop - self.step, stop
            seconds += elapsed + self._reset_units(order, trained)
            yield [Progress(self.index, self.epoch + 1, stop / self.steps, loss, accuracy)]
        self.epoch, self.step = self.epoch + 1, 0
        yield [self._record((loss, accuracy), seconds)]

    def _order(self, epoch: int) -> IndexArray:
        return batch_order(self.config, epoch, self.task.train).astype(np.int32)

    def _batches(self, order: IndexArray, start: int) -> Any:
        """Returns the batches of one size, shape (steps, batch): the full ones, or the rest."""
        size = self.config.batch_size
        alike = np.resize(order, (self.alike, size))  # The last one is filled up.
        batches = alike if start < self.alike else order[None, self.alike * size :]
        return load_tensorflow().constant(batches)

    def _rates(self, start: int) -> Any:
        """Returns the learning rates of the steps that `_batches` returns."""
        before = self.epoch * self.steps
        alike = (0, self.alike) if start < self.alike else (self.alike, self.steps)
        first, last = (before + step for step in alike)
        return load_tensorflow().constant(learning_rates(self.config, first, last, self.steps))

    def _train_steps(self, order: IndexArray, start: int, stop: int) -> tuple[float, float]:
        """Trains some steps of an epoch; returns loss and accuracy over the epoch so far."""
        first = 0 if start < self.alike else self.alike
        images = len(self.task.train) - first * self.config.batch_size
        counts = [start - first, stop - first, self.epoch * self.steps + first, images]
        self.program.train(
            self.weights,
            self.slots,
            self.first,
            self.totals,
            self.inputs,
            self._batches(order, start),
            load_tensorflow().constant(counts),
            self._rates(start),
            self.numbers,
            self.parameter,
            self.seeds,
            self.replacement,
        )
        seen = min(stop * self.config.batch_size, len(self.task.train))
        loss, correct = self.totals.numpy() / max(seen, 1)
        return float(loss), float(correct)

    def _record(self, training: tuple[float, float] | None, seconds: float) -> EpochEnd:
        """Validates and takes the census; the untrained network's training loss is the probe's."""
        began = time.perf_counter()
        validation = self._validation = self._evaluate(self.task.validation)
        validated = time.perf_counter()
        on_probe, self._layers = self._census(self.task.parts.probe)
        self.fresh = False
        state = self._state()
        by_layer = self._by_layer(state.weights)
        return EpochEnd(
            self.index,
            self.epoch,
            *(training or on_probe),
            *validation,
            seconds,
            validated - began,
            time.perf_counter() - validated,
            self._layers,
            state,
            by_layer,
        )

    def _by_layer(self, weights: Weights) -> dict[str, tuple[float, ...]]:
        """Returns what only runs that learn tasks record, as `Run.task_numbers` explains it."""
        if self._before is None:
            return {}
        added, layers = weights.minus(self._before), weights.layout.layers
        self._before = weights
        return {
            "weight_norm": tuple(map(weights.norm, layers)),
            "update_norm": tuple(map(added.norm, layers)),
            **self._redundancy(weights),
        }

    def _redundancy(self, weights: Weights) -> dict[str, tuple[float, ...]]:
        """Measures clones and ranks at a task's end, on the probe as the task shows it."""
        if self.epoch % self.config.task_epochs:
            return dict.fromkeys(clones.MEASURES, (np.nan,) * len(weights.layout.sites))
        probe = self.task.seen(self.images.dataset.x_train[self.task.parts.probe])
        layers = list(map(clones.measures, activations(self.config, weights, probe)))
        return {name: tuple(layer[name] for layer in layers) for name in clones.MEASURES}

    def _end(self) -> RunEnd:
        """Tests the network and checks the units found dead on all training images."""
        test = self._evaluate(self.images.test(self.task))
        validation = self._validation or self._evaluate(self.task.validation)
        diverged = not (self._is_finite() and np.isfinite([validation[0], test[0]]).all())
        layers = self._layers or self._census(self.task.parts.probe)[1]
        confirmed = tuple(units.dead(layer) for layer in layers)
        rest = np.setdiff1d(self.task.parts.train, self.task.parts.probe)
        if len(rest) and any(flags.any() for flags in confirmed):
            layers = self._census(rest)[1]
            pairs = zip(confirmed, layers, strict=True)
            confirmed = tuple(flags & units.dead(layer) for flags, layer in pairs)
        return RunEnd(self.index, diverged, *test, confirmed)

    def _state(self) -> State:
        groups = (self.weights, self.slots, self.replacement)
        arrays, slots, replacement = (tuple(v.numpy() for v in group) for group in groups)
        return State(self.epoch, Weights(self.program.layout, arrays), slots, replacement)

    def _is_finite(self) -> bool:
        return all(np.isfinite(variable.numpy()).all() for variable in self.weights)

    def _evaluate(self, indices: IndexArray) -> tuple[float, float]:
        """Returns the mean loss and the accuracy on some images."""
        return self._observe(indices, counting=False)[0]

    def _census(self, indices: IndexArray) -> tuple[tuple[float, float], tuple[UnitSummaries, ...]]:
        """Observes every unit on some images; returns loss, accuracy and each layer's summaries."""
        scores, layers = self._observe(indices, counting=True)
        sites = zip(self.program.layout.sites, layers, strict=True)
        return scores, tuple(
            units.summarise(layer, len(indices) * site.positions, self.sup_gate)
            for site, layer in sites
        )

    def _observe(
        self, indices: IndexArray, counting: bool
    ) -> tuple[tuple[float, float], list[NDArray[np.float64]]]:
        """Returns loss and accuracy on some images, and a block of each layer for the summaries."""
        tf, size = load_tensorflow(), self.program.block
        # As many places in every call: what XLA compiles has fixed shapes.
        places = np.zeros((-(-len(self.images.pixels) // size), size), np.int32)
        places.reshape(-1)[: len(indices)] = indices
        sums, layers = self.program.observe(
            self.weights,
            self.inputs,
            tf.constant(places),
            tf.constant(len(indices)),
            self.parameter,
            self.shut,
            tf.constant(counting),
        )
        loss, correct = sums.numpy() / max(len(indices), 1)
        return (float(loss), float(correct)), [layer.numpy()[None] for layer in layers]
