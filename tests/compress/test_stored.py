"""Tensors on disk: what is read is what was written."""

import errno

import pytest
import torch

from foldformer.compress.stored import Stored


def test_tensors_come_back_as_they_were() -> None:
    stored, tensors = Stored(), {}
    for key, shape in (("a", (3, 5)), ("b", (4,)), ("c", (2, 2, 2)), ("d", ())):
        for dtype in (torch.float32, torch.float64):
            tensors[f"{key} {dtype}"] = torch.randn(shape, dtype=dtype)
            stored.put(f"{key} {dtype}", tensors[f"{key} {dtype}"])
    stored.put("turned", tensors["a torch.float32"].t())
    for key, tensor in tensors.items():
        assert stored[key].dtype == tensor.dtype
        assert torch.equal(stored[key], tensor)
    assert torch.equal(stored["turned"], tensors["a torch.float32"].t())
    assert list(stored) == [*tensors, "turned"]


def test_the_last_one_counts_and_needs_no_more_room() -> None:
    stored = Stored()
    stored.put("a", torch.zeros(4))
    stored.put("b", torch.ones(4))
    end = stored._end
    stored.put("a", torch.full((4,), 2.0))
    assert stored._end == end
    assert stored["a"].tolist() == [2.0] * 4
    assert stored["b"].tolist() == [1.0] * 4
    stored.put("a", torch.full((5,), 3.0))
    assert stored["a"].tolist() == [3.0] * 5
    assert stored["b"].tolist() == [1.0] * 4


def test_what_is_read_is_its_own_and_outlives_the_file() -> None:
    stored = Stored()
    stored.put("a", torch.zeros(2))
    stored.same("b", "a")
    first = stored["a"]
    first += 1
    second = stored["b"]
    assert second.tolist() == [0.0, 0.0]
    with pytest.raises(KeyError):
        stored["c"]
    del stored
    assert first.tolist() == [1.0, 1.0]
    assert second.tolist() == [0.0, 0.0]


def test_what_is_changed_in_place_stays_changed() -> None:
    stored = Stored()
    stored.put("a", torch.zeros(2))
    stored.same("b", "a")
    stored.in_place("a").add_(1)
    assert stored["a"].tolist() == [1.0, 1.0]
    assert stored["b"].tolist() == [1.0, 1.0]


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, place: int) -> None:
            """There is room to seek."""

        def write(self, data: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    stored = Stored()
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    stored._file = Full()
    with pytest.raises(OSError, match="No space left on device: '/tmp'"):
        stored.put("a", torch.zeros(2))
