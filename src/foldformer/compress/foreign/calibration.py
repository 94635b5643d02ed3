"""What the linear maps of a foreign model are given: second moments of their inputs."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.stacks import find_stack
from foldformer.compress.moments import MomentSums
from foldformer.compress.stored import Stored
from foldformer.errors import InputError

_MASKS = ("attention_mask", "decoder_attention_mask")


@torch.no_grad()
def calibrate(
    model: nn.Module,
    lists: Iterable[str],
    batches: Iterable[Mapping[str, Any]],
    *,
    few: bool = False,
) -> Stored:
    """{path of a linear map: E[x x^T] (in, in)}, float32: means over frames.

    Maps that read the same frames, as query, key and value do, have one moment between them. All
    together they take more memory than the model: they are in a temporary file, each read when it
    is asked for, and so are their sums meanwhile.

    Args:
        model: is called in evaluation mode, and left as it was.
        lists: its lists of layers, as `find_stacks` names them.
        batches: what to call it with: `model(**batch)`. Where there is an `attention_mask` (B, T),
            or a `decoder_attention_mask`, frames with a 0 there do not count.
        few: whether fewer frames than a map has inputs will do: to measure with, and not to fold.

    Raises:
        InputError: there is no batch, or too few frames; or the model has no such list.
    """
    sums, expected = MomentSums(on_disk=True), dict[str, int]()
    now: Mapping[str, Any] = {}

    def add(key: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        sums.add(key, args[0], frame_mask(now, args[0].shape[:-1]))

    training = model.training
    with ExitStack() as hooks:
        # Hooks, and no modules in the place of the maps: classes that are not ours look at these.
        for name in lists:
            stack = find_stack(model, name)
            for layer in range(len(stack.layers)):
                for part in stack.shapes:
                    key = f"{name}.{layer}.{part}"
                    expected[key] = stack.shapes[part][0]
                    linear = stack.linear(layer, part)
                    handle = linear.register_forward_pre_hook(partial(add, key))
                    hooks.callback(handle.remove)
        model.eval()
        try:
            for now in batches:
                model(**now)
        finally:
            model.train(training)
    _check_enough(sums, expected, few)
    found = Stored()
    sums.into(found)
    return found


def frame_mask(batch: Mapping[str, Any], shape: torch.Size) -> Tensor | None:
    """Which frames of a tensor (B, T, D) of this shape (B, T) are no padding; None if all are."""
    for key in _MASKS:
        if isinstance(mask := batch.get(key), Tensor) and mask.shape == shape:
            return mask.bool()
    return None


def _check_enough(sums: MomentSums, expected: Mapping[str, int], few: bool) -> None:
    """With fewer frames than inputs, what was never seen would count for nothing."""
    for key, width in expected.items():
        if (frames := sums.frames(key)) < (1 if few else width):
            raise InputError(
                f"calibration: {key} was given {frames} frames, and has {width} inputs; "
                f"expected at least {width}: calibrate with more data"
            )
