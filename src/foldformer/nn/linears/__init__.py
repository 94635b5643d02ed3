"""Linear maps used K times in depth. A kind is a file here with a LinearSpec and its module."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.spec import Spec

Map = Callable[[Tensor], Tensor]
"""(..., in) -> (..., out)."""


class Linear(nn.Module, ABC):
    """A linear map `in_features` -> `out_features` that is applied at K places (uses) in depth."""

    def __init__(self, in_features: int, out_features: int, uses: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.uses = uses

    @abstractmethod
    def forward(self, x: Tensor, use: int) -> Tensor:
        """Map (..., in) -> (..., out) as its `use`-th application, 0..K-1."""

    @abstractmethod
    def merged(self, use: int) -> Tensor:
        """The one matrix (in, out) that use `use` applies: y = x @ merged(use) + bias."""

    @abstractmethod
    def scale(self, factor: float) -> None:
        """Multiply the matrices of all uses, in place; biases stay as they are."""

    @classmethod
    def prepare(cls, linears: "Sequence[Linear]", use: int, x: Tensor) -> list[Map]:
        """x -> linear(x, use) for several maps of this kind: see `prepared`."""

        def bound(linear: Linear) -> Map:
            return lambda x: linear(x, use)

        return [bound(linear) for linear in linears]


def prepared(linears: Sequence[Linear], use: int, x: Tensor) -> list[Map]:
    """x -> linear(x, use) for each of the maps, each of which gets as many frames as `x` has.

    A mixer or feed-forward may take its maps from here in place of calling them with the use. What
    they have to do before the first product is then done for all at once, while the processor has
    it at hand.
    """
    maps: dict[int, Map] = {}
    for kind in dict.fromkeys(type(linear) for linear in linears):
        places = [place for place, linear in enumerate(linears) if type(linear) is kind]
        ready = kind.prepare([linears[place] for place in places], use, x)
        maps.update(zip(places, ready, strict=True))
    return [maps[place] for place in range(len(linears))]


class FactoredLinear(Linear, ABC):
    """y = (x @ down_k) @ up_k + bias[k]: a map through R dimensions.

    It is never merged: where that would save time, the factors have more numbers than the matrix.

    Attributes:
        bias: (K, out) or None.
    """

    bias: nn.Parameter | None

    @abstractmethod
    def factors(self, use: int) -> tuple[Tensor, Tensor]:
        """(down_k (in, R_k), up_k (R_k, out))."""

    def merged(self, use: int) -> Tensor:
        """See Linear."""
        down, up = self.factors(use)
        return down @ up

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear."""
        down, up = self.factors(use)
        # As rows: so the second product adds the bias, and an exported graph (Gemm) does so too.
        inner = x.reshape(-1, self.in_features) @ down
        y = inner @ up if self.bias is None else torch.addmm(self.bias[use], inner, up)
        return y.view(*x.shape[:-1], self.out_features)


@dataclass(frozen=True, kw_only=True)
class LinearSpec(Spec, ABC):
    """What is needed to build a linear map of any shape."""

    @abstractmethod
    def build(self, in_features: int, out_features: int, uses: int) -> Linear:
        """The module, initialised.

        Raises:
            SpecError: the spec does not fit this shape or number of uses.
        """


def ranks_of_uses(
    rank: int | tuple[int, ...], in_features: int, out_features: int, uses: int
) -> tuple[int, ...]:
    """The rank of each use, of a spec that gives one number or one for each.

    Raises:
        SpecError: there are not as many as uses, or one is larger than the matrix allows.
    """
    ranks = rank if isinstance(rank, tuple) else (rank,) * uses
    if len(ranks) != uses:
        raise SpecError(
            f"rank: {len(ranks)} ranks for a layer with {uses} uses; give one number or {uses}"
        )
    limit = min(in_features, out_features)
    if max(ranks) > limit:
        raise SpecError(
            f"rank: {max(ranks)} is larger than the matrix allows ({in_features} x "
            f"{out_features}: at most {limit})"
        )
    return ranks


LinearFactory = Callable[[str, int, int], Linear]
"""(name of the matrix, in, out) -> Linear: what a mixer or feed-forward gets to make its maps."""
