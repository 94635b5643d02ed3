"""Three numbers of 8 bits in a float."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from foldformer.deploy.export.rounded import round_rows, row_width, rows_of
from foldformer.deploy.export.trace import trace

WIDTHS = st.integers(1, 70)


def given_back(packed: Tensor, width: int) -> Tensor:
    return rows_of(packed.unsqueeze(-2)).squeeze(-2)[..., :width]


@given(WIDTHS, st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e4]))
def test_rows_come_back_to_half_a_step(width: int, seed: int, size: float) -> None:
    x = size * torch.randn(3, 2, width, generator=torch.Generator().manual_seed(seed))
    packed = round_rows(x)
    assert packed.shape == (3, 2, row_width(width))
    back = given_back(packed, width)
    steps = x.abs().amax(dim=-1, keepdim=True) / 127
    assert ((back - x).abs() <= 0.5001 * steps).all()
    torch.testing.assert_close(round_rows(back)[..., :-1], packed[..., :-1], rtol=0, atol=0)


def test_every_number_beside_every_other() -> None:
    """Borrowed from no neighbour: all pairs of -127..127, as first, second and third."""
    numbers = torch.arange(-127, 128, dtype=torch.float32)
    pairs = torch.cartesian_prod(numbers, numbers)
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        rows = torch.stack([pairs[:, 0], pairs[:, 1], torch.full((len(pairs),), 127.0)], dim=1)
        rows = rows[:, order]
        torch.testing.assert_close(given_back(round_rows(rows), 3), rows, rtol=0, atol=0)


def test_nothing_stays_nothing() -> None:
    assert not given_back(round_rows(torch.zeros(2, 5)), 5).any()
    assert not given_back(torch.zeros(2, row_width(5)), 5).any()  # as a stream begins


class Rounding(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return rows_of(round_rows(x).unsqueeze(-2))


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
def test_the_runtime_drops_the_same_bits(level: str) -> None:
    """Casts from 32 bits to 8 keep the last ones, and no optimiser takes them for nothing."""
    x = torch.randn(2, 6, 17, generator=torch.Generator().manual_seed(1))
    model = trace(Rounding(), {"x": x}, ["y"], {})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    (found,) = session.run(None, {"x": x.numpy()})
    np.testing.assert_allclose(found, Rounding()(x).numpy(), rtol=1e-6, atol=1e-7)
