"""What can become of the K matrices of one name in a group: the bytes, the error, the spec."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foldformer.compress.planning.programme import Options
from foldformer.compress.planning.spectra import Spectrum
from foldformer.measure.stored import Precision, matrix_bytes
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec

What = Literal["keep", "low_rank", "residual", "basis"]
KINDS: tuple[What, ...] = ("keep", "low_rank", "residual", "basis")


@dataclass(frozen=True)
class Shape:
    """Of the matrices, and how their numbers are stored.

    Attributes:
        inputs: rows.
        outputs: columns.
        precision: of the stored weights.
    """

    inputs: int
    outputs: int
    precision: Precision

    @property
    def full(self) -> int:
        """Bytes of a matrix."""
        return matrix_bytes(self.inputs, self.outputs, self.precision, full_rank=True)

    @cached_property
    def down(self) -> NDArray[np.int64]:
        """Bytes of (in, R) for R = 0 .. in, which no factor and no basis exceeds."""
        size = partial(matrix_bytes, precision=self.precision, full_rank=False)
        return np.array([size(self.inputs, rank) for rank in range(self.inputs + 1)])

    @cached_property
    def up(self) -> NDArray[np.int64]:
        """Bytes of (R, out) for R = 0 .. in."""
        size = partial(matrix_bytes, precision=self.precision, full_rank=False)
        return np.array([size(rank, self.outputs) for rank in range(self.inputs + 1)])


@dataclass(frozen=True)
class Choice:
    """One option.

    Attributes:
        what: `keep` the matrices as they are, factor each by itself (`low_rank`), share one with a
            `residual` for each use, or share a `basis`.
        ranks: of each use; of the basis alone; () where the matrices are kept.
        bytes: that it takes.
        error: that is predicted.
    """

    what: What
    ranks: tuple[int, ...]
    bytes: int
    error: float

    def spec(self, uses: int, bias: bool) -> LinearSpec:
        """In the words of a model's configuration."""
        if self.what == "keep":
            return DenseSpec(bias=bias) if uses > 1 else ResidualSpec(diagonal=False, bias=bias)
        if self.what == "basis":
            return BasisSpec(rank=self.ranks[0], bias=bias)
        rank = self.ranks[0] if len(set(self.ranks)) == 1 else self.ranks
        if self.what == "low_rank":
            return LowRankSpec(rank=rank, bias=bias)
        return ResidualSpec(rank=rank, diagonal=False, bias=bias)


class Table:
    """All options for the matrices of one name in a group, in the order of `options`."""

    def __init__(
        self, shape: Shape, uses: int, spectra: dict[What, Spectrum], beside: int = 0
    ) -> None:
        """Count the bytes of every rank.

        Args:
            shape: of the matrices.
            uses: K.
            spectra: of the ways beside `keep`, which is always there and costs no error.
            beside: bytes that each of them takes beside the matrices.
        """
        self.shape, self.uses, self._beside = shape, uses, beside
        keep = Options(np.array([uses * shape.full]), np.zeros(1))
        parts = {"keep": keep} | {what: self._part(what, each) for what, each in spectra.items()}
        # Whatever takes as many bytes as the matrices themselves is no option.
        self._kept = {
            what: np.flatnonzero(part.bytes < keep.bytes[0]) if what != "keep" else np.zeros(1, int)
            for what, part in parts.items()
        }
        self._spectra = {
            what: spectrum.cut(int(self._kept[what].max(initial=0)))
            for what, spectrum in spectra.items()
        }
        self._whats: list[What] = [what for what in KINDS if what in parts]
        self.options = Options(
            np.concatenate([parts[what].bytes[self._kept[what]] for what in self._whats]) + beside,
            np.concatenate([parts[what].errors[self._kept[what]] for what in self._whats]),
        )
        self._sizes = [len(self._kept[what]) for what in self._whats]

    def choice(self, index: int) -> Choice:
        """The option of an index."""
        ends = np.cumsum(self._sizes)
        part = int(np.searchsorted(ends, index, side="right"))
        what = self._whats[part]
        count = int(self._kept[what][index - ends[part]])
        ranks: tuple[int, ...] = ()
        if what == "basis":
            ranks = (count,)
        elif what != "keep":
            ranks = tuple(self._spectra[what].ranks(self.uses)[count].tolist())
        found = self.options
        return Choice(what, ranks, int(found.bytes[index]), float(found.errors[index]))

    def alone(self, rank: int) -> Choice:
        """A single matrix factored with this rank, or kept where that takes no more bytes."""
        places = np.flatnonzero(self._kept.get("low_rank", np.zeros(0, int)) == rank)
        return self.choice(self._sizes[0] + int(places[0]) if len(places) else 0)

    def again(self, choice: Choice) -> Choice:
        """The same option of another table of these matrices, with the error that it has here."""
        count = sum(choice.ranks)
        before = sum(self._sizes[: self._whats.index(choice.what)])
        return self.choice(before + int(np.searchsorted(self._kept[choice.what], count)))

    def only(self, whats: Sequence[What]) -> "Table":
        """The same with some ways left out; `keep` stays."""
        kept = {what: each for what, each in self._spectra.items() if what in whats}
        return Table(self.shape, self.uses, kept, self._beside)

    def weighed(self, factors: Mapping[What, float]) -> "Table":
        """The same with the errors of some ways so many times as large."""
        spectra = {
            what: Spectrum(factors.get(what, 1.0) * each.errors, each.owner)
            for what, each in self._spectra.items()
        }
        return Table(self.shape, self.uses, spectra, self._beside)

    def _part(self, what: What, spectrum: Spectrum) -> Options:
        count: dict[What, Callable[[Spectrum], NDArray[np.int64]]] = {
            "low_rank": self._factors,
            "residual": lambda each: self._factors(each) + self.shape.full,
            "basis": self._basis,
        }
        errors = spectrum.errors
        if what == "low_rank":  # a use without any rank has no map at all
            errors = np.where(spectrum.ranks(self.uses).min(axis=1) > 0, errors, np.inf)
        elif what == "basis":
            errors = np.concatenate([[np.inf], errors[1:]])
        sizes = count[what](spectrum)
        there = np.isfinite(errors)
        # Where it is no option, its bytes are those of all: it is left out.
        return Options(np.where(there, sizes, self.uses * self.shape.full), errors)

    def _factors(self, spectrum: Spectrum) -> NDArray[np.int64]:
        """Bytes of the low ranks of all uses, for each number of ranks in all."""
        ranks = spectrum.ranks(self.uses)
        found: NDArray[np.int64] = (self.shape.down + self.shape.up)[ranks].sum(axis=1)
        return found

    def _basis(self, spectrum: Spectrum) -> NDArray[np.int64]:
        sizes: NDArray[np.int64] = self.shape.down + self.uses * self.shape.up
        return sizes[: len(spectrum.owner) + 1]
