"""What an experiment's YAML says: trainings that differ in a few keys, and how they are judged."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from foldformer.data.durations import encoder_frames
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec, from_dict, nearest, read_yaml

LEARNING = ("data.", "training.")
"""Where the keys begin that a model which is compressed leaves open."""

EXPERIMENT = "experiment.yaml"
"""The experiment of a recipe folder, unless a file is named."""

_OWNED = {
    "seed": "`seeds` says with which ones it is run",
    "output": "its model is kept in a folder of its own below the experiment's `output`",
    "training.threads": "each run has one core",
}
"""Keys of a training that an experiment sets by itself, and why."""

_TAKEN = ("train", "valid", "earlier", "begun")
"""Names that no set can have: fingerprints of data are called so, and files of a run."""


@dataclass(frozen=True, kw_only=True)
class DecodeSpec(Spec):
    """How a model is heard when it is scored; the options of `foldformer evaluate`."""

    head: str | None = None
    """The head to decode; the first one unless given."""
    chunk: str | None = None
    """Hear as a stream of such chunks would, like 640ms; the full context unless given."""
    beam: int = 1
    """Hypotheses kept; 1 is greedy."""
    weights: Literal["fp32", "int8", "int4"] = "fp32"
    """Number format that the matrices are rounded to first."""

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise SpecError(f"beam: expected 1 or more, got {self.beam}")
        if self.chunk is not None:
            try:
                encoder_frames(self.chunk)
            except SpecError as error:
                raise SpecError(f"chunk: {error}") from None


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """What is learnt, from which base configuration, and what it is scored on."""

    config: str
    """The training YAML that every cell changes a little, beside the experiment's."""
    measure: Literal["wer", "bleu"]
    """What decides."""
    sets: dict[str, str]
    """Manifests to score on, by their names in tables; each is a table of its own."""
    after: str | None = None
    """Start from the encoder that the same cell, with the same seed, has learnt in this task."""
    minutes: float = 10.0
    """Of one core, that a run of this task takes, evaluation included: an estimate."""

    def __post_init__(self) -> None:
        if not self.sets:
            raise SpecError("sets: expected one manifest or more")
        _check_sets(self.sets)
        if not self.minutes > 0:
            raise SpecError(f"minutes: expected more than 0, got {self.minutes}")


@dataclass(frozen=True, kw_only=True)
class CompressSpec(Spec):
    """A model that `foldformer compress` makes of another cell's, and lets learn from it."""

    of: str
    """The cell whose trained model, of the same task and seed, is compressed."""
    uses: int
    """K: every K layers become one that is used K times."""
    rank: int
    """R: rank of each use's residual."""
    order: Literal["adjacent", "cycle"] = "adjacent"
    """`adjacent` shares with neighbours, `cycle` with layers far apart."""
    start: Literal["fit", "average", "stepwise", "lower"] = "fit"
    """Where the shared weights come from."""


@dataclass(frozen=True, kw_only=True)
class CellSpec(Spec):
    """One row of a table: what it changes in the base configurations."""

    title: str
    """Its name in tables."""
    table: str
    """The table it stands in."""
    set: dict[str, object] = field(default_factory=dict)
    """Dotted keys of the training configuration, and their values here; with `compress`, of the
    learning from the compressed model's original: `data` and `training` alone."""
    task_set: dict[str, dict[str, object]] = field(default_factory=dict)
    """More of them, for one task: {task: keys}."""
    compress: CompressSpec | None = None
    """Make its model of another cell's, in place of one that is trained from scratch."""
    model_of: str | None = None
    """Train nothing, and score the models of this cell, in another way."""
    against: str | None = None
    """The cell that relative changes are measured from; none unless given."""
    paper: Literal["dense", "k3-r2", "k3-r16", "k6-r16", "k9-r16"] | None = None
    """Its row in the paper's table."""
    tasks: tuple[str, ...] | None = None
    """The tasks it is run for; all unless given."""
    seeds: tuple[int, ...] | None = None
    """The seeds it is run with; those of the experiment unless given."""
    decode: DecodeSpec = field(default_factory=DecodeSpec)
    """How its models are heard."""
    cost: float = 1.0
    """Its time, as a multiple of the task's `minutes`."""

    def __post_init__(self) -> None:
        if self.model_of is not None and (self.set or self.task_set):
            name = "set" if self.set else "task_set"
            raise SpecError(f"{name}: a cell with model_of trains nothing; remove one of the two")
        if self.model_of is not None and self.compress is not None:
            raise SpecError("compress: a cell with model_of makes no model; remove one of the two")
        given = {"set": self.set}
        given |= {f"task_set.{task}": keys for task, keys in self.task_set.items()}
        for name, keys in given.items() if self.compress is not None else ():
            for key in keys:
                if not key.startswith(LEARNING):
                    raise SpecError(
                        f"{name}.{key}: is given by the model that is compressed; expected keys of "
                        "data and training"
                    )
        if not self.cost > 0:
            raise SpecError(f"cost: expected more than 0, got {self.cost}")

    def set_for(self, task: str) -> dict[str, object]:
        """The dotted keys of its training for a task, and their values."""
        return {**self.set, **self.task_set.get(task, {})}


@dataclass(frozen=True, kw_only=True)
class SmokeSpec(Spec):
    """How `--smoke` makes everything small: it shows that all cells run, and nothing else."""

    corpora: tuple[str, ...] = ()
    """In place of the experiment's."""
    set: dict[str, object] = field(default_factory=dict)
    """Dotted keys that are set in every training, over those of the cell."""
    sets: dict[str, str] = field(default_factory=dict)
    """Manifests to score on, in place of every task's; empty keeps those."""
    tasks: dict[str, dict[str, object]] = field(default_factory=dict)
    """More dotted keys, for the trainings of one task."""

    def __post_init__(self) -> None:
        _check_sets(self.sets)


@dataclass(frozen=True, kw_only=True)
class ExperimentSpec(Spec):
    """An experiment: cells x tasks x seeds."""

    title: str
    """Heading of the report."""
    output: str
    """Folder of models, logs and transcripts. The results do not stand there but beside the YAML,
    in `results`."""
    corpora: tuple[str, ...] = ()
    """Corpora to make first: each is what follows `foldformer corpus`."""
    about: str = ""
    """What the data are, and how much there is of them: stands above the tables of the page."""
    about_sets: dict[str, str] = field(default_factory=dict)
    """What a set is, by its name: stands below each of its tables."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Of weights, order of the data, augmentation and dropout: the same for all cells."""
    runs_of: str | None = None
    """The YAML of an experiment beside this one. Its finished runs are taken, and not done again,
    where all that decides a result is the same."""
    tasks: dict[str, TaskSpec]
    """What is learnt."""
    cells: dict[str, CellSpec]
    """The rows of the tables, in their order."""
    smoke: SmokeSpec = field(default_factory=SmokeSpec)
    """What `--smoke` runs instead."""

    def __post_init__(self) -> None:
        for where, names in (("tasks", self.tasks), ("cells", self.cells)):
            for name in names:
                if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
                    raise SpecError(
                        f"{where}.{name}: expected a name of lower-case letters, digits and "
                        "hyphens; it becomes a folder"
                    )
            if not names:
                raise SpecError(f"{where}: expected one or more")
        for where, commands in (("corpora", self.corpora), ("smoke.corpora", self.smoke.corpora)):
            for command in commands:
                try:
                    shlex.split(command)
                except ValueError:
                    raise SpecError(f"{where}: a quote is not closed in {command!r}") from None
        if self.runs_of is not None and Path(self.runs_of).name != self.runs_of:
            raise SpecError(
                f"runs_of: expected the name of a YAML file beside this one, got {self.runs_of!r}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"seeds: expected different numbers, got {list(self.seeds)}")
        for name, task in self.tasks.items():
            _check_known(f"tasks.{name}.after", task.after, self.tasks)
            if task.after is not None and self.tasks[task.after].after is not None:
                raise SpecError(f"tasks.{name}.after: {task.after} itself comes after another task")
        for name, cell in self.cells.items():
            self._check_cell(f"cells.{name}", cell)
            for learnt in self.tasks_of(name):
                for key in cell.set_for(learnt):
                    self._check_key(f"cells.{name}", key, learnt)
        sets = {name for task in self.tasks.values() for name in task.sets}
        for name in self.about_sets:
            _check_known(f"about_sets.{name}", name, sets)
        for name in self.smoke.tasks:
            _check_known(f"smoke.tasks.{name}", name, self.tasks)

    def _check_cell(self, where: str, cell: CellSpec) -> None:
        _check_known(f"{where}.against", cell.against, self.cells)
        _check_known(f"{where}.model_of", cell.model_of, self.cells)
        if cell.model_of is not None and self.cells[cell.model_of].model_of is not None:
            raise SpecError(f"{where}.model_of: {cell.model_of} has no model of its own")
        if cell.compress is not None:
            source = cell.compress.of
            _check_known(f"{where}.compress.of", source, self.cells)
            if self.cells[source].model_of is not None or self.cells[source].compress is not None:
                raise SpecError(f"{where}.compress.of: {source} is not trained from scratch")
        for task in cell.tasks or ():
            _check_known(f"{where}.tasks", task, self.tasks)
        for key, given in (("tasks", cell.tasks), ("seeds", cell.seeds)):
            if given is not None and (not given or len(set(given)) < len(given)):
                raise SpecError(
                    f"{where}.{key}: expected different ones, one or more, got {list(given)}"
                )
        for task in cell.task_set:
            _check_known(f"{where}.task_set.{task}", task, self.tasks)

    def _check_key(self, where: str, key: str, task: str) -> None:
        """Refuse what the runner sets by itself, which would have no effect."""
        owned = dict(_OWNED)
        if self.tasks[task].after is not None:
            owned["training.initialise_from"] = f"`tasks.{task}.after` says what it begins from"
        if key in owned:
            raise SpecError(f"{where}: {key} cannot be set here: {owned[key]}")

    def tasks_of(self, cell: str) -> tuple[str, ...]:
        """The tasks that a cell is run for."""
        return self.cells[cell].tasks or tuple(self.tasks)

    def seeds_of(self, cell: str) -> tuple[int, ...]:
        """The seeds that a cell is run with."""
        return self.cells[cell].seeds or self.seeds


def file_name(name: str) -> str:
    """The name of a set as that of its files in the folder of a run, less their ends."""
    return "".join(c if c.isalnum() else "-" for c in name)


def _check_sets(names: Iterable[str]) -> None:
    """Refuse names of sets whose fingerprints or files would be those of something else."""
    files: dict[str, str] = {}
    for name in names:
        file = file_name(name)
        if file in _TAKEN:
            raise SpecError(f"sets.{name}: is what something else of a run is called; rename it")
        if file in files:
            raise SpecError(
                f"sets.{name}: becomes the file {file}.json, as {files[file]!r} does; choose "
                "names that differ in letters or digits"
            )
        files[file] = name


def _check_known(where: str, name: str | None, known: Iterable[str]) -> None:
    known = list(known)
    if name is not None and name not in known:
        raise SpecError(f"{where}: there is no {name!r}{nearest(name, known)}")


def experiment_file(place: Path) -> Path:
    """The YAML that a recipe folder, or the path of a file, names."""
    return place / EXPERIMENT if place.is_dir() else place


def read_experiment(place: Path) -> ExperimentSpec:
    """The experiment of a recipe folder, or of a YAML file.

    Raises:
        InputError: there is no such file, or it is no YAML.
        SpecError: what it says is wrong; the message names file and key.
    """
    path = experiment_file(place)
    if place.is_dir() and not path.exists():
        raise InputError(f"{place}: holds no {EXPERIMENT}; expected the folder of an experiment")
    if not path.exists():
        raise InputError(
            f"{place}: no such file or folder; expected a folder with {EXPERIMENT}, or another "
            "such YAML file"
        )
    data = read_yaml(path)
    try:
        return from_dict(ExperimentSpec, data)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def results_file(place: Path) -> Path:
    """Where the results of an experiment stand: `results/NAME.jsonl` beside `NAME.yaml`."""
    path = experiment_file(place)
    return path.parent / "results" / f"{path.stem}.jsonl"
