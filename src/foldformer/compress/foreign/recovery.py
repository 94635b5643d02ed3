"""What can be set of the learning of a folded foreign model: keys as of our own trainings."""

from dataclasses import dataclass, field

from foldformer.compress.foreign.distil import DistilSpec
from foldformer.errors import SpecError
from foldformer.spec import Spec

LEARNING_RATES = {"whisper": 5e-5}
"""{model type: peak}, where that of `DistilSpec` is too large: at 2e-4 Whisper tiny.en got worse,
and at 5e-4 it forgot to hear (docs/how-to/compress-any-model.md has the figures)."""


@dataclass(frozen=True, kw_only=True)
class RecoveryDataSpec(Spec):
    """What is read."""

    train: tuple[str, ...] = ()
    """Files to learn from: a sentence a line, or for Whisper manifests."""
    valid: tuple[str, ...] = ()
    """Files to measure on."""
    text: str = "text"
    """For Whisper, the field of the manifests with what it is to write: `text`, or a custom one."""
    valid_share: float = 0.05
    """Share of the lines of `train`, or windows, that is kept apart to measure on where `valid`
    names no file; 0 keeps none."""

    def __post_init__(self) -> None:
        if not 0 <= self.valid_share <= 0.5:
            raise SpecError(f"valid_share: expected 0 to 0.5, got {self.valid_share}")


@dataclass(frozen=True, kw_only=True)
class RecoveryLossSpec(Spec):
    """The parts of the loss, by their weights; see `DistilSpec`."""

    hidden: float = DistilSpec.hidden
    """Of the error of what comes out of each layer."""
    output: float = DistilSpec.output
    """Of the divergence from the original's scores, or embeddings."""
    data: float = DistilSpec.data
    """Of the original's own loss on the data, for Whisper and causal language models."""


@dataclass(frozen=True, kw_only=True)
class RecoveryTrainingSpec(Spec):
    """How the weights are found; see `DistilSpec`."""

    steps: int = DistilSpec.steps
    """Steps, of one batch each."""
    learning_rate: float | None = None
    """At its peak; 2e-4 unless given, and for Whisper 5e-5."""
    warmup: int | None = DistilSpec.warmup
    """Steps in which it rises; a tenth of all unless given."""
    validate_every: int = DistilSpec.validate_every
    """Steps between validations."""
    save_every: int = DistilSpec.save_every
    """Steps between saves of what has been learnt."""
    distillation: RecoveryLossSpec = field(default_factory=RecoveryLossSpec)
    """What is learnt from the original, and from the data."""

    def __post_init__(self) -> None:
        self.distil(0)

    def distil(self, seed: int, model_type: str = "") -> DistilSpec:
        """The same as the learning takes it.

        Args:
            seed: of the order of the batches.
            model_type: of the original, as its `config.json` says.

        Raises:
            SpecError: a number is out of its range.
        """
        usual = LEARNING_RATES.get(model_type, DistilSpec.learning_rate)
        return DistilSpec(
            steps=self.steps,
            learning_rate=usual if self.learning_rate is None else self.learning_rate,
            warmup=self.warmup,
            hidden=self.distillation.hidden,
            output=self.distillation.output,
            data=self.distillation.data,
            validate_every=self.validate_every,
            save_every=self.save_every,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class RecoverySpec(Spec):
    """What a recovery YAML, and `--KEY VALUE`, say of a model of `transformers`."""

    seed: int = DistilSpec.seed
    """Of the order of the batches."""
    data: RecoveryDataSpec = field(default_factory=RecoveryDataSpec)
    """What is read."""
    training: RecoveryTrainingSpec = field(default_factory=RecoveryTrainingSpec)
    """How the weights are found."""
