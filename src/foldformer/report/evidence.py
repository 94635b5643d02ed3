"""An experiment with its results, read from where they lie."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from foldformer.errors import InputError, SpecError
from foldformer.experiment.plan import name_of
from foldformer.experiment.result import Result
from foldformer.experiment.results import read_results
from foldformer.experiment.spec import (
    ExperimentSpec,
    experiment_file,
    read_experiment,
    results_file,
)
from foldformer.report.paper import paper
from foldformer.report.tables import Table, tables_of
from foldformer.spec import nearest


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An experiment and its results.

    Attributes:
        path: the file of the results, whether it exists or not.
        spec: the experiment.
        results: {TASK/CELL/SEED: result}, but for those in `otherwise`.
        otherwise: runs that were scored by another measure than the experiment names now.
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
        return len(self._wanted)

    @property
    def done(self) -> int:
        """Planned runs that have a result."""
        return len(self._wanted & self.results.keys())

    @property
    def _wanted(self) -> set[str]:
        return {
            name_of(task, cell, seed)
            for cell in self.spec.cells
            for task in self.spec.tasks_of(cell)
            for seed in self.spec.seeds_of(cell)
        }

    @property
    def smoke(self) -> bool:
        """Whether the results are those of a smoke test."""
        return any(each.smoke for each in self.results.values())


def read_evidence(place: Path) -> Evidence:
    """The tables of a recipe folder, of an experiment's YAML, or of a file of results.

    Results whose cells, tasks or seeds are not planned (any more) are in no table.

    Raises:
        InputError: the file or what belongs to it is missing or damaged, or smoke tests and real
            results are mixed in it.
        SpecError: the experiment is wrong, or names a row that the paper does not have.
    """
    if place.suffix == ".jsonl":
        if not place.is_file():
            raise InputError(f"{place}: no such file; expected results of `foldformer experiment`")
        recorded = read_results(place)
        if recorded.spec is None:
            raise InputError(f"{place}: does not say what was planned; expected a line with `plan`")
        spec = recorded.spec
    else:
        spec, recorded = read_experiment(place), read_results(results_file(place))
    for name, cell in spec.cells.items():
        if cell.paper is not None and cell.paper not in paper().rows:
            raise SpecError(
                f"{experiment_file(place)}: cells.{name}.paper: the paper has no {cell.paper!r}"
                f"{nearest(cell.paper, paper().rows)}"
            )
    smoke = {each.smoke for each in recorded.results.values()}
    if len(smoke) > 1:
        raise InputError(
            f"{recorded.path}: holds results of a smoke test beside real ones; keep them apart"
        )
    otherwise = [
        name
        for name, each in recorded.results.items()
        if each.task in spec.tasks and each.measure != spec.tasks[each.task].measure
    ]
    kept = {name: each for name, each in recorded.results.items() if name not in otherwise}
    recorded = replace(recorded, results=kept)
    return Evidence(
        path=recorded.path,
        spec=spec,
        results=kept,
        otherwise=tuple(otherwise),
        tables=tuple(tables_of(spec, recorded)),
    )
