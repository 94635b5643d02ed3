import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lhotse.dataset import SpecAugment

from foldformer.data.masks import MaskSpec, mask
from foldformer.errors import SpecError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


masks = st.builds(
    MaskSpec,
    time_masks=st.integers(1, 12),
    max_time_mask=st.integers(2, 120),
    max_time_fraction=st.floats(0.001, 0.9),
    frequency_masks=st.integers(1, 4),
    max_frequency_mask=st.integers(2, 80),
)


@given(masks, st.integers(4, 300), st.integers(0, 1000))
def test_masks_keep_to_their_bounds(spec: MaskSpec, frames: int, seed: int) -> None:
    features = rng(seed).uniform(1, 2, (frames, 80)).astype(np.float32)
    masked = mask(features, spec, rng(seed))
    changed = masked != features
    rows, columns = changed.all(axis=1), changed.all(axis=0)
    assert rows.all() or rows.sum() <= spec.max_time_fraction * frames
    assert columns.all() or columns.sum() <= spec.frequency_masks * spec.max_frequency_mask
    assert (changed == (rows[:, None] | columns[None, :])).all()
    np.testing.assert_allclose(masked[changed], features.mean(), rtol=1e-5)


def test_masks_are_spent_in_the_middle_too() -> None:
    features = rng().uniform(1, 2, (500, 80)).astype(np.float32)
    hidden = np.zeros((500, 80))
    for seed in range(300):
        hidden += mask(features, MaskSpec(), rng(seed)) != features
    assert hidden[200:300].mean() / 300 == pytest.approx(hidden.mean() / 300, abs=0.1)
    assert 0.05 < hidden.mean() / 300 < 0.4


@given(masks, st.integers(10, 300), st.integers(0, 1000))
def test_masks_are_those_of_lhotse(spec: MaskSpec, frames: int, seed: int) -> None:
    features = rng(seed).uniform(1, 2, (frames, 80)).astype(np.float32)
    if spec.max_time_fraction * frames < 1:
        return  # Lhotse fails
    transform = SpecAugment(
        time_warp_factor=None,
        num_feature_masks=spec.frequency_masks,
        features_mask_size=spec.max_frequency_mask,
        num_frame_masks=spec.time_masks,
        frames_mask_size=spec.max_time_mask,
        max_frames_mask_fraction=spec.max_time_fraction,
        p=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng(seed).integers(2**63)))
        expected = transform(torch.from_numpy(features)[None])[0].numpy()
    np.testing.assert_allclose(mask(features, spec, rng(seed)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"time_masks": 0}, {"max_frequency_mask": 81}, {"max_time_fraction": 1.0}]
)
def test_impossible_masks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        MaskSpec(**wrong)
