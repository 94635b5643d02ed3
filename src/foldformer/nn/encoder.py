"""The encoder: subsampling, layers in depth, final norm; whole utterances or chunks of a stream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.depth import Depth, DepthSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.feed_forwards import FeedForwardSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears import Linear, LinearSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mask import step_mask, utterance_mask
from foldformer.nn.mixers import MixerSpec, State
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import FACTOR, Subsampling, SubsamplingSpec
from foldformer.spec import Spec, nearest


class Encoder(nn.Module):
    """Features (B, T, F) at 100 frames/s -> frames (B, T // 4, D) at 25 frames/s.

    A whole utterance, and the same as a stream of two chunks:

    >>> from foldformer.nn.mixers.attention import AttentionSpec
    >>> spec = EncoderSpec(d_model=32, num_layers=6, uses=3, mixer=AttentionSpec(num_heads=2))
    >>> encoder = spec.build().eval()
    >>> features = torch.randn(1, 64, 80)
    >>> whole, lengths = encoder(features, torch.tensor([64]), chunk=8)
    >>> whole.shape, lengths
    (torch.Size([1, 16, 32]), tensor([16]))
    >>> first, state = encoder.step(features[:, :32], encoder.init_state(1))
    >>> second, state = encoder.step(features[:, 32:], state)
    >>> torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-4)
    True
    """

    def __init__(
        self, subsampling: Subsampling, depth: Depth, d_model: int, left_context: int
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.left_context = left_context
        self.subsampling = subsampling
        self.depth = depth
        self.norm = nn.LayerNorm(d_model)

    def forward(
        self,
        features: Tensor,
        lengths: Tensor,
        chunk: int | None = None,
        left_context: int | None = None,
        after: Callable[[Tensor], object] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode whole utterances.

        Args:
            features: log-mel features (B, T, F); what lies past an utterance's length is ignored.
            lengths: feature frames of each utterance (B,).
            chunk: None for the full context, or the encoder frames (40 ms) a chunk: then a frame
                sees its own chunk and `left_context` frames before it, as in a stream.
            left_context: encoder frames; the encoder's own unless given.
            after: is told the frames (B, T // 4, D) after each use, in order of depth, before the
                final norm; those of padding mean nothing.

        Returns:
            Encoder frames (B, T // 4, D), zero where there is padding, and their lengths (B,).

        Raises:
            ValueError: there are fewer than 4 feature frames, or less than 1 frame a chunk.
        """
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk: expected 1 frame or more, got {chunk}")
        if features.shape[1] < FACTOR:
            raise ValueError(
                f"features: expected at least {FACTOR} frames, got {features.shape[1]}"
            )
        x = self.subsampling(features)
        lengths = torch.div(lengths, FACTOR, rounding_mode="floor")
        left_context = self.left_context if left_context is None else left_context
        mask = utterance_mask(lengths, x.shape[1], chunk, left_context)
        x = self.norm(self.depth(x, mask, after))
        return x * mask.valid[:, :, None], lengths

    def init_state(self, batch: int = 1, left_context: int | None = None) -> State:
        """The state of `batch` streams before their first chunk: a flat tuple, batch on axis 0.

        It holds two frames of the subsampling, the remembered frames that exist
        (B, left_context), then the states of the uses in order of depth. Its shapes never change.
        """
        left_context = self.left_context if left_context is None else left_context
        remembered = torch.zeros(
            batch, left_context, dtype=torch.bool, device=self.norm.weight.device
        )
        states = self.depth.init_state(batch, left_context)
        return (*self.subsampling.init_state(batch), remembered, *states)

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Encode the next chunk of a stream.

        Args:
            features: (B, 4 C, F); a chunk of C encoder frames. C is the latency that `forward`
                calls `chunk`; the last one of a stream may be shorter.
            state: from `init_state` or the call before.

        Returns:
            (B, C, D) and the next state.

        Raises:
            ValueError: the number of feature frames is no positive multiple of 4.
        """
        if features.shape[1] == 0 or features.shape[1] % FACTOR:
            raise ValueError(
                f"features: expected a positive multiple of {FACTOR} frames, "
                f"got {features.shape[1]}"
            )
        x, front = self.subsampling.step(features, state[:2])
        mask = step_mask(state[2], x.shape[1])
        x, states = self.depth.step(x, state[3:], mask)
        remembered = mask.valid[:, mask.valid.shape[1] - state[2].shape[1] :]
        return self.norm(x), (*front, remembered, *states)


MOST_LAYERS = 1000
"""Layers in depth at most: more of them are a slip, and would take minutes to build."""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """An encoder of `num_layers` layers in depth, of which every `uses` share their weights."""

    d_model: int = 512
    """Width of a frame, D."""
    num_layers: int = 18
    """Layers in depth, L: the sum of all uses."""
    uses: int | tuple[int, ...] = 1
    """K: how often each layer is used in depth; one number, or one for each layer. 1 is dense."""
    mixer: MixerSpec = field(default_factory=AttentionSpec)
    """What exchanges information between frames."""
    feed_forward: FeedForwardSpec = field(default_factory=DenseFeedForwardSpec)
    """What transforms each frame."""
    linear: LinearSpec = field(default_factory=ResidualSpec)
    """The kind of all linear maps of the layers."""
    linears: dict[str, LinearSpec] = field(default_factory=dict)
    """Exceptions: `query` in all layers, or `2.query` in layer 2 alone, get a map of their own."""
    depth: DepthSpec = field(default_factory=SequentialSpec)
    """How layers and uses follow one another."""
    subsampling: SubsamplingSpec = field(default_factory=SubsamplingSpec)
    """From feature frames to encoder frames."""
    left_context: int = 128
    """Encoder frames (40 ms) that a stream remembers before its chunk."""

    def __post_init__(self) -> None:
        if self.d_model < 1:
            raise SpecError(f"d_model: expected 1 or more, got {self.d_model}")
        if not 1 <= self.num_layers <= MOST_LAYERS:
            raise SpecError(f"num_layers: expected 1 to {MOST_LAYERS}, got {self.num_layers}")
        if self.left_context < 0:
            raise SpecError(f"left_context: expected 0 or more frames, got {self.left_context}")
        if isinstance(self.uses, tuple):
            if not self.uses or min(self.uses) < 1 or sum(self.uses) != self.num_layers:
                raise SpecError(
                    f"uses: {list(self.uses)} does not add up to num_layers = {self.num_layers} "
                    "with at least 1 use a layer"
                )
        elif self.uses < 1 or self.num_layers % self.uses:
            fitting = [k for k in range(1, self.num_layers + 1) if self.num_layers % k == 0]
            raise SpecError(
                f"uses: {self.num_layers} layers are not divisible by {self.uses} uses; "
                f"possible: {', '.join(map(str, fitting))}, or a list that adds up to it"
            )

    @property
    def uses_of_layers(self) -> tuple[int, ...]:
        """K of each layer that owns weights."""
        if isinstance(self.uses, tuple):
            return self.uses
        return (self.uses,) * (self.num_layers // self.uses)

    def build(self) -> Encoder:
        """The module, initialised.

        The maps that the branches end with start 1 / sqrt(2 L) times as large as others (Radford et
        al., "Language models are unsupervised multitask learners", 2.3). All 2 L branches together
        then add to the frames about what the subsampling made of the speech; at full size what they
        add, which at the start hardly depends on the speech, would drown it.

        Raises:
            SpecError: parts that do not fit together.
        """
        asked: set[str] = set()
        layers = [self._layer(index, uses, asked) for index, uses in enumerate(self.uses_of_layers)]
        for key in self.linears:
            if key not in asked:
                raise SpecError(f"linears.{key}: no such matrix{nearest(key, asked)}")
        subsampling = self.subsampling.build(self.d_model)
        return Encoder(subsampling, self.depth.build(layers), self.d_model, self.left_context)

    def _layer(self, index: int, uses: int, asked: set[str]) -> Layer:
        linear = partial(self._linear, index, uses, asked)
        mixer = self.mixer.build(self.d_model, linear)
        feed_forward = self.feed_forward.build(self.d_model, linear)
        for branch in (mixer, feed_forward):
            branch.last.scale((2 * self.num_layers) ** -0.5)
        return Layer(self.d_model, uses, mixer, feed_forward)

    def _linear(
        self, index: int, uses: int, asked: set[str], name: str, in_features: int, out_features: int
    ) -> Linear:
        keys = (f"{index}.{name}", name)
        asked.update(keys)
        key = next((key for key in keys if key in self.linears), None)
        spec = self.linear if key is None else self.linears[key]
        try:
            return spec.build(in_features, out_features, uses)
        except SpecError as error:
            where = "linear" if key is None else f"linears.{key}"
            raise SpecError(f"{where}: {error} (matrix {name} of layer {index})") from None
