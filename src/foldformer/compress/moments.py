"""Second moments of what linear maps are given, E[x x^T], summed up frame by frame."""

import torch
from torch import Tensor

from foldformer.compress.stored import Stored
from foldformer.compress.symmetric import add_lower_product, mirror


class MomentSums:
    """Sums of x x^T over frames, in float64; maps that read the same frames have one sum."""

    def __init__(self, *, on_disk: bool) -> None:
        """Of nothing.

        Args:
            on_disk: whether they wait in a temporary file between two additions: for the maps of a
                whole model, whose sums take several times its memory.
        """
        self._stored = Stored() if on_disk else None
        self._sums: dict[str, Tensor] = {}
        self._frames: dict[str, int] = {}
        self._same: dict[str, str] = {}
        self._last: tuple[str, Tensor] | None = None
        self._waiting: dict[str, list[Tensor]] = {}

    def add(self, key: str, x: Tensor, mask: Tensor | None = None) -> None:
        """The inputs (..., in) of a map; those of the one before are not added twice.

        Args:
            key: of the map.
            x: what it is given.
            mask: (...), true for frames that count; all of them if not given.
        """
        if self._last is not None and self._last[1] is x:
            self._same[key] = self._last[0]
            return
        self._last = (key, x)
        rows = x.reshape(-1, x.shape[-1]) if mask is None else x[mask]
        waiting = self._waiting.setdefault(key, [])
        waiting.append(rows)
        # A square takes time to add up: in memory it waits for as many frames as it has rows.
        if self._stored is not None or sum(map(len, waiting)) >= rows.shape[1]:
            self._multiply(key)

    def frames(self, key: str) -> int:
        """How many a map has been given."""
        home = self._same.get(key, key)
        return self._frames.get(home, 0) + sum(map(len, self._waiting.get(home, ())))

    def into(self, found: Stored) -> None:
        """Put the means there, in float32; the sums are let go one after the other."""
        self._last = None
        for key in list(self._waiting):
            self._multiply(key)
        for key, frames in self._frames.items():
            total = self._sums.pop(key) if self._stored is None else self._stored[key]
            found.put(key, mirror(total.div_(max(frames, 1)).float()))
        for key, first in self._same.items():
            found.same(key, first)

    def _multiply(self, key: str) -> None:
        """Add the products of all rows that wait to the sum."""
        waiting = self._waiting.pop(key)
        rows = waiting[0] if len(waiting) == 1 else torch.cat(waiting)
        if key not in self._frames:
            new = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
            if self._stored is None:
                self._sums[key] = new
            else:
                self._stored.put(key, new)
        total = self._sums[key] if self._stored is None else self._stored.in_place(key)
        add_lower_product(total, rows, rows)
        self._frames[key] = self._frames.get(key, 0) + len(rows)
