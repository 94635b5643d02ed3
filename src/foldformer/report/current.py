"""Which results are of what an experiment says now, and not of what it said before."""

from pathlib import Path

from foldformer.experiment.finished import is_finished
from foldformer.experiment.plan import plan
from foldformer.experiment.result import Result
from foldformer.experiment.results import Recorded
from foldformer.experiment.spec import ExperimentSpec


def of_recipe(spec: ExperimentSpec, place: Path, recorded: Recorded) -> set[str]:
    """The names of those that `foldformer experiment` would not run again."""
    planned = plan(spec, place)
    return {name for name, run in planned.runs.items() if is_finished(planned, run, recorded)}


def of_file(spec: ExperimentSpec, recorded: Recorded) -> set[str]:
    """The names of those whose cell was planned, trained, heard and scored alike ever since.

    Without the recipe nothing says what a cell is in full. Its last line does, since what is
    changed is run again: a seed that differs from it has been left over.
    """
    last = {(each.task, each.cell): each for each, _ in recorded.history}
    return {
        each.name
        for each, then in recorded.history
        if recorded.results[each.name] is each
        and each.task in spec.tasks
        and each.measure == spec.tasks[each.task].measure
        and (then is None or _asked(then, each) == _asked(spec, each))
        and _said(each) == _said(last[each.task, each.cell])
    }


def _asked(spec: ExperimentSpec, result: Result) -> tuple[object, ...]:
    """What an experiment says of the run of a result by itself, without its base configuration."""
    if result.task not in spec.tasks or result.cell not in spec.cells:
        return ()
    name = result.task
    task, cell = spec.tasks[name], spec.cells[result.cell]
    maker = cell if cell.model_of is None else spec.cells[cell.model_of]
    source = None if maker.compress is None else spec.cells[maker.compress.of].set_for(name)
    own = maker.set_for(name)
    return task.config, task.measure, task.sets, cell.decode, own, maker.compress, source


def _said(result: Result) -> tuple[object, ...]:
    """What makes a result, apart from its seed and from where models lie."""
    made = dict(result.compress)
    config = made.pop("config", result.config)
    if isinstance(config, dict):
        config = {**config, "seed": None, "output": None}
        if isinstance(training := config.get("training"), dict):
            begun = training.get("initialise_from") is not None
            config["training"] = {**training, "initialise_from": begun}
    return config, made, result.decode, set(result.scores)
