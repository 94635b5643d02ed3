"""One finished run, as a line of results says it: what is missing in a line is named by its key."""

from dataclasses import dataclass, field
from typing import Literal

from foldformer.errors import SpecError
from foldformer.experiment.plan import name_of
from foldformer.experiment.spec import DecodeSpec
from foldformer.spec import Spec

OF_A_VALIDATION = ("step", "hours", "seconds")
"""What every row of a curve has, beside its scores."""


@dataclass(frozen=True, kw_only=True)
class Code(Spec):
    """The code that made a run."""

    revision: str
    """Of git, or the version where the package is installed."""
    digest: str
    """Of the sources that decide weights and scores."""
    compress: str | None = None
    """Of a compressed model: the digest of the sources that compress."""


@dataclass(frozen=True, kw_only=True)
class ModelSize(Spec):
    """What a model weighs: numbers, and the bytes that they take at each precision."""

    parameters: int
    """Numbers."""
    fp32: int
    """Bytes, and so the next ones."""
    fp16: int
    """See fp32."""
    int8: int
    """See fp32."""
    int4: int
    """See fp32."""
    share: float
    """% of the weight matrices of a dense encoder of its own shape."""

    def stored(self, weights: Literal["fp32", "int8", "int4"]) -> int:
        """Bytes with the matrices in this format."""
        return {"fp32": self.fp32, "int8": self.int8, "int4": self.int4}[weights]


@dataclass(frozen=True, kw_only=True)
class Scored(Spec):
    """A score with the ends of its interval; None for what is not known."""

    value: float | None
    """The score."""
    low: float | None
    """Lower end."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True, kw_only=True)
class SetScores(Spec):
    """What an evaluation on one set gave."""

    utterances: int
    """Of the set."""
    words: int
    """Of their references."""
    audio_seconds: float
    """Of the set."""
    languages: dict[str, dict[str, float | None]]
    """The measures of each language, where there are several."""
    wer: Scored
    """Word error rate in %."""
    cer: Scored
    """Character error rate in %."""
    bleu: Scored
    """BLEU."""
    chrf: Scored
    """chrF."""

    def by(self, measure: Literal["wer", "bleu"]) -> Scored:
        """The score that decides."""
        return {"wer": self.wer, "bleu": self.bleu}[measure]


@dataclass(frozen=True, kw_only=True)
class Example(Spec):
    """An utterance, and what a model wrote of it."""

    id: str
    """Of the cut."""
    language: str
    """Its code; empty where it has none."""
    reference: str
    """What was said."""
    hypothesis: str
    """What was written."""


@dataclass(frozen=True, kw_only=True)
class Result(Spec):
    """One finished run: a line of the results."""

    task: str
    """What was learnt."""
    cell: str
    """The row of the table."""
    seed: int
    """Of the training."""
    run_of: str | None = None
    """The YAML of the experiment beside this one that has done the run, where it was taken from
    that one's results."""
    smoke: bool
    """Whether it only shows that the cell runs."""
    measure: Literal["wer", "bleu"]
    """What decides."""
    config: dict[str, object]
    """The whole training configuration; of a compressed model, of its learning from the other."""
    compress: dict[str, object] = field(default_factory=dict)
    """How the model was made of another cell's: `of`, `uses`, `rank`, `order`, `start`, what was
    `set`, and as `config` what the experiment said of the other's training, with that over it.
    Empty where it was trained from scratch."""
    decode: DecodeSpec
    """How the model was heard."""
    data: dict[str, str]
    """Fingerprints: of `train`, `valid`, and of each set."""
    code: Code
    """What made it."""
    versions: dict[str, str]
    """Of Python and of packages."""
    machine: dict[str, object]
    """Processor, cores, runs side by side."""
    date: str
    """Of the end of the run, UTC."""
    hours: float
    """Of audio that the training heard."""
    seconds: float
    """That the training took, validations included."""
    size: ModelSize
    """What the model weighs."""
    similarity: tuple[tuple[float, ...], ...] = ()
    """(L, L): of each two layers in depth the cosine of their weights, as `measure.similarity` has
    it. Empty where the layers have no order, where the run scored another one's model, and in lines
    of before there was this key."""
    curve: tuple[dict[str, float], ...]
    """A mapping for each validation: step, hours, seconds, loss and scores."""
    scores: dict[str, SetScores]
    """Of each set."""
    counts: str
    """File with the counts of every utterance, relative to that of the results."""
    examples: dict[str, tuple[Example, ...]] = field(default_factory=dict)
    """Of each set, some transcripts: the same utterances for all cells."""

    def __post_init__(self) -> None:
        for name in ("train", "valid", *self.scores):
            if name not in self.data:
                raise SpecError(f"data.{name}: missing; expected a fingerprint")
        if any(len(row) != len(self.similarity) for row in self.similarity):
            raise SpecError("similarity: expected as many numbers in each row as there are rows")
        if not self.curve:
            raise SpecError("curve: expected one validation or more")
        for number, row in enumerate(self.curve):
            for key in OF_A_VALIDATION:
                if key not in row:
                    raise SpecError(f"curve[{number}].{key}: missing; it has no default")

    @property
    def name(self) -> str:
        """TASK/CELL/SEED."""
        return name_of(self.task, self.cell, self.seed)
