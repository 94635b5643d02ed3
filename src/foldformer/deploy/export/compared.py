"""How far a written file is from the PyTorch module that it was traced from."""

import math
from collections.abc import Callable
from pathlib import Path

import onnx
import torch

from foldformer.deploy.export.parity import Run, session
from foldformer.deploy.export.plain import plain_form
from foldformer.deploy.folder import Precision
from foldformer.errors import SpecError

TOLERANCE = 1e-3
"""The largest difference to PyTorch, as a share of the largest output."""

Difference = Callable[[Run], float]
"""The largest difference between a module and a file that is called like it, on random inputs."""


def compared(difference: Difference, path: Path, precision: Precision) -> float:
    """The difference between a module and its file, whose products are in fp32 for that.

    Args:
        difference: of the module with the weights as they are stored.
        path: of the file.
        precision: how its weights are stored.

    Raises:
        SpecError: it is more than `TOLERANCE`.
    """
    file: Path | bytes = path
    if precision in ("int8", "int4"):
        file = plain_form(onnx.load(path)).SerializeToString()
    found = _seeded(difference, file)
    if not found <= TOLERANCE:
        raise SpecError(
            f"export: {path.name} differs from PyTorch by {found:.1e} of its largest output; "
            f"expected at most {TOLERANCE:.0e}"
        )
    return found


def rounded(difference: Difference, path: Path) -> float:
    """The difference between a file as it is and the module before its weights were rounded.

    Args:
        difference: of the module with its own weights.
        path: of the file.

    Raises:
        SpecError: there is no number for it.
    """
    found = _seeded(difference, path)
    if not math.isfinite(found):
        raise SpecError(f"export: {path.name} gives numbers that are not finite in the runtime")
    return found


def shortened(difference: float) -> float:
    """Two digits of it: more would differ from machine to machine."""
    return float(f"{difference:.1e}")


def _seeded(difference: Difference, file: Path | bytes) -> float:
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(0)
        return difference(session(file))
