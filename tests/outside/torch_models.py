"""PyTorch modules with dead units planted in them, for the tests of `lab.watch`."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'activation-lab[torch]'")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

PLANTED = (1, 4, 6)


class Calls(nn.Module):
    """Two dense layers with any function between them, called in `forward`."""

    def __init__(self, function: Callable[[Any], Any], inputs: int = 5, units: int = 8) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, units), nn.Linear(units, 3)
        self.function = function

    def forward(self, x):
        return self.fc2(self.function(self.fc1(x)))


def plant(layer: Any, value: float = -50.0, units: tuple[int, ...] = PLANTED) -> None:
    """Makes units of a layer give the same value for every input, whatever enters."""
    with torch.no_grad():
        for unit in units:
            weight = layer.weight[:, unit] if is_transposed(layer) else layer.weight[unit]
            weight.zero_()
            layer.bias[unit] = value


def is_transposed(layer: Any) -> bool:
    return bool(getattr(layer, "transposed", False))


class Block(nn.Module):
    """A block of ResNet-18 (He et al. 2016), with one ReLU for both of its places."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential()
        if inputs != outputs:
            self.down = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        h += self.down(x)
        return self.relu(h)


class ResNet18(nn.Module):
    """ResNet-18 for small images, of any width."""

    def __init__(self, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        blocks, inputs = [], width
        for number, outputs in enumerate((width, 2 * width, 4 * width, 8 * width)):
            blocks += [Block(inputs, outputs, 2 if number else 1), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        h = self.blocks(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(h, 1), 1))


class Transformer(nn.Module):
    """A small transformer on tokens."""

    def __init__(self, activation: str = "relu", batch_first: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, activation=activation, batch_first=batch_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 3)
        self.axis = 1 if batch_first else 0

    def forward(self, tokens):
        x = self.embedding(tokens if self.axis else tokens.T)
        return self.out(self.encoder(x).mean(self.axis))


def draw(*shape: int, seed: int = 0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(seed: int, build: Callable[[], Any]) -> Any:
    """Builds a module with weights that the seed fixes; the state of chance is as before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def convolution(kind: Any, function: Any, norm: Any = None) -> Any:
    """A convolution with planted channels, in as many dimensions as its kind has."""
    layers = [kind(2, 8, 3), *([norm(8)] if norm else []), function, nn.Flatten(), nn.LazyLinear(3)]
    module = nn.Sequential(*layers)
    module(draw(1, 2, *[6] * int(kind.__name__[-2])))
    plant(module[1] if norm else module[0])
    return module.eval()


def depthwise() -> Any:
    module = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6(), nn.Flatten(), nn.Linear(128, 3)
    )
    plant(module[0])
    return module


def dense(function: Callable[[Any], Any], value: float = -50.0) -> Any:
    module = Calls(function)
    plant(module.fc1, value)
    return module


def resnet() -> Any:
    module = ResNet18()
    plant(module.bn1)
    for block in module.blocks:
        plant(block.bn1)
        plant(block.bn2, -1000.0)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.momentum = None  # Moving means are those of the images.
    module(draw(60, 3, 16, 16))
    return module


def transformer(activation: str, batch_first: bool = True) -> Any:
    module = Transformer(activation, batch_first)
    for layer in module.encoder.layers:
        plant(layer.linear1)
    return module
