"""Which trainings an experiment consists of, and what each of them is in full."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from foldformer.errors import SpecError
from foldformer.experiment.spec import (
    LEARNING,
    CellSpec,
    CompressSpec,
    DecodeSpec,
    ExperimentSpec,
    SmokeSpec,
    experiment_file,
    results_file,
)
from foldformer.spec import kind_of, nearest, to_dict
from foldformer.train.config import TrainConfig, read_config

Settings = tuple[tuple[str, str], ...]
"""(dotted key, value as YAML), as on the command line of `foldformer train`."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training with its evaluations: a cell, in a task, with a seed.

    Attributes:
        place: folder of the logs and transcripts.
        model: folder of the model; that of another cell where this one trains nothing.
        base: the training YAML.
        settings: what is set over it.
        config: the two together; of a model that is compressed from another one, what that one's
            training says, with the shape and the settings of this one over it.
        source: folder of the model that this one is compressed from.
        compress: how it is.
        needs: name of the run that has to be trained first, if there is one.
        minutes: that it is expected to take, of one core.
    """

    task: str
    cell: str
    seed: int
    place: Path
    model: Path
    base: Path
    settings: Settings
    config: TrainConfig
    decode: DecodeSpec
    measure: Literal["wer", "bleu"]
    sets: Mapping[str, str]
    trains: bool
    source: Path | None
    compress: CompressSpec | None
    needs: str | None
    minutes: float

    @property
    def name(self) -> str:
        """TASK/CELL/SEED."""
        return name_of(self.task, self.cell, self.seed)

    @property
    def made(self) -> dict[str, object]:
        """How its model is made of another one; empty where it is trained from scratch."""
        if self.compress is None:
            return {}
        asked = {key: value for key, value in self.settings if key.startswith(LEARNING)}
        return {**to_dict(self.compress), "set": asked, "config": to_dict(self.config)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All runs of an experiment, in the order in which they are done.

    Attributes:
        spec: the experiment, made small already where it is a smoke test.
        name: of its YAML.
        output: folder of everything but the results.
        results: the file of the results.
        smoke: whether it only shows that all cells run.
        beside: the results of the experiment whose finished runs are taken, if there is one.
        runs: {name: run}; the first seed of all cells comes before the second.
    """

    spec: ExperimentSpec
    name: str
    output: Path
    results: Path
    smoke: bool
    beside: Path | None
    runs: dict[str, Run]


def name_of(task: str, cell: str, seed: int) -> str:
    """TASK/CELL/SEED."""
    return f"{task}/{cell}/{seed}"


def plan(spec: ExperimentSpec, place: Path, smoke: bool = False) -> Plan:
    """Every run in full; what does not fit together is found now, before any of them begins.

    Args:
        spec: the experiment.
        place: its recipe folder, or its YAML file.
        smoke: make it small, with results of its own.

    Raises:
        InputError: a training configuration cannot be read.
        SpecError: a cell's configuration is wrong; the message names cell, file and key.
    """
    path = experiment_file(place)
    results = results_file(place)
    beside = None if smoke else _results_beside(spec, path)
    small = spec.smoke if smoke else SmokeSpec()
    if smoke:
        spec = made_small(spec)
        results = Path(spec.output) / "results" / results.name
    read = cache(lambda base, keys: read_config(base, list(keys)))  # the seeds of a cell share it
    found: dict[str, Run] = {}
    seeds = dict.fromkeys(seed for cell in spec.cells for seed in spec.seeds_of(cell))
    for seed in seeds:
        for task in _in_order(spec):
            for cell in spec.cells:
                if task in spec.tasks_of(cell) and seed in spec.seeds_of(cell):
                    run = _run(spec, path.parent, small, read, task, cell, seed)
                    found[run.name] = run
    for run in found.values():
        if run.needs is not None and run.needs not in found:
            raise SpecError(
                f"{path}: {run.name} needs the model of {run.needs}, which is no run of this "
                "experiment; look at `tasks` and `seeds` of the two cells"
            )
    return Plan(
        spec=spec,
        name=path.stem,
        output=Path(spec.output),
        results=results,
        smoke=smoke,
        beside=beside,
        runs=found,
    )


def _results_beside(spec: ExperimentSpec, path: Path) -> Path | None:
    """Where the results of the experiment stand that this one takes runs of."""
    if spec.runs_of is None:
        return None
    other = path.parent / spec.runs_of
    if other == path or not other.is_file():
        raise SpecError(
            f"{path}: runs_of: expected the YAML of another experiment beside it, got "
            f"{spec.runs_of!r}"
        )
    return results_file(other)


def made_small(spec: ExperimentSpec) -> ExperimentSpec:
    """The same cells on tiny data, one seed, in a folder of their own."""
    small = spec.smoke
    tasks = {
        name: replace(task, sets=small.sets or task.sets, minutes=0.5)
        for name, task in spec.tasks.items()
    }
    cells = {name: replace(cell, seeds=None) for name, cell in spec.cells.items()}
    return replace(
        spec,
        title=f"{spec.title} (smoke test)",
        output=f"{spec.output}-smoke",
        about="",
        about_sets={},
        runs_of=None,
        corpora=small.corpora,
        seeds=spec.seeds[:1],
        tasks=tasks,
        cells=cells,
    )


def chosen(plan: Plan, only: Sequence[str]) -> dict[str, Run]:
    """The runs that match one of the patterns, and those whose models they need first.

    A pattern is one of the shell (`*`, `?`), of a run's name TASK/CELL/SEED or of a cell's.

    Raises:
        SpecError: a pattern matches nothing.
    """
    if not only:
        return plan.runs
    wanted: set[str] = set()
    for pattern in only:
        matching = {
            run.name
            for run in plan.runs.values()
            if fnmatchcase(run.name, pattern) or fnmatchcase(run.cell, pattern)
        }
        if not matching:
            known = [*plan.runs, *plan.spec.cells]
            raise SpecError(
                f"--only {pattern}: matches no run TASK/CELL/SEED and no cell"
                f"{nearest(pattern, known)}"
            )
        wanted |= matching
    for name in list(wanted):
        needs = plan.runs[name].needs
        while needs is not None:
            wanted.add(needs)
            needs = plan.runs[needs].needs
    return {name: run for name, run in plan.runs.items() if name in wanted}


def _in_order(spec: ExperimentSpec) -> list[str]:
    """The tasks, those that others begin from first."""
    return sorted(spec.tasks, key=lambda name: spec.tasks[name].after is not None)


def _run(
    spec: ExperimentSpec,
    folder: Path,
    small: SmokeSpec,
    read: Callable[[Path, Settings], TrainConfig],
    task: str,
    cell: str,
    seed: int,
) -> Run:
    output, said = Path(spec.output), spec.cells[cell]
    trained = said.model_of or cell
    maker = spec.cells[trained]
    compress, after = maker.compress, spec.tasks[task].after
    name = name_of(task, cell, seed)
    model = output / name_of(task, trained, seed) / "model"
    needs = None if said.model_of is None else name_of(task, said.model_of, seed)
    keys = {**_keys(spec, maker, task), **small.set, **small.tasks.get(task, {})}
    own: dict[str, object] = {"output": str(model), "seed": seed, "training.threads": 1}
    source = start = None
    if compress is not None:
        earlier = name_of(task, compress.of, seed)
        needs = needs or earlier
        source = output / earlier / "model"
    elif after is not None:
        earlier = name_of(after, trained, seed)
        needs = needs or earlier
        start = str(output / earlier / "model")
        own["training.initialise_from"] = start
    base = folder / spec.tasks[task].config
    try:
        config = read(base, _settings(keys))
        training = replace(config.training, threads=1)
        if start is not None:
            training = replace(training, initialise_from=start)
        config = replace(config, output=str(model), seed=seed, training=training)
        _check_head(said.decode.head, config)
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
    if compress is not None:
        asked = {**maker.set_for(task), **small.set, **small.tasks.get(task, {})}
        keys = {key: value for key, value in asked.items() if key.startswith(LEARNING)}
        own = _learning(config)
    return Run(
        task=task,
        cell=cell,
        seed=seed,
        place=output / name,
        model=model,
        base=base,
        settings=_settings({**keys, **own}),
        config=config,
        decode=said.decode,
        measure=spec.tasks[task].measure,
        sets=spec.tasks[task].sets,
        trains=said.model_of is None,
        source=source,
        compress=compress,
        needs=needs,
        minutes=spec.tasks[task].minutes * said.cost,
    )


def _check_head(head: str | None, config: TrainConfig) -> None:
    heads = [kind_of(each) for each in config.model.heads]
    if head is not None and head not in heads:
        raise SpecError(f"decode.head: there is no {head!r}{nearest(head, heads)}")


def _keys(spec: ExperimentSpec, maker: CellSpec, task: str) -> dict[str, object]:
    """What is set in the base configuration of a task for the model of a cell."""
    if maker.compress is None:
        return maker.set_for(task)
    shape: dict[str, object] = {
        "model.encoder.uses": maker.compress.uses,
        "model.encoder.linear": {"kind": "residual", "rank": maker.compress.rank},
        "model.encoder.depth": {"kind": "sequential", "order": maker.compress.order},
    }
    return {**spec.cells[maker.compress.of].set_for(task), **shape, **maker.set_for(task)}


def _learning(config: TrainConfig) -> dict[str, object]:
    """What a recovery has to be told, since it would choose it by itself."""
    data = config.data
    return {
        "data.train": data.train if isinstance(data.train, str) else list(data.train),
        "data.valid": data.valid if isinstance(data.valid, str) else list(data.valid),
        "training.steps": config.training.steps,
        "training.threads": 1,
    }


def _settings(keys: Mapping[str, object]) -> Settings:
    return tuple((key, json.dumps(value)) for key, value in keys.items())
