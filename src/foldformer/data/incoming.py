"""Samples of a stream, in pieces of any size: made mono, checked, and brought to 16 kHz."""

import numpy as np
import numpy.typing as npt
import soxr

from foldformer.data.audio import SAMPLING_RATE, Samples, check_rate, mono_floats
from foldformer.errors import InputError


class Incoming:
    """What comes in at one rate goes out at 16 kHz; however it is cut, the result is the same."""

    def __init__(self) -> None:
        self._resampler: soxr.ResampleStream | None = None
        self._rate: int | None = None

    def accept(self, samples: npt.ArrayLike, sampling_rate: int) -> Samples:
        """The next samples (N,) or (N, channels), as far as the filter lets them out.

        Raises:
            InputError: samples that are no finite numbers, or a sampling rate that is not positive
                or changed on the way; nothing has been taken then.
        """
        if self._rate not in (None, sampling_rate):
            raise InputError(
                f"sampling_rate: the stream began at {self._rate} Hz, now {sampling_rate} Hz"
            )
        check_rate(sampling_rate, "the stream")
        mono = mono_floats(samples)
        if not np.isfinite(mono).all():  # it would stay in the resampler and the encoder
            raise InputError("the stream holds NaN or infinite samples; expected finite numbers")
        self._rate = sampling_rate
        return self._resampled(mono, last=False)

    def finish(self) -> Samples:
        """What the filter still held, after the last sample."""
        return self._resampled(np.zeros(0, np.float32), last=True)

    def _resampled(self, samples: Samples, last: bool) -> Samples:
        if self._rate in (None, SAMPLING_RATE):
            return samples
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(self._rate, SAMPLING_RATE, 1, dtype="float32")
        resampled: Samples = self._resampler.resample_chunk(samples, last=last)
        return resampled
