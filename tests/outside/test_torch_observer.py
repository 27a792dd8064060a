"""The reductions of PyTorch's tensors, and what the observer leaves as it was."""

import contextlib
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'activation-lab[torch]'")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch_models import Calls, draw  # noqa: E402

from lab.census import units  # noqa: E402
from lab.outside import torch_observer  # noqa: E402
from lab.outside.probe import Probe  # noqa: E402
from lab.outside.torch_sites import Applied, Call, Key  # noqa: E402


def layout_of(module):
    return torch_observer.TorchObserver(module, Probe(draw(7, 5).numpy())).layout


def reduced(z, axis, function, shut=0.001):
    key = Key("", "", frozenset(), z.shape[axis])
    block = torch_observer._reduced(Call(key, z, axis, Applied(function, (), {})), shut)
    return dict(zip(units.REDUCTIONS, block, strict=True))


@pytest.mark.parametrize(("shape", "axis"), [((9, 4), 1), ((9, 3, 4), 2), ((9, 4, 3, 5), 1)])
def test_reductions_are_those_of_numpy_in_float64(shape, axis):
    z = draw(*shape)
    wide = np.moveaxis(z.double().numpy(), axis, -1).reshape(-1, 4)
    a, gate = np.maximum(wide, 0), (wide > 0).astype(float)
    expected = {
        "nonfinite": 0 * wide[0],
        "zeros": (wide <= 0).sum(0),
        "shut": (wide <= 0).sum(0),
        "sum": a.sum(0),
        "sum_abs": a.sum(0),
        "sum_square": (a**2).sum(0),
        "sum_gate": gate.sum(0),
        "max_z": wide.max(0),
        "max_minus_z": -wide.min(0),
        "max_gate": gate.max(0),
    }
    found = reduced(z, axis, F.relu)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6), name


def test_values_that_are_not_finite_are_counted():
    z = torch.tensor([[1.0, np.nan, -np.inf], [2.0, np.inf, -1.0], [3.0, 1.0, -1.0]])
    assert reduced(z, 1, F.relu)["nonfinite"].tolist() == [0, 2, 1]


def test_a_unit_that_is_stuck_has_no_variance():
    found = reduced(torch.full((100_000, 1), -200.0), 1, lambda z: F.elu(z, 0.9))
    assert found["sum_square"] - found["sum"] ** 2 / 100_000 == pytest.approx(0, abs=1e-6)
    assert found["max_gate"] == 0


def test_a_gate_that_float32_cannot_hold_is_still_open():
    z = torch.full((3, 1), -200.0, dtype=torch.float64)
    assert reduced(z, 1, F.elu)["max_gate"] > 0
    assert reduced(z, 1, torch.sigmoid)["max_minus_z"] == 200


def test_a_negative_gate_counts_by_its_size():
    found = reduced(torch.tensor([[-2.0], [-3.0]]), 1, F.silu)
    gates = [s * (1 + z * (1 - s)) for z in (-2.0, -3.0) for s in [1 / (1 + np.exp(-z))]]
    assert found["max_gate"] == pytest.approx(max(map(abs, gates)))
    assert found["sum_gate"] == pytest.approx(sum(gates))


@pytest.mark.parametrize(
    ("function", "sup"),
    [
        (nn.ReLU(), 1.0),
        (nn.Sigmoid(), 0.25),
        (nn.ELU(2.0), 2.0),
        (nn.SELU(), 1.0507 * 1.67326),
        (nn.PReLU(init=1.5), 1.5),
        (nn.Softplus(), 1.0),
    ],
)
def test_the_largest_possible_gate_is_that_of_the_function(function, sup):
    module = Calls(function)
    found = layout_of(module).sites[0].sup_gate
    assert found == pytest.approx(sup, rel=1e-4)


def test_weights_have_the_axes_of_the_lab():
    module = nn.Sequential(nn.Conv2d(3, 4, (1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    observer = torch_observer.TorchObserver(module, Probe(draw(7, 3, 2, 3).numpy()))
    weights, (site,) = observer.weights(), observer.layout.sites
    kernel = module[0].weight.detach().numpy()
    assert (site.kernel, site.bias) == ("0.weight", "0.bias")
    assert (site.kind, site.positions) == ("convolution", 4)
    assert weights.kernel(1).shape == (1, 2, 3, 4)
    assert weights.kernel(1)[0, 1, 2, 3] == kernel[3, 2, 0, 1]
    assert np.array_equal(weights.named["3.weight"], module[3].weight.detach().numpy().T)


def test_a_normalised_layer_names_no_kernel():
    module = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    assert layout_of(module).sites[0].kernel is None


def test_buffers_modes_and_random_numbers_are_as_before_also_after_an_error():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(5)
            self.register_buffer("count", torch.tensor([1.0, float("nan")]))

        def forward(self, x):
            self.count = self.count + 1
            self.norm.running_mean += torch.rand(5) + random.random()
            raise KeyError(str(np.random.rand()))  # noqa: NPY002

    module = Fails().train()
    module.norm.eval()
    count = module.count
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with contextlib.suppress(KeyError), torch_observer._as_it_was(module):
        assert not module.training
        module(draw(7, 5))
    assert (module.training, module.norm.training) == (True, False)
    assert module.count is count
    assert count[0] == 1
    assert torch.equal(module.norm.running_mean, torch.zeros(5))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002


def test_a_module_of_another_type_gets_inputs_of_its_type():
    module = Calls(F.relu).double()
    assert layout_of(module).sites[0].units == 8


def test_a_compiled_part_is_seen_and_has_its_plain_name():
    module = nn.Sequential(torch.compile(Calls(F.relu), backend="eager"), nn.Linear(3, 2))
    assert [site.name for site in layout_of(module).sites] == ["0.fc1.relu"]


def test_a_program_that_takes_one_size_of_batch_gets_it():
    class Six(Calls):
        def forward(self, x):
            assert len(x) == 6
            return super().forward(x)

    probe = Probe(draw(12, 5).numpy())
    observer = torch_observer.TorchObserver(Six(F.relu), probe, batch_size=6)
    assert observer.observe().layers[0].images == 12


def test_conditions_name_pytorch_and_not_tensorflow():
    found = torch_observer.conditions(Calls(F.relu))
    assert found["versions"]["torch"] == torch.__version__
    assert set(found["versions"]) == {"python", "activation-lab", "torch", "numpy"}
    assert found["threads_per_operation"] == torch.get_num_threads()


class Tied(nn.Module):
    """One layer that is applied to the images and to what it gave itself."""

    def __init__(self):
        super().__init__()
        self.once, self.last = nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.last(F.relu(self.once(F.relu(self.once(x)))))


class Added(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        added = F.relu(self.left(x)) + F.relu(self.right(x))
        return F.relu(self.last(added)).sum(1, keepdim=True)


def convolutions(channels):
    first = [
        nn.Conv2d(channels, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.Conv2d(4, 4, 3),
    ]
    second = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.Tanh()]
    return nn.Sequential(*first, *second, nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))


FLAT = nn.Flatten()
BELOW = {
    "each follows the one before": (convolutions(2), (2, 9, 9), [0, 1, 2, 3]),
    "images in a row": (
        nn.Sequential(FLAT, nn.Linear(20, 4), nn.ReLU(), nn.Linear(4, 2)),
        (4, 5),
        [0],
    ),
    "grey images in a row": (
        nn.Sequential(FLAT, nn.Linear(20, 4), nn.ReLU(), nn.Linear(4, 2)),
        (1, 4, 5),
        [0],
    ),
    "coloured images in a row, channel by channel": (
        nn.Sequential(FLAT, nn.Linear(40, 4), nn.ReLU(), nn.Linear(4, 2)),
        (2, 4, 5),
        [None],
    ),
    "maps in a row": (
        nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.ReLU(), FLAT, nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)
        ),
        (1, 4, 4),
        [0, None],
    ),
    "the sum of two": (Added(), (5,), [0, 0, None]),
    "of two things": (Tied(), (5,), [None]),
}


@pytest.mark.parametrize(("module", "shape", "below"), BELOW.values(), ids=list(BELOW))
def test_what_a_layer_takes_in_is_known_where_it_is_one_layer_unit_by_unit(module, shape, below):
    sites = torch_observer.TorchObserver(module, Probe(draw(7, *shape).numpy())).layout.sites
    assert [site.below for site in sites] == below
