"""Hearing recordings with a Whisper of `transformers`, for the benchmarks."""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.data.audio import load_audio, to_mono_16k
from foldformer.data.cuts import read_cuts, samples_of, text_of

Recording = tuple[str, NDArray[np.float32], str]
"""(id, samples at 16 kHz, text), the text empty where nobody knows it."""


def recordings(sources: Sequence[str], limit: int) -> Iterator[Recording]:
    """Up to `limit` utterances of each manifest; each audio file."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    for source in sources:
        if ".jsonl" in source:
            for cut in islice(read_cuts(source), limit):
                samples = to_mono_16k(samples_of(cut), cut.sampling_rate)
                yield cut.id, samples, text_of(cut, "text")
        else:
            yield Path(source).stem, load_audio(source), ""


def features_of(extractor: Any, samples: Sequence[NDArray[np.float32]]) -> Tensor:
    """(B, 80, 3000)."""
    features: Tensor = extractor(
        list(samples), sampling_rate=16000, return_tensors="pt"
    ).input_features
    return features


@torch.inference_mode()
def hear(
    model: Any, tokenizer: Any, features: Tensor, batch: int = 8, longest: int | None = 100
) -> list[str]:
    """Greedily, without timestamps, so many tokens at most."""
    texts: list[str] = []
    for some in features.split(batch):
        tokens = model.generate(some, max_new_tokens=longest, do_sample=False, num_beams=1)
        texts += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


def words(text: str) -> str:
    """Lower case without punctuation, as word errors are counted."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())
