"""A small convolutional network for series and for images, one network or R of them at once.

A convolution is written as windows times one matrix, so that an ensemble's are one batched product.
"""

from torch import nn

from claimcheck.engine.layers import flattened, for_ensembles
from claimcheck.engine.networks import linear


@for_ensembles
class Cnn(nn.Module):
    """Convolutions without padding, each followed by ReLU, then a linear layer that reads all places.

    Series ``[B, L]`` or images ``[B, 1, H, W]`` to logits ``[B, outputs]``.

    Args:
        shape: of an example: (L,) or (1, H, W), H = W. channels: of each layer. kernel, stride: in every direction.
    """

    def __init__(self, shape, channels, outputs, *, kernel, stride, generator):
        super().__init__()
        self.directions, self.kernel, self.stride = min(len(shape), 2), kernel, stride
        sizes = zip((1, *channels), channels)
        self.windows = nn.ModuleList(linear(a * kernel**self.directions, b, generator) for a, b in sizes)
        self.activations = nn.ModuleList(nn.ReLU() for _ in channels)
        side = shape[-1]
        for _ in channels:
            side = (side - kernel) // stride + 1
        self.output = linear(channels[-1] * side**self.directions, outputs, generator)

    def forward(self, x):
        h = x.unsqueeze(-1) if self.directions == 1 else x.movedim(-3, -1)  # [..., places, channels]
        for layer, activation in zip(self.windows, self.activations):
            for _ in range(self.directions):
                h = h.unfold(-1 - self.directions, self.kernel, self.stride)  # the next direction has moved up by one
            h = activation(layer(h.flatten(-1 - self.directions)))
        return self.output(flattened(h, self.output.weight))
