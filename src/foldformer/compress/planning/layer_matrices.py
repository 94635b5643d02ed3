"""What the planner has to know of a trained model: the matrices of its layers, and their inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from foldformer.errors import InputError

Layers = tuple[int, ...]
"""The layers of a group, in the order of its uses."""


@dataclass(frozen=True)
class LayerMatrices:
    """L layers that hold matrices of the same names and shapes.

    Attributes:
        weights: {name: L matrices (in, out)}; y = x @ W.
        moments: {name: L second moments E[x x^T] (in, in)} of the inputs, or None: then an error is
            that of the weights.
        importance: {name: L numbers}: what the loss of all energy of this matrix's output would
            cost; errors are multiples of it.
        biases: {name: L times, whether there is a bias}; where a name is missing, all layers are
            alike.
    """

    weights: Mapping[str, Sequence[Tensor]]
    moments: Mapping[str, Sequence[Tensor]] | None
    importance: Mapping[str, Sequence[float]]
    biases: Mapping[str, Sequence[bool]] = field(default_factory=dict)

    @property
    def num_layers(self) -> int:
        """L."""
        return len(next(iter(self.weights.values())))

    def moment(self, name: str, layer: int) -> Tensor | None:
        """Of the inputs of a matrix, (in, in)."""
        return None if self.moments is None else self.moments[name][layer]

    def check(self) -> None:
        """That there is something to plan.

        Raises:
            InputError: fewer than two layers, layers that differ, or weights that are no numbers.
        """
        if not self.weights or self.num_layers < 2:
            count = self.num_layers if self.weights else 0
            raise InputError(
                f"the model has no repeated layers: expected 2 or more in depth, got {count}"
            )
        for name, matrices in self.weights.items():
            for layer, matrix in enumerate(matrices):
                if matrix.shape != matrices[0].shape:
                    raise InputError(
                        f"{name}: layer {layer} has shape {tuple(matrix.shape)}, layer 0 "
                        f"{tuple(matrices[0].shape)}; layers that share have the same shapes"
                    )
                if not matrix.isfinite().all():
                    raise InputError(
                        f"{name}: layer {layer} has weights that are not finite; the model is "
                        "damaged, or its training failed"
                    )
