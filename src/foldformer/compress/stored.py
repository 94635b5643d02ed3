"""What takes memory only while it is needed: on disk before, or not made yet."""

import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from foldformer.deploy.memory import give_back_above

T_co = TypeVar("T_co", covariant=True)

_LARGE = 2**20
"""Bytes of a matrix that is not kept for the next one: 512 x 512 in float32."""


def give_back_matrices() -> None:
    """Let large matrices go back to the system when they are freed, in this process, from now on.

    For commands that fold or plan. Left alone, glibc keeps much of what is freed between others
    that are still needed, of no use to a larger one. Fetching it anew costs processor time;
    `train.allocator` sets it the other way round.
    """
    give_back_above(_LARGE)


class Stored(Mapping[str, Tensor]):
    """{key: tensor}: on disk, and in memory as long as somebody holds it.

    The file is in the folder for temporary files (TMPDIR), and gone with this object or the
    process, however that ends. Tensors are on the CPU; to write into one changes no other, unless
    it was asked for `in_place`.

    >>> stored = Stored()
    >>> stored.put("a", torch.eye(2))
    >>> stored["a"]
    tensor([[1., 0.],
            [0., 1.]])
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="foldformer-")  # noqa: SIM115 - closed below
        weakref.finalize(self, self._file.close)
        self._places: dict[str, tuple[int, torch.Size, np.dtype[Any]]] = {}
        self._end = 0

    def put(self, key: str, tensor: Tensor) -> None:
        """Write a tensor; of the same key, the last one counts.

        Raises:
            OSError: the disk is full, or the like.
        """
        array = tensor.detach().cpu().contiguous().numpy()
        before = self._places.get(key)
        if before is not None and before[1:] == (tensor.shape, array.dtype):
            place = before[0]
        else:
            place = self._end
            self._end += array.nbytes
        try:
            self._file.seek(place)
            self._file.write(array.data)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from None
        self._places[key] = (place, tensor.shape, array.dtype)

    def same(self, key: str, other: str) -> None:
        """What is stored as `other` is found as `key` too."""
        self._places[key] = self._places[other]

    def in_place(self, key: str) -> Tensor:
        """The tensor where it lies: to write into it changes what is stored, of `same` keys too."""
        return self._mapped(key, "r+")

    def __getitem__(self, key: str) -> Tensor:
        return self._mapped(key, "c")

    def _mapped(self, key: str, mode: Literal["c", "r+"]) -> Tensor:
        place, shape, dtype = self._places[key]
        return torch.from_numpy(np.memmap(self._file, dtype, mode, place, tuple(shape)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class OnDemand(Sequence[T_co]):
    """Things that are made one by one, each time that somebody asks for one.

    >>> list(OnDemand(lambda index: torch.tensor(index), range(3))[1:])
    [tensor(1), tensor(2)]
    """

    def __init__(self, make: Callable[[int], T_co], indices: range) -> None:
        self._make = make
        self._indices = indices

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> "OnDemand[T_co]": ...

    def __getitem__(self, index: int | slice) -> "T_co | OnDemand[T_co]":
        found = self._indices[index]
        return OnDemand(self._make, found) if isinstance(found, range) else self._make(found)

    def __len__(self) -> int:
        return len(self._indices)


def changed(tensors: Sequence[Tensor], change: Callable[[int, Tensor], Tensor]) -> OnDemand[Tensor]:
    """What `change` makes of the index and the tensor, for each of them."""
    return OnDemand(lambda index: change(index, tensors[index]), range(len(tensors)))
