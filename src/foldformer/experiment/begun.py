"""By which code, and on which data, a training began: noted at that moment, for its result."""

import json
from dataclasses import dataclass
from pathlib import Path

from foldformer.errors import InputError, SpecError
from foldformer.experiment.fingerprint import fingerprint
from foldformer.experiment.origin import code, digests
from foldformer.experiment.plan import Plan, Run
from foldformer.experiment.result import Code
from foldformer.files import complete_files
from foldformer.spec import Spec, from_dict, to_dict
from foldformer.train.state import STATE

_BEGUN = "begun.json"


@dataclass(frozen=True, kw_only=True)
class Begun(Spec):
    """What a training began with."""

    code: Code
    """What trains, and has to be the code that scores."""
    data: dict[str, str]
    """Fingerprints of `train` and `valid`."""


def begin(plan: Plan, run: Run) -> Begun:
    """Note what the training of a run begins with; where it has begun before, what was noted then.

    A training of before there were notes counts as begun now.

    Raises:
        InputError: the model that it begins from is of other code; the data cannot be read; the
            note cannot be read or written.
    """
    found = _noted(run)
    if found is not None and (run.model / STATE).exists():
        return found
    earlier = None if run.needs is None else plan.runs[run.needs]
    said = None if earlier is None else _noted(earlier)
    if earlier is not None and said is not None:
        check_code(earlier, said)
    data = run.config.data
    begun = Begun(
        code=code(run.compress is not None),
        data={"train": fingerprint(data.train), "valid": fingerprint(data.valid)},
    )
    note = _note(run)
    with complete_files(note.parent) as beside:
        (beside / note.name).write_text(json.dumps(to_dict(begun)), encoding="utf-8")
    return begun


def check_code(run: Run, begun: Begun) -> None:
    """Refuse to go on with a model, or to score it, by other code than its training began with.

    Its line of results names one code, which has to have made all of it.

    Raises:
        InputError: the code of now is another one.
    """
    if not is_of_now(run, begun.code):
        raise InputError(
            f"{run.model}: its training began by other code than that of now: {begun.code.revision}"
            f", digest {begun.code.digest}; go back to that, or remove the folder to train it anew"
        )


def is_of_now(run: Run, made: Code) -> bool:
    """Whether the code that made a model of this run is, but for its revision, the one of now."""
    return (made.digest, made.compress) == digests(run.compress is not None)


def _note(run: Run) -> Path:
    """Beside the model, wherever the run itself has its logs."""
    return run.model.parent / _BEGUN


def _noted(run: Run) -> Begun | None:
    note = _note(run)
    try:
        return from_dict(Begun, json.loads(note.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SpecError) as error:
        raise InputError(f"{note}: cannot be read: {error}") from None
