"""The race: it trains, pauses, stops, replays and trains again, and says what goes on."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import lab
from lab import LabError, RunConfig, RunStore
from lab.training import trainer
from lab.widgets import Race
from lab.widgets.race import _table as race_table

SETTINGS = {"hidden": (6, 5), "epochs": 3, "batch_size": 30}


def play(script):
    """Runs a coroutine as a notebook's cell does: inside a running loop."""
    return asyncio.run(asyncio.wait_for(script(), 60))


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def said():
    """Collects what a race says."""

    def collect(race):
        found = []

        def hear(change):
            found.append(re.sub(r"<[^>]+>", "", change["new"]))

        race.status.observe(hear, names="value")
        return found

    return collect


def test_train_returns_at_once_and_the_runs_are_in_the_store_at_the_end(tiny, store, said):
    async def script():
        long = SETTINGS | {"epochs": 20}  # So that it says at least once how far it is.
        race = Race(("relu", "elu"), 2, tiny, store, **long)
        words = said(race)
        race.train.click()
        assert race.busy
        assert (race.train.disabled, race.stop.disabled, race.pause.disabled) == (
            True,
            False,
            False,
        )
        runs = await race.finished()
        return race, words, runs

    race, words, runs = play(script)
    assert [(run.config.title, run.config.seed) for run in runs] == [
        ("ReLU", 0), ("ELU α=1", 0), ("ReLU", 1), ("ELU α=1", 1),
    ]  # fmt: skip
    assert len(store.runs) == 4
    assert any(text.startswith("Compiling") for text in words)
    assert any("% done, about" in text for text in words)
    assert words[-1] == f"Finished: all 4 runs are kept in {store.path}."
    assert race.progress.value == 1000
    assert not race.train.disabled
    accuracy = (runs[0].record.test_accuracy + runs[2].record.test_accuracy) / 2
    assert f"{100 * accuracy:.2f}" in race.table.value
    assert "Curves of training loss" in race.picture.value


def test_the_curves_are_those_of_the_record(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.start()
        await race.finished()
        return race

    race = play(script)
    (run,) = store
    (line,) = race.lines
    assert list(line.curve("validation_accuracy", 0)) == [
        e.validation_accuracy for e in run.record.epochs
    ]
    dead = [float(d) for d in trainer.units.LAYER_MEASURES["dead_fraction"](run.layer(2))]
    assert list(line.curve("dead_fraction", 2)) == dead
    assert line.result == f"test {run.record.test_accuracy:.2%}"


def test_stop_keeps_what_is_finished_and_train_goes_on_from_there(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 4000})
        race.start()
        while not any(line.rows for line in race.lines):
            await asyncio.sleep(0.02)
        race.stop.click()
        assert "Stopping" in race.status.value
        await asyncio.wait_for(race.finished(), 5)
        return race

    race = play(script)
    assert "Stopped." in race.status.value
    (run,) = store
    assert run.status == "interrupted"
    assert run.last_epoch >= 0
    assert race.pause.disabled


@pytest.mark.slow
def test_a_race_that_goes_on_shows_the_epochs_from_before_at_their_place(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 60})
        race.start()
        while len(race.lines[0].rows) < 5:
            await asyncio.sleep(0.01)
        race.stop.click()
        stopped = await race.finished()
        race.start()
        assert len(race.lines[0].rows) >= 5
        await race.finished()
        return race, stopped

    race, stopped = play(script)
    assert len(stopped) == 0
    (run,) = store
    losses = list(race.lines[0].curve("train_loss", 0))
    assert losses == [epoch.train_loss for epoch in run.record.epochs]
    assert len(losses) == 61


def test_the_table_of_a_race_names_the_dead_by_layer_in_order(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"learning_rate": 0.5})
        race.start()
        await race.finished()
        return race

    (row,) = race_table(play(script).lines).to_dict("records")
    (run,) = store
    first, second = (100 * (run.layer(n).max_gate[-1] == 0).mean() for n in (1, 2))
    assert first != second
    assert row["dead by layer, %"] == f"{first:.1f} / {second:.1f}"


@pytest.mark.slow
def test_the_still_copy_of_a_race_is_that_of_its_end(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        kept = []
        race._handles = (None, SimpleNamespace(update=lambda output, raw: kept.append(output)))
        race._handles = race._handles[1:]
        race.still = lambda: (race.table.value,)
        race.start()
        await race.finished()
        return race, kept

    race, kept = play(script)
    assert kept == [race.table.value]
    assert "test accuracy" in kept[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("button", "sentence"),
    [("replay", "Press Replay to see it from"), ("again", "The record is as it was")],
)
def test_stopping_what_is_recorded_says_that_nothing_changed(tiny, store, button, sentence):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 100})
        race.start()
        await race.finished()
        race.speed.value = 1
        getattr(race, button).click()
        while not race.lines[0].rows:
            await asyncio.sleep(0.01)
        race.stop.click()
        await race.finished()
        return race.status.value

    assert sentence in play(script)


def test_a_race_made_outside_of_a_loop_runs_in_one(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)

    async def script():
        race.start()
        return await race.finished()

    assert len(play(script)) == 1


def test_a_race_that_began_outside_of_every_loop_ends_with_its_runs(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)
    race.start()
    runs = asyncio.run(asyncio.wait_for(race.finished(), 60))
    assert [run.run_id for run in runs] == [run.run_id for run in store]
    assert len(runs) == 1
    assert "Finished: all 1 runs are kept" in race.status.value
    assert not race.busy


def test_a_race_whose_loop_has_ended_ends_with_its_runs_in_another_one(tiny, store):
    async def begin():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.start()
        return race

    assert len(asyncio.run(asyncio.wait_for(play(begin).finished(), 60))) == 1


def test_a_race_is_waited_for_in_a_thread_while_its_own_loop_is_held_up(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.start()
        waiting = asyncio.wait_for(race.finished(), 60)
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, waiting).result()

    assert len(play(script)) == 1


def test_a_race_that_nobody_watched_can_be_started_again(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)
    race.start()
    race._background._thread.join(60)
    race.speed.value = 20
    race.start()
    assert len(asyncio.run(asyncio.wait_for(race.finished(), 60))) == 1
    assert "Replayed from the record." in race.status.value


def test_the_time_left_does_not_count_a_pause(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 400})
        race.start()
        while not race._far.left:
            await asyncio.sleep(0.01)
        race.pause.click()
        assert race._far.left == ""
        race._show_progress()
        assert "Paused" in race.status.value
        race.pause.click()
        assert race._far.left == ""
        race.stop.click()
        await race.finished()

    play(script)


def test_pause_holds_and_resume_goes_on(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 150})
        race.start()
        while not any(line.rows for line in race.lines):
            await asyncio.sleep(0.02)
        race.pause.click()
        assert race.pause.description == "Resume"
        await asyncio.sleep(0.3)
        held = race.lines[0].done
        await asyncio.sleep(0.3)
        assert race.lines[0].done == held < 150
        assert "Paused" in race.status.value
        race.pause.click()
        assert race.pause.description == "Pause"
        await race.finished()
        return race

    assert play(script).lines[0].done == 150


def test_a_recorded_run_is_replayed_or_trained_again_and_the_bits_are_compared(tiny, store):
    async def script():
        race = Race(("relu", "elu"), 1, tiny, store, **SETTINGS)
        race.start()
        await race.finished()
        before = {p: p.stat().st_mtime_ns for p in store.path.rglob("*")}
        race.speed.value = 20
        race.replay.click()
        assert (race.replay.disabled, race.again.disabled) == (True, True)
        await race.finished()
        replayed = race.status.value
        race.again.click()
        await race.finished()
        assert {p: p.stat().st_mtime_ns for p in store.path.rglob("*")} == before
        return replayed, race.status.value

    replayed, again = play(script)
    assert "Replayed from the record." in replayed
    assert "Trained again: 2 of 2 runs are as recorded, to the last bit." in again


@pytest.mark.slow
@pytest.mark.parametrize("button", ["replay", "again"])
def test_what_is_not_recorded_cannot_be_replayed_nor_trained_again(tiny, store, button):
    lab.compare("relu", 1, tiny, store, **SETTINGS)
    race = Race(("relu", "elu"), 1, tiny, store, **SETTINGS)
    getattr(race, button).click()
    assert "Not recorded yet: 1 of 2 runs. Press Train first." in race.status.value
    assert not race.busy


@pytest.mark.slow
def test_train_trains_what_is_missing_and_replays_when_nothing_is(tiny, store):
    lab.compare("relu", 1, tiny, store, **SETTINGS)

    async def script():
        race = Race(("relu", "elu"), 1, tiny, store, **SETTINGS)
        race.speed.value = 20
        said = []
        for _ in range(2):
            race.train.click()
            await race.finished()
            said.append(race.status.value)
        return said

    trained, replayed = play(script)
    assert "Finished: all 2 runs are kept" in trained
    assert "Replayed from the record." in replayed


def test_a_sentence_says_that_the_bits_differ(tiny, store, monkeypatch):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.start()
        await race.finished()
        order = trainer.batch_order
        monkeypatch.setattr(trainer, "batch_order", lambda c, e, t: order(c, e, t)[::-1])
        race.again.click()
        await race.finished()
        return race.status.value

    assert "Trained again: 0 of 1 runs are as recorded" in play(script)


def test_a_second_race_says_why_it_does_not_begin(tiny, store):
    async def script():
        one = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 4000})
        other = Race("elu", 1, tiny, store, **SETTINGS)
        one.start()
        other.start()
        refused = other.status.value
        assert not other.busy
        one.start()
        twice = one.status.value
        other.stop.click()  # The page may have lost the race that goes on.
        words = other.status.value
        await one.finished()
        other.start()
        await other.finished()
        return refused, twice, words, other.status.value

    refused, twice, words, after = play(script)
    assert "Another training goes on in this notebook" in refused
    assert "The other training stops." in words
    assert "This training goes on already" in twice
    assert "Finished" in after


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("hidden", "8, x", "hidden units must be 1 to 64 whole numbers"),
        ("learning_rate", "-1", "learning rate must be a number from"),
        ("learning_rate", "fast", "learning rate must be a number from"),
        ("epochs", "0", "epochs must be a whole number from 1 to 10,000, not &#x27;0&#x27;."),
        ("first_bias", "1e9", "first bias must be a number from"),
        ("dropout", "1", "dropout must be a number from 0 to below 1"),
        ("weight_decay", "0.1", "weight decay must be 0 where optimizer is adam"),
        ("nesterov", True, "nesterov must be false unless optimizer is sgd"),
    ],
)
def test_a_bad_setting_is_a_sentence_and_nothing_begins(tiny, store, control, value, words):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.settings.controls[control].value = value
        typed = race.status.value
        race.start()
        return race, typed

    race, typed = play(script)
    assert words in typed
    assert words in race.status.value
    marked = {n for n, c in race.settings.controls.items() if "lab-wrong" in c._dom_classes}
    assert marked == {control}
    assert not race.busy
    assert not store.path.exists()


def test_a_setting_that_is_put_right_is_no_longer_marked(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)
    box = race.settings.controls["learning_rate"]
    box.value = "-1"
    box.value = "0.01"
    assert "lab-wrong" not in box._dom_classes
    assert "Choose, then press Train." in race.status.value


@pytest.mark.slow
def test_a_network_brings_its_own_widths_and_an_empty_box_is_the_default(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)
    of = race.settings.controls
    of["network"].value = "cnn"
    assert (of["hidden"].value, of["filters"].value, of["depth"].value) == ("64", "16-32", "")
    of["filters"].value = "3-4"
    of["hidden"].value = ""
    config = RunConfig(**race.settings.values())
    assert (config.filters, config.hidden, config.depth) == ((3, 4), (64,), 0)
    of["network"].value = "deep"
    assert RunConfig(**race.settings.values()).size == "deep 8 × 128"
    of["network"].value = "mlp"
    assert RunConfig(**race.settings.values()).hidden == (512, 512)


@pytest.mark.slow
def test_remedies_are_settings_of_a_race_and_of_its_line_of_python(tiny, store):
    async def script():
        race = Race("relu", 1, tiny, store, **SETTINGS | {"epochs": 1})
        of = race.settings.controls
        of["normalization"].value, of["dropout"].value = "batch", "0.1"
        of["optimizer"].value, of["weight_decay"].value = "adamw", ""
        race.start()
        await race.finished()
        return race

    race = play(script)
    (run,) = race.runs
    assert (run.config.normalization, run.config.dropout) == ("batch", 0.1)
    assert run.config.weight_decay == 0.004
    code = "optimizer=&#x27;adamw&#x27;, batch_size=30, epochs=1, normalization=&#x27;batch&#x27;"
    assert code in race.code.value
    assert "weight_decay" not in race.code.value


def test_an_error_while_training_is_a_sentence(tiny, store, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    async def script():
        monkeypatch.setattr(trainer, "batch_order", broken)
        race = Race("relu", 1, tiny, store, **SETTINGS)
        race.start()
        await race.finished()
        return race

    race = play(script)
    assert "The training failed (ZeroDivisionError: oh)" in race.status.value
    assert not race.train.disabled


def test_the_line_of_python_does_the_same(tiny, store):
    async def script():
        race = Race(("relu", "leaky_relu=0.1"), 2, tiny, store, **SETTINGS)
        race.start()
        race.stop.click()
        await race.finished()
        return race.code.value

    assert (
        "lab.compare([&#x27;relu&#x27;, &#x27;leaky_relu=0.1&#x27;], seeds=2, "
        "dataset=&#x27;tiny&#x27;, hidden=(6, 5), batch_size=30, epochs=3)" in play(script)
    )


def test_with_nothing_ticked_a_race_says_what_to_do(tiny, store):
    race = Race("relu", 1, tiny, store, **SETTINGS)
    race.chooser.boxes["relu"].value = False
    race.start()
    assert "Tick one or more activation functions to train." in race.status.value
    assert not race.busy


def test_a_race_on_your_own_pictures_takes_their_path(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "my.npz", images=rng.random((50, 6, 5)), labels=np.arange(50) % 3)
    with pytest.warns(UserWarning, match="my: pixels"):
        race = Race(dataset=str(tmp_path / "my.npz"))
    assert race.dataset.value == "my"
    with pytest.raises(LabError, match=r"Unknown dataset 'mnits'"):
        Race(dataset="mnits")
