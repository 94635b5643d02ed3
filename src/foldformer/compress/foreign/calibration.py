"""What the linear maps of a foreign model are given: second moments of their inputs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.stacks import find_stack
from foldformer.errors import InputError

_MASKS = ("attention_mask", "decoder_attention_mask")


@torch.no_grad()
def calibrate(
    model: nn.Module,
    lists: Iterable[str],
    batches: Iterable[Mapping[str, Any]],
    *,
    few: bool = False,
) -> dict[str, Tensor]:
    """{path of a linear map: E[x x^T] (in, in)}, float32: means over frames.

    Maps that read the same frames, as query, key and value do, have one tensor between them.

    Args:
        model: is called in evaluation mode, and left as it was.
        lists: its lists of layers, as `find_stacks` names them.
        batches: what to call it with: `model(**batch)`. Where there is an `attention_mask` (B, T),
            or a `decoder_attention_mask`, frames with a 0 there do not count.
        few: whether fewer frames than a map has inputs will do: to measure with, and not to fold.

    Raises:
        InputError: there is no batch, or too few frames; or the model has no such list.
    """
    sums = _Sums()
    training = model.training
    with ExitStack() as hooks:
        # Hooks, and no modules in the place of the maps: classes that are not ours look at these.
        for name in lists:
            stack = find_stack(model, name)
            for layer in range(len(stack.layers)):
                for part in stack.shapes:
                    add = partial(sums.add, f"{name}.{layer}.{part}")
                    handle = stack.linear(layer, part).register_forward_pre_hook(_told(add))
                    hooks.callback(handle.remove)
                    sums.expected[f"{name}.{layer}.{part}"] = stack.shapes[part][0]
        model.eval()
        try:
            for batch in batches:
                sums.batch = batch
                model(**batch)
        finally:
            model.train(training)
    return dict(sums.means(few))


def frame_mask(batch: Mapping[str, Any], shape: torch.Size) -> Tensor | None:
    """Which frames of a tensor (B, T, D) of this shape (B, T) are no padding; None if all are."""
    for key in _MASKS:
        if isinstance(mask := batch.get(key), Tensor) and mask.shape == shape:
            return mask.bool()
    return None


def _told(add: Any) -> Any:
    return lambda module, args: add(args[0])


class _Sums:
    """Sums of x x^T over frames, in float64."""

    def __init__(self) -> None:
        self.expected: dict[str, int] = {}
        self.batch: Mapping[str, Any] = {}
        self._sums: dict[str, Tensor] = {}
        self._frames: dict[str, int] = {}
        self._same: dict[str, str] = {}
        self._last: tuple[str, Tensor] | None = None

    def add(self, key: str, x: Tensor) -> None:
        """The inputs (..., in) of a map; those of the one before are not added twice."""
        if self._last is not None and self._last[1] is x:
            self._same[key] = self._last[0]
            return
        self._last = (key, x)
        mask = frame_mask(self.batch, x.shape[:-1])
        rows = x.reshape(-1, x.shape[-1]) if mask is None else x[mask]
        products = rows.t() @ rows
        if key not in self._sums:
            self._sums[key] = torch.zeros_like(products, dtype=torch.float64)
            self._frames[key] = 0
        self._sums[key] += products
        self._frames[key] += len(rows)

    def means(self, few: bool) -> Iterator[tuple[str, Tensor]]:
        """Float32; the sums are let go one after the other."""
        self._last = None
        found: dict[str, Tensor] = {}
        for key, width in self.expected.items():
            home = self._same.get(key, key)
            frames = self._frames.get(home, 0)
            if frames < (1 if few else width):
                raise InputError(
                    f"calibration: {key} was given {frames} frames, and has {width} inputs; "
                    f"expected at least {width}: calibrate with more data"
                )
            if home not in found:
                found[home] = (self._sums.pop(home) / frames).float()
            yield key, found[home]
