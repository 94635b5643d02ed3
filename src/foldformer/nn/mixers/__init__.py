"""Mixers exchange information between frames. A kind is a file here: a MixerSpec and its module."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from foldformer.nn.linears import Linear, LinearFactory
from foldformer.nn.mask import Mask
from foldformer.spec import Spec

State = tuple[Tensor, ...]
"""Streaming state of one use of a mixer: tensors with the batch on axis 0."""


class Mixer(nn.Module, ABC):
    """Mixes frames; owns one set of weights for K uses, and keeps nothing between calls."""

    @property
    @abstractmethod
    def last(self) -> Linear:
        """The map that its output comes from; see `EncoderSpec.build` for how it starts."""

    @abstractmethod
    def forward(self, x: Tensor, use: int, mask: Mask) -> Tensor:
        """(B, T, D) -> (B, T, D), whole utterances.

        The output at a valid frame depends on no padding, and on no frame after those that `mask`
        lets it see. Of the frames before, a mixer whose memory is of another kind than a left
        context, as a filter or a recurrence, may see more.
        """

    @abstractmethod
    def init_state(self, batch: int, left_context: int) -> State:
        """The state of one use before the first chunk, with room for `left_context` frames."""

    @abstractmethod
    def step(self, x: Tensor, use: int, state: State, mask: Mask) -> tuple[Tensor, State]:
        """One chunk (B, C, D) of a stream -> (B, C, D) and the next state, of the same shapes.

        Chunk after chunk, this equals `forward` under the chunk mask of the same left context.
        `mask` covers the remembered frames and the chunk: (B, 1, 1, left_context + C).
        """


@dataclass(frozen=True, kw_only=True)
class MixerSpec(Spec, ABC):
    """What is needed to build a mixer."""

    @abstractmethod
    def build(self, d_model: int, linear: LinearFactory) -> Mixer:
        """The module for frames of width `d_model`; it makes its maps with `linear` by name.

        Raises:
            SpecError: the spec does not fit the width.
        """
