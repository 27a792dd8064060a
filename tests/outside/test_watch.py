"""`lab.watch`: the census of PyTorch modules, within the user's own training loop."""

import random
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'activation-lab[torch]'")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch_models import (  # noqa: E402
    PLANTED,
    Calls,
    ResNet18,
    convolution,
    dense,
    depthwise,
    draw,
    made,
    resnet,
    transformer,
)

import lab  # noqa: E402
from lab.errors import InputError, RunError  # noqa: E402

DENSE = draw(60, 5)
# What is built, with its probe: in every layer the planted units must be found, and no others.
KINDS = {
    "F.relu": (lambda: dense(F.relu), DENSE),
    "torch.relu": (lambda: dense(torch.relu), DENSE),
    "x.relu()": (lambda: dense(torch.Tensor.relu), DENSE),
    "x.relu_()": (lambda: dense(torch.Tensor.relu_), DENSE),
    "F.relu in place": (lambda: dense(lambda z: F.relu(z, inplace=True)), DENSE),
    "nn.ReLU": (lambda: dense(nn.ReLU()), DENSE),
    "nn.ReLU in place": (lambda: dense(nn.ReLU(inplace=True)), DENSE),
    "ReLU6": (lambda: dense(nn.ReLU6(inplace=True)), DENSE),
    "Hardtanh": (lambda: dense(nn.Hardtanh(), 50.0), DENSE),
    "Hardswish": (lambda: dense(nn.Hardswish()), DENSE),
    "Hardsigmoid": (lambda: dense(F.hardsigmoid), DENSE),
    "Threshold": (lambda: dense(nn.Threshold(-20.0, -20.0)), DENSE),
    "ELU": (lambda: dense(nn.ELU(), -200.0), DENSE),
    "SELU": (lambda: dense(F.selu, -200.0), DENSE),
    "CELU": (lambda: dense(nn.CELU(), -200.0), DENSE),
    "GELU": (lambda: dense(F.gelu), DENSE),
    "GELU by tanh": (lambda: dense(nn.GELU("tanh")), DENSE),
    "SiLU": (lambda: dense(F.silu, -200.0), DENSE),
    "Mish": (lambda: dense(nn.Mish(), -200.0), DENSE),
    "tanh": (lambda: dense(torch.tanh, 50.0), DENSE),
    "sigmoid": (lambda: dense(torch.Tensor.sigmoid_, 200.0), DENSE),
    "Softplus": (lambda: dense(nn.Softplus(), -200.0), DENSE),
    "Conv1d": (lambda: made(2, lambda: convolution(nn.Conv1d, nn.ReLU())), draw(40, 2, 6)),
    "Conv2d": (lambda: made(2, lambda: convolution(nn.Conv2d, nn.ReLU(True))), draw(40, 2, 6, 6)),
    "Conv3d": (lambda: made(2, lambda: convolution(nn.Conv3d, nn.ReLU())), draw(40, 2, 6, 6, 6)),
    "ConvTranspose2d": (
        lambda: made(2, lambda: convolution(nn.ConvTranspose2d, nn.ReLU())),
        draw(40, 2, 6, 6),
    ),
    "Conv2d, BatchNorm2d": (
        lambda: made(2, lambda: convolution(nn.Conv2d, nn.ReLU(True), nn.BatchNorm2d)),
        draw(40, 2, 6, 6),
    ),
    "Conv2d, GroupNorm": (
        lambda: made(
            2, lambda: convolution(nn.Conv2d, nn.ReLU(True), lambda n: nn.GroupNorm(2, n))
        ),
        draw(40, 2, 6, 6),
    ),
    "depthwise": (lambda: made(2, depthwise), draw(40, 8, 6, 6)),
    "ResNet-18": (lambda: made(3, resnet), draw(60, 3, 16, 16)),
    "transformer": (
        lambda: made(4, lambda: transformer("relu")),
        torch.arange(300).view(60, 5) % 19,
    ),
    "transformer, GELU": (
        lambda: made(4, lambda: transformer("gelu")),
        torch.arange(300).view(60, 5) % 19,
    ),
    "transformer, sequence first": (
        lambda: made(4, lambda: transformer("relu", batch_first=False)),
        torch.arange(300).view(60, 5) % 19,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_planted_units_are_dead_and_no_others(kind):
    build, probe = KINDS[kind]
    census = lab.watch(made(1, build), probe=probe).once()
    rows = census.units()
    planted = set(PLANTED)
    for number, of_layer in rows.groupby("layer"):
        assert set(of_layer[of_layer.dead].unit) == planted, number
    assert not census.unseen


@pytest.mark.parametrize(
    "function", [nn.LeakyReLU(0.1), nn.PReLU(), nn.Softsign(), F.leaky_relu], ids=str
)
def test_what_cannot_die_is_always_negative_and_not_dead(function):
    rows = lab.watch(made(1, lambda: dense(function)), probe=DENSE).once().units()
    assert not rows.dead.any()
    assert set(PLANTED) <= set(rows[rows.always_negative].unit)


def test_summaries_are_those_that_numpy_works_out():
    module = made(1, lambda: dense(torch.tanh))
    z = F.linear(DENSE, module.fc1.weight, module.fc1.bias).detach().double().numpy()
    a, gate = np.tanh(z), 1 - np.tanh(z) ** 2
    census = lab.watch(module, probe=DENSE, batch_size=7).once()
    found = census.run.layer(1)
    expected = {
        "max_z": z.max(0),
        "min_z": z.min(0),
        "mean": a.mean(0),
        "mean_abs": abs(a).mean(0),
        "sd": a.std(0),
        "mean_gate": gate.mean(0),
        "max_gate": gate.max(0),
    }
    for name, values in expected.items():
        assert getattr(found, name)[0] == pytest.approx(values, rel=1e-5, abs=1e-6), name
    assert found.zeros.tolist() == [[0] * 8]
    assert found.shut[0].tolist() == [60 if unit in PLANTED else 0 for unit in range(8)]
    assert (found.images, found.sup_gate) == (60, 1.0)


def test_a_channel_is_observed_at_every_position_of_every_image():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        module[0].weight.fill_(1.0)
        module[0].bias.fill_(-0.5)
    probe = torch.zeros(3, 1, 2, 2)
    probe[0, 0, 1, 1] = 2.5
    found = lab.watch(module, probe=probe, batch_size=2).once().run.layer(1)
    assert (found.images, found.zeros.item(), found.max_z.item()) == (12, 11, 2.0)
    assert found.mean.item() == pytest.approx(2 / 12)
    assert found.mean_gate.item() == pytest.approx(1 / 12)


def test_a_unit_is_dead_only_if_it_is_dead_in_every_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.out = nn.Linear(1, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(F.relu(self.fc(x)) + F.relu(self.fc(-x)))

    module = Twice()
    with torch.no_grad():
        module.fc.weight.copy_(torch.tensor([[1.0], [-1.0], [0.0]]))
        module.fc.bias.fill_(-1.0)
    census = lab.watch(module, probe=torch.tensor([[2.0], [3.0]])).once()
    assert census.units().dead.tolist() == [False, False, True]
    assert census.run.layer(1).images == 4


def test_a_unit_with_nan_is_neither_dead_nor_alive():
    module = made(1, lambda: dense(F.relu))
    with torch.no_grad():
        module.fc1.weight[0] = float("inf")
    census = lab.watch(module, probe=DENSE).once()
    assert census.run.layer(1).nonfinite[0].tolist() == [60, *[0] * 7]
    assert census.layers().nonfinite_fraction.item() == 1 / 8


def test_types_of_half_and_double_width_are_observed():
    for kind in (torch.float64, torch.bfloat16):
        module = made(1, lambda: dense(nn.ReLU())).to(kind)
        rows = lab.watch(module, probe=DENSE).once().units()
        assert set(rows[rows.dead].unit) == set(PLANTED)


def test_a_gate_that_is_zero_only_in_float32_is_open_in_a_module_of_float64():
    rows = lab.watch(made(1, lambda: dense(nn.ELU(), -200.0)).double(), probe=DENSE).once().units()
    assert not rows.dead.any()


# The training.


class Noisy(nn.Module):
    """A network with all that can go wrong: moving means, dropout, a frozen layer, odd modes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.3)
        )
        self.frozen, self.out = nn.Linear(16, 16), nn.Linear(16, 3)
        self.frozen.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        noise = torch.randn(()) + random.random() + np.random.rand()  # noqa: NPY002
        return self.out(F.gelu(self.frozen(self.body(x)))) + 0.01 * noise


def trained(watched):
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    module, x = Noisy(), DENSE
    y = (x[:, 0] > 0).long()
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    module.train()
    module.body[1].eval()

    def epoch():
        for part in torch.randperm(60).split(20):
            optimizer.zero_grad()
            F.cross_entropy(module(x[part]), y[part]).backward()
            optimizer.step()

    if not watched:
        for _ in range(3):
            epoch()
        return module, optimizer, random.random(), np.random.rand(), torch.rand(())  # noqa: NPY002
    with lab.watch(module, probe=x) as census:
        for _ in range(3):
            epoch()
            census.step()
    assert len(census.layers()) == 2 * 4
    return module, optimizer, random.random(), np.random.rand(), torch.rand(())  # noqa: NPY002


def test_the_training_has_the_same_bits_without_the_census():
    with_it, without = trained(True), trained(False)
    ours, theirs = with_it[0].state_dict(), without[0].state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert with_it[2:] == without[2:]
    for one, other in zip(with_it[0].parameters(), without[0].parameters(), strict=True):
        assert one.requires_grad == other.requires_grad
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)


def test_modes_and_gradients_are_as_before():
    module = Noisy().train()
    module.body[3].eval()
    modes = [one.training for one in module.modules()]
    lab.watch(module, probe=DENSE).once()
    assert [one.training for one in module.modules()] == modes
    assert all(p.grad is None for p in module.parameters())
    assert torch.is_grad_enabled()


def test_it_observes_in_eval_mode():
    module = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.9), nn.ReLU(), nn.Linear(8, 2)).train()
    census = lab.watch(module, probe=DENSE).once()
    z = module[0](DENSE).detach().numpy()
    assert census.run.layer(1).max_z[0] == pytest.approx(z.max(0))
    assert census.run.layer(1).zeros[0].tolist() == (z <= 0).sum(0).tolist()


def test_epochs_lives_and_weights_are_recorded(tmp_path):
    module = made(1, lambda: Calls(nn.ReLU()))
    with lab.watch(
        module, probe=(DENSE, torch.zeros(60, dtype=torch.int64)), keep_weights="every",
        store=tmp_path, seed=7, name="mine",
    ) as census:  # fmt: skip
        for epoch in range(12):
            with torch.no_grad():
                module.fc1.bias[0] = -100.0 if epoch in (2, 3) else 0.0
            census.step(train_loss=torch.tensor(0.5), validation_accuracy=0.25)
    run = lab.RunStore(tmp_path).runs[0]
    life = census.lives().set_index("unit").loc[0]
    assert (run.record.status, run.config.seed, run.record.dataset) == (
        "finished",
        7,
        "mine, outside the lab",
    )
    assert (life.epochs_dead, len(run.record.epochs), run.config.epochs) == (2, 13, 12)
    assert run.record.epochs[3].train_loss != run.record.epochs[3].train_loss
    assert run.record.epochs[3].validation_accuracy == 0.25
    assert run.weights(3).bias(1)[0] == -100.0
    assert run.weights(3).kernel(1).shape == (5, 8)
    assert np.array_equal(run.weights(12).kernel(1), module.fc1.weight.detach().numpy().T)
    assert run.record.versions["torch"] == torch.__version__


def test_every_second_step_is_observed():
    with lab.watch(Calls(F.relu), probe=DENSE, every=2) as census:
        for _ in range(5):
            census.step()
    assert census.layers().epoch.tolist() == [0, 1, 2]
    assert census.run.config.epochs == 4


def test_the_chosen_layers_are_observed():
    module = made(1, ResNet18)
    names = ["relu", "blocks.3.relu.2"]
    census = lab.watch(module, probe=draw(8, 3, 16, 16), layers=names).once()
    assert census.layers().layer_name.tolist() == names


def test_the_accuracy_on_a_probe_with_labels_is_recorded():
    module = Calls(F.relu)
    labels = module(DENSE).argmax(1)
    labels[:15] = (labels[:15] + 1) % 3
    census = lab.watch(module, probe=(DENSE, labels)).once()
    assert census.run.record.epochs[0].train_accuracy == 0.75


def test_several_inputs_come_as_a_list_or_by_name():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.out = nn.Linear(5, 4), nn.Linear(4, 2)

        def forward(self, first, second):
            return {"scores": self.out(torch.relu(self.fc(first - second)))}

    module = Sum()
    z = module.fc(DENSE - 1).detach().numpy()
    for probe in ([DENSE, DENSE * 0 + 1], {"second": np.ones((60, 5)), "first": DENSE}):
        found = lab.watch(module, probe=probe).once().run.layer(1)
        assert found.max_z[0] == pytest.approx(z.max(0), rel=1e-5)


def test_a_compiled_module_is_observed_as_it_was():
    module = made(1, lambda: dense(F.relu))
    rows = lab.watch(torch.compile(module, backend="eager"), probe=DENSE).once().units()
    assert set(rows[rows.dead].unit) == set(PLANTED)


def test_a_failure_in_a_step_is_one_warning_and_the_training_goes_on():
    module = Calls(nn.ReLU())
    with warnings.catch_warnings(record=True) as told, lab.watch(module, probe=DENSE) as census:
        warnings.simplefilter("always")
        census.step()
        module.function = nn.Identity()
        module.train()
        census.step()
        census.step()
    (one,) = told
    assert "the training goes on: The layer 'function' did not act" in str(one.message)
    assert module.training
    assert len(census.layers()) == 2


def test_the_record_of_a_training_that_failed_is_interrupted():
    def fails(census):
        with census:
            census.step()
            raise KeyError("mine")

    census = lab.watch(Calls(nn.ReLU()), probe=DENSE)
    with pytest.raises(KeyError, match="mine"):
        fails(census)
    assert census.run.record.status == "interrupted"
    assert len(census.layers()) == 2


# Bad input.


def bad(module, probe, match, **choices):
    with pytest.raises(InputError, match=match) as told:
        lab.watch(module, probe=probe, **choices).once()
    assert "\n" not in str(told.value)


def test_what_is_no_module_is_refused():
    bad(F.relu, DENSE, r"^The module must be a torch.nn.Module, not a function\.$")


def test_a_module_without_activation_functions_is_refused_with_what_is_unseen():
    bad(nn.Linear(5, 2), DENSE, "must have a hidden layer with an activation function")
    bad(nn.LSTM(5, 2), DENSE, "activation function. LSTM: its activation functions act within")


def test_a_module_without_weights_is_refused():
    bad(nn.ReLU(), DENSE, "must have weights")
    bad(nn.Sequential(nn.LazyLinear(3), nn.ReLU()), DENSE, "has lazy layers")


@pytest.mark.parametrize(
    ("probe", "match"),
    [
        (None, "probe must be"),
        (torch.zeros(0, 5), "at least one input; it is empty"),
        (torch.tensor([[1.0] * 5, [float("nan")] * 5]), "input 1 has NaN"),
        ((DENSE, torch.zeros(3)), "as many of each"),
        (torch.utils.data.TensorDataset(DENSE), "not a TensorDataset: take some out"),
        (torch.zeros(4, 6), r"of shape \(6,\): RuntimeError: .*mat1 and mat2 shapes cannot be"),
    ],
)
def test_a_bad_probe_is_refused(probe, match):
    bad(Calls(F.relu), probe, match)


def test_a_probe_that_requires_a_gradient_is_taken_as_it_is():
    probe = DENSE.clone().requires_grad_()
    lab.watch(Calls(F.relu), probe=probe).once()
    assert probe.grad is None


def test_bad_choices_are_refused():
    bad(Calls(F.relu), DENSE, "There is no layer 'fc9' .* Choose from: fc1.relu", layers=["fc9"])
    bad(Calls(lambda z: z.clamp(0)), DENSE, "clamp by itself", layers=["Calls"])
    bad(Calls(F.relu), DENSE, "every must be a whole number", every=0)
    bad(Calls(F.relu), DENSE, "keep_weights must be last, every, none", keep_weights="all")


def test_nothing_is_there_before_the_block_and_no_step_outside_of_it():
    census = lab.watch(Calls(F.relu), probe=DENSE)
    with pytest.raises(RunError, match="Nothing was observed yet"):
        census.layers()
    with pytest.warns(UserWarning, match=r"step\(\) must be called within the block"):
        census.step()


def test_one_sentence_says_that_pytorch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    bad(None, DENSE, r"lab.watch needs PyTorch .*: pip install 'activation-lab\[torch\]'\.")


def test_neither_pytorch_nor_tensorflow_is_imported_without_need():
    script = (
        "import sys, lab; assert 'torch' not in sys.modules\n"
        "import torch; from torch import nn\n"
        "module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "census = lab.watch(module, probe=torch.randn(9, 5)).once()\n"
        "assert len(census.lives()) == 4 and 'tensorflow' not in sys.modules\n"
        "assert 'torch._dynamo' not in sys.modules\n"  # Its LLVM and TensorFlow's do not agree.
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# The same network in Keras.


def test_the_census_agrees_with_that_of_keras():
    import keras

    keras.utils.set_random_seed(3)
    theirs = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(6, 3, activation="relu"),
            keras.layers.Conv2D(5, 3, strides=2, activation="elu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(12, "tanh"),
            keras.layers.Dense(9, "gelu"),
            keras.layers.Dense(3),
        ]
    )
    kernel, bias = theirs.layers[0].get_weights()
    theirs.layers[0].set_weights([kernel, bias - np.arange(6, dtype=np.float32) / 2])
    x = draw(50, 8, 8, 2).numpy()
    ours = nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3, 2), nn.ELU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 9)),
        *(nn.GELU(), nn.Linear(9, 3)),
    )
    with torch.no_grad():
        weighted = [one for one in ours if hasattr(one, "weight")][:4]
        others = [layer for layer in theirs.layers if layer.weights][:4]
        for one, other in zip(weighted, others, strict=True):
            kernel, bias = map(torch.from_numpy, other.get_weights())
            one.weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            one.bias.copy_(bias)
    keras_run = lab.Census.of(theirs, x).run
    run = lab.watch(ours, probe=np.moveaxis(x, -1, 1)).once().run
    assert run.layout.widths == keras_run.layout.widths == (6, 5, 12, 9)
    dead = [run.lives(layer).dead.sum() for layer in run.layers]
    assert dead[0] > 0
    for layer in run.layers:
        one, other = run.layer(layer), keras_run.layer(layer)
        assert np.array_equal(run.lives(layer).dead, keras_run.lives(layer).dead)
        assert one.images == other.images
        assert one.sup_gate == pytest.approx(other.sup_gate, rel=1e-5)
        for name in lab.units.ARRAYS:
            wanted = getattr(other, name)
            assert getattr(one, name) == pytest.approx(wanted, rel=1e-4, abs=1e-5), name


def test_a_death_in_the_first_layer_is_put_down_to_the_weights_and_deeper_ones_are_told_apart():
    """Step 1 turns weights of the first layer; step 2 what it gives the second one."""
    first, second = nn.Linear(2, 3, bias=False), nn.Linear(3, 2)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(2, 2))
    x = torch.tensor([[1.0, 0.0], [1.0, 0.5]])
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0], [1, 0], [1, 1]]))
        second.weight.copy_(torch.tensor([[4.0, 0, -1], [1, 1, 1]]))
        second.bias.copy_(torch.tensor([0.0, 1.0]))
    first.bias = nn.Parameter(torch.zeros(3))
    with lab.watch(module, probe=x, keep_weights="every") as census, torch.no_grad():
        census.step()
        first.weight[0] = -1
        census.step()
    assert [site.below for site in census.run.layout.sites] == [0, 1]
    assert lab.causes.find(census.run, 1)[0].name == lab.causes.WEIGHTS
    assert lab.causes.find(census.run, 2)[0].name == lab.causes.INPUTS


def test_a_module_is_diagnosed_without_gradients():
    hidden = torch.nn.Linear(4, 8)
    with torch.no_grad():
        hidden.bias.fill_(-50)
    module = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Linear(8, 3))
    probe = torch.ones(100, 4)
    sick = lab.diagnose(lab.watch(module, probe=probe).once())
    assert [(one.kind, one.layer) for one in sick.findings] == [("dead", "1")]
    assert sick.not_checked == (
        "Not checked: gradients: they need the census of a Keras model, with labels.",
    )
