"""Which runs need not be done again: results that are of what the experiment says now."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from foldformer.checkpoint import CONFIG
from foldformer.errors import InputError, SpecError
from foldformer.experiment.begun import is_of_now
from foldformer.experiment.plan import Plan, Run
from foldformer.experiment.result import Result
from foldformer.experiment.results import Recorded
from foldformer.experiment.steps import is_trained
from foldformer.files import complete_files
from foldformer.spec import from_dict, read_yaml, to_dict
from foldformer.train.config import TrainConfig
from foldformer.train.state import STATE

_EARLIER = "earlier.json"
"""In the folder of a run: its configuration, and those of the trainings that it began from."""


def is_finished(plan: Plan, run: Run, recorded: Recorded) -> bool:
    """Whether the results hold this run, trained, heard and scored as the experiment says now.

    In a smoke test, which shows that the code runs, also by the code of now.

    What a model began from counts, too: where that was trained in another way before this one's
    result was written, the result is of another model.
    """
    number = recorded.last(run.name)
    return (
        number is not None
        and (not plan.smoke or is_of_now(run, recorded.history[number][0].code))
        and _is_scored_so(run, recorded, number)
        and _is_trained_so(plan, run, recorded, number)
    )


def is_due(run: Run, runs: Mapping[str, Run], done: Collection[str]) -> bool:
    """Whether a run is to be done: it has no result, or no model, and one that is due needs that.

    Args:
        run: one of the runs.
        runs: {name: run} of all that are wanted.
        done: the names of those that have a result.
    """
    if run.name not in done:
        return True
    later = [each for each in runs.values() if each.needs == run.name]
    return any(is_due(each, runs, done) for each in later) and not is_trained(run)


def result_beside(plan: Plan, run: Run, beside: Recorded) -> Result | None:
    """The finished result of the same run in the experiment beside, to stand here as well.

    It was made by the code of now. Whether it heard the data that are here is left to the caller.
    None where there is none, or where it is of anything else than this run.
    """
    if not is_finished(plan, run, beside):
        return None
    result = beside.results[run.name]
    return replace(result, run_of=plan.spec.runs_of) if is_of_now(run, result.code) else None


def _is_scored_so(run: Run, recorded: Recorded, number: int) -> bool:
    """Whether a result was heard and scored, on the manifests that are planned for this run."""
    result, spec = recorded.history[number]
    if (result.decode, result.measure) != (run.decode, run.measure):
        return False
    if spec is not None and run.task in spec.tasks and spec.tasks[run.task].sets != run.sets:
        return False
    return result.scores.keys() == run.sets.keys()


def _is_trained_so(plan: Plan, run: Run, recorded: Recorded, number: int) -> bool:
    """Whether a result is of this run's model, and that one of those that it begins from."""
    if not _is_model_of(run, recorded.history[number][0]):
        return False
    earlier = None if run.needs is None else recorded.last(run.needs, number)
    if run.needs is None or earlier is None:  # recorded elsewhere: nothing says it was another one
        return True
    return _is_trained_so(plan, plan.runs[run.needs], recorded, earlier)


def _is_model_of(run: Run, result: Result) -> bool:
    """Whether a result says the configuration of this run, and how its model is made."""
    said, made = dict(result.compress), run.made
    made.pop("config", None)
    return _is_config(said.pop("config", result.config), run.config) and said == made


def _is_config(said: object, config: TrainConfig) -> bool:
    """Whether the two are the same, wherever their experiments have their models."""
    try:
        return _placed_alike(from_dict(TrainConfig, said)) == _placed_alike(config)
    except SpecError:  # of another version
        return False


def _placed_alike(config: TrainConfig) -> TrainConfig:
    """A configuration with its folders from the experiment's `output` on."""
    model = Path(config.output)  # OUTPUT/TASK/CELL/SEED/model
    output = [model, *model.parents][:5][-1]
    start = config.training.initialise_from
    if start is not None and output in Path(start).parents:
        start = str(Path(start).relative_to(output))
    training = replace(config.training, initialise_from=start)
    return replace(config, output=str(model.relative_to(output)), training=training)


def check_start(plan: Plan, run: Run, recorded: Recorded) -> None:
    """Note what a training begins from; refuse to go on with one that began from something else.

    The training itself cannot tell: its configuration names the folder of the other model, and that
    is as before. Where its own has changed, it says so by itself.

    Raises:
        InputError: the folder holds a model that began from a training that is now planned in
            another way, or that of such a training itself, or the note cannot be written.
    """
    if run.needs is None:
        return
    for each in _earlier(plan, run):
        if not _may_be_of(each):
            raise InputError(
                f"{each.model}: was trained otherwise than {each.name} is planned now; remove the "
                "folder, and it is trained anew"
            )
    if not run.trains:
        return
    configs = [run.config, *(each.config for each in _earlier(plan, run))]
    note = run.place / _EARLIER
    if not (run.model / STATE).exists():
        with complete_files(note.parent) as beside:
            text = json.dumps([to_dict(each) for each in configs])
            (beside / note.name).write_text(text, encoding="utf-8")
    elif not _began_so(plan, run, recorded, note, configs):
        raise InputError(
            f"{run.model}: was trained from {run.needs} as that was planned before; remove the "
            "folder, and it is trained from what that has learnt now"
        )


def _may_be_of(run: Run) -> bool:
    """Whether nothing says that the model in a run's folder was trained in another way.

    Its result need not be of this model: both may have come from elsewhere. A recovery chooses some
    settings by itself, and a folder of another version has a configuration that says nothing here.
    """
    path = run.model / STATE / CONFIG
    if run.compress is not None or not path.exists():
        return True
    try:
        said = from_dict(TrainConfig, read_yaml(path))
        tokens = said.model.vocab_size
        planned = run.config if tokens is None else run.config.with_vocabulary(tokens)
        return _placed_alike(said) == _placed_alike(planned)
    except SpecError:
        return True


def _began_so(
    plan: Plan, run: Run, recorded: Recorded, note: Path, configs: Sequence[TrainConfig]
) -> bool:
    """What the note says; without one, which runs had not at first, what a result says."""
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        number = recorded.last(run.name)
        return (
            number is None
            or not _is_model_of(run, recorded.history[number][0])
            or _is_trained_so(plan, run, recorded, number)
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{note}: cannot be read: {error}") from None
    if not isinstance(said, list) or len(said) != len(configs):
        return False
    own, *earlier = map(_is_config, said, configs)
    return not own or all(earlier)


def _earlier(plan: Plan, run: Run) -> Iterator[Run]:
    """The runs whose models this one begins from, the nearest first."""
    while run.needs is not None:
        run = plan.runs[run.needs]
        yield run
