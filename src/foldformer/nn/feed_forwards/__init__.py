"""Feed-forward networks, frame by frame. A kind is a file with a FeedForwardSpec and its module."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from foldformer.nn.linears import Linear, LinearFactory
from foldformer.spec import Spec


class FeedForward(nn.Module, ABC):
    """Transforms each frame by itself; owns one set of weights for K uses."""

    @property
    @abstractmethod
    def last(self) -> Linear:
        """The map that its output comes from; see `EncoderSpec.build` for how it starts."""

    @abstractmethod
    def forward(self, x: Tensor, use: int) -> Tensor:
        """(B, T, D) -> (B, T, D)."""


@dataclass(frozen=True, kw_only=True)
class FeedForwardSpec(Spec, ABC):
    """What is needed to build a feed-forward network."""

    @abstractmethod
    def build(self, d_model: int, linear: LinearFactory) -> FeedForward:
        """The module for frames of width `d_model`; it makes its maps with `linear` by name."""
