"""The convolutional stem: frames, look-ahead, pieces, normalisation."""

import pytest
import torch
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.subsampling import Subsampling, SubsamplingSpec


@pytest.fixture
def stem() -> Subsampling:
    torch.manual_seed(0)
    return SubsamplingSpec(num_mels=5, channels=6).build(8).double()


def test_two_padded_convolutions(stem: Subsampling) -> None:
    x = torch.randn(2, 16, 5, dtype=torch.float64)
    stem.set_statistics(torch.full((5,), 0.5), 2.0)
    hidden = F.pad(((x - 0.5) / 2).transpose(1, 2), (1, 0))
    for conv in (stem.first, stem.second):
        hidden = F.gelu(F.conv1d(hidden, conv.weight, conv.bias, stride=2))
        hidden = F.pad(hidden, (1, 0))
    torch.testing.assert_close(stem(x), hidden[:, :, 1:].transpose(1, 2))


@pytest.mark.parametrize("kernel", [2, 3, 5, 9])
def test_frame_t_depends_on_features_to_4t_plus_3(kernel: int) -> None:
    stem = SubsamplingSpec(num_mels=5, channels=6, kernel=kernel).build(8).double()
    x = torch.randn(1, 24, 5, dtype=torch.float64)
    before = stem(x)
    assert before.shape == (1, 6, 8)
    for feature in range(24):
        changed = x.clone()
        changed[:, feature] += 1
        moved = (stem(changed) != before).any(dim=2)[0].tolist()
        first = [4 * t - 3 * (kernel - 2) for t in range(6)]
        assert moved == [first[t] <= feature <= 4 * t + 3 for t in range(6)]


@pytest.mark.parametrize("frames", [4, 5, 6, 7, 8])
def test_a_last_group_that_is_not_full_is_left_out(stem: Subsampling, frames: int) -> None:
    x = torch.randn(1, frames, 5, dtype=torch.float64)
    torch.testing.assert_close(stem(x), stem(x[:, : frames // 4 * 4]))
    assert stem(x).shape[1] == frames // 4


@pytest.mark.parametrize("kernel", [2, 3, 5, 9])
def test_pieces_equal_the_whole(kernel: int) -> None:
    stem = SubsamplingSpec(num_mels=5, channels=6, kernel=kernel).build(8).double()
    stem.set_statistics(torch.randn(5), 1.5)
    x = torch.randn(2, 28, 5, dtype=torch.float64)
    state, pieces = stem.init_state(2), []
    for piece in x.split([4, 8, 4, 12], dim=1):
        y, state = stem.step(piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), stem(x))


def test_silence_alone_does_not_divide_by_zero(stem: Subsampling) -> None:
    stem.set_statistics(torch.zeros(5), 0.0)
    assert stem.deviation.item() == pytest.approx(1e-3)


def test_wrong_specs() -> None:
    with pytest.raises(SpecError, match="num_mels: expected 1 or more, got 0"):
        SubsamplingSpec(num_mels=0)
    with pytest.raises(SpecError, match="kernel: expected 2 to 100, got 1"):
        SubsamplingSpec(kernel=1)
