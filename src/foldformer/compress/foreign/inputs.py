"""What to call a model of `transformers` with, from files: sentences, or recordings."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.data.audio import to_mono_16k
from foldformer.errors import InputError

_WINDOW = 30 * 16000


def sentences(path: str | Path, tokenizer: Any, *, batch: int = 16) -> Iterator[dict[str, Tensor]]:
    """Batches of the sentences of a text file, one a line, for BERT-like models.

    Args:
        path: UTF-8; empty lines do not count.
        tokenizer: of the model.
        batch: sentences of each.

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    return encoded(lines_of(path), tokenizer, batch=batch)


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


def encoded(said: Sequence[str], tokenizer: Any, *, batch: int = 16) -> Iterator[dict[str, Tensor]]:
    """Batches of sentences as tokens with their mask, padded; 512 tokens at most."""
    for start in range(0, len(said), batch):
        found = tokenizer(
            list(said[start : start + batch]),
            padding=True,
            truncation=True,
            max_length=min(tokenizer.model_max_length, 512),
            return_tensors="pt",
        )
        yield dict(found)


def recordings(
    manifest: str | Path, extractor: Any, tokenizer: Any, *, limit: int | None = None
) -> Iterator[dict[str, Tensor]]:
    """Windows of 30 s of a manifest's recordings, for Whisper.

    Each window holds as many utterances as fit, so that little of it is silence, and their texts.

    Args:
        manifest: Lhotse cuts with texts.
        extractor: the feature extractor of the model.
        tokenizer: of the model.
        limit: windows at most.

    Raises:
        InputError: the manifest or a recording cannot be read.
    """
    for number, (samples, text) in enumerate(_windows(manifest)):
        if number == limit:
            return
        features = extractor(samples, sampling_rate=16000, return_tensors="pt").input_features
        tokens = torch.tensor([tokenizer(text).input_ids])
        # The last, <|endoftext|>, is only ever an output.
        yield {"input_features": features, "decoder_input_ids": tokens[:, :-1][:, :448]}


def _windows(manifest: str | Path) -> Iterator[tuple[NDArray[np.float32], str]]:
    # Lhotse reads manifests, and nothing else here needs it.
    from foldformer.data.cuts import read_cuts, samples_of, text_of

    held: list[NDArray[np.float32]] = []
    texts: list[str] = []
    for cut in read_cuts(manifest):
        samples = to_mono_16k(samples_of(cut), cut.sampling_rate)
        if held and sum(map(len, held)) + len(samples) > _WINDOW:
            yield np.concatenate(held), " " + " ".join(texts)
            held, texts = [], []
        held.append(samples)
        texts.append(text_of(cut, "text"))
    if held:
        yield np.concatenate(held)[:_WINDOW], " " + " ".join(texts)
