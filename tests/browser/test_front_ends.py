"""The front ends as students use them: in JupyterLab, by mouse and by keyboard."""

import csv
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from lab import RunStore, load_dataset

pytestmark = pytest.mark.browser
FOLDER = Path(__file__).parent.parent.parent / "notebooks"
LESSONS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_from_top_to_bottom(opened, lesson):
    notebook = opened(lesson)
    notebook.run_all()
    expect(notebook.errors()).to_have_count(0)
    expect(notebook.page.locator(".lab-still:visible")).to_have_count(0)
    assert notebook.complaints == []
    if notebook.front.count():
        assert inaccessible(notebook) == []
    notebook.page.set_viewport_size({"width": 640, "height": 400})  # 1280 x 800 at 200 % zoom.
    for front in notebook.page.locator(".lab-front").all():
        assert front.evaluate("front => front.scrollWidth - front.clientWidth") <= 1
    pictures = notebook.page.locator(".jp-RenderedSVG").all()
    assert pictures or "keeps_learning" not in lesson
    for picture in pictures:
        assert picture.evaluate("picture => picture.scrollWidth - picture.clientWidth") <= 1


def inaccessible(notebook):
    """What axe-core finds in the front ends that hinders people with a disability."""
    found = Axe().run(notebook.page, {"include": [[".lab-front"]]}).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def test_in_the_dark_theme_all_can_be_read(dark, opened):
    notebook = opened("05_microscope.ipynb")
    notebook.run_all()
    expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    assert inaccessible(notebook) == []


@pytest.fixture
def race(opened):
    notebook = opened("03_compare.ipynb")
    notebook.run_above("waits for the end of the race")
    notebook.button("Train").wait_for()
    return notebook


def test_a_race_runs_pauses_resumes_stops_and_goes_on(race, picture_of):
    race.set("epochs", "60")
    race.button("Train").click()
    race.says("Compiling")
    race.says("% done, about")
    before = race.words()
    expect(race.picture()).not_to_have_attribute("aria-label", before)  # The curves move.
    while race.epoch() < 8:
        race.page.wait_for_timeout(200)
    picture_of(
        race,
        "race-in-jupyterlab",
        "JupyterLab with a race that goes on: boxes to tick for the activation functions, the "
        "settings, buttons to train, pause and stop, a progress bar with the time left, and the "
        "curves of training loss, validation accuracy and dead neurons of three networks.",
    )
    race.button("Pause").click()
    race.says("Paused.")
    race.page.wait_for_timeout(500)  # What had begun is shown.
    paused = race.words()
    race.page.wait_for_timeout(1500)
    assert race.words() == paused
    race.button("Resume").click()
    race.says("% done, about")
    expect(race.picture()).not_to_have_attribute("aria-label", paused)
    race.button("Stop").click()
    race.says("Stopped.", seconds=3)
    expect(race.button("Train")).to_be_enabled()
    race.button("Train").click()  # It goes on where it was.
    race.says("% done, about")
    assert race.epoch() > 1
    assert race.complaints == []


def test_a_notebook_that_is_opened_again_shows_the_race_as_it_is_now(opened):
    race = opened("03_compare.ipynb")
    race.run_all()
    race.set("epochs", "30")
    race.button("Train").click()
    race.says("% done")
    race.save()
    race.open()
    race.says("Finished: all 3 runs are kept")
    assert "epoch 30.0 of 30" in race.words()
    race.set("epochs", "10")
    race.button("Train").click()  # It is recorded: it is replayed.
    race.says("Replayed from the record.")
    race.tab_to("Replay")
    race.page.keyboard.press("Enter")
    race.says("% done")
    race.says("Replayed from the record.")
    expect(race.button("Replay")).to_be_focused()
    race.tab_to("Train again")
    race.page.keyboard.press("Enter")
    race.says("Trained again: 3 of 3 runs are as recorded")


def test_a_bad_setting_is_a_sentence_and_a_second_race_has_to_wait(race):
    race.set("learning rate", "-1")
    race.button("Train").click()
    race.says("learning rate must be a number from 1e-12 to 1,000, not '-1'.")
    race.set("learning rate", "0.001")
    race.set("epochs", "500")
    race.button("Train").click()
    race.says("% done")
    race.page.locator(".jp-CodeCell", has_text="race = Race").locator(".jp-InputPrompt").click()
    race.page.keyboard.press("Control+Enter")
    expect(race.page.get_by_text("Choose, then press Train.")).to_be_visible()
    race.button("Train").click()
    race.says("Another training goes on in this notebook. Press Stop to end it")
    race.button("Stop").click()
    race.says("The other training stops. Then press Train")
    busy = race.front.get_by_text("The other training stops").or_(
        race.front.get_by_text("Another training goes on")
    )
    while busy.count():
        race.button("Train").click()
        race.page.wait_for_timeout(1000)
    race.says("% done")
    race.button("Stop").click()
    race.says("Stopped.")


def test_a_race_is_run_by_keyboard_alone(race):
    race.page.locator(".jp-CodeCell", has_text="race = Race").first.click()
    race.page.keyboard.press("Escape")
    race.tab_to("ReLU")
    race.tab_to("epochs")
    race.page.keyboard.press("Control+A")
    race.page.keyboard.type("40")
    race.tab_to("Train")
    race.page.keyboard.press("Enter")
    race.says("% done, about")
    race.tab_to("Stop")
    race.page.keyboard.press("Enter")
    race.says("Stopped.")
    assert "of 40" in race.words()


def test_lesson_8_shows_that_a_leak_saves_the_second_layer_too(opened):
    notebook = opened("08_what_saves_neurons.ipynb")
    notebook.run_above("Reading the plot.")
    notebook.front.wait_for()
    notebook.choose("layer", "^2$")
    shown = notebook.picture()
    expect(shown).to_have_attribute("aria-label", re.compile("Curves of dead of layer 2"))
    expect(shown).to_have_attribute(
        "aria-label", re.compile(r"learning rate 0.02: 9.11 %.*Leaky.*: 0.00 %")
    )
    expect(notebook.front.locator("table")).to_contain_text("warmup 0.1")
    notebook.choose("measure", "^validation accuracy$")
    expect(shown).to_have_attribute("aria-label", re.compile("Curves of validation accuracy"))
    assert notebook.complaints == []


def test_lesson_9_shows_a_dead_filter_that_the_microscope_explains(opened):
    notebook = opened("09_convolutional_networks.ipynb")
    notebook.run_above("Filter 4 has no weight above zero")
    cells = notebook.front.get_by_role("grid").get_by_role("gridcell")
    expect(cells).to_have_count(8)
    expect(cells.filter(has_text="×")).to_have_count(3)  # Filters 0, 4 and 7.
    told = notebook.front.locator("[aria-live=polite]")
    expect(told).to_contain_text("Channel 4 of layer 1")
    expect(told).to_contain_text("In epoch 1 it died")
    assert cells.first.bounding_box()["width"] > 44
    cells.nth(1).click()
    expect(told).to_contain_text("Channel 1 of layer 1")
    assert notebook.complaints == []


def test_lesson_10_shows_a_race_over_tasks_in_which_elu_has_no_dead_neuron(opened):
    notebook = opened("10_keeps_learning.ipynb")
    notebook.run_above("waits for the end of the race")
    notebook.set("epochs", "5")
    notebook.button("Train").click()
    notebook.says("Finished: all 2 runs are kept")
    assert re.search(r"ELU.*: epoch 5.0 of 5, .*dead 0.0 / 0.0 %", notebook.words())
    code = notebook.front.get_by_text("lab.compare(")
    expect(code.first).to_contain_text("tasks='permuted'")
    assert notebook.complaints == []


@pytest.fixture
def compare(opened):
    notebook = opened("03_compare.ipynb")
    notebook.run_all()
    notebook.front = notebook.page.locator(".lab-front").last
    return notebook


def test_compare_shows_a_measure_and_an_epoch_and_saves_both(compare, picture_of, classroom_folder):
    compare.choose("measure", "^dead$")
    compare.choose("layer", "^2$")
    words = compare.picture()
    expect(words).to_have_attribute("aria-label", re.compile("Curves of dead of layer 2"))
    units = RunStore(classroom_folder / "recorded").runs.where(learning_rate=0.001).units()
    relu = units.query("dataset == 'mnist' and activation == 'relu' and layer == 2 and epoch == 9")
    share = f"{100 * (relu.max_gate == 0).mean():.2f} %"
    compare.front.get_by_role("slider").focus()
    compare.page.keyboard.press("ArrowLeft")
    expect(words).to_have_attribute("aria-label", re.compile(f"At epoch 9: ReLU: {share}"))
    expect(compare.front.locator("table")).to_contain_text("dead at epoch 9, mean")
    picture_of(
        compare,
        "compare-in-jupyterlab",
        "JupyterLab with recorded runs side by side: filters, a list of runs, a measure, a layer "
        "and an epoch to choose, the curves of every seed with their means, and a table.",
    )
    compare.set("save as", "mine")
    compare.button("Save figure and table").click()
    compare.says("Saved mine.svg, mine.png and mine.csv")
    assert ET.parse(classroom_folder / "mine.svg").getroot().tag.endswith("svg")
    assert (classroom_folder / "mine.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((classroom_folder / "mine.csv").open(encoding="utf-8-sig")))
    assert [row["activation"] for row in rows] == ["ReLU", "Leaky ReLU α=0.01", "ELU α=1"]
    assert rows[0]["dead at epoch 9, mean"] == share
    assert compare.complaints == []


def test_the_curves_answer_to_the_pointer_the_keyboard_and_clicks(compare):
    compare.front = compare.page.locator(".lab-front").nth(1)  # Another one will open in it.
    table = compare.front.locator(".lab-values")
    stage = compare.front.locator(".lab-picture").first
    stage.focus()
    for key in ("ArrowLeft", "ArrowLeft"):
        compare.page.keyboard.press(key)
    aloud = stage.locator("[aria-live=polite]")
    expect(aloud).to_contain_text("validation accuracy, %, epoch 9. ReLU: mean")
    expect(table).to_contain_text("at epoch 9")
    compare.page.keyboard.press("PageDown")
    compare.page.keyboard.press("PageDown")
    expect(aloud).to_contain_text("Chosen: ReLU, run 2 of 3.")
    compare.page.keyboard.press("Enter")
    told = "Opened below in the microscope: ReLU, mnist, learning rate 0.001, seed 1."
    expect(compare.page.get_by_text(told)).to_be_visible()
    compare.page.keyboard.press("Escape")
    expect(table).to_have_count(0)
    compare.tab_to("curves of ELU α=1")
    compare.page.keyboard.press("Enter")
    expect(stage.locator('[data-run="ELU α=1"]').first).not_to_be_visible()
    compare.choose("measure", "^training loss$")
    button = stage.get_by_role("button", name="curves of ELU α=1")
    expect(button).to_have_attribute("aria-pressed", "false")  # It stays hidden.
    expect(stage.locator('[data-mean="ELU α=1"]').first).not_to_be_visible()
    assert inaccessible(compare) == []
    stage.evaluate("element => element.scrollIntoView({block: 'center'})")
    box = compare.place_of(compare.picture().first)
    compare.page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    expect(table).to_contain_text("training loss at epoch 4")
    expect(table).not_to_contain_text("ELU α=1")
    stage.focus()
    compare.page.keyboard.press("Home")
    compare.page.keyboard.press("+")
    everything = stage.get_by_role("button", name="Show all")
    expect(everything).to_be_visible()
    compare.page.keyboard.press("-")
    expect(stage.locator("svg text", has_text=re.compile("^10$"))).to_be_visible()  # The epoch.
    stage.evaluate("element => element.scrollIntoView({block: 'center'})")
    expect(compare.picture().first).to_be_visible()
    box = compare.place_of(compare.picture().first)
    before = box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"]
    compare.page.mouse.move(*before)
    compare.page.mouse.down()
    compare.page.mouse.move(before[0] + 150, before[1] + 100)
    compare.page.mouse.up()
    expect(everything).to_be_visible()
    everything.click()
    expect(stage.locator("svg text", has_text=re.compile("^0$"))).to_be_visible()  # The epoch.
    button.click()
    stage.evaluate("element => element.scrollIntoView({block: 'center'})")
    line = compare.place_of(stage.locator('[data-run="ELU α=1"] path').last)
    end = line["x"] + line["width"], line["y"] + line["height"]
    compare.page.mouse.move(*end)
    expect(table).to_contain_text("training loss at epoch 10")
    compare.page.mouse.click(*end)
    told = "Opened below in the microscope: ELU α=1, mnist, learning rate 0.001, seed 2."
    expect(compare.page.get_by_text(told)).to_be_visible()
    expect(compare.page.get_by_role("grid", name="Neurons of layer 1")).to_be_visible()
    assert compare.complaints == []


def test_the_playground_shows_what_a_trained_network_feeds_its_neurons(opened, picture_of):
    notebook = opened("01_activation_functions.ipynb")
    notebook.run_above("Reading the plot.")
    notebook.front = notebook.page.locator(".lab-front")
    notebook.front.get_by_label("GELU").check()
    expect(notebook.picture()).to_have_attribute("aria-label", re.compile("activation GELU"))
    notebook.choose("histogram of", "ReLU, mnist-5k")
    shut = notebook.front.locator("table").get_by_text("82.5 %").first  # ReLU's, at epoch 10.
    expect(shut).to_be_visible()
    notebook.front.get_by_role("button", name="Play").click()
    expect(shut).to_have_count(0)  # From epoch 0 on.
    expect(shut).to_be_visible()
    alpha = notebook.front.get_by_role("slider").first
    alpha.focus()
    alpha.press("ArrowRight")
    expect(notebook.picture()).to_have_attribute("aria-label", re.compile("Leaky ReLU α=0.02"))
    picture_of(
        notebook,
        "playground-in-jupyterlab",
        "JupyterLab with the playground: four activation functions and their derivatives over the "
        "histogram of a trained network's pre-activations, which lie mostly below zero.",
    )
    assert notebook.complaints == []


def test_a_notebook_without_its_kernel_shows_pictures_and_tables(opened):
    notebook = opened("03_compare.ipynb")
    asleep = notebook.page.get_by_text("from the last time this cell ran")
    expect(asleep).to_have_count(2)
    expect(notebook.page.locator(".jp-OutputArea img").first).to_be_visible()
    expect(notebook.page.get_by_text("image/svg+xml")).to_have_count(0)
    assert notebook.complaints == []


@pytest.fixture
def microscope(opened, classroom_folder):
    lines = (
        "from lab import RunStore\n"
        "from lab.widgets import Microscope\n"
        "runs = RunStore('recorded').runs.where(label='weights of every epoch')\n"
        "Microscope(runs, layer=1, epoch=10)"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(lines)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, classroom_folder / "microscope.ipynb")
    notebook = opened("microscope.ipynb")
    notebook.run_all()
    notebook.picture().wait_for()
    return notebook


def test_a_neuron_is_picked_by_mouse_by_keyboard_and_from_the_list(microscope, picture_of):
    cell = microscope.front.get_by_role("gridcell", name=re.compile(r"^neuron 20 "))
    cell.click()
    told = microscope.front.locator("[aria-live=polite]")
    expect(told).to_contain_text("Neuron 20 of layer 1.")
    expect(cell).to_be_focused()
    assert cell.bounding_box()["width"] > 28
    for key, unit in (("ArrowRight", 21), ("ArrowDown", 37), ("ArrowUp", 21), ("ArrowLeft", 20)):
        microscope.page.keyboard.press(key)
        expect(told).to_contain_text(f"Neuron {unit} of layer 1.")
    microscope.page.keyboard.press("End")
    expect(told).to_contain_text("Neuron 63 of layer 1.")
    microscope.page.keyboard.press("ArrowRight")  # There is none: the pick stays.
    microscope.page.keyboard.press("Home")
    expect(told).to_contain_text("Neuron 0 of layer 1.")
    dead = microscope.front.get_by_role("gridcell", name=re.compile("dead")).first
    microscope.choose("neuron", dead.get_attribute("aria-label").removeprefix("neuron ")[:-7])
    expect(dead).to_have_attribute("aria-selected", "true")
    expect(told).to_contain_text("no training image pushes it above zero")
    expect(microscope.picture()).to_have_attribute("aria-label", re.compile("it was its weights"))
    picture_of(
        microscope,
        "microscope-in-jupyterlab",
        "JupyterLab with the microscope: a grid with a cell for each of the 64 neurons of a layer, "
        "dead ones crossed out, and of the one that is picked the story in words, its incoming "
        "weights as a picture, its pre-activations with the gate, its history, and the digits "
        "that excite it most.",
    )
    assert microscope.complaints == []


@pytest.fixture
def planted(opened, classroom_folder, by_hand):
    """The microscope on four neurons, of which 1 and 3 are clones."""
    kernel = np.random.default_rng(0).normal(size=(784, 4))
    kernel[:, 3] = 2 * kernel[:, 1]
    weights = [kernel, np.zeros(4), np.eye(4, 10), np.zeros(10)]
    run = by_hand(load_dataset("mnist-5k"), [weights, weights], batch_size=128)
    lines = (
        "from lab import RunStore\n"
        "from lab.widgets import Microscope\n"
        f"Microscope(RunStore({str(run.folder.parent)!r}), unit=0)"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(lines)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, classroom_folder / "planted.ipynb")
    notebook = opened("planted.ipynb")
    notebook.run_all()
    notebook.picture().wait_for()
    return notebook


def test_a_button_leads_from_clone_to_clone_by_keyboard(planted):
    told = planted.front.locator("[aria-live=polite]")
    expect(told).to_contain_text("No other neuron is its clone.")
    expect(planted.front.get_by_text("1 of 4 neurons could be taken away")).to_be_visible()
    button = planted.front.get_by_role("button", name="Go to its clone")
    expect(button).to_be_hidden()
    planted.front.get_by_role("gridcell", name=re.compile("^neuron 1 ")).click()
    expect(told).to_contain_text("Neuron 1 of layer 1.")
    expect(told).to_contain_text("Its clone: 3 (correlation 1.00).")
    planted.tab_to("Go to its clone 3")
    planted.page.keyboard.press("Enter")
    expect(told).to_contain_text("Neuron 3 of layer 1.")
    expect(button).to_be_focused()
    planted.page.keyboard.press("Enter")
    expect(told).to_contain_text("Neuron 1 of layer 1.")
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        planted.page.screenshot(path=f"{folder}/planted.png")
    assert inaccessible(planted) == []
    assert planted.complaints == []


def test_scrubbing_through_the_epochs_shows_neurons_die_and_revive(microscope, classroom_folder):
    runs = RunStore(classroom_folder / "recorded").runs.where(label="weights of every epoch")
    microscope.choose("layer", "^2$")
    slider = microscope.front.get_by_label("epoch", exact=True).or_(
        microscope.front.get_by_role("slider")
    )
    slider.first.focus()
    for epoch in range(9, -1, -1):
        microscope.page.keyboard.press("ArrowLeft")
        dead = int(runs[0].lives(2).dead[epoch].sum())
        crossed = microscope.front.get_by_role("gridcell").filter(has_text="×")
        expect(crossed).to_have_count(dead)
    expect(microscope.front.get_by_text("Effective rank")).to_be_visible()  # Once all is at rest.
    assert microscope.complaints == []


@pytest.fixture
def kill_map(opened, classroom_folder):
    # The picture shows the store: not a folder of this test.
    lines = 'from lab.widgets import KillMap\nKillMap(epochs=2, seeds=2, store="runs")'
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(lines)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, classroom_folder / "kill_map.ipynb")
    notebook = opened("kill_map.ipynb")
    notebook.run_all()
    notebook.front.wait_for()
    return notebook


def test_the_cells_of_a_kill_map_fill_in_and_open_their_curves(kill_map, picture_of):
    cells = kill_map.front.get_by_role("grid", name="dead hidden neurons").get_by_role("gridcell")
    expect(cells).to_have_count(16)
    kill_map.says(
        "4 × 4 cells: every learning rate with every first bias, 32 networks of 2 epochs."
    )
    kill_map.choose("activation", "relu")
    kill_map.button("Train").click()
    kill_map.says("Finished: all 32 runs are kept in runs.", seconds=180)
    name = "learning rate 0.03, first bias -0.5: "
    cell = cells.filter(has_text=re.compile(r"\d")).nth(5)
    expect(cell).to_have_attribute(
        "aria-label", re.compile(re.escape(name) + r"[0-9.]+ ± [0-9.]+ %")
    )
    cell.click()
    expect(cell).to_be_focused()
    expect(kill_map.picture()).to_have_attribute("aria-label", re.compile(name))
    kill_map.page.keyboard.press("ArrowDown")
    name = "learning rate 0.003, first bias -0.5: "
    expect(kill_map.picture()).to_have_attribute("aria-label", re.compile(name))
    other = kill_map.front.get_by_role("grid", name="validation accuracy")
    expect(other.locator("[aria-selected=true]")).to_have_attribute("aria-label", re.compile(name))
    kill_map.choose("third map", "effective rank")
    third = kill_map.front.get_by_role("grid", name="effective rank").get_by_role("gridcell")
    expect(third.filter(has_text=re.compile(r"\d"))).to_have_count(16)
    assert inaccessible(kill_map) == []
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        kill_map.page.screenshot(path=f"{folder}/third.png", full_page=True)
    kill_map.choose("third map", "none")
    expect(third).to_have_count(0)
    picture_of(
        kill_map,
        "kill-map-in-jupyterlab",
        "JupyterLab with a kill map: two settings and their values, two grids of numbered cells, "
        "dead neurons and validation accuracy, and the curves of the cell that is picked.",
    )
    assert kill_map.complaints == []
