"""Public definitions of dead: tables worked out by hand, and the tools themselves."""

import keras
import numpy as np
import pytest
from zoo import numbers, of

import lab
from lab.errors import InputError, RunError
from lab.outside.definitions import DEFINITIONS, LAB, Activity

INPUTS = 2100


def often(times: int, value: float) -> np.ndarray:
    """A unit's z: a value on some of the first inputs, and -1 on all others."""
    return np.where(np.arange(INPUTS) < times, value, -1.0)


# What enters ReLU in each unit, and whom it fools.
UNITS = {
    "dead": often(0, 1),
    "fires once, after the first 2,000": often(2051, 0.2) - 1.2 * (np.arange(INPUTS) < 2050),
    "far too small to be seen": often(INPUTS, 1e-8),
    "weak and seldom: on 4 %": often(84, 5),
    "weak and always": often(INPUTS, 0.04),
    "as it should be": often(INPUTS, 1),
    "strong": often(INPUTS, 20),
    "on 0.95 %": often(20, 1),
    "strong and seldom: on 1.5 %": often(31, 100),
    "strong and seldom: on 2 %": often(42, 100),
}
Z = np.stack(list(UNITS.values()), axis=1).astype(np.float32)
BY_HAND = {
    LAB: (1, 10),
    "keras-contrib": (1, 10),
    "Dohare et al., 2,000 inputs": (2, 10),
    "ReDo, τ = 0": (1, 10),
    # The layer's mean |a| is 2.47: dormant are the means up to 0.062, or up to 0.247.
    "ReDo, τ = 0.025": (5, 10),
    "ReDo, τ = 0.1": (6, 10),
    "SageMaker, a > 0 on < 1 %": (3, 10),
    "a ≈ 0 on > 95 %": (7, 10),
    "SageMaker, layer": (0, 1),
    "share of zeros": (2100 + 2099 + 2016 + 2080 + 2069 + 2058, 21_000),
    "fastai, a ≤ 0.05": (12_422 + 2 * 2100, 21_000),
    "fastai's course, |a| < 0.25": (12_422 + 2 * 2100 + 1, 21_000 - 2100 - 31 - 42),
}


def handing_on(units, *more):
    """A network whose first layer gives its inputs to an activation function as they are."""
    first = keras.layers.Dense(units, kernel_initializer="identity", name="first", **more[0])
    return of([first, *more[1:], keras.layers.Dense(2)], (units,))


def counted(census, layer="first"):
    return lab.definitions(census).query("layer == @layer").set_index("definition")


def pairs(rows):
    return dict(zip(rows.index, zip(rows["count"], rows.of, strict=True), strict=True))


def test_each_definition_gives_the_number_that_is_worked_out_by_hand():
    census = lab.Census.of(handing_on(10, {"activation": "relu"}), Z, batch_size=700)
    rows = counted(census)
    assert pairs(rows) == BY_HAND
    assert rows.share.tolist() == [count / of for count, of in BY_HAND.values()]
    counts = {name: rows.counts[name] for name in ("the lab", "fastai, a ≤ 0.05")}
    assert counts == {"the lab": "units", "fastai, a ≤ 0.05": "values"}
    assert rows.counts["SageMaker, layer"] == "layers"


@pytest.mark.parametrize("size", [1, 7, 2000])
def test_batches_of_any_size_add_up_to_the_same(size):
    a = np.maximum(numbers(2100, 2, 3), 0)
    parts = [Activity.of(a[n : n + size], n) for n in range(0, len(a), size)]
    whole, added = Activity.of(a), sum(parts[1:], parts[0])
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(added, name), value, rtol=1e-12)
    assert (whole.first_abs < whole.sum_abs).all()


def test_a_channel_is_one_unit_at_all_places():
    """Two channels of a convolution that hands on: the second fires at one place of one input."""
    x = np.full((50, 2, 2, 2), -1, np.float32)
    x[..., 0], x[7, 1, 1, 1] = 0.5, 3
    convolution = keras.layers.Conv2D(2, 1, activation="relu", name="first")
    model = of([convolution, keras.layers.Flatten(), keras.layers.Dense(2)], (2, 2, 2))
    convolution.set_weights([np.eye(2, dtype=np.float32)[None, None], np.zeros(2, np.float32)])
    assert pairs(counted(lab.Census.of(model, x))) == {
        LAB: (0, 2),
        "keras-contrib": (0, 2),
        "Dohare et al., 2,000 inputs": (0, 2),
        "ReDo, τ = 0": (0, 2),
        "ReDo, τ = 0.025": (0, 2),  # 3/200 is 0.058 of the mean of 0.5 and 3/200.
        "ReDo, τ = 0.1": (1, 2),
        "SageMaker, a > 0 on < 1 %": (1, 2),
        "a ≈ 0 on > 95 %": (1, 2),
        "SageMaker, layer": (0, 1),
        "share of zeros": (199, 400),
        "fastai, a ≤ 0.05": (199, 400),
        "fastai's course, |a| < 0.25": (199, 400),
    }


def test_a_layer_most_of_whose_units_are_inactive_breaks_the_rule_of_sagemaker():
    rows = counted(lab.Census.of(handing_on(3, {"activation": "relu"}), Z[:, [0, 1, 5]]))
    assert pairs(rows)["SageMaker, layer"] == (1, 1)


def test_only_the_gate_tells_a_unit_that_is_stuck_at_the_ceiling_of_relu6():
    model = handing_on(3, {"activation": "relu6"})
    rows = counted(lab.Census.of(model, np.float32([[7, 1, -1], [8, 2, 1]])))
    by_units = rows[rows.counts == "units"]["count"].drop(
        ["keras-contrib", "SageMaker, a > 0 on < 1 %"]
    )
    assert by_units["the lab"] == 1
    assert by_units.drop("the lab").eq(0).all()


def test_what_a_tool_says_of_relu_alone_is_missing_for_other_functions():
    rows = counted(lab.Census.of(handing_on(3, {"activation": "tanh"}), numbers(9, 3)))
    relu_alone = {one.name for one in DEFINITIONS if one.is_for_relu}
    assert set(rows.index[rows["count"].isna()]) == relu_alone
    assert set(rows.index[rows.share.isna()]) == relu_alone


def test_the_network_is_taken_in_inference_mode_as_it_is_now():
    """Dropout would make zeros; after the weights change, so do the counts."""
    model = handing_on(3, {}, keras.layers.Dropout(0.9), keras.layers.ReLU(name="act"))
    census = lab.Census.of(model, np.ones((40, 3), np.float32))
    assert pairs(counted(census, "act"))["share of zeros"] == (0, 120)
    model.layers[0].set_weights([-np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])
    assert pairs(counted(census, "act"))["share of zeros"] == (120, 120)
    assert pairs(counted(census, "act"))[LAB] == (3, 3)


def test_a_layer_that_is_called_twice_is_counted_in_both_calls():
    shared = keras.layers.Dense(2, "relu", kernel_initializer="identity", name="first")
    inputs = [keras.Input((2,)), keras.Input((2,))]
    added = keras.layers.Add()([shared(one) for one in inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(added))
    x = [np.float32([[1, -1], [1, -1]]), np.float32([[-1, -1], [1, -1]])]
    assert pairs(counted(lab.Census.of(model, x)))["share of zeros"] == (5, 8)


def test_it_counts_during_a_training_and_from_a_census_that_fit_was_given():
    model = handing_on(10, {"activation": "relu", "trainable": False})
    model.compile("sgd", "mse")
    census = lab.Census(Z)
    model.fit(Z[:64], np.zeros((64, 2)), verbose=0, callbacks=[census])
    assert pairs(counted(census)) == BY_HAND


def test_anything_else_is_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"^census must be a lab.Census, .* not a Sequential\.$"):
        lab.definitions(handing_on(3, {}))
    with pytest.raises(RunError, match=r"^Nothing was observed yet: give the census to fit"):
        lab.definitions(lab.Census(Z))


# The tools themselves, on the same weights.


def convolutional():
    """A network with dead, nearly dead and living channels and units, and its inputs."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(8, 3, activation="relu", bias_initializer="normal", name="channels"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, "relu", name="units"),
        keras.layers.Dense(2),
    ]
    model = of(layers, (6, 6, 2))
    model.layers[0].bias.assign([-99, -3, -2, -1, 0, 0, 1, 9])
    model.layers[2].bias.assign(np.linspace(-25, 5, 32, dtype=np.float32))
    return model, numbers(300, 6, 6, 2)


@pytest.mark.seldom
def test_the_neuron_scores_of_dopamine_give_the_same_dormant_units():
    recyclers = pytest.importorskip(
        "dopamine.labs.redo.weight_recyclers", reason="needs dopamine-rl"
    )
    model, x = convolutional()
    table = lab.definitions(lab.Census.of(model, x))
    for layer in (model.layers[0], model.layers[2]):
        a = keras.Model(model.inputs, layer.output).predict(x, verbose=0)
        score = np.asarray(recyclers.BaseRecycler([layer.name]).estimate_neuron_score(a))
        rows = pairs(table[table.layer == layer.name].set_index("definition"))
        for tau in (0, 0.025, 0.1):
            assert rows[f"ReDo, τ = {tau}"] == ((score <= tau).sum(), len(score))


@pytest.mark.seldom
def test_the_activation_stats_of_fastai_give_the_same_shares():
    """The same weights in Keras and in PyTorch; a value within rounding of a limit may differ."""
    hook = pytest.importorskip("fastai.callback.hook", reason="needs fastai")
    torch = pytest.importorskip("torch")
    model, x = convolutional()
    kernel, bias = model.layers[2].get_weights()
    # Keras flattens (height, width, channels), PyTorch (channels, height, width).
    moved = kernel.reshape(4, 4, 8, 32).transpose(3, 2, 0, 1).reshape(32, -1)
    first = [np.array(w) for w in model.layers[0].get_weights()]
    module = torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 2),
    )
    arrays = [first[0].transpose(3, 2, 0, 1), first[1], moved, bias]
    for parameter, array in zip(list(module.parameters())[:4], arrays, strict=True):
        parameter.data = torch.tensor(array)
    images = torch.tensor(x.transpose(0, 3, 1, 2))
    stats = hook.ActivationStats(with_hist=True)
    with hook.Hooks([module[1], module[4]], stats.hook) as hooks, torch.no_grad():
        module(images)
        stored = list(hooks.stored)
    tables = (
        lab.definitions(lab.Census.of(model, x)),
        lab.definitions(lab.watch(module, probe=images)),
    )
    for table in tables:
        for layer, found in zip(table.layer.unique(), stored, strict=True):
            rows = table[table.layer == layer].set_index("definition")
            hist = found["hist"]
            assert rows.share["fastai, a ≤ 0.05"] == pytest.approx(found["near_zero"], abs=1e-4)
            lowest = float(hist[0] / hist.sum())
            assert rows.share["fastai's course, |a| < 0.25"] == pytest.approx(lowest, abs=1e-4)
