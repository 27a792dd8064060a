"""What the user's environment holds changes no number, or is recorded, or is refused at once.

Such settings are those of a whole process, so each trial has a process of its own. The settings
that must change nothing are tried together; the slow tests try each of them alone.
"""

import ctypes
import json
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

import lab
from lab.errors import InputError
from lab.system import machine

UPWARD, DOWNWARD, TO_ZERO = 0x800, 0x400, 0xC00  # As C's fenv.h has them on x86.
TF, KERAS = "import tensorflow as tf\n", "import keras\n"
PROBE = """
import contextlib, hashlib, json, sys, tempfile
import numpy as np

def trained():
    import lab
    with tempfile.TemporaryDirectory() as folder:
        settings = {"dataset": "mnist-5k", "hidden": (16,), "epochs": 1, "store": folder + "/runs"}
        runs = lab.compare(("relu", "tanh"), 1, **settings)
        bits = [[f.sha256 for f in run.record.files] for run in runs]
        bits += [(run.record.test_loss, run.record.epochs[1].train_loss) for run in runs]
        kept.extend(bits)
        record = runs[0].record
        models.append((runs[1].config, runs[1].weights()))
        return {"bits": bits, "environment": record.environment, "threads":
                record.threads_per_operation}

def predicted():
    from lab.network import build_model
    config, weights = models[0]
    model = build_model(config)
    model.set_weights(weights)
    images = np.random.default_rng(0).random((20, 28, 28)).astype("float32")
    given = model.predict(images, verbose=0)
    # Keras's own predict runs eagerly where the user wants it, with other last bits.
    return str(given.dtype), hashlib.sha256(np.round(given, 4).tobytes()).hexdigest()

kept, models, scopes = [], [], []
exec(sys.stdin.read())
try:
    with contextlib.ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(scope)
        found = trained()
    found["predictions"] = predicted()
except Exception as error:
    found = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(found))
"""

# Code that runs before the lab, and must change no number.
KERAS_SETTINGS = {
    "mixed precision": KERAS + "keras.mixed_precision.set_global_policy('mixed_float16')",
    "float64 policy": KERAS + "keras.config.set_dtype_policy('float64')",
    "floatx": KERAS + "keras.config.set_floatx('float64')",
    "epsilon": KERAS + "keras.config.set_epsilon(0.1)",
    "channels first": KERAS + "keras.config.set_image_data_format('channels_first')",
    "custom objects": KERAS + "keras.utils.get_custom_objects()['GlorotUniform'] = None",
}
MODES = {
    "op determinism": TF + "tf.config.experimental.enable_op_determinism()",
    "functions run eagerly": TF + "tf.config.run_functions_eagerly(True)",
    "soft placement off": TF + "tf.config.set_soft_device_placement(False)",
    "no TF32": TF + "tf.config.experimental.enable_tensor_float_32_execution(False)",
    "no GPU": TF + "tf.config.set_visible_devices([], 'GPU')",
    "threads set": TF + "tf.config.threading.set_intra_op_parallelism_threads(4)",
    "threads between": TF + "tf.config.threading.set_inter_op_parallelism_threads(1)",
    "check numerics": TF + "tf.debugging.enable_check_numerics()",
    "NumPy's behavior": TF
    + "tf.experimental.numpy.experimental_enable_numpy_behavior(dtype_conversion_mode='legacy')",
    "old equality": TF + "tf.compat.v1.disable_tensor_equality()",
    "old control flow": TF + "tf.compat.v1.disable_control_flow_v2()",
    "old variables": TF + "tf.compat.v1.disable_resource_variables()",
    "seed of TensorFlow": TF + "tf.random.set_seed(7)",
    "seeds of NumPy": "np.random.seed(3)",
    "seeds of Keras": KERAS + "keras.utils.set_random_seed(7)",
    "NumPy raises": "np.seterr(all='raise')",
}
WARNINGS = "import warnings\nwarnings.simplefilter('error')"
SCOPES = {
    "graph": TF + "scopes.append(tf.Graph().as_default())",
    "device": TF + "scopes.append(tf.device('GPU:0'))",
    "names": TF + "scopes.append(tf.name_scope('mine'))",
    "tape": TF + "scopes.append(tf.GradientTape())",
    "stateless scope": KERAS + "scopes.append(keras.StatelessScope())",
}
STRATEGY = (
    TF
    + """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
scopes.append(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
"""
)
FUNCTION = (
    TF
    + """
plainly, results = trained, []
def trained():
    tf.function(lambda: results.append(plainly()))()
    return results[0]
"""
)
VARIABLES = {
    "KERAS_BACKEND": "jax",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_NUM_INTRAOP_THREADS": "4",
    "TF_NUM_INTEROP_THREADS": "4",
    "OMP_NUM_THREADS": "3",
    "TF_DISABLE_MKL": "1",
    "TF_USE_LEGACY_KERAS": "1",
    "KERAS_MAX_EPOCHS": "1",
    "PYTHONHASHSEED": "5",
}
IN_USE = TF + "tf.constant(1) + 1"  # TensorFlow's threads are fixed from here on.
GRAPPLER = TF + "tf.config.optimizer.set_experimental_options({'remapping': False})"
JIT = TF + "tf.config.optimizer.set_jit('autoclustering')"
REFUSED = {
    "no eager execution": (
        TF + "tf.compat.v1.disable_eager_execution()",
        "InputError: TensorFlow 2 was switched off",
    ),
    "no second version": (
        TF + "tf.compat.v1.disable_v2_behavior()",
        "InputError: TensorFlow 2 was switched off",
    ),
    "types are converted": (
        TF
        + "tf.experimental.numpy.experimental_enable_numpy_behavior(dtype_conversion_mode='all')",
        "InputError: TensorFlow was told to convert types",
    ),
}


def tried(code: str = "", **variables: str) -> dict:
    """Trains a small comparison in a fresh process, after some code."""
    done = started(code, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def started(code: str = "", **variables: str) -> subprocess.CompletedProcess:
    hidden = {"XLA_FLAGS", "TF_XLA_FLAGS", "KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-c", PROBE],
        input=code,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def plain() -> dict:
    return tried()


@pytest.mark.slow
def test_a_plain_process_records_nothing_of_its_environment(plain):
    assert plain["environment"] == {}
    assert plain["threads"] == 1
    assert plain["predictions"][0] == "float32"
    assert len(plain["bits"]) == 4


@pytest.mark.slow
def test_settings_of_keras_change_neither_a_number_nor_a_prediction(plain):
    assert tried("\n".join(KERAS_SETTINGS.values())) == plain


@pytest.mark.slow
def test_modes_of_tensorflow_and_numpy_change_no_number(plain):
    found = tried("\n".join(MODES.values()))
    assert found | {"predictions": plain["predictions"]} == plain


@pytest.mark.seldom
@pytest.mark.parametrize("name", [*KERAS_SETTINGS, *MODES])
def test_a_setting_alone_changes_neither_a_number_nor_a_prediction(plain, name):
    assert tried((KERAS_SETTINGS | MODES)[name]) == plain


@pytest.mark.slow
def test_the_scopes_that_training_is_called_in_change_no_number(plain):
    assert tried("\n".join(SCOPES.values()))["bits"] == plain["bits"]


@pytest.mark.seldom
@pytest.mark.parametrize(
    "code",
    [*SCOPES.values(), STRATEGY, FUNCTION],
    ids=[*SCOPES, "strategy of two devices", "function"],
)
def test_a_scope_alone_changes_no_number(plain, code):
    assert tried(code)["bits"] == plain["bits"]


@pytest.mark.slow
def test_other_environment_variables_and_strict_warnings_change_no_number(plain, tmp_path):
    settings = {"backend": "torch", "floatx": "float64", "epsilon": 0.1}
    settings["image_data_format"] = "channels_first"
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    assert tried(WARNINGS, KERAS_HOME=str(tmp_path), **VARIABLES) == plain


@pytest.mark.seldom
@pytest.mark.parametrize("name", VARIABLES)
def test_an_environment_variable_alone_changes_no_number(plain, name):
    assert tried(**{name: VARIABLES[name]}) == plain


@pytest.mark.seldom
def test_keras_settings_file_alone_changes_no_number(plain, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax", "floatx": "float64"}))
    assert tried(KERAS_HOME=str(tmp_path)) == plain


@pytest.mark.slow
def test_what_changes_the_last_bits_is_recorded(plain):
    flags = "--xla_cpu_multi_thread_eigen=false --xla_cpu_enable_fast_math=true"
    found = tried("\n".join((IN_USE, GRAPPLER, JIT)), XLA_FLAGS=flags, TF_ENABLE_ONEDNN_OPTS="0")
    assert found["bits"] != plain["bits"]
    assert found["threads"] == 0
    assert found["environment"] == {
        "XLA_FLAGS": flags,
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "tf.config.optimizer.set_experimental_options": ("{'remapping': False}"),
        "tf.config.optimizer.set_jit": "autoclustering",
    }


@pytest.mark.slow
def test_flags_of_xla_that_come_after_the_labs_start_are_neither_obeyed_nor_recorded(plain):
    late = "import lab.system, os\nlab.system.load_tensorflow()\n"
    late += "os.environ['XLA_FLAGS'] = '--xla_cpu_enable_fast_math=true'"
    assert tried(late) == plain


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_lab_cannot_train_with_is_refused_in_one_sentence(name):
    code, sentence = REFUSED[name]
    assert tried(code)["error"].startswith(sentence)


@pytest.mark.slow
def test_tensorflow_without_its_second_version_is_refused_in_one_sentence():
    code, sentence = REFUSED["no second version"]
    found = tried(code)
    assert found["error"].startswith(sentence)
    assert found["error"].endswith("restart Python and leave that out.")


def test_another_backend_is_refused_in_one_sentence_before_any_work(monkeypatch, tmp_path):
    keras = SimpleNamespace(config=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", keras)
    with pytest.raises(InputError) as raised:
        lab.compare("relu", 1, "mnist-5k", tmp_path / "runs", hidden=(3,), epochs=1)
    assert str(raised.value) == (
        "Keras was loaded with the backend 'jax', and the lab trains with TensorFlow's: restart "
        "Python with the environment variable KERAS_BACKEND set to tensorflow."
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_backend_that_tensorflows_own_import_could_not_load_changes_no_number(plain, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch')")
    code = "import os\nos.environ['KERAS_BACKEND'] = 'torch'\n" + TF
    assert tried(code, PYTHONPATH=str(tmp_path)) == plain


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="other numbers"
)
@pytest.mark.parametrize("direction", [UPWARD, DOWNWARD, TO_ZERO])
def test_other_rounding_of_the_processor_is_refused_in_one_sentence(direction):
    libm = ctypes.CDLL("libm.so.6")
    kept = libm.fegetround()
    assert libm.fesetround(direction) == 0
    try:
        with pytest.raises(InputError, match=r"A library has changed how the processor rounds"):
            machine.check_modes(None)
    finally:
        libm.fesetround(kept)


def test_a_wrong_settings_file_of_keras_is_named(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "bfloat16"}')
    found = tried(KERAS_HOME=str(tmp_path))["error"]
    assert found.startswith(f"InputError: Keras's settings file, {tmp_path / 'keras.json'}, is ")
    assert "bfloat16" in found


@pytest.mark.slow
def test_the_labs_choice_of_a_backend_leaves_the_users_variable_as_it_was():
    code = """
import os
os.environ["KERAS_BACKEND"] = "jax"
from lab import machine
machine.load_tensorflow()
assert os.environ["KERAS_BACKEND"] == "jax"
import keras
assert keras.config.backend() == "tensorflow"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_settings_of_keras_are_the_users_again_after_a_model_is_made():
    code = """
import keras
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("mixed_float16")
keras.config.set_image_data_format("channels_first")
from lab import RunConfig
from lab.network import build_model
for config in (RunConfig(hidden=(3,)), RunConfig(hidden=(3,), activation="leaky_relu")):
    model = build_model(config)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
assert keras.config.floatx() == "float64"
assert keras.config.dtype_policy().name == "mixed_float16"
assert keras.config.image_data_format() == "channels_first"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
