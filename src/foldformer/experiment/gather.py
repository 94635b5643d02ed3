"""What a finished run has left, as one line of results."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from foldformer.checkpoint import load_model, read_model_config
from foldformer.decode.measures import MEASURES
from foldformer.errors import InputError, SpecError
from foldformer.experiment.origin import machine, versions
from foldformer.experiment.plan import Plan, Run
from foldformer.experiment.result import (
    OF_A_VALIDATION,
    Code,
    Example,
    ModelSize,
    Result,
    SetScores,
)
from foldformer.experiment.results import Counted, digest_of
from foldformer.experiment.steps import scores_of, transcripts_of
from foldformer.measure.similarity import Cosines, cosines
from foldformer.measure.size import dense_entries, sizes, total
from foldformer.spec import from_dict, read_yaml, to_dict
from foldformer.train.curve import CURVE, read_curve
from foldformer.train.state import STATE

_EXAMPLES = 3  # utterances of each set that are shown
_WRITTEN = ("wer", "cer", "bleu", "chrf")
_OF_AN_EXAMPLE = ("id", "language", "reference", "hypothesis")


def gather(
    plan: Plan, run: Run, code: Code, data: Mapping[str, str], jobs: int
) -> tuple[Result, dict[str, Counted]]:
    """The result of a run that is trained and evaluated, and the counts of its utterances.

    Args:
        plan: the experiment.
        run: the run.
        code: what it was trained and scored by.
        data: the fingerprints of what it was trained and scored on.
        jobs: runs that shared the machine.

    Raises:
        InputError: something that the run should have left is missing or damaged.
        SpecError: so is the configuration of its model.
    """
    rows = _curve(run.model / STATE)
    config = to_dict(run.config)
    if run.compress is not None:  # as the recovery has found it
        config = read_yaml(run.model / STATE / "config.yaml")
    scores, counts, examples = {}, {}, {}
    for name in run.sets:
        scores[name] = _scores(scores_of(run, name))
        said = _transcripts(transcripts_of(run, name))
        counts[name] = Counted(
            utterances=digest_of(each.id for each in said),
            counts=MEASURES[run.measure].counts(
                [each.reference for each in said], [each.hypothesis for each in said]
            ),
        )
        examples[name] = _examples(said)
    result = Result(
        task=run.task,
        cell=run.cell,
        seed=run.seed,
        smoke=plan.smoke,
        measure=run.measure,
        config=config,
        compress=run.made,
        decode=run.decode,
        data=dict(data),
        code=code,
        versions=versions(),
        machine=machine(jobs),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        hours=rows[-1]["hours"],
        seconds=rows[-1]["seconds"],
        size=_size(run.model),
        similarity=_similarity(run.model) if run.trains else (),
        curve=tuple(dict(row) for row in rows),
        scores=scores,
        counts=counts_file(plan, run),
        examples=examples,
    )
    return result, counts


def counts_file(plan: Plan, run: Run) -> str:
    """Where the counts of a run stand, from the folder of the results on."""
    return f"{plan.name}/{run.task}.{run.cell}.{run.seed}.json.gz"


def _curve(state: Path) -> list[dict[str, float]]:
    """The rows of a training; whoever wrote them, they are those of a line of results."""
    rows = read_curve(state)
    path = state / CURVE
    if not rows:
        raise InputError(f"{path}: holds no validation")
    for row in rows:
        for key in OF_A_VALIDATION:
            if key not in row:
                raise InputError(f"{path}: is damaged: a validation lacks {key!r}")
        for key, value in row.items():
            if not math.isfinite(value):
                raise InputError(f"{path}: step {row['step']:.0f}: {key} is {value}, no number")
    return rows


def _size(folder: Path) -> ModelSize:
    """What `foldformer describe` says of it, without counting operations."""
    with torch.device("meta"):
        model = read_model_config(folder).model.build()
    whole, depth = total(size for _, size in sizes(model)), model.encoder.depth
    matrices = sum(size.parameters for role, size in sizes(depth) if role != "other")
    return ModelSize(**asdict(whole), share=100 * matrices / dense_entries(depth))


def _similarity(folder: Path) -> Cosines:
    """What `foldformer report --layers` draws of it; empty where its layers have no order."""
    return cosines(load_model(folder)[0].encoder.depth) or ()


def _scores(path: Path) -> SetScores:
    """What an evaluation printed, less what the counts tell as well."""
    found = _json(path)
    try:
        everything = found["scores"]["all"]
        scores: dict[str, object] = {
            "utterances": everything["utterances"],
            "words": everything["words"],
            "audio_seconds": found["audio_seconds"],
            "languages": {
                group: {key: each[key]["value"] for key in _WRITTEN}
                for group, each in found["scores"].items()
                if group != "all"
            },
        }
        for key in _WRITTEN:
            scores[key] = {end: everything[key][end] for end in ("value", "low", "high")}
        return from_dict(SetScores, scores)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged: it lacks {error}") from None
    except SpecError as error:
        raise InputError(f"{path}: is damaged: {error}") from None


def _transcripts(path: Path) -> list[Example]:
    """Every utterance, in the order of the ids."""
    try:
        with path.open(encoding="utf-8") as file:  # not splitlines: a text may hold U+2028
            said = [
                Example(**{key: str(line[key]) for key in _OF_AN_EXAMPLE})
                for line in map(json.loads, file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is missing or damaged ({error})") from None
    return sorted(said, key=lambda each: each.id)


def _examples(said: Sequence[Example]) -> tuple[Example, ...]:
    """Utterances drawn by their ids alone: the same ones for all models."""
    number = min(_EXAMPLES, len(said))
    return tuple(random.Random(0).sample(list(said), number))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is missing or damaged ({error})") from None
