"""Finding the activation functions of PyTorch modules."""

import doctest

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'activation-lab[torch]'")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.utils.checkpoint import checkpoint  # noqa: E402
from torch_models import Block, Calls, Transformer, draw, made  # noqa: E402

from lab.outside import torch_sites  # noqa: E402
from lab.outside.torch_sites import find, name_of  # noqa: E402


def found(module, x):
    """Names, functions and units of the layers found; and what is unseen."""
    with torch.no_grad():
        layers, unseen = find(module.eval(), len(x), lambda: module(x))
    return [(layer.name, layer.key.called, layer.key.units) for layer in layers], unseen


def units_of(module, x):
    return [units for _, _, units in found(module, x)[0]]


@pytest.mark.parametrize(
    ("function", "called"),
    [
        (F.relu, "relu"),
        (torch.relu, "relu"),
        (torch.relu_, "relu"),
        (torch.Tensor.relu, "relu"),
        (torch.Tensor.relu_, "relu"),
        (torch.ops.aten.relu.default, "relu"),
        (F.relu6, "relu6"),
        (lambda z: F.leaky_relu(z, 0.2), "leaky_relu=0.2"),
        (lambda z: F.leaky_relu(z, negative_slope=0.3, inplace=True), "leaky_relu=0.3"),
        (F.leaky_relu, "leaky_relu=0.01"),
        (F.elu, "elu=1"),
        (F.gelu, "gelu"),
        (lambda z: F.gelu(z, approximate="tanh"), "gelu_tanh"),
        (F.silu, "silu"),
        (F.mish, "mish"),
        (torch.tanh, "tanh"),
        (lambda z: z.tanh_(), "tanh"),
        (torch.sigmoid, "sigmoid"),
        (torch.special.expit, "sigmoid"),
        (F.logsigmoid, "logsigmoid"),
        (F.softplus, "softplus"),
        (F.hardswish, "hardswish"),
        (lambda z: F.threshold(z, 0.1, 0.0), "threshold(0.1, 0)"),
        (lambda z: F.relu(input=z), "relu"),
    ],
)
def test_a_function_that_forward_calls_is_named_by_the_weights_before_it(function, called):
    layers, unseen = found(Calls(function), draw(7, 5))
    assert layers == [(f"fc1.{called.partition('(')[0]}", called, 8)]
    assert unseen == {}


@pytest.mark.parametrize(
    ("layer", "called"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.ReLU6(), "relu6"),
        (nn.LeakyReLU(0.2), "leaky_relu=0.2"),
        (nn.PReLU(), "prelu"),
        (nn.ELU(0.5), "elu=0.5"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Tanh(), "tanh"),
        (nn.Softsign(), "softsign"),
        (nn.Softplus(), "softplus"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Tanhshrink(), "tanhshrink"),
        (nn.LogSigmoid(), "logsigmoid"),
        (nn.Hardsigmoid(), "hardsigmoid"),
        (nn.Hardshrink(), "hardshrink"),
    ],
)
def test_an_activation_module_has_its_own_name(layer, called):
    layers, unseen = found(nn.Sequential(nn.Linear(5, 8), layer, nn.Linear(8, 3)), draw(7, 5))
    assert layers == [("1", called, 8)]
    assert unseen == {}


def test_one_relu_in_two_places_is_two_layers():
    block = nn.Sequential(nn.Conv2d(3, 4, 1), Block(4, 4, 1), nn.Conv2d(4, 2, 1))
    layers, _ = found(block, draw(7, 3, 6, 6))
    assert layers == [("1.relu.1", "relu", 4), ("1.relu.2", "relu", 4)]


def test_functions_on_plain_arrays_of_weights_are_told_apart_by_them():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.w1, self.w2 = nn.Parameter(draw(5, 8)), nn.Parameter(draw(8, 8))

        def forward(self, x):
            return (F.relu(F.relu(x @ self.w1) @ self.w2)).sum(1)

    assert found(Plain(), draw(7, 5))[0] == [
        ("Plain.relu.1", "relu", 8),
        ("Plain.relu.2", "relu", 8),
    ]


def test_a_block_that_is_called_twice_is_one_layer_with_the_values_of_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Linear(5, 5), nn.ReLU())
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(self.block(self.block(x)))

    module = Twice()
    with torch.no_grad():
        (layer,), _ = find(module, 7, lambda: module(draw(7, 5)))
    assert (layer.name, layer.values) == ("block.1", 14)


@pytest.mark.parametrize(
    ("module", "shape", "units"),
    [
        (nn.Sequential(nn.Conv1d(2, 4, 1), nn.ReLU(), nn.Conv1d(4, 1, 1)), (7, 2, 9), 4),
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1)), (7, 2, 9, 9), 4),
        (nn.Sequential(nn.Conv3d(2, 4, 1), nn.ReLU(), nn.Conv3d(4, 1, 1)), (7, 2, 9, 9, 9), 4),
        (
            nn.Sequential(nn.ConvTranspose2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 1, 1)),
            (7, 2, 5, 5),
            4,
        ),
        (
            nn.Sequential(
                nn.Conv2d(2, 4, 1),
                nn.LayerNorm((4, 9, 9)),
                nn.MaxPool2d(2),
                nn.ReLU(),
                nn.Flatten(),
            ).append(nn.Linear(64, 2)),
            (7, 2, 9, 9),
            4,
        ),
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)), (7, 3, 5), 4),
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)), (7, 3, 3, 5), 4),
        (
            nn.Sequential(nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten()).append(
                nn.Linear(36, 2)
            ),
            (7, 2, 9),
            4,
        ),
    ],
)
def test_units_are_channels_after_a_convolution_and_else_on_the_last_axis(module, shape, units):
    assert units_of(module, draw(*shape)) == [units]


def test_units_are_followed_through_what_moves_axes():
    class Moves(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 4, 1), nn.Linear(6, 3)

        def forward(self, x):
            h = F.relu(self.conv(x).permute(0, 2, 3, 1))  # (7, 5, 6, 4)
            return self.fc(F.gelu(h.transpose(2, 3))).sum()  # (7, 5, 4, 6)

    assert units_of(Moves(), draw(7, 2, 5, 6)) == [4, 4]


def test_patches_of_a_convolution_have_their_channels_last():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 4, 2, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(F.gelu(self.conv(x).flatten(2).transpose(1, 2))).sum()

    assert units_of(Patches(), draw(7, 2, 8, 8)) == [4]


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z.clamp(min=0),
        lambda z: torch.clamp(z, 0, 6),
        lambda z: z.clip(min=0),
        lambda z: torch.maximum(z, torch.zeros(())),
        lambda z: torch.max(z, torch.zeros_like(z)),
        lambda z: torch.where(z > 0, z, 0.1 * z),
        lambda z: z * (z > 0),
        lambda z: z * (z > 0).float(),
        lambda z: z.masked_fill(z < 0, 0.0),
        lambda z: z * torch.sigmoid(z),
        lambda z: z * torch.sigmoid(1.702 * z),
        lambda z: z * F.relu6(z + 3) / 6,
        lambda z: z * torch.tanh(F.softplus(z)),
        lambda z: 0.5 * z * (1 + torch.tanh(0.8 * (z + 0.04 * z**3))),
        lambda z: 0.5 * z * (1 + torch.erf(z / 2**0.5)),
    ],
)
def test_what_acts_as_a_function_and_is_written_by_hand_is_unseen_and_not_counted(function):
    layers, unseen = found(Calls(function), draw(7, 5))
    assert layers == []
    assert "which may be an activation function" in unseen["Calls"]


def test_what_sets_negative_values_to_zero_is_unseen():
    def put(z):
        z[z < 0] = 0.0
        return z

    assert "setitem" in found(Calls(put), draw(7, 5))[1]["Calls"]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_is_unseen(kind):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.over_time, self.fc = kind(5, 6, batch_first=True), nn.Linear(6, 4)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(torch.relu(self.fc(self.over_time(x)[0][:, -1])))

    layers, unseen = found(Recurrent(), draw(7, 3, 5))
    assert layers == [("fc.relu", "relu", 4)]
    assert unseen == {"over_time": "its activation functions act within a loop over time"}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated")
def test_a_module_of_torchscript_is_unseen():
    script = torch.jit.script(nn.Sequential(nn.Linear(5, 8), nn.ReLU()))
    layers, unseen = found(
        nn.Sequential(script, nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), draw(7, 5)
    )
    assert [name for name, *_ in layers] == ["2"]
    assert "TorchScript" in unseen["0"]


class Passes(torch.autograd.Function):
    """ReLU whose derivative is 1 everywhere."""

    @staticmethod
    def forward(ctx, z):
        return torch.relu(z)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_a_function_with_a_derivative_of_its_own_is_unseen():
    layers, unseen = found(Calls(Passes.apply), draw(7, 5))
    assert layers == []
    assert "derivative of its own" in unseen["fc1.relu"]


def test_a_function_within_vmap_is_unseen():
    layers, unseen = found(Calls(torch.vmap(torch.relu)), draw(7, 5))
    assert (layers, unseen) == ([], {"Calls": "its activation function acts within vmap"})


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_a_block_that_is_computed_again_for_its_gradient_is_seen(reentrant):
    block = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    module = nn.Sequential(block, nn.Linear(8, 2))
    block.forward = lambda x, inner=block.forward: checkpoint(inner, x, use_reentrant=reentrant)
    assert found(module, draw(7, 5)) == ([("0.1", "relu", 8)], {})


def test_a_loop_over_time_that_is_written_by_hand_is_one_layer():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.new, self.old, self.out = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x):
            h = torch.zeros(len(x), 4)
            for step in range(x.shape[1]):
                h = torch.tanh(self.new(x[:, step]) + self.old(h))
            return self.out(h)

    assert found(Loop(), draw(7, 3, 5)) == ([("Loop.tanh", "tanh", 4)], {})


def test_softmax_glu_and_the_own_output_are_left_out():
    module = nn.Sequential(
        nn.Linear(5, 8), nn.Softmax(1), nn.GLU(1), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)
    )
    module.append(nn.Sigmoid()).append(nn.Flatten(0))
    assert found(module, draw(7, 5)) == ([("4", "relu", 4)], {})


def test_the_weights_own_functions_are_not_counted():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.raw, self.out = nn.Parameter(draw(5, 8)), nn.Linear(8, 2)

        def forward(self, x):
            return self.out(torch.tanh(x @ F.softplus(2 * self.raw)))

    layers, unseen = found(Scaled(), draw(7, 5))
    assert [called for _, called, _ in layers] == ["tanh"]
    assert list(unseen) == ["Scaled.softplus"]


def test_the_gate_of_another_layer_counts_as_a_layer():
    class Squeeze(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.out = nn.Conv2d(2, 4, 1), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = self.conv(x)
            gate = torch.sigmoid(self.fc(h.mean((2, 3))))
            return self.out((h * gate[:, :, None, None]).mean((2, 3)))

    assert found(Squeeze(), draw(7, 2, 5, 5)) == ([("fc.sigmoid", "sigmoid", 4)], {})


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_transformers_function_is_seen_also_where_eval_mode_would_hide_it(batch_first):
    module = made(0, lambda: Transformer("gelu", batch_first))
    tokens = torch.arange(35).reshape(7, 5) % 20
    assert found(module, tokens)[0] == [
        ("encoder.layers.0.linear1.gelu", "gelu", 32),
        ("encoder.layers.1.linear1.gelu", "gelu", 32),
    ]


def test_no_hook_stays():
    module = Calls(F.relu)
    found(module, draw(7, 5))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        found(module, draw(7, 4))
    for one in module.modules():
        assert not one._forward_hooks
        assert not one._forward_pre_hooks
        assert not one._forward_hooks_always_called


def test_functions_have_plain_names():
    assert [name_of(f) for f in (torch.Tensor.relu_, F.relu, torch.Tensor.mT.__get__)] == [
        "relu",
        "relu",
        "mT",
    ]


def test_the_examples_of_the_docstrings_are_right():
    assert doctest.testmod(torch_sites) == (0, 1)
