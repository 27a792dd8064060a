"""What the tests share: a small data set made by hand, and folders of their own."""

import contextlib
import gc
import os
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import make_dataset

import lab.cli
from lab import Dataset, Run, RunConfig, RunStore
from lab.activations import registry
from lab.census.units import UnitSummaries, dead
from lab.experiment.data import split
from lab.layout import Weights, mlp
from lab.system import load_tensorflow
from lab.training.events import EpochEnd, RunEnd, State

TALLY, FIGURES = "tally", "figures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the fault tests in their long form")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.long and "not faults" in config.option.markexpr:
        config.option.markexpr = "faults"
    if config.option.dist == "loadfile" and "not slow" not in config.option.markexpr:
        config.option.dist = "worksteal"  # Few tests, each of them long.
    # Its import takes 2.6 s; jsonschema goes without it, and nbformat needs it for nothing.
    sys.modules.setdefault("rfc3987_syntax", None)


def pytest_collection_finish() -> None:
    """Makes the lab the first to use TensorFlow, whichever test comes first.

    The search for garbage is of what was made lately alone: a search of all can take 17 s.
    """
    if "tensorflow" in sys.modules:
        load_tensorflow()
    gc.freeze()
    gc.set_threshold(10_000, 10, 1_000_000)


def pytest_sessionfinish() -> None:
    """Leaves pytest, which searches for garbage five times at its end, nothing to search."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sums up what the fault tests tried; with no failure in n tries the rate is below 3/n."""
    sums: dict[str, list[int]] = {}
    figures: list[str] = []
    for report in (r for reports in terminalreporter.stats.values() for r in reports):
        for name, value in getattr(report, "user_properties", ()):
            if name == FIGURES and report.when == "call":
                figures.append(value)
            if name == TALLY and report.when == "call":
                promise, tried, failed = value
                known = sums.setdefault(promise, [0, 0])
                known[:] = known[0] + tried, known[1] + failed
    if sums:
        terminalreporter.section("promises")
        terminalreporter.write_line(f"{'promise':60} | {'tried':>6} | failed | bound (95 %)")
    for promise, (tried, failed) in sorted(sums.items()):
        bound = "-" if failed or not tried else f"{min(1.0, 3 / tried):.2g}"
        terminalreporter.write_line(f"{promise:60} | {tried:6} | {failed:6} | {bound}")
    for line in figures:
        terminalreporter.write_line(line)


class Tally:
    """Counts tries and failures; every try is made, whatever became of those before."""

    def __init__(self) -> None:
        self.tried, self.failures = 0, []

    @contextlib.contextmanager
    def case(self, name: Any) -> Iterator[None]:
        self.tried += 1
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            told = "".join(traceback.format_exception(error, limit=-3))
            self.failures.append(f"{name}: {told}".strip())


@pytest.fixture
def promise(record_property: Callable[[str, object], None]) -> Callable[[str], Any]:
    """Opens the tally of a promise, which at its end asserts that nothing failed."""

    @contextlib.contextmanager
    def keep(name: str) -> Iterator[Tally]:
        tally = Tally()
        try:
            yield tally
        finally:
            record_property(TALLY, (name, tally.tried, len(tally.failures)))
        assert not tally.failures, f"{len(tally.failures)} failed:\n" + "\n".join(
            tally.failures[:10]
        )

    return keep


@pytest.fixture
def many(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Chooses how often to try: in the long form, or else in the short one."""
    return lambda long, short: long if request.config.option.long else short


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: what is flushed there costs no time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a test's runs and caches out of the user's folders."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("LAB_STORE", str(base / "stores" / uuid.uuid4().hex / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_cache(tmp_path_factory)))


@pytest.fixture
def without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Refuses the network to all Python that the test starts; tells whom it asked for."""
    tried = tmp_path / "tried"
    paths = [str(Path(__file__).parent / "no_network"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("LAB_TRIED", str(tried))
    return lambda: tried.read_text() if tried.exists() else ""


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets a test's own activation functions after it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture
def lab_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str, str]]:
    """Runs a command in this process; returns exit code, output and error output."""

    def run(*arguments: Any) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["lab", *map(str, arguments)])
        monkeypatch.setattr(lab.cli, "_leave", sys.exit)  # os._exit would end pytest.
        with pytest.raises(SystemExit) as left:
            lab.cli.main()
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """300 training and 100 test images: a bright 7 x 7 patch, its place set by the class."""
    return make_dataset(300, 100)


@pytest.fixture(scope="session")
def two_kinds() -> Dataset:
    """50 training images on which pixel 0 is 1.0, or 0.2 where the label is odd; the rest is 0."""
    labels = (np.arange(60) % 10).astype(np.uint8)
    images = np.zeros((60, 28, 28), np.uint8)
    images[:, 0, 0] = np.where(labels % 2, 51, 255)
    return Dataset("two kinds", images[:50], labels[:50], images[50:], labels[50:])


@pytest.fixture
def by_hand(tmp_path: Path) -> Callable[..., Run]:
    """Records a run whose weights are given for every epoch, with what NumPy makes of them."""

    def record(dataset: Dataset, weights: list[list[Any]], **settings: Any) -> Run:
        epochs = len(weights) - 1
        settings = {"keep_weights": "every", "batch_size": 5} | settings
        hidden = tuple(len(bias) for bias in weights[0][1:-2:2])
        config = RunConfig(hidden=hidden, epochs=epochs, **settings)
        store = RunStore(tmp_path / "by-hand")
        with contextlib.closing(store.writer(config, dataset)) as writer:
            for epoch, arrays in enumerate(weights):
                arrays = tuple(np.asarray(array, np.float32) for array in arrays)
                kept = Weights(mlp(hidden), arrays)
                on_probe = _observed(dataset, config, arrays, split(dataset, config).probe)
                state = State(epoch, kept, tuple(np.zeros_like(a) for a in arrays * 2))
                writer.add(EpochEnd(0, epoch, *(0.5,) * 7, on_probe, state))
            on_all = _observed(dataset, config, arrays, split(dataset, config).train)
            confirmed = tuple(dead(layer) for layer in on_all)
            writer.end(RunEnd(0, False, 0.5, 0.5, confirmed))
        return store.find(config, dataset)

    return record


def _observed(
    dataset: Dataset, config: RunConfig, weights: tuple[Any, ...], images: Any
) -> tuple[UnitSummaries, ...]:
    a: Any = dataset.x_train[images].reshape(len(images), -1) / np.float32(255)
    layers = []
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        z = a @ kernel + bias
        a = config.function.function(z, config.parameter or 0.0).astype(np.float32)
        gate = config.function.derivative(z, config.parameter or 0.0)
        layers.append(_summaries(z, a, gate))
    return tuple(layers)


@np.errstate(invalid="ignore")
def _summaries(z: Any, a: Any, gate: Any) -> UnitSummaries:
    bad = (~np.isfinite(z + a + gate)).sum(axis=0)
    floats = {
        "max_z": z.max(axis=0),
        "min_z": z.min(axis=0),
        "mean": a.mean(axis=0),
        "mean_abs": np.abs(a).mean(axis=0),
        "sd": a.std(axis=0),
        "mean_gate": gate.mean(axis=0),
        "max_gate": np.abs(gate).max(axis=0),
    }
    counts = {"nonfinite": bad, "zeros": (a == 0).sum(axis=0), "shut": (gate <= 1e-3).sum(axis=0)}
    return UnitSummaries(
        len(z),
        1.0,
        **{name: np.where(bad, np.nan, v).astype(np.float32) for name, v in floats.items()},
        **{name: values.astype(np.int32) for name, values in counts.items()},
    )


@pytest.fixture
def with_clones(by_hand: Callable[..., Run], two_kinds: Dataset) -> Callable[..., Run]:
    """Three units that look at pixel 0, 1.0 or 0.2: one gives it, one is dead, one gives 1 or 0.

    The first and the third are clones.
    """
    kernel = np.zeros((784, 3), np.float32)
    kernel[0] = 1, -100, 1.25
    weights = [kernel, np.array([0, 0, -0.25]), np.eye(3, 10), np.zeros(10)]
    return lambda **settings: by_hand(two_kinds, [weights, weights], **settings)
