"""Folders of trained models of `transformers`, and what to call such a model with."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from foldformer.checkpoint import read_tensors
from foldformer.compress.foreign import inputs
from foldformer.compress.foreign.files import (
    CONFIG,
    PLAN,
    WEIGHTS,
    kind_and_config,
    read_generation,
)
from foldformer.compress.foreign.losses import check_data_loss, without_labels
from foldformer.compress.foreign.stacks import find_stack, find_stacks, is_list, model_type
from foldformer.errors import InputError

INDEX = f"{WEIGHTS}.index.json"
"""Where the weights are in several files, it says in which."""

SENTENCES, WINDOWS = 512, 80
"""To calibrate with, at least, where the file has so many."""

MARGIN = 2
"""Times as many tokens as a map has inputs: a planner keeps some of the batches apart."""

LINES = 32
"""Of text in each step of learning."""


def load_original(folder: Path) -> nn.Module:
    """The trained model of a folder with `config.json` and safetensors, in evaluation mode.

    Raises:
        InputError: a file is missing or damaged, the class is unknown or built by remote code, the
            model is folded already, its configuration is that of another model, or its weights are
            in half precision or not finite.
    """
    if (folder / PLAN).is_file():
        raise InputError(
            f"{folder}: is folded already ({PLAN}); take the original, or unfold it in Python"
        )
    files = _files(folder)
    if not files:
        raise InputError(
            f"{folder}: has no safetensors file; save the model with model.save_pretrained(folder)"
        )
    kind, config = kind_and_config(folder)
    _check_depth(folder, files)
    from transformers.utils import logging

    # What is missing is said here, in one line.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    weights = {name: tensor for path in files for name, tensor in _read(folder, path)}
    try:
        model, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a damaged file leads to
        said = " ".join(str(error).split())
        raise InputError(
            f"{folder}: is damaged or does not fit its {CONFIG} ({said[:200]}); copy it again"
        ) from None
    for name in sorted(info["missing_keys"]):
        raise InputError(f"{folder}: weight {name} is missing; copy the model again")
    _check_layers(folder, model, info["unexpected_keys"])
    read_generation(folder, model)
    found: nn.Module = model.eval()
    return found


def _files(folder: Path) -> list[Path]:
    """The files of the weights, as far as they are safetensors."""
    index = folder / INDEX
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return sorted(folder / name for name in names)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: is damaged ({error}); copy the model again") from None
    whole = folder / WEIGHTS
    return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))


def _check_depth(folder: Path, files: Sequence[Path]) -> None:
    """Layers that no file can hold would take all memory before anything else is seen to lack."""
    tensors = sum(len(read_tensors(path)) for path in files)
    for key, value in json.loads((folder / CONFIG).read_text(encoding="utf-8")).items():
        counts = key == "n_layer" or key.endswith("layers")
        if counts and isinstance(value, int) and value > tensors:
            raise InputError(
                f"{folder / CONFIG}: {key}: says {value:,} layers, and the safetensors files hold "
                f"{tensors:,} tensors; copy the model again"
            )


def _check_layers(folder: Path, model: Any, unknown: Iterable[str]) -> None:
    """Weights of heads that the class does not have may be left out; those of layers may not.

    Args:
        folder: for the message.
        model: as it was loaded.
        unknown: names of weights for which it has no place, with or without the prefix of the
            class that has no head.
    """
    prefix = f"{model.base_model_prefix}."
    lists = tuple(
        f"{name.removeprefix(prefix)}." for name, part in model.named_modules() if is_list(part)
    )
    lost = sorted(name for name in unknown if name.removeprefix(prefix).startswith(lists))
    if lost:
        raise InputError(
            f"{folder}: {CONFIG} fits another model: the layers that it names have no place for "
            f"{len(lost)} of the weights, {lost[0]} first; copy both from the same model, or if "
            "it needs none of these, save what transformers loads with model.save_pretrained"
        )


def _read(folder: Path, path: Path) -> Iterator[tuple[str, Tensor]]:
    """The weights of a file by name, each in memory of its own.

    All that was ever read of a file that is mapped stays in memory as long as somebody holds one
    of its tensors: then a fold could let go of nothing. So it is mapped for each of them anew.

    Raises:
        InputError: the file is damaged, or a weight is in half precision or not finite.
    """
    for name in read_tensors(path):
        with safe_open(path, framework="pt") as file:
            tensor = file.get_tensor(name)
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise InputError(
                f"{folder}: {name} is of type {tensor.dtype}, expected float32; save it with "
                "model.float().save_pretrained(folder)"
            )
        if not tensor.isfinite().all():
            raise InputError(
                f"{folder}: {name} holds NaN or infinite numbers; the file is damaged, or training "
                "failed"
            )
        yield name, tensor.clone()


def lists_of(model: nn.Module, named: Sequence[str] = ()) -> list[str]:
    """The names of the lists of layers to fold: those that are named, or all that are found.

    Raises:
        InputError: there is none, or a named one cannot be folded.
    """
    return [find_stack(model, name).name for name in named] or list(find_stacks(model))


def batches_of(
    folder: Path,
    model: nn.Module,
    paths: Sequence[str],
    *,
    least: int,
    field: str = "text",
    valid_share: float = 0.0,
) -> Sequence[dict[str, Tensor]]:
    """What to calibrate a model with: text, or for Whisper windows of recordings.

    Args:
        folder: of the model, with its tokenizer and feature extractor.
        model: of that folder.
        paths: files with a sentence a line; for Whisper manifests of recordings.
        least: inputs of the widest map of the layers; so many, or `SENTENCES` or `WINDOWS`, are
            taken from all over the files, and more until there are `MARGIN` times as many tokens.
        field: of manifests, that holds the text.
        valid_share: the share that `learning_batches` keeps apart; nothing of it is taken.

    Raises:
        InputError: a file cannot be read or is empty, the model has no tokenizer, or it cannot be
            called with what is in the files.
    """
    reader = _reader(folder, model, paths, field)
    found, _ = reader.read_apart(paths, valid_share)
    return reader.batches(reader.chosen(found, least), size=16)


class LearningBatches(NamedTuple):
    """What a fold learns from, and what is kept apart from that to measure on."""

    learnt: Sequence[dict[str, Tensor]]
    valid: Sequence[dict[str, Tensor]]


def learning_batches(
    folder: Path,
    model: nn.Module,
    paths: Sequence[str],
    *,
    valid: Sequence[str] = (),
    field: str = "text",
    valid_share: float = 0.0,
    labels: bool = False,
) -> LearningBatches:
    """What to learn from, and to measure on: lines, or windows, that nothing is learnt from.

    Args:
        folder: see `batches_of`.
        model: see there.
        paths: files to learn from.
        valid: files to measure on.
        field: of manifests, that holds the text.
        valid_share: without these, the share of what is in `paths` that is kept apart, from all
            over it; at most `SENTENCES` lines or `WINDOWS` windows.
        labels: whether batches say what the model ought to write.

    Raises:
        InputError: see `batches_of`; or the model writes no text that labels could be for.
    """
    if labels:
        check_data_loss(model)
    reader = _reader(folder, model, paths, field)
    found, apart = reader.read_apart(paths, 0.0 if valid else valid_share)
    if valid:
        apart = reader.read(valid)
    learnt, kept = (reader.batches(each, size=LINES, labels=labels) for each in (found, apart))
    return LearningBatches(learnt, kept)


def load_tokenizer(folder: Path, use: str) -> Any:
    """The tokenizer of `transformers` beside a model.

    Args:
        folder: of the model.
        use: what it is wanted for, for the message: "to read texts.txt with".

    Raises:
        InputError: there is none.
    """
    from transformers import AutoTokenizer

    missing = InputError(
        f"{folder}: has no tokenizer {use}; save it beside the model with "
        "tokenizer.save_pretrained(folder)"
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception:  # of any kind, by what is missing
        raise missing from None
    # Without its files, some classes are made all the same, and know their own signs alone.
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise missing
    return tokenizer


def _reader(folder: Path, model: nn.Module, paths: Sequence[str], field: str) -> "_Reader":
    """What reads files for a model."""
    tokenizer = load_tokenizer(folder, f"to read {paths[0]} with")
    if model_type(model) == "whisper":
        return _Windows(folder, tokenizer, field)
    return _Lines(folder, model, tokenizer)


class _Reader(ABC):
    """Reads files into pieces, and makes batches of these."""

    @abstractmethod
    def read(self, paths: Sequence[str]) -> list[Any]:
        """The pieces of the files: lines, or utterances of windows."""

    def read_apart(self, paths: Sequence[str], share: float) -> tuple[list[Any], list[Any]]:
        """The pieces of the files, and those kept apart: a share, from all over, but not many."""
        found = self.read(paths)
        number = min(round(share * len(found)), self.enough(0))
        places = set(inputs.evenly_chosen(range(len(found)), number))
        apart = [each for place, each in enumerate(found) if place in places]
        return [each for place, each in enumerate(found) if place not in places], apart

    def chosen(self, found: Sequence[Any], least: int) -> list[Any]:
        """Pieces to calibrate with from all over, where a map has so many inputs."""
        number = self.enough(least)
        while True:
            pieces = inputs.evenly_chosen(found, number)
            if len(pieces) == len(found) or self.tokens(pieces) >= MARGIN * least:
                return pieces
            number *= 2

    @abstractmethod
    def enough(self, least: int) -> int:
        """Pieces to calibrate with, where a map has so many inputs, unless they are short."""

    @abstractmethod
    def tokens(self, pieces: Sequence[Any]) -> int:
        """That a model is given with the pieces, at the least in any of its lists of layers."""

    @abstractmethod
    def batches(
        self, pieces: Sequence[Any], *, size: int, labels: bool = False
    ) -> Sequence[dict[str, Tensor]]:
        """What the model is called with: so many pieces at a time, as far as it takes several."""


class _Lines(_Reader):
    """Lines of text; those of like length are in a batch."""

    def __init__(self, folder: Path, model: nn.Module, tokenizer: Any) -> None:
        # Models that only ever generate have none. The mask hides what stands there.
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        self._folder, self._model, self._tokenizer = folder, model, tokenizer

    def read(self, paths: Sequence[str]) -> list[str]:
        return [line for path in paths for line in inputs.lines_of(path)]

    def read_apart(self, paths: Sequence[str], share: float) -> tuple[list[str], list[str]]:
        """The same; a line that is kept apart is not learnt where it stands once more."""
        found, apart = super().read_apart(paths, share)
        held = set(apart)
        found = [line for line in found if line not in held]
        if not found:
            raise InputError(
                f"{', '.join(paths)}: no line is left beside those that are kept apart to measure "
                "on; give more different ones, or others for that with --valid"
            )
        return found, apart

    def enough(self, least: int) -> int:
        return max(SENTENCES, least // 4)

    def tokens(self, pieces: Sequence[str]) -> int:
        return inputs.count_tokens(pieces, self._tokenizer, _positions(self._model))

    def batches(
        self, pieces: Sequence[str], *, size: int, labels: bool = False
    ) -> Sequence[dict[str, Tensor]]:
        found = list(
            inputs.encoded(
                sorted(pieces, key=len),
                self._tokenizer,
                batch=size,
                longest=_positions(self._model),
                labels=labels,
            )
        )
        if found:
            _try(self._folder, self._model, found[-1])
        return found


class _Windows(_Reader):
    """Windows of 30 s of recordings, for Whisper, which is called with one at a time."""

    def __init__(self, folder: Path, tokenizer: Any, field: str) -> None:
        from transformers import WhisperFeatureExtractor

        try:
            extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError):
            raise InputError(
                f"{folder}: has no preprocessor_config.json, which says how Whisper hears; copy it "
                "from the original"
            ) from None
        self._extractor, self._tokenizer, self._field = extractor, tokenizer, field

    def read(self, paths: Sequence[str]) -> list[Any]:
        found = inputs.windows_of(paths)
        if not found:
            raise InputError(f"{', '.join(paths)}: holds no recording")
        return found

    def enough(self, least: int) -> int:
        return max(WINDOWS, least // 20)

    def tokens(self, pieces: Sequence[Any]) -> int:
        """Of the texts; of each window, an encoder is given more."""
        found = (inputs.tokens_of(cuts, self._tokenizer, self._field) for cuts in pieces)
        return sum(each.shape[1] - 1 for each in found)

    def batches(
        self, pieces: Sequence[Any], *, size: int, labels: bool = False
    ) -> Sequence[dict[str, Tensor]]:
        return inputs.Windows(
            pieces, self._extractor, self._tokenizer, field=self._field, labels=labels
        )


def _positions(model: nn.Module) -> int:
    """Tokens that a model can be given at once, as far as its configuration says so."""
    number = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    return min(number, inputs.LONGEST) if isinstance(number, int) else inputs.LONGEST


@torch.no_grad()
def _try(folder: Path, model: nn.Module, batch: dict[str, Tensor]) -> None:
    """Call the model once: what it cannot be called with is better known before any work is done.

    Raises:
        InputError: it fails.
    """
    try:
        model(**without_labels(batch))
    except Exception as error:  # of any kind, as the model is
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder}: {type(model).__name__} cannot be called with lines of text alone "
            f"({reason[:200]}); fold it in Python, with batches of your own"
        ) from None


def widest(model: nn.Module, lists: Sequence[str]) -> int:
    """Inputs of the widest map of the layers: frames that calibration needs."""
    return max(rows for name in lists for rows, _ in find_stack(model, name).shapes.values())
