"""Depth: how layers and their uses follow one another. A kind is a file here with a DepthSpec."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from foldformer.nn.layer import Layer
from foldformer.nn.mask import Mask
from foldformer.nn.mixers import State
from foldformer.spec import Spec


class Depth(nn.Module, ABC):
    """Runs frames through all uses of its layers, and adds the skip connections."""

    @abstractmethod
    def forward(
        self, x: Tensor, mask: Mask, after: Callable[[Tensor], object] | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), whole utterances.

        `after` is told the frames (B, T, D) after each use, in order of depth.

        The branches of a layer are called inside of a call of the layer, one for all of its uses
        that follow one another: see `Layer.forward`.
        """

    @abstractmethod
    def init_state(self, batch: int, left_context: int) -> State:
        """The states of all uses before the first chunk, in order of depth, in one flat tuple."""

    @abstractmethod
    def step(self, x: Tensor, state: State, mask: Mask) -> tuple[Tensor, State]:
        """One chunk (B, C, D) of a stream -> (B, C, D) and the next state."""


@dataclass(frozen=True, kw_only=True)
class DepthSpec(Spec, ABC):
    """What is needed to stack layers."""

    @abstractmethod
    def build(self, layers: Sequence[Layer]) -> Depth:
        """The module that owns the layers."""
