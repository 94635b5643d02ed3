"""The parts of a fold, each added to those before it."""

from foldformer.compress.matrices import Start

PARTS: list[tuple[str, Start, bool, int, bool, bool]] = [
    ("average + SVD", "average", False, 1, False, False),
    ("+ whitening", "average", True, 1, False, False),
    ("+ alternating fit", "fit", True, 1, False, False),
    ("+ alignment", "fit", True, 1, False, True),
    ("one rank less", "fit", True, 0, False, True),
    ("and a diagonal", "fit", True, 0, True, True),
]
"""Name; where the shared weight comes from; whether moments are used; ranks more than asked for;
whether there is a diagonal; whether layers are aligned."""


def key_of(part: str) -> str:
    """A name of `PARTS` as a key of results: "average", "whitening", ... "diagonal"."""
    return part.removesuffix(" + SVD").split()[-1]
