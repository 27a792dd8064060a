"""Figures: which pictures a store gives, their captions, their words, and their files."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from made_runs import write_runs
from PIL import Image

import lab
from lab import Runs, RunStore, plots
from lab.errors import InputError, StoreError
from lab.figures import of_runs
from lab.plots import canvas
from lab.runs import measures

SETTINGS = {"hidden": (6, 5), "epochs": 2, "batch_size": 30}


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("figures") / "runs")
    for rate in (0.3, 0.001):
        lab.compare(["elu", "relu"], 2, tiny, store, learning_rate=rate, **SETTINGS)
    return store.runs


@pytest.fixture(scope="module")
def pictures(runs):
    return {picture.name: picture for picture in of_runs.pictures(runs)}


def test_each_comparison_gets_its_pictures_and_all_rates_together_three(pictures):
    kinds = ["summary", "learning-curves", "dead-neurons", "life-maps", "lives", "race", "forest"]
    assert list(pictures) == [
        "functions",
        *(f"tiny-lr-0.001-{kind}" for kind in kinds),
        *(f"tiny-lr-0.3-{kind}" for kind in kinds),
        *(f"tiny-{kind}" for kind in ("dead-and-accuracy", "learning-rates", "rate-maps")),
    ]


def test_a_store_without_ended_runs_gives_the_functions_alone():
    assert [picture.name for picture in of_runs.pictures(Runs([]))] == ["functions"]


@pytest.mark.slow
def test_comparisons_that_differ_in_another_setting_have_names_that_tell_it(runs, tiny):
    deeper = lab.compare("relu", 1, tiny, hidden=(8, 8, 8), epochs=1, batch_size=30)
    names = [picture.name for picture in of_runs.pictures(Runs([*runs, *deeper]))]
    assert len(set(names)) == len(names)
    assert "tiny-lr-0.001-hidden-8-8-8-epochs-1-summary" in names


def test_every_function_has_a_panel_and_its_formula_in_words(pictures):
    picture = pictures["functions"]
    titles = [ax.get_title(loc="left") for ax in picture.figure.axes]
    assert [title for title in titles if title] == [
        lab.activations.get(name).title(lab.activations.get(name).default)
        for name in lab.activations.names()
    ]
    assert "SELU: λ z if z > 0" in picture.alt
    assert "ReLU: max(0, z); derivative from 0.00 to 1.00" in picture.alt
    assert "GELU: z Φ(z), with Φ the normal distribution function; derivative from -0.13" in (
        picture.alt
    )


def test_activation_functions_come_in_the_order_of_the_registry(pictures):
    texts = pictures["tiny-lr-0.3-summary"].alt
    assert texts.index("ReLU") < texts.index("ELU α=1")


def caption(picture):
    return " ".join(picture.figure.get_supxlabel().split())


def test_a_caption_says_data_network_settings_seeds_and_probe(pictures):
    words = caption(pictures["tiny-lr-0.3-dead-neurons"])
    for part in (
        "tiny: 240 images to train on, 60 to validate, 100 to test.",
        "Network 784-6-5-10, glorot_uniform, first bias 0, adam, learning rate 0.3",
        "batches of 30, 2 epochs, seeds 0, 1.",
        "no gradient on any image of a probe of 240; ring: on any of all 240 training images.",
        "Thin lines: each seed; thick lines: their mean.",
    ):
        assert part in words
    assert "learning rate 0.001, 0.3," in caption(pictures["tiny-dead-and-accuracy"])


def test_words_hold_the_numbers_that_the_picture_shows(pictures, runs):
    relu = [r for r in runs if r.config.activation == "relu" and r.config.learning_rate == 0.3]
    dead = 100 * np.mean([run.confirmed_fractions()[0] for run in relu])
    assert f"ReLU {dead:.2f} %" in pictures["tiny-lr-0.3-dead-neurons"].alt
    accuracy = 100 * np.mean([run.record.test_accuracy for run in relu])
    assert f"ReLU: test accuracy, %: {accuracy:.2f};" in pictures["tiny-lr-0.3-summary"].alt
    mean = 100 * np.mean([measures.dead_share(run) for run in relu])
    assert (
        f"ReLU at 0.3: {mean:.1f} % dead, {accuracy:.2f} %"
        in pictures["tiny-dead-and-accuracy"].alt
    )
    states = lab.census.units.dead(relu[0].layer(1))
    assert (
        f"ReLU, layer 1: of 6 neurons {states[0].sum()} dead untrained, {states[-1].sum()} at the "
        f"end, {states.any(axis=0).sum()} at some epoch." in pictures["tiny-lr-0.3-life-maps"].alt
    )


def test_the_summary_holds_the_table_of_results(pictures, runs):
    (table,) = (t for ax in pictures["tiny-lr-0.001-summary"].figure.axes for t in ax.tables)
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    slow = Runs([run for run in runs if run.config.learning_rate == 0.001])
    row = slow.summary().set_index("activation").loc["ReLU"]
    assert cells[1, 0] == "ReLU"
    assert cells[1, 1] == f"{100 * row.test_accuracy:.2f}"
    assert cells[1, 2].split() == [f"{100 * a:.2f}" for a in row.every_test_accuracy]


def test_life_maps_of_a_picture_have_one_scale(pictures):
    axes = pictures["tiny-lr-0.3-life-maps"].figure.axes
    assert [ax.get_ylim() for ax in axes] == [(0, 6), (0, 6), (0, 5), (0, 5)]
    assert len({ax.get_xlim() for ax in axes}) == 1


def test_a_picture_is_saved_as_svg_and_png_with_its_words_beside_and_inside(pictures, tmp_path):
    picture = pictures["tiny-lr-0.3-summary"]
    picture.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.suffix for path in folder.iterdir()) == [".png", ".svg", ".txt"]
    assert (folder / f"{picture.name}.txt").read_text() == picture.alt + "\n"
    assert (folder / f"{picture.name}.png").read_bytes().startswith(b"\x89PNG")
    described = " ".join(ET.parse(folder / f"{picture.name}.svg").getroot().itertext())
    assert picture.alt in described


def test_the_same_runs_give_the_same_files(runs, tmp_path):
    for name in ("one", "two"):
        of_runs.dead_neurons(runs[:2], "same").save(tmp_path / name)
    for end in ("svg", "png", "txt"):
        first, second = (tmp_path / name / f"same-dead-neurons.{end}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_names_with_signs_of_formulas_are_shown_as_they_are(runs, tmp_path):
    run = runs[0]
    named = run.record.model_copy(update={"dataset": "_$x$ <b>%s\\frac & $$"})
    odd = lab.Run(run.folder, named)
    for picture in of_runs.pictures(Runs([odd])):
        picture.save(tmp_path)
        assert re.fullmatch(r"[a-z0-9.-]+", picture.name)
    assert "_$x$ <b>%s\\frac & $$" in caption(of_runs.learning_curves(Runs([odd])))


@pytest.mark.slow
def test_a_network_of_one_hidden_layer_has_one_panel_of_dead_neurons(tiny, tmp_path):
    runs = lab.compare("relu", 1, tiny, hidden=(6,), epochs=1)
    for picture in of_runs.pictures(runs):
        picture.save(tmp_path)
    panels = of_runs.dead_neurons(runs).figure.axes
    assert [ax.get_ylabel() for ax in panels] == ["dead, % of layer 1"]


def test_a_tilde_names_a_folder_at_home_and_an_address_is_refused(pictures, home):
    pictures["functions"].save("~/mine")
    assert (home / "mine" / "functions.svg").exists()
    with pytest.raises(InputError, match=r"must be one of this machine, and .* s3://bucket"):
        pictures["functions"].save("s3://bucket")


def test_one_sentence_says_that_a_folder_cannot_be_written(pictures, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Figures cannot be saved in .*file: "):
        pictures["functions"].save(tmp_path / "file")


def test_a_diverged_run_is_called_so_in_table_words_and_curves(tiny, tmp_path):
    settings = {"optimizer": "sgd", "learning_rate": 1000.0, "hidden": (6, 5), "epochs": 2}
    settings["batch_size"] = 30
    runs = lab.compare(["leaky_relu=100", "relu"], 2, tiny, **settings)
    assert {run.status for run in runs if run.config.activation == "leaky_relu"} == {"diverged"}
    picture = of_runs.summary(runs)
    assert "Leaky ReLU α=100: test accuracy, %: 2 of 2 diverged" in picture.alt
    assert "nan" not in picture.alt
    loss = picture.figure.axes[1]
    assert "Leaky ReLU α=100 (diverged)" in [
        text.get_text().replace("\n", " ") for text in loss.texts
    ]
    picture.figure.canvas.draw()
    assert any(label.get_text() for label in loss.get_yticklabels())


@pytest.mark.slow
def test_two_functions_of_one_name_are_two_in_every_picture(tiny):
    runs = []
    lab.register("mine", one)
    runs += lab.compare("mine", 1, tiny, **SETTINGS)
    lab.register("mine", other)
    runs += lab.compare("mine", 1, tiny, **SETTINGS)
    both = Runs(runs)
    ax = plots.over_rates(both)
    assert len({text.get_text() for text in ax.get_legend().get_texts()}) == 2
    assert len(set(both.summary()["activation"])) == 2


def one(z):
    return z * 0.5


def other(z):
    return z * 0.25


@pytest.mark.slow
def test_eight_layers_show_the_first_and_the_last_in_the_table(tiny):
    runs = lab.compare("relu", 1, tiny, hidden=(4,) * 8, epochs=1)
    (table,) = (t for ax in of_runs.summary(runs).figure.axes for t in ax.tables)
    assert table[0, 3].get_text().get_text() == "dead, %\nlayers 1 / … / 8"
    assert table[1, 3].get_text().get_text().count("/") == 2


@pytest.mark.slow
def test_life_maps_of_many_functions_stand_below_each_other(tiny, tmp_path):
    names = [name for name in lab.activations.names() if name not in ("prelu", "crelu")]
    runs = write_runs(names, 1, tiny, tmp_path / "runs", hidden=(4, 4), epochs=1)
    width, height = of_runs.life_maps(runs).figure.get_size_inches()
    assert height > width


def test_lives_and_deaths_are_those_of_the_function_whose_neurons_died_most(runs, pictures):
    wild = runs.where(learning_rate=0.3)
    relu = wild.where(activation="relu", seed=0)[0]
    assert relu.lives(1).died.sum() > 0
    picture = pictures["tiny-lr-0.3-lives"]
    lived = relu.lives(2)
    assert (
        f"Layer 2: {lived.born_dead.sum()} born dead, {lived.died.sum()} deaths, "
        f"{lived.revived.sum()} revivals, {lived.dead[-1].sum()} dead at the end, "
        f"{lived.never_dead[-1].sum()} never dead."
    ) in picture.alt
    assert "for ReLU, seed 0." in picture.alt
    assert picture.figure.axes[0].get_title(loc="left") == "ReLU, layer 1"


def drawn_curves(figure):
    """Every thick curve of the dead neurons of layer 1, by its colour."""
    lines = [line for line in figure.axes[2].lines if line.get_transform() is not None]
    return {
        line.get_color(): list(line.get_ydata())
        for line in lines
        if line.get_linewidth() == 3 and line.get_transform() == figure.axes[2].transData
    }


def test_the_race_is_a_film_with_a_frame_for_each_epoch_whose_last_stands_longer(
    pictures, tmp_path
):
    film = pictures["tiny-lr-0.3-race"]
    film.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tiny-lr-0.3-race.gif",
        "tiny-lr-0.3-race.txt",
    ]
    assert (tmp_path / "tiny-lr-0.3-race.txt").read_text() == film.alt + "\n"
    with Image.open(tmp_path / "tiny-lr-0.3-race.gif") as gif:
        assert gif.n_frames == SETTINGS["epochs"] + 1 == len(film.epochs)
        durations = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            durations.append(gif.info["duration"])
    assert durations == [600, 600, 5000]


def test_a_frame_shows_the_means_up_to_its_epoch_and_the_last_the_end(pictures, runs):
    film = pictures["tiny-lr-0.3-race"]
    relu = runs.where(learning_rate=0.3, activation="relu")
    mean = 100 * np.mean([measures.recorded(run, "dead_fraction", 1) for run in relu], axis=0)
    assert mean[-1] > 0
    for epoch in film.epochs:
        figure = film.after(epoch)
        assert drawn_curves(figure)["#0072B2"] == mean[: epoch + 1].tolist()
        assert f"Epoch {epoch} of 2" in [text.get_text() for text in figure.texts]
    assert drawn_curves(film.figure)["#0072B2"] == mean.tolist()


def test_all_frames_have_the_axes_of_the_end(pictures):
    film = pictures["tiny-lr-0.3-race"]
    first, last = (
        [(ax.get_xlim(), ax.get_ylim()) for ax in film.after(epoch).axes] for epoch in (0, 2)
    )
    assert first == last


def test_the_words_of_a_race_hold_the_recorded_numbers(pictures, runs):
    words = pictures["tiny-lr-0.3-race"].alt
    for name, title in (("relu", "ReLU"), ("elu", "ELU α=1")):
        ends = [run.record.epochs[-1] for run in runs.where(learning_rate=0.3, activation=name)]
        dead = [
            np.mean(
                [
                    100 * (run.layer(n).max_gate[-1] == 0).mean()
                    for run in runs.where(learning_rate=0.3, activation=name)
                ]
            )
            for n in (1, 2)
        ]
        assert (
            f"{title}: training loss {np.mean([end.train_loss for end in ends]):.4f}, validation "
            f"accuracy {100 * np.mean([end.validation_accuracy for end in ends]):.2f} %, dead on "
            f"the probe {dead[0]:.1f} / {dead[1]:.1f} %"
        ) in words
    assert "learning rate 0.3, batches of 30, 2 epochs, seeds 0, 1." in words


@pytest.mark.slow
def test_a_race_of_very_many_epochs_leaves_some_out_but_neither_end(tiny):
    runs = lab.compare("relu", 1, tiny, hidden=(4,), epochs=100, batch_size=240)
    epochs = of_runs.race(runs).epochs
    assert (len(epochs), epochs[0], epochs[-1]) == (60, 0, 100)
    assert len(set(epochs)) == 60
    assert len(of_runs.race(runs).figure.axes) == 3


def test_a_live_figure_whose_curves_were_moved_is_as_if_drawn_anew(runs):
    group = runs.where(learning_rate=0.3)
    moved = of_runs.live_figure(of_runs._racers(group, 0))
    assert "M" in canvas.svg(moved, "")  # Saving it must not change it either.
    for epoch in (1, 2):
        same = of_runs.live_figure(of_runs._racers(group, epoch), moved)
        assert same is moved
        anew = of_runs.live_figure(of_runs._racers(group, epoch))
        assert canvas.svg(moved, "") == canvas.svg(anew, "")
