"""The tables of an experiment: every cell that was planned, with what its runs have given."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foldformer.decode.measures import MEASURES
from foldformer.experiment.plan import name_of
from foldformer.experiment.results import Recorded, Result
from foldformer.experiment.spec import ExperimentSpec
from foldformer.report.estimates import Estimate, Figures
from foldformer.report.paper import PaperRow, paper


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cell on one set.

    Attributes:
        cell: its name in the experiment.
        title: its name in tables.
        results: of its seeds; empty where nothing was run.
        wanted: seeds that were planned.
        score: None where there is no result.
        change: against another cell, in % of it; None where there is none, or `refused` says why.
        marks: in what its runs differ from most of the table.
        refused: why there is no relative change, where one was planned and there are results.
        paper: the paper's row.
    """

    cell: str
    title: str
    results: tuple[Result, ...]
    wanted: int
    score: Estimate | None = None
    change: Estimate | None = None
    marks: tuple[str, ...] = ()
    refused: str | None = None
    paper: PaperRow | None = None

    def size(self, key: str) -> float | None:
        """Of the model: `parameters`, `share`, or bytes at `fp32` and so on."""
        return self.results[0].size[key] if self.results else None

    @property
    def stored(self) -> float | None:
        """Bytes of the weights as they were heard: of fp32 unless they were rounded."""
        return self.size(str(self.results[0].decode["weights"])) if self.results else None

    @property
    def hours(self) -> float | None:
        """Of audio heard in training, by the mean of the seeds."""
        return statistics.fmean(each.hours for each in self.results) if self.results else None

    @property
    def minutes(self) -> float | None:
        """That a training took, by the mean of the seeds."""
        if not self.results:
            return None
        return statistics.fmean(each.seconds for each in self.results) / 60


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of a table, in one task, on one set.

    Attributes:
        table: its name in the experiment.
        task: what was learnt.
        set: what it was scored on.
        measure: by what.
        rows: in the order of the experiment.
        content: utterances and words of the set; None where there is no result.
    """

    table: str
    task: str
    set: str
    measure: str
    rows: tuple[Row, ...]
    content: tuple[int, int] | None

    @property
    def lower_is_better(self) -> bool:
        """As of errors."""
        return MEASURES[self.measure].lower_is_better


def tables_of(spec: ExperimentSpec, recorded: Recorded) -> Iterator[Table]:
    """One table for each of the experiment's, in each task, on each set.

    Raises:
        InputError: the counts that belong to a result are missing or damaged.
    """
    for task, said in spec.tasks.items():
        counts = {
            name: recorded.counts(result)
            for name, result in recorded.results.items()
            if result.task == task
        }
        for name in said.sets:
            figures = Figures(
                said.measure, {run: each[name] for run, each in counts.items() if name in each}
            )
            for table in dict.fromkeys(cell.table for cell in spec.cells.values()):
                found = _table(spec, recorded, figures, table, task, name)
                if found.rows:
                    yield found


def _table(
    spec: ExperimentSpec, recorded: Recorded, figures: Figures, table: str, task: str, name: str
) -> Table:
    cells = [
        cell for cell, said in spec.cells.items()
        if said.table == table and task in spec.tasks_of(cell)
    ]  # fmt: skip
    found = {cell: _runs(spec, recorded, figures, task, cell) for cell in spec.cells}
    shown = [result for cell in cells for result in found[cell].values()]
    usual = _usual(shown, name)
    rows = [
        _row(spec, figures, found, usual, task, name, cell) for cell in cells
    ]  # fmt: skip
    content = None
    if shown:
        scores = shown[0].scores[name]
        content = int(str(scores["utterances"])), int(str(scores["words"]))
    return Table(
        table=table,
        task=task,
        set=name,
        measure=spec.tasks[task].measure,
        rows=tuple(rows),
        content=content,
    )


def _runs(
    spec: ExperimentSpec, recorded: Recorded, figures: Figures, task: str, cell: str
) -> dict[int, Result]:
    """{seed: result} of those that were planned and are there."""
    names = {seed: name_of(task, cell, seed) for seed in spec.seeds_of(cell)}
    return {seed: recorded.results[run] for seed, run in names.items() if run in figures.utterances}


_Origin = tuple[tuple[str, str, str], str]


def _origin(result: Result, name: str) -> _Origin:
    """What has to be the same for two results to be compared: data, and code."""
    data = (result.data["train"], result.data["valid"], result.data[name])
    return data, result.code["digest"]


def _usual(results: Sequence[Result], name: str) -> _Origin | None:
    """The origin of most of a table's results."""
    counted = Counter(_origin(each, name) for each in results)
    return counted.most_common(1)[0][0] if counted else None


def _differences(results: Sequence[Result], name: str, usual: _Origin | None) -> tuple[str, ...]:
    if usual is None:
        return ()
    origins = [_origin(each, name) for each in results]
    marks = []
    for place, what in enumerate(("other data", "other code")):
        if any(origin[place] != usual[place] for origin in origins):
            marks.append(what)
    return tuple(marks)


def _row(
    spec: ExperimentSpec,
    figures: Figures,
    found: dict[str, dict[int, Result]],
    usual: _Origin | None,
    task: str,
    name: str,
    cell: str,
) -> Row:
    said, results = spec.cells[cell], found[cell]
    marks = _differences(list(results.values()), name, usual)
    change, refused = None, None
    if results and said.against is not None and task in spec.tasks_of(said.against):
        change, refused = _change(figures, results, found[said.against], name)
    return Row(
        cell=cell,
        title=said.title,
        results=tuple(results.values()),
        wanted=len(spec.seeds_of(cell)),
        score=figures.score({s: r.name for s, r in results.items()}) if results else None,
        change=change,
        marks=marks,
        refused=refused,
        paper=None if said.paper is None else paper().rows[said.paper],
    )


def _change(
    figures: Figures, here: dict[int, Result], there: dict[int, Result], name: str
) -> tuple[Estimate | None, str | None]:
    """The relative change over the seeds that both have; or why there is none."""
    seeds = [seed for seed in here if seed in there]
    if not seeds:
        return None, "nothing to compare with"
    for place, what in enumerate(("other data", "other code")):
        origins = {_origin(each[seed], name)[place] for each in (here, there) for seed in seeds}
        if len(origins) > 1:
            return None, what
    runs, others = ({seed: each[seed].name for seed in seeds} for each in (here, there))
    if len({figures.utterances[run] for run in [*runs.values(), *others.values()]}) > 1:
        return None, "other utterances"
    change = figures.change(runs, others)
    return change, None if change is not None else "the other may be 0"
