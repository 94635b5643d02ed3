"""Shares of a dense encoder's weight matrices, of the one that a table compares with."""

import json
from functools import cache

import torch

from foldformer.errors import SpecError
from foldformer.experiment.result import Result
from foldformer.measure.size import dense_entries
from foldformer.nn.encoder import EncoderSpec
from foldformer.spec import from_dict


def share_of(result: Result, reference: Result) -> float | None:
    """Entries of a result's matrices in % of those of the reference, were that dense.

    A result says its share of a dense encoder of its own shape: of a dense one that is narrower or
    has fewer layers, 100 %. None where this version cannot read one of the two shapes.
    """
    own, whole = _entries(result), _entries(reference)
    return None if own is None or whole is None else result.size.share * own / whole


def _entries(result: Result) -> int | None:
    """Of the matrices of a result's encoder if each use had one of its own."""
    model = result.config.get("model")
    return _dense(json.dumps(model.get("encoder"))) if isinstance(model, dict) else None


@cache
def _dense(encoder: str) -> int | None:
    try:
        spec = from_dict(EncoderSpec, json.loads(encoder))
        with torch.device("meta"):
            return dense_entries(spec.build().depth)
    except SpecError:  # of another version
        return None
