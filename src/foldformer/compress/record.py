"""The record beside a fold: what it was made of, so that it replaces nothing but its like."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

from foldformer.checkpoint import read_tensors
from foldformer.errors import InputError, SpecError
from foldformer.files import sha256
from foldformer.spec import Spec, from_dict, read_yaml

RECORD = "compress.yaml"


@dataclass(frozen=True, kw_only=True)
class Record(Spec):
    """What a fold is made of; each kind of model adds its plan."""

    model: str
    """Folder of the trained model."""
    weights: str
    """SHA-256 of its weights."""
    start: Literal["average", "stepwise", "lower", "fit"] = "fit"
    """Where the shared weights come from."""
    calibration: tuple[str, ...] = field(default_factory=tuple)
    """Files that the fold was fitted to; without any, to the weights."""
    folded: str = ""
    """SHA-256 of the folded weights, before any training; empty until they are written."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Layout:
    """What a kind of model writes into its folder, by which one that holds something is known."""

    model: tuple[str, ...]
    """Files of which each means a model."""
    weights: str
    """That of them with the weights: safetensors."""
    others: tuple[str, ...]
    """Files that may be somebody else's, in the folder of a project, say."""
    learnt: str
    """What learning keeps to go on from."""


def named_as_before(output: Path, origin: R) -> R:
    """The origin, its model called as an earlier call into the same folder has called it."""
    try:
        earlier = _read(type(origin), output)
    except InputError:  # see `check_output`
        return origin
    if earlier is not None and Path(earlier.model).resolve() == Path(origin.model).resolve():
        return replace(origin, model=earlier.model)
    return origin


def check_output(output: Path, origin: R, layout: Layout, *, alone: bool) -> R | None:
    """The record of an earlier call that this one may go on from; None for an empty place.

    A fold that nothing has learnt from may be made anew in another way.

    Args:
        output: the folder.
        origin: what is to be made.
        layout: of folders of its kind.
        alone: whether the fold is all that will be written there, and nothing is to learn.

    Raises:
        InputError: there is another model, or learning from another fold, or what has learnt and
            a fold alone would replace, or a file that no fold has put there.
    """
    learning = (output / layout.learnt).exists()
    earlier = _read(type(origin), output)
    if earlier is None:
        if learning or any((output / name).exists() for name in layout.model):
            raise InputError(
                f"{output}: holds another model, which was not made by this command; choose "
                "another --output"
            )
        for name in layout.others:
            if (output / name).exists():
                raise InputError(
                    f"{output / name}: would be replaced, and was not made by this command; let "
                    "--output name a new folder"
                )
        return None
    if alone and (learning or _has_learnt(output / layout.weights, earlier)):
        raise InputError(
            f"{output}: holds a model that has learnt, which a fold alone would replace; give "
            "its --data again, or choose another --output"
        )
    kept = ["model", "weights", "plan"]
    if learning:
        kept = [each.name for each in fields(origin) if each.name != "folded"]
    other = [name for name in kept if getattr(earlier, name) != getattr(origin, name)]
    if other:
        raise InputError(
            f"{output}: holds a model that was made in another way: {', '.join(other)} "
            f"{'differs' if len(other) == 1 else 'differ'} (see {output / RECORD}); choose "
            "another --output"
        )
    return earlier


def _read(kind: type[R], output: Path) -> R | None:
    path = output / RECORD
    if not path.exists():
        return None
    try:
        return from_dict(kind, read_yaml(path))
    except SpecError as error:
        raise InputError(f"{path}: {error}; choose another --output") from None


def _has_learnt(weights: Path, record: Record) -> bool:
    """Whether the weights are others than those of the fold; damaged ones are nobody's."""
    if not weights.is_file() or sha256(weights) == record.folded:
        return False
    try:
        read_tensors(weights)
    except InputError:
        return False
    return True
