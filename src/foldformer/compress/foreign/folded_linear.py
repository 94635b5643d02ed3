"""What stands in the place of a layer's linear map once several layers share it."""

from torch import Tensor, nn

from foldformer.nn.linears import Linear


class FoldedLinear(nn.Module):
    """y = use k of a map that the layers of a group share, for inputs (..., in) -> (..., out).

    The first of a group's layers owns the shared map, as its child `shared`; the others only refer
    to it. So each number has one name in `state_dict`, and `parameters`, `to`, `deepcopy` and
    pickles meet it once.

    It answers for the layer that it replaces: `weight` is the merged matrix, laid out as before.
    """

    def __init__(self, shared: Linear, use: int, *, owner: bool, transposed: bool) -> None:
        super().__init__()
        if owner:
            self.shared = shared
        # In a tuple PyTorch does not take it for a child, which would name its numbers twice.
        self._refers_to = (shared,)
        self.use = use
        self.transposed = transposed

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        y: Tensor = self.linear(x, self.use)
        return y

    def exchange(self, linear: Linear) -> None:
        """Refer to another map of the same shape and uses; who owned the old one owns it."""
        self._refers_to = (linear,)
        if "shared" in self._modules:
            self.shared = linear

    @property
    def linear(self) -> Linear:
        """The map that is shared."""
        return self._refers_to[0]

    @property
    def weight(self) -> Tensor:
        """The one matrix that is applied: (out, in) as in nn.Linear, or (in, out) as in Conv1D."""
        merged = self.linear.merged(self.use)
        return merged.t() if self.transposed else merged

    @property
    def bias(self) -> Tensor | None:
        """(out,), or None."""
        bias = self.linear.bias
        return bias[self.use] if isinstance(bias, Tensor) else None

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.linear.in_features

    @property
    def out_features(self) -> int:
        """Outputs."""
        return self.linear.out_features

    nx, nf = in_features, out_features  # as Conv1D calls them

    def extra_repr(self) -> str:
        """Of which map it is which use."""
        kind = type(self.linear).__name__
        return f"{self.in_features}, {self.out_features}, {kind}, use={self.use}"
