"""The tables of an experiment: every cell that was planned, with what its runs have given."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from foldformer.decode.measures import MEASURES
from foldformer.experiment.plan import name_of
from foldformer.experiment.result import Result
from foldformer.experiment.results import Recorded
from foldformer.experiment.spec import ExperimentSpec
from foldformer.report.estimates import Estimate, Figures
from foldformer.report.origins import Origin, alike, marks_of, usual_of
from foldformer.report.paper import PaperRow, paper
from foldformer.report.shares import share_of

LEARNT = {"wer": 90.0, "bleu": 1.0}
"""Where scores that mean anything begin: below the error rate, at the BLEU."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cell on one set.

    Attributes:
        cell: its name in the experiment.
        title: its name in tables.
        results: of its seeds, those of one origin that its figures are made of; empty where nothing
            was run.
        wanted: seeds that were planned.
        share: entries of its matrices, in % of those of the dense encoder that it is compared with:
            of the cell at the end of the way from `against` to `against`. None where one of the two
            is not known.
        score: None where there is no result.
        change: against another cell, in % of it; None where there is none, or `refused` says why.
        fewer: the seeds of the change, where one of the two cells has others too; empty elsewhere.
        marks: in what its runs differ from most of the table; with the seeds that were therefore
            left out, or of all that it has.
        apart: whether its figures are of another origin than those of most of the table.
        refused: why there is no relative change, where one was planned and there are results.
        paper: the paper's row.
    """

    cell: str
    title: str
    results: tuple[Result, ...]
    wanted: int
    share: float | None = None
    score: Estimate | None = None
    change: Estimate | None = None
    fewer: tuple[int, ...] = ()
    marks: tuple[str, ...] = ()
    apart: bool = False
    refused: str | None = None
    paper: PaperRow | None = None

    @property
    def stored(self) -> int | None:
        """Bytes of the weights as they were heard: of fp32 unless they were rounded."""
        if not self.results:
            return None
        return self.results[0].size.stored(self.results[0].decode.weights)

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
        about: what the set is; empty where the experiment does not say that.
        content: utterances and words of the set; None where there is no result.
    """

    table: str
    task: str
    set: str
    measure: str
    rows: tuple[Row, ...]
    about: str
    content: tuple[int, int] | None

    @property
    def lower_is_better(self) -> bool:
        """As of errors."""
        return MEASURES[self.measure].lower_is_better

    @property
    def learnt(self) -> bool:
        """Whether a model scores as one that has learnt something would; True without scores."""
        scores = [row.score.value for row in self.rows if row.score is not None]
        bound = LEARNT[self.measure]
        return not scores or (min(scores) < bound if self.lower_is_better else max(scores) >= bound)

    @property
    def with_paper(self) -> bool:
        """Whether the paper's figures stand beside: not those of models that learnt nothing."""
        return self.learnt and any(row.paper is not None for row in self.rows)


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
            scored = {run: each[name] for run, each in counts.items() if name in each}
            sheet = _Sheet(spec, recorded.results, Figures(said.measure, scored), task, name)
            for table in dict.fromkeys(cell.table for cell in spec.cells.values()):
                if cells := sheet.cells(table):
                    yield sheet.table(table, cells)


@dataclass(frozen=True)
class _Sheet:
    """All results of a task on a set."""

    spec: ExperimentSpec
    results: dict[str, Result]
    figures: Figures
    task: str
    set: str

    def cells(self, table: str) -> list[str]:
        """The cells of a table, behind those that they are compared with."""
        own = [
            cell
            for cell, said in self.spec.cells.items()
            if said.table == table and self.task in self.spec.tasks_of(cell)
        ]
        others = (self.against(cell) for cell in own)
        return list(dict.fromkeys([*(each for each in others if each and each not in own), *own]))

    def against(self, cell: str) -> str | None:
        """The cell that it is compared with in this task, if that is run for it."""
        other = self.spec.cells[cell].against
        return other if other is not None and self.task in self.spec.tasks_of(other) else None

    def table(self, table: str, cells: Sequence[str]) -> Table:
        """The table of these cells."""
        shown = [result for cell in cells for result in self.runs(cell).values()]
        usual = usual_of(list(map(self.origin, shown))) if shown else None
        first = next((r for r in shown if usual and not self.origin(r).differences(usual)), None)
        scores = None if first is None else first.scores[self.set]
        return Table(
            table=table,
            task=self.task,
            set=self.set,
            measure=self.spec.tasks[self.task].measure,
            rows=tuple(self.row(table, cell, usual) for cell in cells),
            about=self.spec.about_sets.get(self.set, ""),
            content=None if scores is None else (scores.utterances, scores.words),
        )

    def row(self, table: str, cell: str, usual: Origin | None) -> Row:
        """A cell; `usual` is the origin of most of the table's results, None if it has none."""
        said = self.spec.cells[cell]
        row = Row(
            cell=cell,
            title=said.title,
            results=(),
            wanted=len(self.spec.seeds_of(cell)),
            paper=None if said.paper is None else paper().rows[said.paper],
        )
        if usual is None or not self.runs(cell):
            return row
        results = self.alike(cell, usual)
        change, refused = None, None
        fewer: tuple[int, ...] = ()
        if (against := self.against(cell)) is not None and said.table == table:
            others = self.alike(against, usual)
            change, refused = self.change(results, others, against)
            if change is not None and not results.keys() == others.keys() == change.seeds.keys():
                fewer = tuple(change.seeds)
        return replace(
            row,
            results=tuple(results.values()),
            share=self.share(cell),
            score=self.figures.score({seed: each.name for seed, each in results.items()}),
            change=change,
            fewer=fewer,
            marks=tuple(marks_of(self.origins(cell), usual)),
            apart=any(self.origin(each).differences(usual) for each in results.values()),
            refused=refused,
        )

    def alike(self, cell: str, usual: Origin) -> dict[int, Result]:
        """The runs of a cell that its figures are made of."""
        runs = self.runs(cell)
        return {seed: runs[seed] for seed in alike(self.origins(cell), usual)}

    def share(self, cell: str) -> float | None:
        """Of the weight matrices of the dense encoder that all is compared with in the end."""
        whole, way = cell, {cell}
        while (further := self.against(whole)) is not None and further not in way:
            whole = further
            way.add(whole)
        own, other = (list(self.runs(each).values()) for each in (cell, whole))
        return share_of(own[0], other[0]) if own and other else None

    def runs(self, cell: str) -> dict[int, Result]:
        """{seed: result} of those that were planned and are there."""
        names = {seed: name_of(self.task, cell, seed) for seed in self.spec.seeds_of(cell)}
        scored = self.figures.utterances
        return {seed: self.results[name] for seed, name in names.items() if name in scored}

    def origins(self, cell: str) -> dict[int, Origin]:
        """{seed: what has to be the same for two results to be compared}."""
        return {seed: self.origin(result) for seed, result in self.runs(cell).items()}

    def is_another_training(self, one: Result, other: Result) -> bool:
        """Whether two cells that hear one model have not heard the same one.

        A model that is gone is trained again where another cell needs it, on whatever machine that
        is, and two trainings of one configuration differ by more than what rounding changes.
        """
        models = {self.spec.cells[each.cell].model_of or each.cell for each in (one, other)}
        return len(models) == 1 and one.curve != other.curve

    def origin(self, result: Result) -> Origin:
        """What it was made of."""
        data = (result.data["train"], result.data["valid"], result.data[self.set])
        return Origin(data, result.code.digest, result.code.compress)

    def change(
        self, here: dict[int, Result], there: dict[int, Result], against: str
    ) -> tuple[Estimate | None, str | None]:
        """The change over the seeds that both have, `against` the other cell; or why not."""
        seeds = [seed for seed in here if seed in there]
        if not seeds:
            return None, "nothing to compare with"
        both = [each[seed] for each in (here, there) for seed in seeds]
        if different := self.origin(both[0]).differences(self.origin(both[-1])):
            return None, different[0]
        if len({self.figures.utterances[each.name] for each in both}) > 1:
            return None, "other utterances"
        if any(self.is_another_training(here[seed], there[seed]) for seed in seeds):
            return None, "another training of the same cell"
        runs, others = ({seed: each[seed].name for seed in seeds} for each in (here, there))
        change = self.figures.change(runs, others)
        if change is not None:
            return change, None
        nothing = not round(self.figures.score(others).value, 2)
        title = self.spec.cells[against].title
        name = MEASURES[self.spec.tasks[self.task].measure].title.removesuffix(" %")
        return None, f"{name} of {title} {'is' if nothing else 'may be'} 0"
