"""One use after another, each with two skip connections."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.depth import Depth, DepthSpec
from foldformer.nn.depth.order import adjacent, cycle
from foldformer.nn.layer import Layer
from foldformer.nn.mask import Mask
from foldformer.nn.mixers import State

_ORDERS = {"adjacent": adjacent, "cycle": cycle}


class Sequential(Depth):
    """x <- x + mix(x), x <- x + feed(x) for every (layer, use) of the order.

    In training a branch is dropped for a whole utterance with a probability that grows linearly
    with depth up to `stochastic_depth` (Huang et al., arXiv:1603.09382), and is otherwise scaled
    up so that its expectation stays the same.
    """

    def __init__(
        self, layers: Sequence[Layer], order: str, dropout: float, stochastic_depth: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.order = _ORDERS[order]([layer.uses for layer in layers])
        self.dropout = nn.Dropout(dropout)
        last = max(len(self.order) - 1, 1)
        self.drop_rates = [stochastic_depth * place / last for place in range(len(self.order))]

    def forward(
        self, x: Tensor, mask: Mask, after: Callable[[Tensor], object] | None = None
    ) -> Tensor:
        """See Depth."""
        places = zip(self.order, self.drop_rates, strict=True)
        for index, row in groupby(places, key=lambda place: place[0][0]):
            uses = [(use, rate) for (_, use), rate in row]
            x = self._layer(index)(x, partial(self._run, uses=uses, mask=mask, after=after))
        return x

    def _run(
        self,
        layer: Layer,
        x: Tensor,
        uses: Sequence[tuple[int, float]],
        mask: Mask,
        after: Callable[[Tensor], object] | None,
    ) -> Tensor:
        """The uses of a layer that follow one another, each with its drop rate."""
        for use, rate in uses:
            x = x + self._branch(layer.mix(x, use, mask), rate)
            x = x + self._branch(layer.feed(x, use), rate)
            if after is not None:
                after(x)
        return x

    def init_state(self, batch: int, left_context: int) -> State:
        """See Depth."""
        return tuple(
            tensor
            for index, _ in self.order
            for tensor in self._layer(index).mixer.init_state(batch, left_context)
        )

    def step(self, x: Tensor, state: State, mask: Mask) -> tuple[Tensor, State]:
        """See Depth."""
        each = len(state) // len(self.order)
        following: list[Tensor] = []
        for place, (index, use) in enumerate(self.order):
            layer = self._layer(index)
            own = state[place * each : (place + 1) * each]
            y, own = layer.mix_step(x, use, own, mask)
            x = x + y
            x = x + layer.feed(x, use)
            following.extend(own)
        return x, tuple(following)

    def _layer(self, index: int) -> Layer:
        layer = self.layers[index]
        assert isinstance(layer, Layer)
        return layer

    def _branch(self, y: Tensor, rate: float) -> Tensor:
        y = self.dropout(y)
        if not self.training or rate == 0:
            return y
        kept = torch.rand(y.shape[0], 1, 1, device=y.device) >= rate
        return y * (kept / (1 - rate)).to(y.dtype)


@dataclass(frozen=True, kw_only=True)
class SequentialSpec(DepthSpec):
    """One use after another."""

    order: Literal["adjacent", "cycle"] = "adjacent"
    """`adjacent` A0 A1 B0 B1 as in ResidualTransformer, `cycle` A0 B0 A1 B1."""
    dropout: float = 0.0
    """Dropout on each branch before it is added."""
    stochastic_depth: float = 0.0
    """Probability of dropping the branches of the deepest use; falls linearly to 0 at the first."""

    def __post_init__(self) -> None:
        for name in ("dropout", "stochastic_depth"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise SpecError(f"{name}: expected 0 or more and less than 1, got {value}")

    def build(self, layers: Sequence[Layer]) -> Sequential:
        """See DepthSpec."""
        return Sequential(layers, self.order, self.dropout, self.stochastic_depth)
