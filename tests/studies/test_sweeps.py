"""Sweeps: what a grid asks for is trained once, in its order."""

import pytest

import lab
from lab import RunStore
from lab.errors import InputError
from lab.training.events import EpochEnd

BASE = {"hidden": (6, 5), "epochs": 2, "batch_size": 30}


def test_a_sweep_returns_its_runs_in_the_order_of_the_grid_and_trains_none_twice(
    tiny, tmp_path, monkeypatch, capsys
):
    store = RunStore(tmp_path / "runs")
    vary = {"learning_rate": [0.01, 0.001], "activation": ["elu", "leaky_relu=0.2"]}
    runs = lab.sweep(BASE, vary, (1, 0), tiny, store)
    found = [(r.config.seed, r.config.learning_rate, r.config.activation) for r in runs]
    assert found == [
        (seed, rate, name)
        for seed in (1, 0)
        for rate in (0.01, 0.001)
        for name in ("elu", "leaky_relu")
    ]
    assert {run.config.parameter for run in runs.where(activation="leaky_relu")} == {0.2}
    monkeypatch.setattr("lab.studies.study.train", lambda *_: pytest.fail("trained again"))
    again = lab.sweep(BASE, vary, (1, 0), tiny, store)
    assert [run.run_id for run in again] == [run.run_id for run in runs]
    assert "8 of 8 runs are recorded already" in capsys.readouterr().out


def test_a_sweep_that_cannot_be_writes_nothing(tiny, tmp_path):
    with pytest.raises(InputError, match="batch_size must be at most 240"):
        lab.sweep({"hidden": (6,)}, {"batch_size": [30, 241]}, 1, tiny, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_command_trains_a_grid_and_prints_its_table_and_verdicts(lab_main, tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'question = "Is it the rate?"\ndataset = "mnist-5k"\n[settings]\nepochs = 9\n'
        'hidden = [4]\n[vary]\nlearning_rate = [0.01, 0.001]\nactivation = ["relu", "elu"]\n'
    )
    sweep = ("sweep", file, "--epochs", "1", "--batch-size", 800, "--store", tmp_path / "runs")
    code, out, err = lab_main(*sweep)
    assert (code, err) == (0, "")
    assert "Is it the rate?" in out
    assert "mnist-5k, seeds 0-5" in out
    assert all(
        out.count(f"ReLU, learning rate {lr}, seed 3: test accuracy") == 1 for lr in (0.01, 0.001)
    )
    assert len(RunStore(tmp_path / "runs").runs.where(epochs=1, hidden=(4,))) == 24
    assert "each at its best learning rate" in out
    code, out, _ = lab_main(*sweep)
    assert "24 of 24 runs are recorded already and are loaded." in out
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vary", "learning_rat=1"], "Unknown setting 'learning_rat'. Did you mean"),
        (["--vary", "learning_rate="], "learning_rate must have at least one value"),
        (["--vary", "learning_rate"], "vary must be NAME=VALUE,VALUE,…, not 'learning_rate'."),
        (["--vary", "epochs=1,2", "--epochs", "3"], "epochs must be varied or fixed, not both."),
        (["--workers", "0"], "workers must be a whole number from 1 to 1,024, not 0."),
        (["--workers", "1", "--dask", "tcp://localhost:1"], "workers must be left out where"),
        (["--seeds", "x"], "seeds must be a number from 1 to 10,000"),
        (["none.toml"], "none.toml cannot be read: No such file or directory."),
        (["--vary", "activation=rellu"], "Unknown activation 'rellu'. Did you mean 'relu'?"),
    ],
)
def test_the_command_refuses_what_cannot_be_before_any_work(lab_main, tmp_path, arguments, words):
    store = tmp_path / "runs"
    code, _, err = lab_main("sweep", "--dataset", "mnist-5k", "--store", store, *arguments)
    assert code == 2
    assert words in err
    assert not store.exists()


def test_whoever_pulls_gets_the_epochs(tiny, tmp_path):
    from lab.experiment.grids import grid
    from lab.studies.study import gather

    study = gather(grid({}, 1, BASE), tiny, tmp_path / "runs")
    assert [e.epoch for e in study.events() if isinstance(e, EpochEnd)] == [0, 1, 2]
