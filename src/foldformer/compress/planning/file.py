"""A plan in a file, and what it was made from, so that it folds no other model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from torch import nn

from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec, from_dict, read_yaml


@dataclass(frozen=True, kw_only=True)
class MadeSpec(Spec):
    """What `foldformer plan` made a plan from, and what it expects of it."""

    model: str
    """SHA-256 of the weights of the model that the plan is for."""
    precision: Literal["fp32", "fp16", "int8", "int4"]
    """Of the stored weights that the bytes are counted in."""
    budget: int
    """Bytes that the weights may take."""
    bytes: int
    """Bytes that they are expected to take: all weights of the model."""
    error: float
    """The error that is expected, as the command prints it."""
    calibrated: bool
    """Whether recordings were heard; without, the error is that of weights, not of outputs."""


@dataclass(frozen=True, kw_only=True)
class MadeFile(Spec):
    """A plan as it stands in a file; one that is written by hand says nothing of its making."""

    made: MadeSpec | None = None
    """What it was made from."""


@dataclass(frozen=True, kw_only=True)
class PlanFile(MadeFile, Plan):
    """The file of a plan for a model of our own."""

    @property
    def plan(self) -> Plan:
        """The plan alone."""
        return Plan(uses=self.uses, order=self.order, linear=self.linear, linears=self.linears)


F = TypeVar("F", bound=MadeFile)


def read_plan(kind: type[F], path: Path, model: nn.Module) -> F:
    """The plan of a file.

    Args:
        kind: of file: for our own models, or for others.
        path: YAML, as `foldformer plan` or somebody has written it.
        model: what is to be folded.

    Raises:
        InputError: the file is missing or damaged, or the plan was made for another model.
    """
    try:
        found = from_dict(kind, read_yaml(path))
    except SpecError as error:
        raise InputError(f"{path}: {error}") from None
    if found.made is not None and found.made.model != fingerprint(model):
        raise InputError(
            f"{path}: was made for another model, or for other weights; plan this one with "
            "foldformer plan, or take `made` out of the file to fold it all the same"
        )
    return found


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of all weights, with their names and shapes."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().numpy())
    return found.hexdigest()
