"""The doctor: each check finds what is wrong on a machine that lacks something."""

import re
import shutil
import webbrowser
from types import SimpleNamespace

import psutil
import pytest

from lab.classroom import doctor
from lab.classroom.doctor import CHECKS, examine


def test_this_machine_passes_every_check_that_a_lesson_needs():
    findings = {name: examine(name) for name in CHECKS if name not in ("kernel", "browser")}
    assert {name: f for name, f in findings.items() if f.state == "failed"} == {}
    assert re.fullmatch(r"\d\d packages, in versions that were tested", findings["packages"].found)
    assert findings["tensorflow"].found.endswith("computes, one thread to an operation")


@pytest.mark.slow
def test_a_kernel_starts_and_imports_the_lab():
    assert examine("kernel").state == "ok"


@pytest.mark.slow
def test_a_kernel_that_cannot_import_the_lab_has_failed(monkeypatch, tmp_path):
    (tmp_path / "anywidget.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = examine("kernel")
    assert finding.state == "failed"
    assert finding.found == "the kernel python3 cannot import the lab: broken on purpose"
    assert "uv sync" in finding.advice


@pytest.fixture
def plain_environment(monkeypatch, tmp_path):
    for name in (doctor.BACKEND, *doctor.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


@pytest.mark.usefixtures("plain_environment")
def test_a_plain_environment_is_well():
    assert examine("environment").state == "ok"


@pytest.mark.usefixtures("plain_environment")
def test_another_backend_of_keras_is_a_warning(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    finding = examine("environment")
    assert finding.state == "warning"
    assert finding.found == "KERAS_BACKEND sets Keras's backend to torch; the lab takes tensorflow"
    assert "set KERAS_BACKEND=tensorflow" in finding.advice


def test_another_backend_in_keras_settings_file_is_a_warning(plain_environment, monkeypatch):
    plain_environment.write_text('{"backend": "jax"}')
    finding = examine("environment")
    assert finding.state == "warning"
    assert f"{plain_environment} sets Keras's backend to jax" in finding.found
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # Keras reads this first.
    assert examine("environment").state == "ok"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"epsilon": 1e-7}'])
def test_a_settings_file_without_a_backend_is_well(plain_environment, text):
    plain_environment.write_text(text)
    assert examine("environment").state == "ok"


@pytest.mark.usefixtures("plain_environment")
def test_environment_variables_that_change_the_last_bits_are_a_warning(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    finding = examine("environment")
    assert finding.state == "warning"
    assert finding.found.startswith("XLA_FLAGS, TF_ENABLE_ONEDNN_OPTS can change the last bits")


def test_an_old_python_has_failed(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.10.2")
    finding = examine("python")
    assert (finding.state, finding.found) == ("failed", "3.10.2; wanted <3.14,>=3.11")


def test_a_package_that_is_missing_or_too_new_is_named_with_what_was_tested(monkeypatch):
    def version(name):
        if name == "anywidget":
            raise doctor.PackageNotFoundError(name)
        return {"tensorflow": "2.99.0"}.get(name) or installed(name)

    installed = doctor.version
    monkeypatch.setattr(doctor, "version", version)
    finding = examine("packages")
    assert finding.state == "failed"
    assert finding.found == "anywidget is missing; tensorflow is 2.99.0; tested: <2.22,>=2.21"


@pytest.mark.parametrize(("free", "state"), [(2.1, "ok"), (1.9, "warning"), (0.9, "failed")])
def test_memory_is_wanted(monkeypatch, free, state):
    available = SimpleNamespace(available=int(free * 2**30))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    finding = examine("memory")
    assert (finding.state, bool(finding.advice)) == (state, state != "ok")
    assert finding.found.startswith(f"{free} GiB free")


def test_without_full_mnist_the_lessons_still_run(monkeypatch, tmp_path):
    monkeypatch.delenv("LAB_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    finding = examine("data")
    assert finding.state == "warning"
    assert "set LAB_DATA_DIR to a folder that holds mnist.npz" in finding.advice
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path))
    assert f"LAB_DATA_DIR is {tmp_path}, which holds no mnist.npz" in examine("data").found
    (tmp_path / "mnist.npz").write_bytes(b"broken")
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path))
    assert "mnist.npz is broken" in examine("data").found
    assert examine("data").state == "failed"


def test_a_store_that_cannot_be_written_has_failed_and_a_full_disk_is_a_warning(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "not" / "yet"))
    assert examine("store").state == "ok"
    assert list(tmp_path.iterdir()) == []
    usage = SimpleNamespace(free=2**29)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert examine("store").state == "warning"
    assert "0.5 GiB free" in examine("store").found

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = examine("store")
    assert finding.state == "failed"
    assert finding.found.endswith("cannot be written: Permission denied")
    assert "LAB_STORE" in finding.advice


def test_a_missing_place_has_one_sentence_of_its_own(monkeypatch):
    monkeypatch.setenv("LAB_STORE", "s3://bucket/runs")
    finding = examine("store")
    assert (finding.state, finding.advice) == ("failed", "")
    assert finding.found.startswith("The store must be a folder of this machine")


def test_jupyterlab_without_an_extension_has_failed(monkeypatch, tmp_path):
    (tmp_path / "@jupyter-widgets" / "jupyterlab-manager").mkdir(parents=True)
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda _: [str(tmp_path)])
    finding = examine("widgets")
    assert (finding.state, finding.found) == ("failed", "JupyterLab lacks anywidget")


def test_no_browser_is_a_warning(monkeypatch):
    def none():
        raise webbrowser.Error("none")

    monkeypatch.setattr(webbrowser, "get", none)
    assert examine("browser").state == "warning"


def test_a_check_that_fails_with_an_error_has_failed(monkeypatch):
    monkeypatch.setitem(CHECKS, "memory", lambda: 1 / 0)
    finding = examine("memory")
    assert (finding.state, finding.found) == ("failed", "ZeroDivisionError: division by zero")


def test_the_command_says_what_to_do_and_its_exit_code_tells(lab_main, monkeypatch):
    fine = doctor.MachineCheck("ok", "all is well")
    monkeypatch.setattr(doctor, "CHECKS", {"memory": lambda: fine})
    code, text, _ = lab_main("doctor")
    assert code == 0
    assert "memory      ok       all is well" in text
    assert "This machine is ready." in text
    bad = doctor.MachineCheck("failed", "none", "Buy some")
    monkeypatch.setattr(doctor, "CHECKS", {"memory": lambda: fine, "disk": lambda: bad})
    code, text, _ = lab_main("doctor")
    assert code == 1
    assert "Buy some." in text
    assert "Not ready: 1 of the checks failed." in text
