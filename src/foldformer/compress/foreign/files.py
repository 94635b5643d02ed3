"""Folders with a folded model: its configuration, the plan, and each number once."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.checkpoint import check_match, read_tensors, write_tensors
from foldformer.compress.foreign.fold import fold_structure, is_unfolded
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.errors import InputError, SpecError
from foldformer.files import complete_files
from foldformer.spec import from_dict, read_yaml, write_yaml

CONFIG, PLAN, WEIGHTS = "config.json", "foldformer.yaml", "model.safetensors"
GENERATION = "generation_config.json"

_COMPANIONS = (
    "*token*.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "normalizer.json",
    "*processor_config.json",
    "chat_template*",
)
"""What may stand beside a model for its tokenizer and its features."""


def save(
    folder: str | Path, model: nn.Module, plan: ForeignPlan, *, source: str | Path | None = None
) -> None:
    """Write a folded model into a folder, from which `load` makes it again.

    Args:
        folder: where to; it may exist.
        model: folded; of `transformers`, or of any class that its maker builds again for `load`.
        plan: what it was folded by.
        source: the original's folder, whose tokenizer, feature extractor and the like are copied.

    Raises:
        InputError: the folder cannot be written.
        SpecError: the model is not folded.
    """
    if is_unfolded(model, plan):
        raise SpecError(
            "model: nothing in it is folded, and `load` expects what the plan makes; call "
            "fold(model, plan) first"
        )
    folder = Path(folder)
    with complete_files(folder) as beside:
        write_model(beside, model)
        write_yaml(beside / PLAN, plan)
        for path in [] if source is None else companions(Path(source)):
            shutil.copy(path, beside / path.name)


def companions(source: Path) -> list[Path]:
    """The files beside an original that go with its fold: of its tokenizer, its features."""
    return sorted({path for pattern in _COMPANIONS for path in source.glob(pattern)})


def write_model(folder: Path, model: Any) -> None:
    """Write the weights, and for a model of `transformers` its configuration, into a folder."""
    if hasattr(model, "config") and hasattr(model.config, "to_json_file"):
        config = copy.deepcopy(model.config)
        config.architectures = [type(model).__name__]
        config.to_json_file(folder / CONFIG)
        if model.can_generate():
            model.generation_config.save_pretrained(folder)
    weights = {name: tensor.detach().contiguous() for name, tensor in numbers_of(model).items()}
    write_tensors(folder / WEIGHTS, weights, {"format": "pt"})


def load(folder: str | Path, model: nn.Module | None = None) -> nn.Module:
    """The folded model of a folder, in evaluation mode.

    Args:
        folder: as `save` has written it.
        model: the original's structure, with any weights, where it is not of `transformers`; its
            layers are replaced.

    Raises:
        InputError: a file is missing or damaged, does not belong to the others, or the class of
            the model is unknown.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    if model is None:
        model = _built(folder)
    try:
        fold_structure(model, plan)
    except SpecError as error:
        raise InputError(f"{folder / PLAN}: {error}") from None
    expected = numbers_of(model)
    weights = read_tensors(folder / WEIGHTS)
    check_match(folder / WEIGHTS, weights, expected, PLAN)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(weights[name])
    return model.eval()


def read_plan(folder: str | Path) -> ForeignPlan:
    """What the model of a folder was folded by.

    Raises:
        InputError: the plan is missing or wrong.
    """
    path = Path(folder) / PLAN
    if not path.is_file():
        raise InputError(
            f"{path}: missing; a folded model needs {PLAN}, {WEIGHTS} and the original's {CONFIG}"
        )
    try:
        return from_dict(ForeignPlan, read_yaml(path))
    except SpecError as error:
        raise InputError(f"{path}: {error}") from None


def _built(folder: Path) -> nn.Module:
    """The original's structure, its weights not drawn."""
    from transformers.initialization import no_init_weights

    kind, config = kind_and_config(folder)
    with no_init_weights():
        model = kind(config)
    model.tie_weights()
    read_generation(folder, model)
    assert isinstance(model, nn.Module)
    return model


def read_generation(folder: Path, model: Any) -> None:
    """Let a model of `transformers` generate as its folder says, if that says anything."""
    import transformers

    if model.can_generate() and (folder / GENERATION).is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)


def kind_and_config(folder: Path) -> tuple[Any, Any]:
    """The class of `transformers` that a folder's `config.json` names, and its configuration.

    Raises:
        InputError: the file is missing or damaged, or names no class of `transformers`.
    """
    import transformers

    path = folder / CONFIG
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        (kind,) = said["architectures"]
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not isinstance(kind, str):
            raise TypeError(f"architectures: expected a name, got {kind!r}")
    except Exception as error:  # whatever transformers thinks of a key
        raise InputError(
            f"{path}: is missing or no configuration of a model of transformers ({error}); for a "
            "model of another kind, build the original and give it to load(folder, model)"
        ) from None
    if not hasattr(transformers, kind):
        raise InputError(
            f"{path}: architectures: transformers has no {kind}; build the original yourself and "
            "give it to load(folder, model)"
        )
    return getattr(transformers, kind), config


def numbers_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model; of a tensor with several names, the first."""
    found: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), name)
    state = model.state_dict(keep_vars=True)
    return {name: state[name] for name in found.values()}
