"""The playground shows the functions chosen, and what a recorded network feeds them."""

import re

import numpy as np
import pytest

import lab
from lab import RunStore, activations
from lab.widgets import Playground


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("playground") / "runs")
    settings = {"hidden": (6, 5), "batch_size": 30, "epochs": 2, "keep_weights": "every"}
    lab.compare("relu", 1, tiny, store, **settings)
    return store


def cells(front):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", front.table.value, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_it_begins_with_the_functions_given():
    playground = Playground(("relu", "leaky_relu=0.2"))
    assert playground.chooser.choices == ["relu", "leaky_relu=0.2"]
    assert cells(playground)[2] == ["Leaky ReLU α=0.2", "-0.400", "2.000", "0.200", "1.000"]
    assert "plots.function_pair([&#x27;relu&#x27;" in playground.code.value


def test_every_registered_function_has_a_box_with_its_label():
    boxes = Playground().chooser.boxes
    assert list(boxes) == list(lab.activations.names())
    assert boxes["gelu"].description == "GELU"


def test_ticking_and_sliding_change_picture_table_and_words():
    playground = Playground(("relu",))
    before = playground.picture.value
    playground.chooser.boxes["elu"].value = True
    playground.chooser.sliders["elu"].value = 2.0
    assert playground.picture.value != before
    name, low, high, gate, _ = cells(playground)[2]
    assert (name, high) == ("ELU α=2", "2.000")
    assert float(low) == pytest.approx(2 * (np.exp(-2) - 1), abs=1e-3)
    assert float(gate) == pytest.approx(2 * np.exp(-2), abs=1e-3)
    assert "ELU α=2" in playground.picture.value.split(">", 1)[0]  # The words.


def test_with_nothing_ticked_it_says_what_to_do():
    playground = Playground(("relu",))
    playground.chooser.boxes["relu"].value = False
    assert "Tick an activation function" in playground.status.value


def test_a_run_gives_the_share_of_its_pre_activations_at_which_the_gate_is_shut(store, tiny):
    playground = Playground(("relu", "leaky_relu"), store, tiny)
    (run,) = store
    playground.run.value = playground.run.options[1]
    assert playground.run.value == "ReLU, tiny, learning rate 0.001, seed 0"
    assert (playground.layer.options, playground.epoch.options) == ((1, 2), (0, 1, 2))
    playground.layer.value, playground.epoch.value = 2, 1
    x = tiny.x_train.reshape(300, -1)[lab.experiment.data.split(tiny, run.config).probe] / 255
    w1, b1, w2, b2, *_ = run.weights(1)
    z = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    head, relu, leaky = cells(playground)
    assert head[-2:] == ["gate is 0", "gate nearly 0"]
    assert relu[-2] == f"{100 * (z <= 0).mean():.1f} %"
    assert leaky[-2:] == ["0.0 %", "0.0 %"]
    assert relu[-1] == relu[-2] != "0.0 %"
    playground.chooser.sliders["leaky_relu"].value = 0.0005  # Half of what is nearly nothing.
    assert cells(playground)[2][-2:] == ["0.0 %", relu[-1]]
    assert "share of pre-activations" in playground.picture.value
    playground.run.value = "no run"
    assert "share of pre-activations" not in playground.picture.value


def test_play_goes_through_the_epochs_and_the_hill_moves_while_the_axes_hold_still(store, tiny):
    playground = Playground(("relu",), store, tiny)
    (run,) = store
    assert playground.of_run.layout.display == "none"
    playground.run.value = playground.run.options[1]
    assert playground.of_run.layout.display == "flex"
    assert (playground.epoch.value, playground.play.max) == (2, 2)
    assert playground.link.source == (playground.play, "value")
    assert playground.link.target == (playground.epoch, "index")
    hills, limits = [], []
    for index in range(3):
        playground.epoch.index = index
        left, _, behind, _ = playground.figure.axes
        hills.append(behind.patches[0].get_data().values)
        limits.append(left.get_xlim())
    assert limits[0] == limits[1] == limits[2]
    for epoch, hill in enumerate(hills):
        z = run.pre_activations(tiny, 1, epoch)
        most = limits[0][1] / 1.1
        wanted, _ = np.histogram(z, 100, (-most, most))
        np.testing.assert_allclose(hill, 100 * wanted / z.size, atol=0.2)
    assert abs(hills[0] - hills[2]).max() > 0.1


def test_a_run_whose_images_are_not_here_is_a_sentence(store, tiny):
    other = lab.Dataset("other", tiny.x_test, tiny.y_test, tiny.x_train, tiny.y_train)
    playground = Playground(store=store, dataset=other)
    playground.run.value = playground.run.options[1]
    assert "was trained on other images than other." in playground.status.value


def test_one_function_cannot_be_chosen_with_two_parameters():
    with pytest.raises(lab.LabError, match="can be chosen once here, with one parameter"):
        Playground(("leaky_relu=0.1", "leaky_relu=0.2"))
    assert Playground("leaky_relu=0.123456789").chooser.choices == ["leaky_relu=0.123456789"]


def test_every_slider_can_show_the_default_of_its_function():
    for name, slider in Playground().chooser.sliders.items():
        steps = (activations.get(name).default - slider.min) / slider.step
        assert steps == pytest.approx(round(steps)), name
