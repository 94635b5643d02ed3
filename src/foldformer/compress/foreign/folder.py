"""A folded foreign model on disk, and beside it a record of what it was made of."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from foldformer.compress.foreign.distil import STATE
from foldformer.compress.foreign.files import CONFIG, GENERATION, PLAN, WEIGHTS, companions, save
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.compress.record import RECORD, Layout, Record, check_output
from foldformer.files import complete_files, sha256
from foldformer.spec import write_yaml

TRAINING = "training"
"""Where in the folder a model learns."""


@dataclass(frozen=True, kw_only=True)
class ForeignOrigin(Record):
    """What the fold of a foreign model is made of."""

    plan: ForeignPlan
    """What its lists of layers are folded into."""


def checked(output: Path, origin: ForeignOrigin, *, alone: bool) -> ForeignOrigin:
    """The origin, with what an earlier call into the same folder has folded.

    Args:
        output: where the fold is to be written.
        origin: what is to be done.
        alone: whether the fold is to learn nothing.

    Raises:
        InputError: see `record.check_output`.
    """
    others = (GENERATION, *(path.name for path in companions(Path(origin.model))))
    layout = Layout((CONFIG, PLAN, WEIGHTS), WEIGHTS, others, f"{TRAINING}/{STATE}")
    earlier = check_output(output, origin, layout, alone=alone)
    return origin if earlier is None else replace(origin, folded=earlier.folded)


def write_record(output: Path, origin: ForeignOrigin) -> None:
    """Say in the folder what is made there: before anything else is, which is then known by it.

    Raises:
        InputError: it cannot be written.
    """
    with complete_files(output) as beside:
        write_yaml(beside / RECORD, origin)


def write_fold(output: Path, model: nn.Module, origin: ForeignOrigin) -> None:
    """Write a fold that has learnt nothing, and its record.

    Raises:
        InputError: they cannot be written.
    """
    with complete_files(output) as beside:
        save(beside, model, origin.plan, source=origin.model)
        write_record(output, replace(origin, folded=sha256(beside / WEIGHTS)))
