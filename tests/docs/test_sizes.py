"""The sizes that documents state of the paper's encoders are those that `describe` counts."""

from pathlib import Path

import pytest

from foldformer.measure.describe import Description, describe
from foldformer.presets import preset

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHARING = (ROOT / "docs" / "concepts" / "sharing.md").read_text(encoding="utf-8")
ENCODERS = {
    "paper-dense": (1, 0),
    "paper-k3-r2": (3, 2),
    "paper-k3-r16": (3, 16),
    "paper-k6-r16": (6, 16),
    "paper-k9-r16": (9, 16),
}
"""{preset: (K, R)}"""


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> tuple[str, Description]:
    return request.param, describe(preset(request.param))


def test_table_of_presets(encoder: tuple[str, Description]) -> None:
    name, found = encoder
    k, r = ENCODERS[name]
    layers = found.layers
    assert (
        f"\n| `{name}` | {k} | {r} | {found.encoder_matrix_share:.2f} % | "
        f"{layers.parameters / 1e6:.3f} | {layers.fp32 / 1e6:.2f} MB | {layers.int8 / 1e6:.2f} MB |"
    ) in README


def test_table_of_shares(encoder: tuple[str, Description]) -> None:
    name, found = encoder
    k, r = ENCODERS[name]
    numbers = sum(found.parts[part].parameters for part in ("weights", "low rank", "diagonal"))
    row = f"\n| {k} | {r} | {numbers:,} | {found.encoder_matrix_share:.2f} % |\n"
    assert row in SHARING


def test_what_sharing_does_not_save() -> None:
    dense, shared = (describe(preset(name)) for name in ("paper-dense", "paper-k3-r16"))
    operations = [sum(each.stream.values()) / 1e9 for each in (shared, dense)]
    text = " ".join(SHARING.split())
    said = "{:.1f} billion multiply-adds a second of audio with K = 3 and R = 16, against {:.1f}"
    assert said.format(*operations) in text
    assert f"{shared.left_context} frames of left context has" in text
    assert f"has {shared.state_bytes / 1e6:.2f} MB of state in fp32" in text
    assert shared.state_bytes == dense.state_bytes
