"""What K matrices of one shape become where they share one of them: ResidualTransformer's form."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shared:
    """merged(k) = weight + down_k @ up_k + diagonal_k, as in nn.linears.residual.

    Attributes:
        weight: (in, out), shared by all uses.
        down: (in, R_k) of each use; R_k may be 0.
        up: (R_k, out) of each use.
        diagonal: (K, min(in, out)), or None.
    """

    weight: Tensor
    down: tuple[Tensor, ...]
    up: tuple[Tensor, ...]
    diagonal: Tensor | None

    @property
    def uses(self) -> int:
        """K."""
        return len(self.down)

    @property
    def ranks(self) -> tuple[int, ...]:
        """R_k of each use."""
        return tuple(up.shape[0] for up in self.up)

    def merged(self, use: int) -> Tensor:
        """The matrix (in, out) that use `use` applies: y = x @ merged(use)."""
        merged = torch.addmm(self.weight, self.down[use], self.up[use])
        if self.diagonal is not None:
            merged.diagonal().add_(self.diagonal[use])
        return merged
