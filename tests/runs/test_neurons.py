"""One neuron under the microscope: what is known of it, and what is drawn of it."""

import numpy as np
import pytest

import lab
from lab.census import clones
from lab.errors import InputError, RunError
from lab.experiment.data import split
from lab.figures import of_neurons
from lab.plots import one_neuron, palette
from lab.runs import causes, neurons


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    store = lab.RunStore(tmp_path_factory.mktemp("neurons") / "runs")
    settings = {"hidden": (12, 8), "epochs": 3, "learning_rate": 0.3, "batch_size": 50}
    (run,) = lab.compare("relu", 1, tiny, store, keep_weights="every", probe_size=200, **settings)
    return run


@pytest.fixture(scope="module")
def probe(tiny, run):
    return split(tiny, run.config).probe


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("epoch", [0, 3])
def test_it_holds_the_weights_and_pre_activations_of_that_unit_and_epoch(
    run, tiny, probe, layer, epoch
):
    neuron = neurons.look(run, layer, epoch, tiny).neuron(5)
    w1, b1, w2, b2, *_ = run.weights(epoch)
    x = tiny.x_train[probe].reshape(len(probe), -1) / 255
    z = x @ w1 + b1
    kernel, bias = (w1, b1) if layer == 1 else (w2, b2)
    if layer == 2:
        z = np.maximum(z, 0) @ w2 + b2
    np.testing.assert_array_equal(neuron.incoming, kernel[:, 5])
    assert neuron.bias == bias[5]
    np.testing.assert_allclose(neuron.z, z[:, 5], rtol=1e-4, atol=1e-5)
    assert (
        neuron.state == lab.census.lives.STATES[lab.census.lives.states(run.layer(layer))[epoch, 5]]
    )
    assert neuron.missing == ()


def test_the_images_that_excite_it_most_come_first_with_their_labels(run, tiny, probe):
    neuron = neurons.look(run, 1, 0, tiny).neuron(3)
    order = sorted(range(len(probe)), key=lambda i: -neuron.z[i])[:8]
    np.testing.assert_array_equal(neuron.images, tiny.x_train[probe][order])
    assert neuron.labels.tolist() == tiny.y_train[probe][order].tolist()
    assert neuron.image_z[0] == neuron.z.max()


def test_without_the_weights_of_an_epoch_the_rest_is_there_and_a_sentence(tiny, run, tmp_path):
    copy = lab.RunStore(tmp_path / "copies").add_copy(run, weights=False)
    neuron = neurons.look(copy, 1, 2, tiny).neuron(0)
    assert (neuron.incoming, neuron.bias, neuron.z, neuron.images) == (None,) * 4
    assert len(neuron.missing) == 1
    assert "keeps no weights at all" in neuron.missing[0]
    assert "keep_weights='every'" in neuron.missing[0]
    picture = of_neurons.portrait(neuron)
    texts = [text.get_text() for ax in picture.figure.axes for text in ax.texts]
    assert sum("were not kept" in text for text in texts) == 1
    assert neuron.missing[0] in picture.alt


def test_without_the_images_the_weights_are_there_and_a_sentence(run, tiny):
    alone = neurons.look(run, 1).neuron(0)
    assert alone.incoming.shape == (784,)
    assert alone.z is None
    assert alone.missing == ("Without the run's data set its images cannot be shown.",)
    other = lab.Dataset("other", tiny.x_test, tiny.y_test, tiny.x_train, tiny.y_train)
    assert (
        "was trained on other images than other"
        in neurons.look(run, 1, 0, other).neuron(0).missing[0]
    )


def test_a_unit_layer_or_epoch_that_does_not_exist_is_a_sentence(run, tiny):
    with pytest.raises(RunError, match=r"layer must be from 1 to 2 in run .*, not 3"):
        neurons.look(run, 3, 0, tiny)
    with pytest.raises(RunError, match=r"epoch must be from 0 to 3 in run .*, not -1"):
        neurons.look(run, 1, -1, tiny)
    with pytest.raises(RunError, match=r"unit must be from 0 to 11 in layer 1 of run .*, not 12"):
        neurons.look(run, 1, 0, tiny).neuron(12)


def test_the_pictures_show_its_weights_its_histogram_and_its_history(run, tiny):
    neuron = neurons.look(run, 1, 2, tiny).neuron(4)
    drawn = one_neuron.weights(neuron).get_images()[0].get_array()
    np.testing.assert_array_equal(drawn, neuron.incoming.reshape(28, 28))
    ax = one_neuron.histogram(neuron)
    assert sum(ax.patches[0].get_data().values) == pytest.approx(100)
    gate = next(other for other in ax.figure.axes if other is not ax).lines[0]
    z, slope = gate.get_data()
    known = np.isfinite(slope)
    np.testing.assert_array_equal(slope[known], (z > 0)[known])
    history = one_neuron.history(neuron)
    np.testing.assert_array_equal(history.lines[0].get_ydata(), run.layer(1).max_z[:, 4])
    assert history.lines[2].get_xdata()[0] == 2
    shown = {text.get_text() for text in history.get_legend().get_texts()}
    assert shown == {
        lab.census.lives.STATES[s] for s in lab.census.lives.states(run.layer(1))[:, 4]
    }
    above = one_neuron.weights(neurons.look(run, 2, 2, tiny).neuron(1))
    assert sum(patch.get_height() for patch in above.patches) == 12
    labels = [text.get_text() for text in one_neuron.exciting(neuron).get_xticklabels()]
    assert labels[0].startswith(f"{neuron.labels[0]}\n")


# From task to task


@pytest.fixture
def learner(two_kinds, by_hand):
    """A unit of bias 1, -2, 1, -2, -2, 1, 1 and no weights, another that never dies; 3 tasks."""
    biases = (1, -2, 1, -2, -2, 1, 1)
    weights = [
        [np.zeros((784, 2)), np.array([bias, 0.5]), np.zeros((2, 10)), np.zeros(10)]
        for bias in biases
    ]
    return by_hand(two_kinds, weights, tasks="shuffled_labels", task_epochs=2)


def test_a_unit_is_followed_from_task_to_task(learner):
    table = neurons.over_tasks(learner, 1, 0)
    assert table.task.tolist() == [0, 1, 2, 3]
    assert table.epoch.tolist() == [0, 2, 4, 6]
    assert table.state.tolist() == ["alive", "alive", "dead", "alive"]
    assert table.events.tolist() == ["", "died, revived", "died", "revived"]
    assert table.open_share.tolist() == [1, 1, 0, 1]
    assert table.mean_activation.tolist() == [1, 1, 0, 1]


def test_its_story_goes_from_task_to_task(learner):
    assert neurons.tasks_story(learner, 1, 0) == (
        "Untrained it is alive. At the end of task 1 it is alive, of task 2 dead, of task 3 alive "
        "(revived). In 6 epochs: 2 deaths and 2 revivals. Of the probe's images its "
        "gate is open on 100 % untrained, 100 % after task 1, 100 % after task 3. Its mean "
        "activation is 1 untrained, 1 after task 1, 1 after task 3."
    )
    assert neurons.tasks_story(learner, 1, 1).startswith(
        "Untrained it is alive. At the end of tasks 1 to 3 it is alive. Of the probe's images"
    )
    story = causes.story(learner, 1, 0, epoch=4)
    assert "In epoch 3 (task 2) it died: " in story
    assert story.endswith(
        "Its life: alive before training, died in epoch 1 (task 1), revived in epoch 2 (task 1), "
        "died in epoch 3 (task 2)."
    )


def test_only_of_a_run_that_learns_tasks_and_of_a_unit_that_is_there(learner, run):
    for follow in (neurons.over_tasks, neurons.tasks_story, of_neurons.life_over_tasks):
        with pytest.raises(InputError, match=rf"Run {run.run_id} learns no tasks: lab\.continual"):
            follow(run, 1, 0)
        with pytest.raises(RunError, match="unit must be from 0 to 1 in layer 1 of run"):
            follow(learner, 1, 2)


def test_the_figure_of_a_life_has_three_curves_a_table_and_its_words(learner):
    picture = of_neurons.life_over_tasks(learner, 1, 0)
    *curves, below = picture.figure.axes
    values = [ax.lines[0].get_ydata().tolist() for ax in curves]
    assert values == [
        [1, -2, 1, -2, -2, 1, 1],
        [100, 0, 100, 0, 0, 100, 100],
        [1, 0, 1, 0, 0, 1, 1],
    ]
    for ax in curves:
        assert ax.get_xlabel() == "task, each of 2 epochs"
        ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        assert [(at, text.get_text()) for at, text in ticks] == [(1.5, "1"), (3.5, "2"), (5.5, "3")]
        borders = [line.get_xdata()[0] for line in ax.lines if line.get_color() == palette.SILVER]
        assert borders == [0.5, 2.5, 4.5]
    (table,) = below.tables
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    rows = [[cells[row, column] for column in range(5)] for row in range(5)]
    assert rows == [
        list(of_neurons.LIFE),
        ["untrained", "alive", "100", "1", ""],
        ["task 1", "alive", "100", "1", "died, revived"],
        ["task 2", "dead", "0", "0", "died"],
        ["task 3", "alive", "100", "1", "revived"],
    ]
    assert neurons.tasks_story(learner, 1, 0) in picture.alt
    assert "task 2, dead, 0, 0, died; task 3, alive" in picture.alt


def test_a_life_of_very_many_tasks_shows_the_first_and_the_last(two_kinds, by_hand):
    weights = [
        [np.zeros((784, 1)), np.array([1 - 2 * (epoch % 2)]), np.zeros((1, 10)), np.zeros(10)]
        for epoch in range(61)
    ]
    run = by_hand(two_kinds, weights, tasks="permuted")
    picture = of_neurons.life_over_tasks(run, 1, 0)
    *curves, below = picture.figure.axes
    assert {ax.get_xlabel() for ax in curves} == {"task"}
    cells = below.tables[0].get_celld()
    places = [cells[row, 0].get_text().get_text() for row in range(1, 10)]
    assert places == [
        *("untrained", "task 1", "task 2", "task 3", "… 53 more …"),
        *(f"task {n}" for n in (57, 58, 59, 60)),
    ]
    assert "of task 4 alive (revived), … 52 more turns …, of task 57 dead" in picture.alt
    assert "died in task 5, … 50 more changes …, revived in task 56" in causes.story(run, 1, 0)


def test_a_portrait_tells_in_words_what_it_shows(run, tiny):
    neuron = neurons.look(run, 1, 3, tiny).neuron(4)
    picture = of_neurons.portrait(neuron)
    assert picture.alt.startswith("Neuron 4 of layer 1 at epoch 3. ")
    assert neuron.story in picture.alt
    assert f"images of the classes {', '.join(map(str, neuron.labels))}." in picture.alt


def test_a_layer_knows_the_clones_of_each_unit(with_clones, two_kinds):
    run = with_clones()
    view = neurons.look(run, dataset=two_kinds)
    assert not view.knows_clones
    (found,) = view.clones(0)
    assert found == (2, pytest.approx(1.0))
    assert [number for number, _ in view.clones(2)] == [0]
    assert view.clones(1) == []  # It is dead.
    assert view.knows_clones
    assert view.moments.measures == pytest.approx(run.redundancy(two_kinds)[0])


def test_the_strongest_clone_comes_first_and_an_opposite_is_negative(run, tiny):
    view = neurons.look(run, dataset=tiny)
    a = np.random.default_rng(0).normal(size=(400, 12))
    a[:, 1] = -a[:, 0] + 0.2 * a[:, 1]
    a[:, 2] = a[:, 0] + 0.1 * a[:, 2]
    view.moments = clones.Moments.of(a)
    expected = np.corrcoef(a.T)[0]
    assert 1 > expected[2] > -expected[1] > 0.95
    assert view.clones(0) == [(2, pytest.approx(expected[2])), (1, pytest.approx(expected[1]))]


def test_without_the_images_no_clones_are_known(with_clones):
    view = neurons.look(with_clones())
    assert view.knows_clones
    assert (view.moments, view.clones(0)) == (None, [])
