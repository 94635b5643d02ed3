"""The tables of a stack: for every group that may be formed, all options of its matrices."""

from collections.abc import Callable, Sequence

import numpy as np

from foldformer.compress.planning.layer_matrices import LayerMatrices, Layers
from foldformer.compress.planning.options import Shape, Table, What
from foldformer.compress.planning.spectra import Spectrum, alone, in_one_basis, left_over
from foldformer.compress.planning.uses import Sums, Use, Uses
from foldformer.measure.stored import Precision, vector_bytes

Tables = dict[Layers, dict[str, Table]]


def tables(
    stack: LayerMatrices,
    groups: Sequence[Layers],
    precision: Precision,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Tables:
    """All options of all groups.

    One decomposition gives all ranks. The error of an option is the sum over uses of the
    importance of the matrix times the part of its output's energy that is lost; with sharing it is
    what `spectra.shared` expects of a fit.

    Args:
        stack: the trained layers.
        groups: those that may be formed.
        precision: of the stored weights.
        progress: called with the number of groups done, and of all.
    """
    names = {name: _Name(stack, name, precision) for name in stack.weights}
    found: Tables = {}
    for done, layers in enumerate(groups, start=1):
        found[layers] = {name: of_name.table(layers) for name, of_name in names.items()}
        progress(done, len(groups))
    return found


class _Name:
    """The matrices of one name: their shape, their spectra, and the weight of their errors.

    In float32: that is exact enough for a choice, and the fold itself is in float64.
    """

    def __init__(self, stack: LayerMatrices, name: str, precision: Precision) -> None:
        inputs, outputs = stack.weights[name][0].shape
        self._shape = Shape(inputs, outputs, precision)
        self._uses = Uses(stack, name)
        self._biases = stack.biases.get(name, [False] * stack.num_layers)
        self._alone = [each.numpy() for each in self._uses.energies]
        wholes = [max(float(each.sum()), np.finfo(np.float64).tiny) for each in self._alone]
        # A matrix that does not matter at all still has to be something in the end.
        floor = 1e-9 * max(stack.importance[name])
        self._scales = [
            max(importance, floor) / whole
            for importance, whole in zip(stack.importance[name], wholes, strict=True)
        ]
        self._summed: Layers = ()
        self._sums = Sums()

    def table(self, layers: Layers) -> Table:
        """Of one group."""
        scales = [self._scales[layer] for layer in layers]
        spectra: dict[What, Spectrum] = {
            "low_rank": alone([s * self._alone[i] for i, s in zip(layers, scales, strict=True)])
        }
        if len(layers) > 1:
            uses = self._uses.of(layers, scales)
            sums = self._sums_of(layers, uses)
            spectra["residual"] = left_over(uses, sums)
            spectra["basis"] = in_one_basis(uses, sums)
        return Table(self._shape, len(layers), spectra, self._bias_bytes(layers))

    def _bias_bytes(self, layers: Layers) -> int:
        """What a group adds: if one layer has a bias, each of its uses gets one."""
        missing = [layer for layer in layers if not self._biases[layer]]
        added = 0 if len(missing) == len(layers) else len(missing)
        return vector_bytes(added * self._shape.outputs)

    def _sums_of(self, layers: Layers, uses: Sequence[Use]) -> Sums:
        """Of a group; the one before it often lacks the last layer alone, and has been kept."""
        if not self._summed or layers[:-1] != self._summed:
            self._sums, self._summed = Sums(), ()
        for use in uses[len(self._summed) :]:
            self._sums.add(use)
        self._summed = layers
        return self._sums
