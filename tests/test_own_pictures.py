"""Pictures that are not MNIST's: trained, read, drawn and looked at under the microscope."""

import numpy as np
import pytest
from made import mostly_slow

import lab
from lab import Dataset, RunStore
from lab.figures import of_neurons
from lab.plots import one_neuron
from lab.plots.canvas import png
from lab.runs import neurons
from lab.widgets import Microscope

SHAPES = [(12, 10), (12, 10, 1), (12, 10, 3), (12, 10, 2)]
NAMES = ("red", "a green one, and more", "blue")


def made(shape, names=NAMES) -> Dataset:
    """90 images of three classes: brighter in the upper, middle or lower third."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.arange(90) % 3).astype(np.uint8)
    images = rng.integers(0, 120, (90, *shape), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 120
    parts = images[:70], labels[:70], images[70:], labels[70:]
    return Dataset("thirds", *parts, class_names=names)


CASES = [("mlp", shape) for shape in SHAPES] + [("cnn", (12, 10)), ("cnn", (12, 10, 3))]
QUICK = (("mlp", SHAPES[0]), ("cnn", (12, 10, 3)))


@pytest.fixture(scope="module", params=mostly_slow(CASES, *QUICK))
def case(request):
    network, shape = request.param
    return network, made(shape)


@pytest.fixture(scope="module")
def dataset(case):
    return case[1]


@pytest.fixture(scope="module")
def run(case, tmp_path_factory):
    network, dataset = case
    settings = {"hidden": (8,), "epochs": 1, "batch_size": 10, "network": network}
    place = tmp_path_factory.mktemp("thirds") / "runs"
    (run,) = lab.compare(("relu",), seeds=1, dataset=dataset, store=place, **settings)
    return run


def test_a_run_on_them_is_recorded_with_their_shape_and_classes(run, dataset):
    again = RunStore(run.folder.parent)[run.run_id]
    assert (again.config.image_shape, again.config.classes) == (dataset.image_shape, 3)
    assert again.trained_on(dataset) is dataset
    assert len(lab.Runs([again]).results()) == 1
    assert lab.Runs([again]).units().unit.nunique() >= 8


@pytest.mark.slow
def test_every_layers_neurons_are_drawn_with_the_images_as_they_are(run, dataset):
    shape = dataset.image_shape
    for layer in run.layers:
        neuron = neurons.look(run, layer, dataset=dataset).neuron(1)
        assert neuron.images.shape == (8, *shape)
        assert neuron.missing == ()
        strip = one_neuron.exciting(neuron)
        (drawn,) = strip.get_images()
        colours = (3,) if shape[2:] == (3,) else ()
        assert drawn.get_array().shape == (12, 96, *colours)
        labels = [text.get_text() for text in strip.get_xticklabels()]
        first = NAMES[neuron.labels[0]]
        name, z = labels[0].split("\n")
        assert name == first if len(first) < 9 else first.startswith(name.removesuffix("…"))
        assert float(z.replace("−", "-")) == pytest.approx(neuron.image_z[0], rel=0.01)
        assert strip.get_title("left").startswith("the images that excite it most")
        portrait = of_neurons.portrait(neuron)
        named = ", ".join(NAMES[label] for label in neuron.labels)
        assert f"It is excited most by the images of the classes {named}." in portrait.alt
        png(portrait.figure)


def test_weights_that_lead_from_pixels_are_a_picture_where_the_channels_are_grey_or_colours(run):
    neuron = neurons.look(run, 1).neuron(0)
    ax = one_neuron.weights(neuron)
    height, width = (12, 10) if run.config.network == "mlp" else (3, 3)
    channels = (*run.config.image_shape, 1)[2]
    expected = {1: (height, width), 3: (height, 3 * width + 2)}.get(channels)
    assert [image.get_array().shape for image in ax.get_images()] == [expected] * bool(expected)
    names = ["red", "green", "blue"] if channels == 3 else []
    assert [text.get_text() for text in ax.get_xticklabels() if expected] == names
    if expected:
        (shown,) = ax.get_images()
        largest = np.abs(neuron.incoming).max()
        assert shown.get_clim() == (-largest, largest)


def test_the_microscope_shows_them(run, dataset):
    microscope = Microscope(run, dataset=dataset)
    assert microscope.status.value == '<div role="status"></div>'
    assert "excited most by the images of the classes" in microscope.picture.value
    microscope.grid.picked = 2
    assert microscope.status.value == '<div role="status"></div>'


def test_the_microscope_without_the_images_says_how_to_give_them(run):
    said = Microscope(run).status.value
    assert (
        "where the data set &#x27;thirds&#x27; is. Give it (as dataset=load_dataset(path)" in said
    )


def test_without_names_the_classes_are_numbers(tmp_path):
    data = made((12, 10), names=())
    settings = {"hidden": (4,), "epochs": 1, "batch_size": 10}
    (run,) = lab.compare(("relu",), 1, data, tmp_path, **settings)
    neuron = neurons.look(run, 1, dataset=data).neuron(0)
    assert neuron.classes == tuple(str(label) for label in neuron.labels)


@pytest.mark.slow
def test_more_than_256_classes_train(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 300
    images = rng.integers(0, 256, (600, 5, 4), np.uint8)
    data = Dataset("many", images, labels, images[:50], labels[:50])
    settings = {"hidden": (4,), "epochs": 1, "batch_size": 20}
    (run,) = lab.compare(("relu",), 1, data, tmp_path, **settings)
    assert run.weights().kernel(2).shape == (4, 300)
    assert run.record.epochs[0].validation_loss == pytest.approx(np.log(300), rel=0.1)


@pytest.mark.slow
def test_scikit_learns_digits_are_learnt_in_a_few_epochs(tmp_path):
    """Measured here: 0.95 of the 360 test images; guessing gives 0.1."""
    settings = {"hidden": (64,), "epochs": 10, "batch_size": 32, "learning_rate": 0.005}
    (run,) = lab.compare(("relu",), 1, "digits", tmp_path, **settings)
    assert run.config.size == "64-64-10"
    assert run.record.test_accuracy > 0.92
    neuron = neurons.look(run, 1, dataset=run.trained_on()).neuron(0)
    assert one_neuron.exciting(neuron).get_title("left").startswith("the digits that excite")
