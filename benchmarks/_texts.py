"""Texts for the benchmarks of pretrained models, and what encoders make of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn


def texts_of(path: str, longest: int = 300) -> list[str]:
    """The lines of a file, or the parts between lines of `%`, of 20 letters and up to `longest`."""
    text = Path(path).read_text(encoding="utf-8")
    parts = re.split(r"^%$", text, flags=re.MULTILINE) if "\n%\n" in text else text.splitlines()
    said = [" ".join(part.split()) for part in parts]
    return [each for each in said if 20 <= len(each) <= longest]


@torch.inference_mode()
def embedded(model: Any, batches: Sequence[dict[str, Tensor]]) -> Tensor:
    """(N, D), of length 1: means over the tokens, as sentence encoders are used."""
    found = []
    for batch in batches:
        mask = batch["attention_mask"][..., None].float()
        hidden = model(**batch).last_hidden_state
        found.append((hidden * mask).sum(dim=1) / mask.sum(dim=1))
    return nn.functional.normalize(torch.cat(found), dim=1)


def likeness(reference: Tensor, found: Tensor) -> tuple[float, float]:
    """Of embeddings (N, D): their mean cosine, and the rank correlation of the similarities."""
    pairs = torch.triu_indices(len(reference), len(reference), offset=1)
    similar = [(x @ x.t())[pairs[0], pairs[1]].numpy() for x in (reference, found)]
    return float((reference * found).sum(dim=1).mean()), float(spearmanr(*similar).statistic)
