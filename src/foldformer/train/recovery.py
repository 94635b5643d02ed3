"""The training that brings a folded model back to what its original does."""

from collections.abc import Mapping
from pathlib import Path

from foldformer.checkpoint import ModelConfig
from foldformer.data.durations import shown
from foldformer.errors import SpecError
from foldformer.spec import from_dict, override, read_yaml, to_dict
from foldformer.train.config import TrainConfig
from foldformer.train.state import STATE

SHARE = 8
"""A recovery takes an eighth of the steps of the original's training. The teacher's pass makes each
cost half as much again, so that fold and recovery take less than a quarter of the time."""

_UNKNOWN = 2000  # steps, where nothing says how long the original was trained

# A warm-up short enough not to be most of a short run, and an average that forgets soon.
_DEFAULTS: dict[str, object] = {
    "learning_rate": 1e-3,
    "decay": "cosine",
    "ema": 0.98,
}
_GIVEN = ("output", "model", "tokens")
# What an original's training says that does not hold for what follows it.
_LEFT = ("steps", "warmup", "validate_every", "save_every", "initialise_from", "distillation")


def recovery_config(
    original: Path,
    fold: Path,
    about: ModelConfig,
    output: Path,
    asked: Mapping[str, object],
    settings: list[tuple[str, str]],
) -> TrainConfig:
    """A training that starts from a fold and learns from its original, with and without the data.

    What the original's folder says of its own training holds here too: augmentation, sizes of
    batches, chunks. Over it stands what suits a recovery, then `asked`, then `settings`.

    Args:
        original: folder of the trained model, the teacher.
        fold: folder of the folded one.
        about: its configuration.
        output: the model folder to make.
        asked: keys of a training YAML, nested.
        settings: dotted keys, from the command line.

    Raises:
        SpecError: the result does not fit together.
        InputError: a file of the original cannot be read.
    """
    for key in [*asked, *(key for key, _ in settings)]:
        if key.split(".")[0] in _GIVEN:
            raise SpecError(f"recovery: {key}: is given by the model that is compressed")
    earlier = _earlier(original)
    steps = _UNKNOWN
    if earlier is not None:
        steps = max(1, earlier.training.steps // SHARE)
    data: dict[str, object] = {
        "output": str(output),
        "tokens": {"folder": str(original)},
        "data": {"text": about.text},
        "model": to_dict(about.model),
        "training": {
            "steps": steps,
            "chunks": [shown(chunk) for chunk in about.chunks],
            **_DEFAULTS,
            "initialise_from": str(fold),
            "distillation": {"teacher": str(original)},
        },
    }
    if earlier is not None:
        data = _merged(_kept(earlier), data)
    data = override(_merged(data, asked), settings)
    training = data["training"]
    assert isinstance(training, dict)
    steps = training["steps"] if isinstance(training["steps"], int) else steps
    training.setdefault("warmup", min(100, max(1, steps // 10)))
    # A short run is validated at its end alone: of weights so close to each other, a choice by a
    # few utterances would be a choice by chance.
    training.setdefault("validate_every", max(1, min(steps, 500)))
    training.setdefault("save_every", max(1, min(steps // 4, 500)))
    try:
        return from_dict(TrainConfig, data)
    except SpecError as error:
        raise SpecError(f"recovery: {error}") from None


def _earlier(original: Path) -> TrainConfig | None:
    """How the original was trained, where its folder says so."""
    path = original / STATE / "config.yaml"
    if not path.is_file():
        return None
    try:
        return from_dict(TrainConfig, read_yaml(path))
    except SpecError:  # of another version, perhaps
        return None


def _kept(earlier: TrainConfig) -> dict[str, object]:
    """Of a training, what holds for one that follows it."""
    said = to_dict(earlier)
    data, training = said["data"], said["training"]
    assert isinstance(data, dict)
    assert isinstance(training, dict)
    data = {key: value for key, value in data.items() if key not in ("train", "valid")}
    training = {key: value for key, value in training.items() if key not in _LEFT}
    return {"seed": said["seed"], "data": data | {"ascending_epochs": 0}, "training": training}


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Nested mappings as one; what stands above wins."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged
