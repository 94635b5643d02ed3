from pathlib import Path

import numpy as np
import pytest
from lhotse import Fbank, FeatureExtractor, NumpyFilesWriter
from lhotse.dataset.input_strategies import OnTheFlyFeatures
from lhotse.features.base import create_default_feature_extractor

from foldformer.data.cuts import load_cuts
from foldformer.data.extractor import FoldformerFbank
from foldformer.data.features import PADDING, fbank
from foldformer.errors import InputError


def noise(size: int = 16000) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(size)).astype(np.float32)


def test_lhotse_finds_it_by_name_and_stores_it(tmp_path: Path) -> None:
    assert isinstance(create_default_feature_extractor("foldformer-fbank"), FoldformerFbank)
    FoldformerFbank().to_yaml(tmp_path / "extractor.yaml")
    assert isinstance(FeatureExtractor.from_yaml(tmp_path / "extractor.yaml"), FoldformerFbank)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # Lhotse under numpy 2
def test_it_agrees_with_lhotses_own_features() -> None:
    theirs = Fbank().extract(noise(), 16000)
    np.testing.assert_allclose(FoldformerFbank().extract(noise(), 16000), theirs, atol=5e-3)


def test_a_dataset_of_lhotse_computes_and_stores_with_it(
    manifest_16k: Path, tmp_path: Path
) -> None:
    cuts = load_cuts(manifest_16k).to_eager().subset(first=3)
    features, lengths = OnTheFlyFeatures(FoldformerFbank(), use_batch_extract=False)(cuts)
    assert lengths.tolist() == [50, 75, 100]
    assert features[0, 50:].unique().tolist() == pytest.approx([PADDING], abs=1e-3)
    with NumpyFilesWriter(tmp_path / "stored") as writer:
        stored = cuts.compute_and_store_features(FoldformerFbank(), writer.storage_path)
    for cut, row, length in zip(stored, features.numpy(), lengths, strict=True):
        np.testing.assert_allclose(cut.load_features(), row[:length], atol=1e-5)


def test_mixing_features_is_mixing_signals_that_do_not_overlap() -> None:
    a, b = noise(), noise()
    a[8000:], b[:8000] = 0, 0
    mixed = FoldformerFbank.mix(fbank(a), fbank(b), 4.0)
    inner = np.r_[2:48, 52:98]  # without the frames around the border
    # Where one signal is silent, its floor of energy (2^-23) is added, four times in b.
    truth = np.exp(fbank(a + 2 * b))
    np.testing.assert_allclose(np.exp(mixed)[inner], truth[inner], rtol=1e-4, atol=5e-7)


def test_scaling_features_is_scaling_the_energy() -> None:
    features = fbank(noise())
    scaled = FoldformerFbank.scale(features, 4.0)
    np.testing.assert_allclose(scaled, fbank(2 * noise()), atol=1e-4)
    energy = FoldformerFbank.compute_energy(features)
    assert FoldformerFbank.compute_energy(scaled) == pytest.approx(4 * energy, rel=1e-4)


def test_two_channels_are_refused() -> None:
    with pytest.raises(InputError, match="2 channels"):
        FoldformerFbank().extract(np.zeros((2, 16000), np.float32), 16000)
