"""Multiply-adds against a count by hand."""

import pytest
import torch

from foldformer.measure.operations import count, of_stream, of_utterance, state_bytes
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec

D, HIDDEN, MELS, CHANNELS, LAYERS, RANK, LEFT, VOCAB = 64, 96, 20, 12, 6, 2, 16, 30
CONVOLUTIONS = 2 * 3 * MELS * CHANNELS + 3 * CHANNELS * D  # for one encoder frame
MATRICES = LAYERS * (4 * D * D + 2 * D * HIDDEN)
SIDES = LAYERS * RANK * (4 * 2 * D + 2 * (D + HIDDEN))


def built(uses: int = 3, rank: int = RANK) -> Model:
    spec = ModelSpec(
        vocab_size=VOCAB,
        encoder=EncoderSpec(
            d_model=D,
            num_layers=LAYERS,
            uses=uses,
            left_context=LEFT,
            mixer=AttentionSpec(num_heads=4),
            feed_forward=DenseFeedForwardSpec(d_ff=HIDDEN),
            linear=ResidualSpec(rank=rank),
            subsampling=SubsamplingSpec(num_mels=MELS, channels=CHANNELS),
        ),
        heads=(CtcSpec(), TransducerSpec(predictor_dim=10, joiner_dim=14)),
    )
    with torch.device("meta"):
        return spec.build().eval()


def test_count_is_half_the_operations_of_a_product() -> None:
    a, b = torch.empty(3, 4, device="meta"), torch.empty(4, 5, device="meta")
    assert count(lambda: a @ b) == 3 * 4 * 5


def test_a_stream_by_hand() -> None:
    """Factored: 8 frames are too few to be worth a merge."""
    chunk = 8
    attention = LAYERS * 2 * (LEFT + chunk) * D  # scores and mixing, for one frame
    counted = of_stream(built(), chunk)
    assert counted == pytest.approx(
        {
            "subsampling": 25 * CONVOLUTIONS,
            "layers": 25 * (MATRICES + SIDES + attention),
            "ctc head": 25 * D * VOCAB,
            "transducer head": 25 * (D * 14 + 10 * 14 + 14 * VOCAB),
        }
    )


def test_an_utterance_by_hand() -> None:
    """Merged: the low-rank products are paid once, not by the frame."""
    frames = 250
    attention = LAYERS * 2 * frames * D
    merging = LAYERS * RANK * (4 * D * D + 2 * D * HIDDEN) / 10
    counted = of_utterance(built(), 10.0)
    assert counted["layers"] == pytest.approx(25 * (MATRICES + attention) + merging)
    assert counted["subsampling"] == 25 * CONVOLUTIONS


def test_sharing_alone_changes_no_number_of_operations() -> None:
    dense, shared = built(uses=1, rank=0), built(uses=6, rank=0)
    assert of_stream(dense, 8) == of_stream(shared, 8)
    assert of_utterance(dense, 10.0) == of_utterance(shared, 10.0)


def test_state_bytes() -> None:
    """Keys and values of all layers, a flag a frame, and what the convolutions look back on."""
    assert state_bytes(built()) == 4 * LAYERS * 2 * LEFT * D + LEFT + 4 * (MELS + CHANNELS)
