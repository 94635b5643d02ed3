"""Model folders: `config.yaml` with every spec, `model.safetensors` with every weight."""

import errno
import json
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from foldformer.errors import InputError, SpecError
from foldformer.files import complete_files as complete_files
from foldformer.files import remove_incomplete as remove_incomplete
from foldformer.model import Model, ModelSpec
from foldformer.spec import Spec, from_dict, read_yaml, write_yaml

FORMAT = 1
CONFIG, WEIGHTS = "config.yaml", "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Spec):
    """What `config.yaml` of a model folder says."""

    format: int = FORMAT
    """Version of the folder's layout."""
    model: ModelSpec
    """Enough to build the model."""
    text: str = "text"
    """What the model writes: `text` recognises; `translation_en`, say, translates into English."""
    languages: tuple[str, ...] = field(default_factory=tuple)
    """Languages of the speech it was trained on."""
    chunks: tuple[int, ...] = field(default_factory=tuple)
    """Chunk sizes in encoder frames (40 ms) that it was trained to stream with."""


def save_model(folder: Path, model: Model, config: ModelConfig) -> None:
    """Write `config.yaml` and `model.safetensors` into an existing folder."""
    write_yaml(folder / CONFIG, config)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    write_tensors(folder / WEIGHTS, weights, {"format": "pt"})


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    """Write tensors, and what they are, as safetensors.

    Raises:
        OSError: the disk is full, or the like.
    """
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        save_file(tensors, path, metadata=about)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from None
    path.chmod(mode)  # safetensors leaves a file that nobody else may read


def load_model(folder: str | Path) -> tuple[Model, ModelConfig]:
    """The model of a folder, in evaluation mode, and its configuration.

    Raises:
        InputError: the folder or a file is missing, truncated, of a newer format, or does not
            belong to the other.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}; expected a model folder with {CONFIG} and {WEIGHTS}")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            if (folder / "export.yaml").is_file():
                raise InputError(
                    f"{folder}: is an export, expected the model folder that it was made of; in "
                    f"Python, foldformer.deploy.load opens exports"
                )
            raise InputError(
                f"{folder / name}: missing; a model folder needs {CONFIG} and {WEIGHTS}"
            )
    config = read_model_config(folder)
    with torch.device("meta"), _NothingDrawn():
        model = _build(config, folder / CONFIG)
    weights = read_tensors(folder / WEIGHTS)
    check_match(folder / WEIGHTS, weights, model.state_dict(), CONFIG)
    model.load_state_dict(weights, assign=True)
    return model.eval(), config


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors as they are where a module would draw its first weights.

    For tensors without memory PyTorch would import its compiler to draw from a normal
    distribution: more than a second before the first recording is heard.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """`func`, unless it draws."""
        kwargs = kwargs or {}
        if func is nn.init.normal_:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _build(config: ModelConfig, path: Path) -> Model:
    try:
        return config.model.build()
    except SpecError as error:
        raise InputError(f"{path}: model: {error}") from None


def read_model_config(folder: Path) -> ModelConfig:
    """What `config.yaml` of a model folder says.

    Raises:
        InputError: it is missing, no configuration of a model, or of a newer format.
    """
    path = folder / CONFIG
    data = read_yaml(path)
    if "format" not in data or "model" not in data:
        raise InputError(f"{path}: is not the configuration of a model: no `format` and `model`")
    if isinstance(data["format"], int) and data["format"] > FORMAT:
        raise InputError(
            f"{path}: format {data['format']} is newer than this version knows ({FORMAT}); "
            "update foldformer"
        )
    try:
        return from_dict(ModelConfig, data)
    except SpecError as error:
        raise InputError(f"{path}: {error}") from None


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: the file is missing, truncated, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()  # the file itself cannot be iterated over
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: is damaged or no safetensors file ({error}); copy or train the model again"
        ) from None


def check_match(
    path: Path,
    weights: dict[str, torch.Tensor],
    expected: dict[str, torch.Tensor],
    config: str,
) -> None:
    """Check that the weights of a file are those of a model: names, types and shapes.

    Args:
        path: the file.
        weights: what it holds.
        expected: what the model wants.
        config: the name of the file beside it that says so.

    Raises:
        InputError: they are not.
    """
    missing, foreign = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    for names, what in ((missing, "is missing"), (foreign, "does not belong to it")):
        if names:
            first = min(names)
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"{path}: does not fit {config} beside it: weight {first}{more} {what}"
            )
    for name, tensor in weights.items():
        if tensor.dtype != expected[name].dtype:
            raise InputError(
                f"{path}: weight {name} is of type {tensor.dtype}, expected {expected[name].dtype}"
            )
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path}: does not fit {config} beside it: weight {name} has shape "
                f"{tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
            )
