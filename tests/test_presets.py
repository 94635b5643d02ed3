"""Presets by name."""

import pytest

from foldformer.errors import SpecError
from foldformer.model import ModelSpec
from foldformer.presets import PRESETS, preset
from foldformer.spec import from_dict, to_dict


@pytest.mark.parametrize(
    ("name", "uses", "rank"),
    [
        ("paper-dense", 1, 0),
        ("paper-k3-r2", 3, 2),
        ("paper-k3-r16", 3, 16),
        ("paper-k6-r16", 6, 16),
        ("paper-k9-r16", 9, 16),
    ],
)
def test_names_say_uses_and_rank(name: str, uses: int, rank: int) -> None:
    spec = preset(name)
    assert (spec.encoder.num_layers, spec.encoder.d_model) == (18, 512)
    assert spec.encoder.uses == uses
    assert to_dict(spec.encoder.linear)["rank"] == rank
    assert from_dict(ModelSpec, to_dict(spec)) == spec


def test_an_unknown_name_gets_the_nearest() -> None:
    assert len(PRESETS) == 5
    with pytest.raises(SpecError, match="preset: unknown 'paper-k3-r12'; did you mean 'paper-k3-"):
        preset("paper-k3-r12")
