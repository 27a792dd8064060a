"""This machine: TensorFlow comes late, quietly, and with one thread to an operation."""

import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import types
from importlib.metadata import version

import numpy as np
import pytest
from made_runs import write

from lab import RunConfig, RunStore
from lab.system import machine


def run(code: str, *arguments: str) -> tuple[str, str]:
    """Runs code in a fresh process; returns what it wrote to its two streams."""
    hidden = ("TF_CPP_MIN_LOG_LEVEL", "TF_NUM_INTRAOP_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_importing_the_lab_imports_neither_tensorflow_nor_keras():
    out, _ = run(
        """
        import sys
        import lab
        import lab.cli, lab.network.programs, lab.training, lab.widgets
        lab.RunConfig(activation="elu", hidden=(3,))
        lab.load_dataset("mnist-5k")
        print([name for name in ("tensorflow", "keras") if name in sys.modules])
        """
    )
    assert out == "[]\n"


def test_recorded_runs_are_read_into_tables_without_tensorflow(tiny, tmp_path):
    store = RunStore(tmp_path)
    for activation in ("relu", "elu"):
        write(store, RunConfig(activation=activation, hidden=(6, 4), epochs=2), tiny)
    out, _ = run(
        """
        import sys
        import lab
        runs = list(lab.RunStore(sys.argv[1]))
        tables = lab.Runs(runs)
        sizes = [len(t()) for t in (tables.runs, tables.epochs, tables.layers, tables.units)]
        print(sizes, sorted(tables.runs().test_loss), "tensorflow" in sys.modules)
        """,
        str(tmp_path),
    )
    # Three epochs each: of training and validation, of two layers, of ten units.
    assert out == "[2, 12, 12, 60] [0.25, 0.25] False\n"


def test_tensorflow_loads_in_silence_with_one_thread_to_an_operation_and_stderr_comes_back():
    out, err = run(
        """
        import os, sys
        print("before", file=sys.stderr)
        os.write(2, b"before, unbuffered\\n")
        from lab import machine
        tf = machine.load_tensorflow()
        os.write(2, b"after, unbuffered\\n")
        print("after", file=sys.stderr)
        print(tf.__name__, machine.threads_per_operation(), machine.load_tensorflow() is tf)
        """
    )
    assert out == "tensorflow 1 True\n"
    assert err == "before\nbefore, unbuffered\nafter, unbuffered\nafter\n"


@pytest.mark.slow
def test_a_process_of_the_labs_own_loads_keras_without_what_it_does_not_use():
    out, _ = run(
        """
        import gc, sys
        from lab.system import load_tensorflow, own_process
        own_process()
        load_tensorflow()
        print([name for name in ("sklearn", "matplotlib.pyplot") if name in sys.modules])
        import sklearn, matplotlib.pyplot
        print(gc.isenabled(), gc.get_freeze_count() > 100_000)
        """
    )
    assert out == "[]\nTrue True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's list of loaded libraries")
def test_tensorflows_library_loads_without_its_import():
    out, _ = run(
        """
        import sys
        from pathlib import Path
        from lab.system import machine
        machine._load_library()
        print(machine.LIBRARY in Path("/proc/self/maps").read_text(), "tensorflow" in sys.modules)
        print(machine.is_tensorflow_loaded())
        """
    )
    assert out == "True False\nFalse\n"


@pytest.mark.slow
def test_elsewhere_keras_is_loaded_whole_for_the_users_own_code():
    out, _ = run(
        """
        import gc
        from lab.system import load_tensorflow
        gc.disable()
        load_tensorflow()
        import keras
        print(keras.wrappers.SKLearnClassifier(lambda: None).get_params()["model"] is not None)
        print(gc.isenabled())
        """
    )
    assert out == "True\nFalse\n"


@pytest.mark.slow
def test_where_the_users_own_code_came_first_its_threads_and_log_level_stay():
    out, _ = run(
        """
        import os
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"
        import tensorflow as tf
        tf.constant(1) + 1
        from lab import machine
        print(machine.load_tensorflow() is tf, machine.threads_per_operation())
        print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
        """
    )
    assert out == "True 0\n1\n"


@machine.pulled_in_own_thread
def _counted(log):
    """Three values; writes down in which threads it runs, and that it was closed."""
    try:
        for number in (1, None, 3):
            log.append(threading.current_thread())
            yield number
        raise ValueError("the end")
    finally:
        log.append("closed")


def test_a_generator_in_its_own_thread_gives_all_values_and_its_error():
    log = []
    values = _counted(log)
    assert [next(values) for _ in range(3)] == [1, None, 3]
    with pytest.raises(ValueError, match="the end"):
        next(values)
    assert threading.current_thread() not in log
    assert len(set(log[:3])) == 1
    assert log[3:] == ["closed"]


def test_a_generator_in_its_own_thread_that_is_closed_early_is_closed_at_once():
    log = []
    values = _counted(log)
    assert next(values) == 1
    values.close()
    assert log[1:] == ["closed"]
    assert not log[0].is_alive()


def test_a_training_that_is_left_when_python_ends_ends_in_silence():
    out, err = run(
        """
        import lab
        from lab.training import train
        events = train([lab.RunConfig(hidden=(3,), epochs=9)], lab.load_dataset("mnist-5k"))
        print(type(next(events)).__name__)
        """
    )
    assert (out, err) == ("Phase\n", "")


def test_what_runs_in_its_own_thread_has_none_of_the_callers_scopes():
    with np.errstate(all="raise"):
        assert machine.in_own_thread(np.geterr)()["divide"] == "warn"
        with pytest.raises(ZeroDivisionError):
            machine.in_own_thread(lambda a, b: a / b)(1, b=0)


def test_a_long_setting_is_known_by_its_digest(monkeypatch):
    monkeypatch.setattr(machine, "_variables", lambda: {"XLA_FLAGS": "--a" * 100})
    digest = hashlib.sha256(b"--a" * 100).hexdigest()
    assert machine.environment()["XLA_FLAGS"] == f"SHA-256 {digest}"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_only_the_cores_that_this_process_may_use_count():
    out, _ = run(
        """
        import os
        from lab import machine
        allowed = os.sched_getaffinity(0)
        print(machine.cores() == len(allowed))
        os.sched_setaffinity(0, {min(allowed)})
        print(machine.cores())
        """
    )
    assert out == "True\n1\n"


def test_versions_are_those_of_what_computes_a_run():
    assert machine.versions() == {
        "python": ".".join(map(str, sys.version_info[:3])),
        "activation-lab": version("activation-lab"),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "numpy": version("numpy"),
    }


def test_the_processor_reads_the_same_in_every_process():
    out, _ = run("from lab import machine; print(machine.processor())")
    assert out == f"{machine.processor()}\n"
    assert out.count("(") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is set by XDG on Linux only")
def test_the_cache_folder_is_the_labs_own_within_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine.cache_folder() == tmp_path / "activation-lab"
    assert not machine.cache_folder().exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads priorities")
def test_a_thread_of_low_priority_leaves_the_others_theirs():
    found = []

    def work():
        machine.lower_priority()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [machine.NICE]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_keras_that_another_thread_imports_is_not_asked_for_its_backend(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    machine.check_backend()
