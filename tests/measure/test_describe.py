"""The paper's figures to the digit, and parts that add up."""

from functools import cache

import pytest

from foldformer.measure.describe import Description, describe
from foldformer.presets import PRESETS, preset


@cache
def described(name: str) -> Description:
    return describe(preset(name))


@pytest.mark.parametrize(
    ("name", "percent"),
    [
        ("paper-dense", "100.00"),
        ("paper-k3-r2", "34.02"),
        ("paper-k3-r16", "38.12"),
        ("paper-k6-r16", "21.45"),
        ("paper-k9-r16", "15.90"),
    ],
)
def test_share_of_the_dense_encoders_matrices(name: str, percent: str) -> None:
    description = described(name)
    assert f"{description.encoder_matrix_share:.2f}" == percent
    assert description.dense_matrix_entries == 18 * 3_145_728


def test_the_dense_encoder_has_56_7_million_parameters() -> None:
    """Its layers with biases and norms: the matrices alone would be 56.6."""
    description = described("paper-dense")
    biases = 18 * (4 * 512 + 2048 + 512)
    norms = 18 * 2 * 2 * 512
    assert description.layers.parameters == 18 * 3_145_728 + biases + norms
    assert f"{description.layers.parameters / 1e6:.1f}" == "56.7"
    assert description.parts["biases and norms"].parameters == biases + norms


def test_parts_of_a_shared_encoder() -> None:
    parts = described("paper-k3-r16").parts
    assert parts["weights"].parameters == 6 * 3_145_728
    assert parts["low rank"].parameters == 18 * 16 * 9_216
    assert parts["diagonal"].parameters == 18 * 3_072
    assert parts["weights"].int8 == 6 * (3_145_728 + 4 * (4 * 512 + 2048 + 512))
    assert parts["weights"].int4 == 6 * (3_145_728 // 2 + 4 * 3_145_728 // 64)


@pytest.mark.parametrize("name", PRESETS)
def test_parts_add_up_to_the_model(name: str) -> None:
    description = described(name)
    assert sum(part.parameters for part in description.parts.values()) == (
        description.total.parameters
    )
    assert description.total.fp32 == 4 * description.total.parameters
    assert 2 * description.total.parameters < description.total.fp16 < description.total.fp32


def test_total_is_what_the_built_model_holds() -> None:
    held = sum(p.numel() for p in preset("paper-k9-r16").build().parameters())
    assert described("paper-k9-r16").total.parameters == held
