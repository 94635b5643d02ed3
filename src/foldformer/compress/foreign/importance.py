"""How much the loss of a part of a map's output matters to what a foreign model says: by trying."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.calibration import frame_mask
from foldformer.compress.foreign.stacks import find_stack, matrix
from foldformer.compress.planning.loss import erring, smallest_part
from foldformer.errors import InputError


@torch.no_grad()
def importance(
    model: nn.Module,
    lists: Iterable[str],
    batches: Sequence[Mapping[str, Any]],
    moments: Mapping[str, Tensor],
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> dict[str, float]:
    """{path of a map: the relative error of the model's output over that of the map's output}.

    As `planning.importance` does with our own models: each map in turn loses its smallest singular
    directions, and the output is compared with what it was.

    Args:
        model: in evaluation mode; left as it is.
        lists: its lists of layers, as `find_stacks` names them.
        batches: what to call it with; a few sentences or one recording will do.
        moments: of the inputs of each map, as `calibrate` gives them.
        progress: called with the number of maps done, and of all.

    Raises:
        InputError: the model gives neither `logits` nor a `last_hidden_state`.
    """
    exact = [said(model, batch) for batch in batches]
    whole = sum(float(y.square().sum()) for y in exact)
    maps = {
        f"{name}.{layer}.{part}": stack.linear(layer, part)
        for name in lists
        for stack in [find_stack(model, name)]
        for layer in range(len(stack.layers))
        for part in stack.shapes
    }
    found: dict[str, float] = {}
    for done, (path, linear) in enumerate(maps.items(), start=1):
        error, part = smallest_part(matrix(linear), moments[path])
        with erring({linear: error}):
            lost = energy_lost(model, batches, exact)
        found[path] = lost / whole / part if part else 0.0
        progress(done, len(maps))
    return found


@torch.no_grad()
def energy_lost(
    model: nn.Module, batches: Iterable[Mapping[str, Any]], exact: Iterable[Tensor]
) -> float:
    """The squared distance of what a model says now from what it should, over all batches."""
    return sum(
        float((said(model, batch) - y).square().sum())
        for batch, y in zip(batches, exact, strict=True)
    )


def said(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """What errors of a model are measured in, (N, D): one row a frame that is no padding.

    Scores up to what all of a frame have in common, which no probability depends on; or, where the
    model gives no scores, hidden states.

    Raises:
        InputError: it gives neither.
    """
    output = model(**batch)
    found = getattr(output, "logits", None)
    if found is None:
        found = getattr(output, "last_hidden_state", None)
    else:
        found = found - found.mean(dim=-1, keepdim=True)
    if not isinstance(found, Tensor):
        raise InputError(
            f"{type(model).__name__}: gives neither logits nor last_hidden_state to measure by"
        )
    mask = frame_mask(batch, found.shape[:-1])
    return found.flatten(0, -2) if mask is None else found[mask]
