"""Weights as whole numbers: nearest, within range, in one scale a column or block."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears.dense import DenseLinear
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.quantise import BLOCK, THIN, Bits, quantise, round_weights, shared_weights

RANGES: dict[Bits, tuple[int, int]] = {8: (-127, 127), 4: (-8, 7)}


def by_hand(matrix: Tensor, bits: Bits) -> Tensor:
    """Column by column, block by block."""
    found = torch.empty_like(matrix)
    size = len(matrix) if bits == 8 else BLOCK
    for start in range(0, len(matrix), size):
        for column in range(matrix.shape[1]):
            part = matrix[start : start + size, column]
            scale = part.abs().max() / 127 if bits == 8 else part[part.abs().argmax()] / -8
            lowest, highest = RANGES[bits]
            steps = (part / scale).round().clamp(lowest, highest) if scale else part
            found[start : start + size, column] = steps * scale
    return found


@pytest.mark.parametrize("bits", [8, 4])
@given(rows=st.integers(1, 2 * BLOCK + 5), columns=st.integers(1, 4), seed=st.integers(0, 9))
def test_it_is_what_the_formula_says(bits: Bits, rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    matrix[:, 0] *= 1e-4
    found = quantise(matrix, bits)
    lowest, highest = RANGES[bits]
    assert found.numbers.dtype == torch.int8
    assert found.numbers.shape == matrix.shape
    assert lowest <= int(found.numbers.min())
    assert int(found.numbers.max()) <= highest
    torch.testing.assert_close(found.dequantised(), by_hand(matrix, bits), rtol=1e-6, atol=0)


@pytest.mark.parametrize("bits", [8, 4])
def test_the_error_is_half_a_step_at_most(bits: Bits) -> None:
    matrix = torch.randn(300, 7)
    found = quantise(matrix, bits)
    steps = found.scales.abs().repeat_interleave(found.block, dim=0)[:300]
    # In four bits 8 steps up are cut to 7, when both signs of a block reach as far.
    most = 0.5 if bits == 8 else 1.0
    assert ((found.dequantised() - matrix).abs() <= most * steps * (1 + 1e-5)).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_zeros_and_whole_numbers_stay(bits: Bits) -> None:
    zeros = torch.zeros(70, 3)
    assert torch.equal(quantise(zeros, bits).dequantised(), zeros)
    once = quantise(torch.randn(130, 5), bits).dequantised()
    torch.testing.assert_close(quantise(once, bits).dequantised(), once, rtol=1e-6, atol=0)


def test_matrices_side_by_side_are_quantised_one_by_one() -> None:
    stack = torch.randn(3, 65, 4) * torch.tensor([1.0, 10.0, 0.1])[:, None, None]
    for bits in RANGES:
        found = quantise(stack, bits).dequantised()
        alone = torch.stack([quantise(matrix, bits).dequantised() for matrix in stack])
        assert torch.equal(found, alone)


def test_shared_weights_are_the_matrices_of_the_layers() -> None:
    spec = EncoderSpec(d_model=16, num_layers=4, uses=2, mixer=AttentionSpec(num_heads=2))
    found = shared_weights(nn.ModuleDict({"encoder": spec.build()}))
    assert len(found) == 2 * 6  # two layers of four projections and two maps
    assert all(name.endswith(".weight") and len(p) in (16, 2048) for name, p in found.items())
    dense = DenseLinear(8, 4, uses=3, bias=True)
    assert list(shared_weights(nn.ModuleList([dense, nn.Linear(8, 4)]))) == ["0.weight"]


@pytest.mark.parametrize("width", [16, 40])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_rounded_model_has_the_numbers_that_are_stored(bits: Bits, width: int) -> None:
    def stored(matrix: Tensor, bits: Bits) -> Tensor:
        return by_hand(matrix, bits) if len(matrix) >= THIN else by_hand(matrix.T, 8).T

    torch.manual_seed(0)
    spec = EncoderSpec(
        d_model=width,
        num_layers=4,
        uses=2,
        mixer=AttentionSpec(num_heads=2),
        linear=ResidualSpec(rank=3),
    )
    head = TransducerSpec(predictor_dim=8, joiner_dim=8)
    module = nn.ModuleDict({"encoder": spec.build(), "head": head.build(width, 9)})
    for parameter in module.parameters():  # factors that start as zero, too
        nn.init.normal_(parameter)
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    round_weights(module, bits)
    fine = shared_weights(module)
    for name, parameter in module.named_parameters():
        old, (place, _, part) = before[name], name.rpartition(".")
        owner = module.get_submodule(place)
        if name in fine:
            wanted = stored(old, bits)
        elif part in ("down", "up"):  # two uses of rank 3, each by itself
            uses = old.split(3, dim=1 if part == "down" else 0)
            wanted = torch.cat([stored(use, 8) for use in uses], dim=1 if part == "down" else 0)
        elif part == "weight" and isinstance(owner, nn.Linear):
            wanted = stored(old.T, 8).T
        elif part == "weight" and old.ndim > 1 and "predictor.weight" not in name:
            rows = old.flatten(1)  # of heads, convolutions, embeddings: (out, ...)
            wanted = by_hand(rows.T, 8).T.reshape(old.shape)
        else:
            wanted = old
        torch.testing.assert_close(parameter, wanted, rtol=1e-6, atol=1e-7)
    changed = {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}
    assert set(fine) < changed
    assert not any(name.endswith(("bias", "diagonal", "scale", "shift")) for name in changed)
