"""A fold on disk: an ordinary model folder, and beside it a record of what it was made of."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from foldformer.checkpoint import (
    CONFIG,
    WEIGHTS,
    ModelConfig,
    load_model,
    read_tensors,
    save_model,
)
from foldformer.compress.card import fold_card, origin_section
from foldformer.compress.plan import Plan
from foldformer.compress.record import RECORD, Layout, Record, check_output
from foldformer.data.tokens import TOKEN_FILES, Tokens
from foldformer.errors import SpecError
from foldformer.files import complete_files, sha256
from foldformer.model import Model
from foldformer.spec import write_yaml

_CARD, _TOKENS, _PIECES = "README.md", "tokens.txt", "tokens.model"
_LAYOUT = Layout((CONFIG, WEIGHTS), WEIGHTS, (_CARD, _TOKENS, _PIECES), "training/last.ckpt")

SECONDS = 200.0
"""Speech that a fold is fitted to, where its widest matrix needs no more. 150 s gave no worse a
fold of the demonstration's model than 600 (WER 2.9 and 3.0 %), in a third of the time."""

Progress = Callable[[int, int], None]
"""Is told through how many layers the recordings went, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class Origin(Record):
    """What a fold is made of."""

    plan: Plan
    """What its layers are folded into."""


@dataclass(frozen=True)
class Folded:
    """A fold that has been written."""

    folder: Path
    model: Model
    about: ModelConfig
    section: str
    """Of the model card, on what it was made of."""
    done_before: bool
    """Whether it stood there already."""
    bytes: tuple[int, int]
    """Of the weights in the file, before and after."""


def fold_into(
    output: Path,
    folder: Path,
    origin: Origin,
    command: str,
    progress: Progress = lambda done, all: None,
) -> Folded:
    """Fold a trained model, unless an earlier call has.

    Args:
        output: where the record of it stands, and in the end the model.
        folder: where the fold is written: the same, or a place in it.
        origin: what to do.
        command: what gives this model again, for its card.
        progress: see `Progress`; called where there are recordings to hear.

    Raises:
        InputError: the output holds another model, or one that has learnt and a fold alone would
            replace, or a file cannot be read or written.
        SpecError: the plan does not fit the model.
    """
    earlier = check_output(output, origin, _LAYOUT, alone=folder == output)
    source = Path(origin.model)
    sizes = (source / WEIGHTS).stat().st_size
    if earlier is not None and _is_whole(folder, earlier, origin):
        model, about = load_model(folder)
        original = load_model(source)[0]
        section = origin_section(origin, original, model, command)
        return Folded(
            folder, model, about, section, True, (sizes, (folder / WEIGHTS).stat().st_size)
        )
    from foldformer.compress.fold import fold

    original, about = load_model(source)

    def heard(done: int, all: int) -> None:
        map_anew(original, source)
        progress(done, all)

    tokens = Tokens.load(source)
    moments = None
    if origin.calibration:
        from foldformer.compress.calibration import calibrate

        moments = calibrate(
            original,
            origin.calibration,
            chunks=about.chunks,
            seconds=SECONDS,
            progress=heard,
        )
    try:
        model = fold(
            original,
            origin.plan,
            start=origin.start,
            moments=moments,
            after=lambda: map_anew(original, source),
        )
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    about = replace(about, model=model.spec)
    section = origin_section(origin, original, model, command)
    with complete_files(folder, TOKEN_FILES) as beside:
        save_model(beside, model, about)
        tokens.save(beside)
        card = fold_card(model, about, section, str(output))
        (beside / _CARD).write_text(card, encoding="utf-8")
        # Before all others: without it they would be somebody else's, see `check_output`.
        with complete_files(output) as first:
            write_yaml(first / RECORD, replace(origin, folded=sha256(beside / WEIGHTS)))
    after = (folder / WEIGHTS).stat().st_size
    return Folded(folder, model, about, section, False, (sizes, after))


def map_anew(model: Model, folder: str | Path) -> None:
    """Let go of the memory that a model from a folder takes, until its weights are read again.

    They are mapped from the file, of which all that was ever read stays in memory as long as
    somebody holds one of the tensors.
    """
    model.load_state_dict(read_tensors(Path(folder) / WEIGHTS), assign=True)


def _is_whole(folder: Path, earlier: Origin, origin: Origin) -> bool:
    """Whether the fold that is wanted stands there."""
    names = (CONFIG, WEIGHTS, _TOKENS, _CARD)
    return (
        replace(earlier, folded="") == origin
        and all((folder / name).is_file() for name in names)
        and sha256(folder / WEIGHTS) == earlier.folded
    )
