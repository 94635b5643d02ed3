"""The matrices of a stack as uses of a shared one, and what the uses of a group ask of that."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foldformer.compress.least_squares import energies, regular, ridge_of, times
from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.stored import OnDemand, Stored


@dataclass(frozen=True)
class Use:
    """One matrix of a group, and what of it is the same in whichever group it is.

    Attributes:
        weight: W, (in, out), float32.
        moment: of its inputs, (in, in), float32; None for the identity.
        ridge: that makes M of the moment, see `least_squares.ridge_of`. The moment is large: it is
            multiplied where it lies, on disk perhaps, and the ridge is added to the product.
        image: M W, (in, out).
        scale: what its error is multiplied with. A fold knows nothing of it: what is shared is
            best for the plain sum of errors.
    """

    weight: Tensor
    moment: Tensor | None
    ridge: float
    image: Tensor
    scale: float

    @property
    def metric(self) -> Tensor | None:
        """M, (in, in), positive definite, in memory of its own; None for the identity."""
        return None if self.moment is None else regular(self.moment, torch.float32)

    def times(self, x: Tensor, out: Tensor) -> Tensor:
        """M @ x, of (in, N), written into `out`."""
        if self.moment is None:
            return out.copy_(x)
        return torch.addmm(x, self.moment, x, beta=self.ridge, out=out)


class Sums:
    """What the uses of a group ask of what they share, added up; with one more it goes on."""

    def __init__(self) -> None:
        """Of no use."""
        self.uses = 0
        self._moment: Tensor | None = None
        self._image: Tensor | None = None
        self._factor: Tensor | None = None
        self._products = self._weighed = torch.zeros(())
        self._multiplied = 0

    def add(self, use: Use) -> None:
        """One more."""
        self.uses += 1
        self._factor = None
        if self._image is None:
            self._image = use.image.clone()
            self._moment = use.metric
        else:
            self._image += use.image
            if self._moment is not None and use.moment is not None:
                self._moment += use.moment
                self._moment.diagonal().add_(use.ridge)

    @property
    def image(self) -> Tensor:
        """The sum of all M W, (in, out)."""
        assert self._image is not None
        return self._image

    @property
    def moment(self) -> Tensor | None:
        """The sum of all M, (in, in); None for that of identities."""
        return self._moment

    @property
    def factor(self) -> Tensor | None:
        """L of the sum of all M = L L^T, (in, in); None for that of identities."""
        if self._factor is None and self._moment is not None:
            self._factor = torch.linalg.cholesky(self._moment)
        return self._factor

    @property
    def mean(self) -> Tensor:
        """The U with the least sum of E|x_k @ (W_k - U)|^2, as a fold without ranks finds it."""
        factor = self.factor
        if factor is None:
            return self.image / self.uses
        return torch.cholesky_solve(self.image, factor)

    def products(self, uses: Sequence[Use]) -> tuple[Tensor, Tensor]:
        """The sums of all W W^T, and of all of them times their scales, (in, in).

        Args:
            uses: those that were added, in the same order; only those that have come since the
                last call are multiplied.
        """
        if not self._multiplied:
            rows = len(self.image)
            self._products, self._weighed = (self.image.new_zeros(rows, rows) for _ in range(2))
        for use in uses[self._multiplied :]:
            product = use.weight @ use.weight.t()
            self._products += product
            self._weighed.add_(product, alpha=use.scale)
        self._multiplied = len(uses)
        return self._products, self._weighed


class Uses:
    """All matrices of one name as uses, whatever the group; each is read when it is asked for."""

    def __init__(self, stack: LayerMatrices, name: str) -> None:
        """Of a stack; the images are kept in a temporary file."""
        self._stack, self._name = stack, name
        self._ridges: list[float] = []
        self._images = Stored()
        self.energies: list[Tensor] = []
        """Of each matrix by itself, see `least_squares.energies`, (min(in, out),) float64."""
        for layer in range(stack.num_layers):
            weight, moment = self._weight(layer), self._moment(layer)
            metric = None if moment is None else regular(moment, torch.float32)
            self._ridges.append(0.0 if moment is None else ridge_of(moment))
            image = times(metric, weight)
            self._images.put(str(layer), image)
            self.energies.append(energies(weight, metric, image).double())

    def of(self, layers: Sequence[int], scales: Sequence[float]) -> OnDemand[Use]:
        """The uses of a group, with these scales."""
        return OnDemand(
            lambda use: Use(
                weight=self._weight(layers[use]),
                moment=self._moment(layers[use]),
                ridge=self._ridges[layers[use]],
                image=self._images[str(layers[use])],
                scale=scales[use],
            ),
            range(len(layers)),
        )

    def _weight(self, layer: int) -> Tensor:
        return self._stack.weights[self._name][layer].float()

    def _moment(self, layer: int) -> Tensor | None:
        moment = self._stack.moment(self._name, layer)
        return None if moment is None else moment.float()
