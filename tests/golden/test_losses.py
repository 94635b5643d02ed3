"""The losses of a short training, to the last digits: a refactoring changes none of them.

Where a change is meant to alter them, write them anew and say so in the commit:

    python tests/golden/test_losses.py
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from foldformer.model import ModelSpec
from foldformer.spec import from_dict

STORED = Path(__file__).with_name("losses.json")

ENCODER: dict[str, Any] = {
    "d_model": 16,
    "num_layers": 4,
    "left_context": 3,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 24},
    "subsampling": {"num_mels": 5, "channels": 6},
}
SHARED = {"uses": 2, "linear": {"kind": "residual", "rank": 3}}
CASES: dict[str, dict[str, Any]] = {
    "dense, full context, ctc": {"encoder": ENCODER},
    "shared, full context, ctc": {"encoder": ENCODER | SHARED},
    "shared, chunks, ctc and transducer": {
        "encoder": ENCODER | SHARED,
        "heads": [
            {"kind": "transducer", "predictor_dim": 8, "joiner_dim": 8},
            {"kind": "ctc", "weight": 0.2},
        ],
        "chunk": 4,
    },
    "shared in cycles, own ranks, dropout": {
        "encoder": ENCODER
        | SHARED
        | {
            "linears": {"query": {"kind": "residual", "rank": [0, 5]}, "1.key": {"kind": "dense"}},
            "depth": {
                "kind": "sequential",
                "order": "cycle",
                "dropout": 0.1,
                "stochastic_depth": 0.3,
            },
        },
    },
}


def losses(case: dict[str, Any], steps: int = 5) -> list[float]:
    """Nats an utterance before each step of AdamW, in float64, on fixed random data."""
    case = dict(case)
    chunk = case.pop("chunk", None)
    torch.manual_seed(20231004)
    model = from_dict(ModelSpec, {"vocab_size": 9, **case}).build().double()
    features = torch.randn(4, 60, 5, dtype=torch.float64)
    lengths = torch.tensor([60, 41, 55, 38])
    targets = torch.randint(1, 9, (4, 5))
    target_lengths = torch.tensor([5, 3, 4, 2])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    values = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = model(features, lengths, targets, target_lengths, chunk).mean()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    return values


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_stored(name: str) -> None:
    stored = json.loads(STORED.read_text())
    assert losses(CASES[name]) == pytest.approx(stored[name], rel=1e-8)


def test_all_that_is_stored_is_tested() -> None:
    assert set(json.loads(STORED.read_text())) == set(CASES)


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: losses(CASES[name]) for name in CASES}, indent=2) + "\n")
