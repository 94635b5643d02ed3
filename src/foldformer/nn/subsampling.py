"""Convolutional subsampling: 100 feature frames a second become 25 encoder frames."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.mixers import State
from foldformer.spec import Spec

FACTOR = 4
"""Feature frames (10 ms) an encoder frame (40 ms): what the runtimes assume for their times."""


class Subsampling(nn.Module):
    """Two convolutions over time of width 3 and stride 2, each with a GELU, as in Whisper's stem.

    Each sees one frame to its left and none beyond its own pair, so that encoder frame t depends
    on feature frames 4t-3 .. 4t+3 and is complete as soon as they are there: a stream needs no
    look-ahead and remembers one frame before each convolution. Features that do not fill a last
    group of 4 are left out: T' = T // 4.
    """

    def __init__(self, num_mels: int, channels: int, d_model: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("scale", torch.ones(num_mels))
        self.mean: Tensor
        self.scale: Tensor
        self.first = nn.Conv1d(num_mels, channels, kernel_size=3, stride=2)
        self.second = nn.Conv1d(channels, d_model, kernel_size=3, stride=2)

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Normalise features by their mean and standard deviation over training data, each (F,)."""
        self.mean.copy_(mean)
        self.scale.copy_(1 / deviation.clamp(min=1e-3))

    def init_state(self, batch: int) -> State:
        """The normalised feature frame (B, F, 1) and the first map (B, C, 1) before the stream."""
        zeros = self.first.weight.new_zeros
        return (
            zeros(batch, self.first.in_channels, 1),
            zeros(batch, self.second.in_channels, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> (B, T // 4, D)."""
        return self.step(features, self.init_state(features.shape[0]))[0]

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """A piece (B, T, F) of a stream, T a multiple of 4 -> (B, T / 4, D) and the next state."""
        frames = features.shape[1] // FACTOR * FACTOR
        x = ((features[:, :frames] - self.mean) * self.scale).transpose(1, 2)
        hidden = F.gelu(self.first(torch.cat([state[0].to(x.dtype), x], dim=2)))
        y = F.gelu(self.second(torch.cat([state[1].to(hidden.dtype), hidden], dim=2)))
        return y.transpose(1, 2), (x[:, :, -1:], hidden[:, :, -1:])


@dataclass(frozen=True, kw_only=True)
class SubsamplingSpec(Spec):
    """Two strided convolutions."""

    num_mels: int = 80
    """Features a frame, F."""
    channels: int = 128
    """Channels between the two convolutions, C."""

    def __post_init__(self) -> None:
        for name in ("num_mels", "channels"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")

    def build(self, d_model: int) -> Subsampling:
        """The module with outputs of width `d_model`."""
        return Subsampling(self.num_mels, self.channels, d_model)
