"""Every kind of every family, found by its file: a new one is tested without a change here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from foldformer.nn.depth import DepthSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards import FeedForwardSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads import HeadSpec
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers import MixerSpec
from foldformer.nn.subsampling import SubsamplingSpec
from foldformer.spec import Spec, kind_of, kinds

FAMILIES: dict[str, type[Spec]] = {
    "linear": LinearSpec,
    "mixer": MixerSpec,
    "feed_forward": FeedForwardSpec,
    "depth": DepthSpec,
    "head": HeadSpec,
}
# Settings beside a kind's defaults that take another path through its code.
SETTINGS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("linear", "residual"): [
        {"rank": 3},
        {"rank": (0, 2), "diagonal": False},
        {"rank": 2, "bias": False},
    ],
    ("linear", "low_rank"): [{"rank": (3, 2), "bias": False}],
    ("linear", "basis"): [{"rank": 5, "bias": False}],
    ("depth", "sequential"): [{"order": "cycle"}],
    ("feed_forward", "dense"): [{"activation": "silu"}],
    ("head", "transducer"): [{"context": 1}],
}


def examples(*families: str) -> Iterator[tuple[str, Spec]]:
    """(field of the encoder or `head`, spec): each kind with its defaults and other settings."""
    for family in families:
        for name, cls in kinds(FAMILIES[family]).items():
            for settings in [{}, *SETTINGS.get((family, name), [])]:
                yield family, cls(**settings)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `part` each part of an encoder, `head` each head, `any_spec` all of them.

    `kind` is each part with its defaults alone, for tests that take seconds.
    """
    parts = tuple(f for f in FAMILIES if f != "head")
    choices = {
        "part": parts,
        "kind": parts,
        "head": ("head",),
        "any_spec": tuple(FAMILIES),
    }
    for name, families in choices.items():
        if name in metafunc.fixturenames:
            found = [
                (family, spec)
                for family, spec in examples(*families)
                if name != "kind" or spec == type(spec)()
            ]
            ids = [f"{family}-{kind_of(spec)}-{i}" for i, (family, spec) in enumerate(found)]
            metafunc.parametrize(name, found, ids=ids)


@pytest.fixture
def encoder_spec() -> Callable[..., EncoderSpec]:
    """A small encoder: 2 layers used twice, width 32; `encoder_spec(mixer=...)` changes a part."""

    def build(**parts: Any) -> EncoderSpec:
        settings = {
            "d_model": 32,
            "num_layers": 4,
            "uses": 2,
            "left_context": 5,
            "linear": ResidualSpec(rank=2),
            "feed_forward": DenseFeedForwardSpec(d_ff=24),
            "subsampling": SubsamplingSpec(num_mels=5, channels=6),
            "depth": SequentialSpec(),
        }
        return EncoderSpec(**{**settings, **parts})

    return build
