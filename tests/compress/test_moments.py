"""Second moments, summed up in memory or on disk, against the frames themselves."""

import pytest
import torch

from foldformer.compress.moments import MomentSums
from foldformer.compress.stored import Stored


@pytest.mark.parametrize("on_disk", [False, True])
def test_means_over_the_frames_that_count(on_disk: bool) -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 5), torch.randn(4, 5)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    sums = MomentSums(on_disk=on_disk)
    sums.add("query", first, mask)
    sums.add("key", first, mask)
    sums.add("output", second)
    sums.add("query", second.clone())
    assert [sums.frames(key) for key in ("query", "key", "output", "none")] == [7, 7, 4, 0]
    found = Stored()
    sums.into(found)
    rows = torch.cat([first[mask], second])
    torch.testing.assert_close(found["query"], rows.t() @ rows / 7)
    torch.testing.assert_close(found["key"], found["query"])
    torch.testing.assert_close(found["output"], second.t() @ second / 4)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_sums_that_lie_on_disk_hold_no_memory() -> None:
    sums = MomentSums(on_disk=True)
    sums.add("query", torch.randn(4, 5))
    assert not sums._sums
