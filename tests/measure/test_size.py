"""Bytes by the rule that Size states, counted by hand."""

import torch
from torch import nn

from foldformer.measure.size import Size, dense_entries, matrix_size, sizes, total, vector_size
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec


def test_a_matrix() -> None:
    assert matrix_size(70, 10) == Size(
        parameters=700,
        fp32=2800,
        fp16=1400,
        int8=700 + 2 * 10,
        int4=350 + 2 * 10 * 3,  # 70 inputs are 3 blocks of 32
    )


def test_a_vector_stays_fp16() -> None:
    assert vector_size(10) == Size(parameters=10, fp32=40, fp16=20, int8=20, int4=20)


def test_a_sum_of_nothing() -> None:
    assert total(iter([])) == Size()


def test_roles_of_a_residual_map() -> None:
    linear = ResidualSpec(rank=(1, 3)).build(8, 6, 2)
    assert list(sizes(linear)) == [
        ("weights", matrix_size(8, 6)),
        ("low rank", matrix_size(8, 4)),
        ("low rank", matrix_size(4, 6)),
        ("diagonal", vector_size(2 * 6)),
        ("other", vector_size(2 * 6)),
    ]
    assert dense_entries(linear) == 2 * 8 * 6


def test_a_dense_map_has_a_channel_for_each_output_of_each_use() -> None:
    assert next(sizes(DenseSpec().build(8, 6, 3))) == ("weights", matrix_size(8, 3 * 6))


def test_factors_count_as_low_rank_and_each_output_of_each_use_has_a_scale() -> None:
    assert list(sizes(LowRankSpec(rank=(1, 3), bias=False).build(8, 6, 2))) == [
        ("low rank", matrix_size(8, 4)),
        ("low rank", matrix_size(4, 6)),
    ]
    basis = BasisSpec(rank=3, bias=False).build(8, 6, 2)
    assert list(sizes(basis)) == [
        ("low rank", matrix_size(8, 3)),
        ("low rank", matrix_size(3, 2 * 6)),
    ]
    assert dense_entries(basis) == 2 * 8 * 6


def test_other_matrices() -> None:
    module = nn.Sequential(
        nn.Linear(8, 6), nn.Conv1d(4, 5, kernel_size=3), nn.Embedding(9, 4), nn.LayerNorm(4)
    )
    assert [size for _, size in sizes(module)] == [
        matrix_size(8, 6),
        vector_size(6),
        matrix_size(12, 5),
        vector_size(5),
        matrix_size(4, 9),
        vector_size(4),
        vector_size(4),
    ]
    assert total(size for _, size in sizes(module)).parameters == sum(
        p.numel() for p in module.parameters()
    )
    assert torch.tensor([s.parameters for _, s in sizes(module)]).sum() == 54 + 65 + 36 + 8
