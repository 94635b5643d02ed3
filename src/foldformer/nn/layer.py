"""A layer: one set of shared weights, used K times in depth."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.nn.feed_forwards import FeedForward
from foldformer.nn.mask import Mask
from foldformer.nn.mixers import Mixer, State


class UseNorm(nn.Module):
    """Layer normalisation (Ba et al., arXiv:1607.06450) with a scale and a shift for each use."""

    def __init__(self, d_model: int, uses: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(uses, d_model))
        self.shift = nn.Parameter(torch.zeros(uses, d_model))

    def forward(self, x: Tensor, use: int) -> Tensor:
        """(..., D) -> (..., D)."""
        return F.layer_norm(x, x.shape[-1:], self.scale[use], self.shift[use])


class Layer(nn.Module):
    """One Transformer layer, pre-norm, whose matrices serve K uses.

    It offers its two branches without the skip connections, which belong to the depth. For whole
    utterances a depth calls them inside of a call of the layer: see `forward`.
    """

    def __init__(self, d_model: int, uses: int, mixer: Mixer, feed_forward: FeedForward) -> None:
        super().__init__()
        self.uses = uses
        self.mixer_norm = UseNorm(d_model, uses)
        self.mixer = mixer
        self.feed_forward_norm = UseNorm(d_model, uses)
        self.feed_forward = feed_forward

    def forward(self, x: Tensor, run: Callable[["Layer", Tensor], Tensor]) -> Tensor:
        """run(layer, x): several uses in a row, by the depth, as one call of this module.

        So what is done around the calls of modules, such as putting together the weights that
        several devices hold shares of, is done once for all these uses.
        """
        return run(self, x)

    def mix(self, x: Tensor, use: int, mask: Mask) -> Tensor:
        """mixer(norm(x)), (B, T, D) -> (B, T, D)."""
        y: Tensor = self.mixer(self.mixer_norm(x, use), use, mask)
        return y

    def mix_step(self, x: Tensor, use: int, state: State, mask: Mask) -> tuple[Tensor, State]:
        """`mix` for one chunk (B, C, D) of a stream."""
        return self.mixer.step(self.mixer_norm(x, use), use, state, mask)

    def feed(self, x: Tensor, use: int) -> Tensor:
        """feed_forward(norm(x)), (B, T, D) -> (B, T, D)."""
        y: Tensor = self.feed_forward(self.feed_forward_norm(x, use), use)
        return y
