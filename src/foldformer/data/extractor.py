"""The features as a Lhotse extractor, for manifests and datasets that are made with Lhotse."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from lhotse.features.base import FeatureExtractor, register_extractor

from foldformer.data.features import FLOOR, FRAME_SHIFT, NUM_MELS, Features, fbank
from foldformer.errors import InputError


@dataclass
class FoldformerFbankConfig:
    """Nothing can be chosen: a model knows these features only."""

    def to_dict(self) -> dict[str, object]:
        """The configuration as Lhotse stores it."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, object]) -> "FoldformerFbankConfig":
        """The configuration that Lhotse stored."""
        return FoldformerFbankConfig(**data)


@register_extractor
class FoldformerFbank(FeatureExtractor):  # type: ignore[misc]  # Lhotse is not typed
    """`foldformer.data.features.fbank` for `OnTheFlyFeatures` and `compute_and_store_features`."""

    name = "foldformer-fbank"
    config_type = FoldformerFbankConfig

    @property
    def frame_shift(self) -> float:
        """Seconds from one frame to the next."""
        return FRAME_SHIFT

    def feature_dim(self, sampling_rate: int) -> int:
        """Features in a frame."""
        return NUM_MELS

    def extract(self, samples: npt.NDArray[np.float32], sampling_rate: int) -> Features:
        """The features (T, 80) of samples (N,) or (1, N) at 16 kHz."""
        samples = np.asarray(samples)
        if samples.ndim == 2 and len(samples) != 1:
            raise InputError(f"samples have {len(samples)} channels; expected one")
        return fbank(samples.reshape(-1), sampling_rate)

    @staticmethod
    def mix(features_a: Features, features_b: Features, energy_scaling_factor_b: float) -> Features:
        """log(exp(a) + scale * exp(b)), (T, 80): a mixture, were the two never in phase."""
        energies = np.exp(features_a) + energy_scaling_factor_b * np.exp(features_b)
        mixed: Features = np.log(np.maximum(energies, np.exp(FLOOR)))
        return mixed

    @staticmethod
    def compute_energy(features: Features) -> float:
        """The sum of exp(features)."""
        return float(np.sum(np.exp(features)))

    @staticmethod
    def scale(features: Features, energy_scaling_factor: float) -> Features:
        """The features (T, 80) of a signal whose energy is so many times as large."""
        scaled: Features = features + np.float32(np.log(energy_scaling_factor))
        return scaled
