"""Bytes by the rule that Size states, counted by hand."""

import torch
from torch import nn

from foldformer.measure.size import (
    Size,
    channel_size,
    dense_entries,
    matrix_size,
    sizes,
    total,
    vector_size,
)
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec


def test_a_matrix() -> None:
    assert matrix_size(70, 10, full_rank=True) == Size(
        parameters=700,
        fp32=2800,
        fp16=1400,
        int8=700 + 4 * 10,
        int4=10 * 2 * (32 + 4),  # 70 inputs are 2 blocks of 64, each with a scale
    )


def test_a_factor_stays_at_8_bits_with_a_scale_for_each_of_few_rows() -> None:
    assert matrix_size(70, 10).int4 == matrix_size(70, 10).int8 == 700 + 4 * 10
    assert matrix_size(8, 10).int4 == matrix_size(8, 10).int8 == 80 + 4 * 8


def test_a_vector_stays_fp32() -> None:
    assert vector_size(10) == Size(parameters=10, fp32=40, fp16=40, int8=40, int4=40)


def test_a_sum_of_nothing() -> None:
    assert total(iter([])) == Size()


def test_roles_of_a_residual_map() -> None:
    linear = ResidualSpec(rank=(1, 3)).build(8, 6, 2)
    assert list(sizes(linear)) == [
        ("weights", matrix_size(8, 6, full_rank=True)),
        ("low rank", matrix_size(8, 1) + matrix_size(8, 3)),
        ("low rank", matrix_size(1, 6) + matrix_size(3, 6)),
        ("diagonal", vector_size(2 * 6)),
        ("other", vector_size(2 * 6)),
    ]
    assert dense_entries(linear) == 2 * 8 * 6


def test_a_dense_map_has_a_channel_for_each_output_of_each_use() -> None:
    each = matrix_size(8, 6, full_rank=True)
    assert next(sizes(DenseSpec().build(8, 6, 3))) == ("weights", each + each + each)


def test_factors_count_as_low_rank_and_each_output_of_each_use_has_a_scale() -> None:
    assert list(sizes(LowRankSpec(rank=(1, 3), bias=False).build(8, 6, 2))) == [
        ("low rank", matrix_size(8, 1) + matrix_size(8, 3)),
        ("low rank", matrix_size(1, 6) + matrix_size(3, 6)),
    ]
    basis = BasisSpec(rank=3, bias=False).build(8, 6, 2)
    assert list(sizes(basis)) == [
        ("low rank", matrix_size(8, 3)),
        ("low rank", matrix_size(3, 6) + matrix_size(3, 6)),
    ]
    assert dense_entries(basis) == 2 * 8 * 6


def test_other_matrices() -> None:
    module = nn.Sequential(
        nn.Linear(8, 6), nn.Conv1d(4, 5, kernel_size=3), nn.Embedding(9, 4), nn.LayerNorm(4)
    )
    assert [size for _, size in sizes(module)] == [
        matrix_size(8, 6),
        vector_size(6),
        channel_size(5, 60),
        vector_size(5),
        channel_size(9, 36),
        vector_size(4),
        vector_size(4),
    ]
    assert total(size for _, size in sizes(module)).parameters == sum(
        p.numel() for p in module.parameters()
    )
    assert torch.tensor([s.parameters for _, s in sizes(module)]).sum() == 54 + 65 + 36 + 8
