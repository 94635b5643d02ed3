"""What to call a model of `transformers` with, from files: sentences, or recordings."""

import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from foldformer.compress.foreign.losses import IGNORED, LABELS
from foldformer.data.audio import to_mono_16k
from foldformer.errors import InputError

if TYPE_CHECKING:
    from lhotse.cut import Cut

_WINDOW = 30 * 16000

LONGEST = 512
"""Tokens of a sentence, unless asked otherwise."""

log = logging.getLogger(__name__)

T = TypeVar("T")


def sentences(
    path: str | Path, tokenizer: Any, *, batch: int = 16, longest: int = LONGEST
) -> Iterator[dict[str, Tensor]]:
    """Batches of the sentences of a text file, one a line, for BERT-like models.

    Args:
        path: UTF-8; empty lines do not count.
        tokenizer: of the model.
        batch: sentences of each.
        longest: tokens of a sentence at most, and no more than the tokenizer allows.

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    return encoded(lines_of(path), tokenizer, batch=batch, longest=longest)


def lines_of(path: str | Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    said = [line for line in lines if line.strip()]
    if not said:
        raise InputError(f"{path}: is empty; expected one sentence a line")
    return said


def encoded(
    said: Sequence[str],
    tokenizer: Any,
    *,
    batch: int = 16,
    longest: int = LONGEST,
    labels: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Batches of sentences as tokens with their mask, padded; see `sentences`.

    With `labels`, the tokens are what a causal language model is to write, too.
    """
    for start in range(0, len(said), batch):
        found = tokenizer(
            list(said[start : start + batch]),
            padding=True,
            truncation=True,
            max_length=min(tokenizer.model_max_length, longest),
            return_tensors="pt",
        )
        given = dict(found)
        if labels:
            hidden = given["attention_mask"] == 0
            given[LABELS] = given["input_ids"].masked_fill(hidden, IGNORED)
        yield given


def recordings(
    manifests: str | Path | Sequence[str | Path],
    extractor: Any,
    tokenizer: Any,
    *,
    limit: int | None = None,
    field: str = "text",
) -> Iterator[dict[str, Tensor]]:
    """Windows of 30 s of the recordings of manifests, for Whisper; see `windows_of`.

    Args:
        manifests: one or more; Lhotse cuts with texts.
        extractor: the feature extractor of the model.
        tokenizer: of the model.
        limit: windows at most, in all, from all over the manifests.
        field: of the supervisions, that holds the text.

    Raises:
        InputError: a manifest or a recording cannot be read.
    """
    windows = windows_of([manifests] if isinstance(manifests, str | Path) else manifests)
    if limit is not None:
        windows = evenly_chosen(windows, limit)
    return heard(windows, extractor, tokenizer, field=field)


def windows_of(manifests: Sequence[str | Path]) -> list[list["Cut"]]:
    """The utterances of each window of 30 s; no recording is read for that.

    By chance, the same each time, a window holds as many utterances as fit, so that little of it is
    silence, or one alone. Whisper is called with both, and a fold that has seen full windows alone
    goes on to write when speech ends early. Utterances of more than 30 s are left out, and counted
    in the log: where in the text a window would end is not known.

    Raises:
        InputError: a manifest cannot be read.
    """
    return [cuts for path in manifests for cuts in _windows(path)]


def heard(
    windows: Sequence[Sequence["Cut"]],
    extractor: Any,
    tokenizer: Any,
    *,
    field: str = "text",
    labels: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """A batch of each window, as Whisper is called; see `recordings`.

    With `labels`, the tokens of the text are what it is to write, too, without those that it is
    told before.
    """
    # Lhotse reads recordings, and nothing else here needs it.
    from foldformer.data.cuts import samples_of, text_of

    told = max(0, len(tokenizer("").input_ids) - 1)  # the last of them ends a text
    for cuts in windows:
        samples = np.concatenate([to_mono_16k(samples_of(cut), cut.sampling_rate) for cut in cuts])
        text = " " + " ".join(text_of(cut, field) for cut in cuts)
        features = extractor(samples, sampling_rate=16000, return_tensors="pt").input_features
        tokens = torch.tensor([tokenizer(text).input_ids])
        # The last, <|endoftext|>, is only ever an output.
        given = {"input_features": features, "decoder_input_ids": tokens[:, :-1][:, :448]}
        if labels:
            given[LABELS] = tokens[:, 1:][:, :448].clone()
            given[LABELS][:, : max(0, told - 1)] = IGNORED
        yield given


def evenly_chosen(found: Sequence[T], number: int) -> list[T]:
    """So many at most, at equal distances in their order."""
    if len(found) <= number:
        return list(found)
    return [found[index * len(found) // number] for index in range(number)]


def _windows(manifest: str | Path) -> Iterator[list["Cut"]]:
    from foldformer.data.cuts import read_cuts

    held: list[Cut] = []
    samples = long = 0
    chance = random.Random(0)
    full = chance.random() < 0.5
    for cut in read_cuts(manifest):
        length = round(16000 * cut.duration)
        if length > _WINDOW:
            long += 1
            continue
        if held and (not full or samples + length > _WINDOW):
            yield held
            held, samples, full = [], 0, chance.random() < 0.5
        held.append(cut)
        samples += length
    if held:
        yield held
    if long:
        log.warning("%s: %d utterances of more than 30 s are left out", manifest, long)
