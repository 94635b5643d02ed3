"""Which runs may be compared, and averaged: those of the same data and the same code."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from foldformer.report.written import spoken_seeds


@dataclass(frozen=True)
class Origin:
    """What a result was made of: for results that are compared it has to be the same."""

    data: tuple[str, str, str]
    """Fingerprints of the data."""
    code: str
    """Digest of the sources."""
    compress: str | None
    """Digest of those that compress, which only compressed models depend on."""

    def differences(self, other: "Origin") -> list[str]:
        """In what the two are not the same."""
        compressed = None not in (self.compress, other.compress)
        found = {
            "other data": self.data != other.data,
            "other code": self.code != other.code
            or (compressed and self.compress != other.compress),
        }
        return [what for what, differs in found.items() if differs]


def usual_of(origins: Collection[Origin]) -> Origin:
    """That of most results; compressed by what most of those were that are compressed."""
    (data, code), _ = Counter((each.data, each.code) for each in origins).most_common(1)[0]
    compress = Counter(each.compress for each in origins if each.compress is not None)
    return Origin(data, code, compress.most_common(1)[0][0] if compress else None)


def alike(seeds: Mapping[int, Origin], usual: Origin) -> list[int]:
    """The seeds of a cell whose runs make one figure: those of the usual origin.

    A cell that has none of them is shown for itself, by what is usual among its own.
    """
    found = [seed for seed, each in seeds.items() if not each.differences(usual)]
    if found or not seeds:
        return found
    own = usual_of(seeds.values())
    return [seed for seed, each in seeds.items() if not each.differences(own)]


def marks_of(seeds: Mapping[int, Origin], usual: Origin) -> list[str]:
    """In what a cell's runs differ from the usual, behind their seeds where they are left out."""
    kept = alike(seeds, usual)
    found: dict[tuple[str, bool], list[int]] = {}
    for seed, each in seeds.items():
        for what in each.differences(usual):
            found.setdefault((what, seed in kept), []).append(seed)
    return [
        what if shown else f"{spoken_seeds(left)}: {what}" for (what, shown), left in found.items()
    ]
