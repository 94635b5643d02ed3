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
    """Two convolutions over time of stride 2, each with a GELU, as in Whisper's stem.

    Each sees `kernel` - 2 frames to its left and none beyond its own pair, so that encoder frame t
    is complete as soon as feature frame 4t+3 is there: a stream needs no look-ahead, and remembers
    `kernel` - 2 frames before each convolution. Encoder frame t begins at feature frame
    4t - 3 (`kernel` - 2). Features that do not fill a last group of 4 are left out: T' = T // 4.
    """

    def __init__(self, num_mels: int, channels: int, kernel: int, d_model: int) -> None:
        super().__init__()
        self.remembered = kernel - 2
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("deviation", torch.ones(()))
        self.mean: Tensor
        self.deviation: Tensor
        self.first = nn.Conv1d(num_mels, channels, kernel_size=kernel, stride=2)
        self.second = nn.Conv1d(channels, d_model, kernel_size=kernel, stride=2)
        for convolution in (self.first, self.second):
            # Numbers of the size of the features all the way (He et al., arXiv:1502.01852, eq. 10).
            nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, deviation: float) -> None:
        """Normalise features by their mean (F,) and one standard deviation over training data."""
        self.mean.copy_(mean)
        self.deviation.fill_(max(deviation, 1e-3))

    def init_state(self, batch: int) -> State:
        """What stands before the stream: normalised features (B, F, kernel - 2) and the first map
        (B, C, kernel - 2)."""
        zeros = self.first.weight.new_zeros
        return (
            zeros(batch, self.first.in_channels, self.remembered),
            zeros(batch, self.second.in_channels, self.remembered),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> (B, T // 4, D)."""
        return self.step(features, self.init_state(features.shape[0]))[0]

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """A piece (B, T, F) of a stream, T a multiple of 4 -> (B, T / 4, D) and the next state."""
        frames = features.shape[1] // FACTOR * FACTOR
        x = ((features[:, :frames] - self.mean) / self.deviation).transpose(1, 2)
        x = torch.cat([state[0].to(x.dtype), x], dim=2)
        hidden = F.gelu(self.first(x))
        hidden = torch.cat([state[1].to(hidden.dtype), hidden], dim=2)
        y = F.gelu(self.second(hidden))
        kept = x.shape[2] - self.remembered, hidden.shape[2] - self.remembered
        return y.transpose(1, 2), (x[:, :, kept[0] :], hidden[:, :, kept[1] :])


MOST_FRAMES = 100
"""Frames of a convolution at most: the second one sees 2 s with so many."""


@dataclass(frozen=True, kw_only=True)
class SubsamplingSpec(Spec):
    """Two strided convolutions."""

    num_mels: int = 80
    """Features a frame, F."""
    channels: int = 128
    """Channels between the two convolutions, C."""
    kernel: int = 3
    """Frames that each convolution sees; more hear more of what came before."""

    def __post_init__(self) -> None:
        for name in ("num_mels", "channels"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 2 <= self.kernel <= MOST_FRAMES:
            raise SpecError(f"kernel: expected 2 to {MOST_FRAMES}, got {self.kernel}")

    def build(self, d_model: int) -> Subsampling:
        """The module with outputs of width `d_model`."""
        return Subsampling(self.num_mels, self.channels, self.kernel, d_model)
