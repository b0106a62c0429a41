"""LeNet-5 and AlexNet from their published layer lists, and how much arithmetic a layer list asks for.

LeNet-5: LeCun, Bottou, Bengio and Haffner 1998, section II.B and table I. AlexNet: Krizhevsky 2014, as torchvision has
it (256 filters in the fourth layer, where the paper's footnote has 384; one tower, where the original of 2012 is cut in
two for two cards).
"""

import torch
from torch import Tensor, nn
from torchvision import models

MAPS_OF_C3 = (
    *([k % 6, (k + 1) % 6, (k + 2) % 6] for k in range(6)),
    *([k % 6, (k + 1) % 6, (k + 2) % 6, (k + 3) % 6] for k in range(6)),
    *([k % 6, (k + 1) % 6, (k + 3) % 6, (k + 4) % 6] for k in range(3)),
    list(range(6)),
)
"""The six maps below that each of the 16 maps of layer C3 sees (table I)."""


class Subsampling(nn.Module):
    """Averages of 2 x 2 with a gain and an offset for each of the maps."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.ones(maps, 1, 1)), nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 2) * self.gain + self.offset


class PartlyConnected(nn.Module):
    """A convolution of which each output sees only some of the maps below."""

    def __init__(self, maps: tuple[list[int], ...], kernel: int) -> None:
        super().__init__()
        self.maps = maps
        self.convolutions = nn.ModuleList(nn.Conv2d(len(own), 1, kernel) for own in maps)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x[:, own]) for layer, own in zip(self.convolutions, self.maps, strict=True)], 1)


def lenet5_of_1998() -> nn.Module:
    """LeNet-5 for images 32 x 32 up to layer F6; its output layer has fixed weights and is left out."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), Subsampling(6), nn.Tanh(), PartlyConnected(MAPS_OF_C3, 5), Subsampling(16), nn.Tanh(),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(),
    )  # fmt: skip


def lenet5() -> nn.Module:
    """LeNet-5 as it is built today: C3 sees all maps, pooling has no weights, the output layer is trained."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def alexnet() -> nn.Module:
    """AlexNet for images 3 x 224 x 224 and 1,000 classes."""
    return models.alexnet(weights=None)


NETWORKS = {
    "lenet5_of_1998": (lenet5_of_1998, (1, 32, 32)),
    "lenet5": (lenet5, (1, 32, 32)),
    "alexnet": (alexnet, (3, 224, 224)),
}
"""Name -> how to make it, and the shape of an example."""


def counts(name: str) -> dict[str, float]:
    """What a network has and does, counted without numbers in it (on torch's device "meta").

    - ``parameters``: trained numbers, ``convolution_parameters`` the share of them in convolutions;
    - ``multiplications``: of one example's forward pass, ``convolution_multiplications`` the share in convolutions.
    """
    make, shape = NETWORKS[name]
    with torch.device("meta"):
        network, example = make(), torch.empty(1, *shape)
    found: dict[type, float] = {nn.Conv2d: 0.0, nn.Linear: 0.0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        places = output.numel() / module.weight.shape[0]
        found[type(module)] += places * module.weight.numel()

    products = [module for module in network.modules() if type(module) in found]
    for module in products:
        module.register_forward_hook(count)
    network.eval()(example)
    parameters = sum(each.numel() for each in network.parameters())
    convolutions = [each for module in products if isinstance(module, nn.Conv2d) for each in module.parameters()]
    multiplications = sum(found.values())
    return {
        "parameters": float(parameters),
        "convolution_parameters": sum(each.numel() for each in convolutions) / parameters,
        "multiplications": multiplications,
        "convolution_multiplications": found[nn.Conv2d] / multiplications,
    }
