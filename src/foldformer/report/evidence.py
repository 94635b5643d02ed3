"""An experiment with its results, read from where they lie."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from foldformer.errors import InputError
from foldformer.experiment.plan import name_of
from foldformer.experiment.result import Result
from foldformer.experiment.results import read_results
from foldformer.experiment.spec import (
    ExperimentSpec,
    experiment_file,
    read_experiment,
    results_file,
)
from foldformer.report.current import of_file, of_recipe
from foldformer.report.tables import Table, tables_of


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An experiment and its results.

    Attributes:
        path: the file of the results, whether it exists or not.
        spec: the experiment.
        results: {TASK/CELL/SEED: result} of planned runs, but for those in `otherwise`.
        otherwise: planned runs whose results are of something else: trained, heard or scored in
            another way than the experiment says now.
        tables: all of them, complete or not.
    """

    path: Path
    spec: ExperimentSpec
    results: dict[str, Result]
    otherwise: tuple[str, ...] = ()
    tables: tuple[Table, ...] = field(default_factory=tuple)

    @property
    def planned(self) -> int:
        """Number of runs that there are to be."""
        return len(set(_wanted(self.spec)))

    @property
    def done(self) -> int:
        """Planned runs that have a result."""
        return len(self.results)

    @property
    def smoke(self) -> bool:
        """Whether the results are those of a smoke test."""
        return any(each.smoke for each in self.results.values())


def read_evidence(place: Path) -> Evidence:
    """The tables of a recipe folder, of an experiment's YAML, or of a file of results.

    What the recipe says now decides which results are shown, as it decides what
    `foldformer experiment` would run. A file of results with no recipe beside it is what its last
    plan says. Results of what is not planned (any more) are in no table.

    Raises:
        InputError: the file or what belongs to it is missing or damaged, or smoke tests and real
            results are mixed in it.
        SpecError: the experiment is wrong.
    """
    recipe = _recipe_of(place)
    if recipe is None and not place.is_file():
        raise InputError(f"{place}: no such file; expected results of `foldformer experiment`")
    recorded = read_results(place if recipe is None else results_file(recipe))
    spec = recorded.spec if recipe is None else read_experiment(recipe)
    if spec is None:
        raise InputError(f"{place}: does not say what was planned; expected a line with `plan`")
    smoke = {each.smoke for each in recorded.results.values()}
    if len(smoke) > 1:
        raise InputError(
            f"{recorded.path}: holds results of a smoke test beside real ones; keep them apart"
        )
    there = [name for name in _wanted(spec) if name in recorded.results]
    current = of_file(spec, recorded) if recipe is None else of_recipe(spec, recipe, recorded)
    kept = {name: recorded.results[name] for name in there if name in current}
    return Evidence(
        path=recorded.path,
        spec=spec,
        results=kept,
        otherwise=tuple(name for name in there if name not in current),
        tables=tuple(tables_of(spec, replace(recorded, results=kept))),
    )


def _recipe_of(place: Path) -> Path | None:
    """The YAML that results belong to; None of a file of results without one beside it."""
    if place.suffix != ".jsonl":
        return experiment_file(place)
    whole = place.resolve()
    recipe = whole.parent.parent / f"{whole.stem}.yaml"
    found = whole.is_file() and recipe.is_file() and results_file(recipe) == whole
    return recipe if found else None


def _wanted(spec: ExperimentSpec) -> Iterator[str]:
    """The names of all runs that there are to be."""
    for task in spec.tasks:
        for cell in spec.cells:
            for seed in spec.seeds_of(cell) if task in spec.tasks_of(cell) else ():
                yield name_of(task, cell, seed)
