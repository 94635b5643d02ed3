"""The Transformer's feed-forward network: expand, activation, contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.feed_forwards import FeedForward, FeedForwardSpec
from foldformer.nn.linears import Linear, LinearFactory, prepared

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}


class DenseFeedForward(FeedForward):
    """contract(dropout(activation(expand(x)))), D -> d_ff -> D (Vaswani et al. 2017, eq. 2)."""

    def __init__(
        self, d_model: int, d_ff: int, activation: str, dropout: float, linear: LinearFactory
    ) -> None:
        super().__init__()
        self.expand = linear("expand", d_model, d_ff)
        self.contract = linear("contract", d_ff, d_model)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)

    @property
    def last(self) -> Linear:
        """See FeedForward."""
        return self.contract

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See FeedForward."""
        expand, contract = prepared((self.expand, self.contract), use, x)
        return contract(self.dropout(_ACTIVATIONS[self.activation](expand(x))))


@dataclass(frozen=True, kw_only=True)
class DenseFeedForwardSpec(FeedForwardSpec):
    """Two maps with an activation between them."""

    d_ff: int = 2048
    """Hidden width."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Non-linearity between the two maps."""
    dropout: float = 0.0
    """Dropout on the hidden units, in training."""

    def __post_init__(self) -> None:
        if self.d_ff < 1:
            raise SpecError(f"d_ff: expected 1 or more, got {self.d_ff}")
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout: expected 0 or more and less than 1, got {self.dropout}")

    def build(self, d_model: int, linear: LinearFactory) -> DenseFeedForward:
        """See FeedForwardSpec."""
        return DenseFeedForward(d_model, self.d_ff, self.activation, self.dropout, linear)
