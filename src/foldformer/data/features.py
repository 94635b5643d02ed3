"""Samples to features: 80 log-mel energies every 10 ms, as the device runtimes compute them.

They are computed by kaldi-native-fbank, which is in sherpa-onnx too: windows of 25 ms every 10 ms,
the ends of the recording mirrored (`snip_edges` off), mean removed, pre-emphasis 0.97, "povey"
window, power spectrum of 512 points, 80 mel triangles from 20 to 7600 Hz, natural logarithm, no
dither, no normalisation.
"""

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt

from foldformer.data.audio import SAMPLING_RATE, Samples
from foldformer.errors import InputError

NUM_MELS = 80
"""Features in a frame."""

FRAME_SHIFT = 0.01
"""Seconds from one frame to the next."""

FLOOR = float(np.log(np.finfo(np.float32).eps))
"""The least value of a feature: Kaldi's smallest energy, 2^-23, -15.94."""

PADDING = float(np.log(1e-10))
"""What stands after the end of a shorter utterance in a batch, as the runtimes pad."""

Features = npt.NDArray[np.float32]


def _options() -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLING_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = NUM_MELS
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = -400.0  # below half the sampling rate: 7600 Hz
    return options


_OPTIONS = _options()


def fbank(samples: Samples, sampling_rate: int = SAMPLING_RATE) -> Features:
    """The log-mel features (T, 80) of samples (N,), T = N / 160 rounded, halves upwards.

    Raises:
        InputError: `sampling_rate` is not 16000, or `samples` is not one-dimensional.
    """
    _check(samples, sampling_rate)
    extractor = kaldi_native_fbank.OnlineFbank(_OPTIONS)
    _accept(extractor, samples)
    extractor.input_finished()
    return _frames(extractor, 0)


def _check(samples: Samples, sampling_rate: int) -> None:
    if sampling_rate != SAMPLING_RATE:
        raise InputError(
            f"features are defined at {SAMPLING_RATE} Hz, got {sampling_rate} Hz; "
            f"resample with foldformer.data.audio.to_mono_16k"
        )
    if samples.ndim != 1:
        raise InputError(f"samples have shape {samples.shape}; expected (N,), one channel")


def _accept(extractor: kaldi_native_fbank.OnlineFbank, samples: Samples) -> None:
    if len(samples):
        # The binding takes one Python number after the other; a memoryview makes them fastest.
        extractor.accept_waveform(SAMPLING_RATE, np.asarray(samples, np.float32).data)


def _frames(extractor: kaldi_native_fbank.OnlineFbank, start: int) -> Features:
    """The frames (T, 80) from `start` on; the extractor forgets them."""
    end = extractor.num_frames_ready
    if end == start:
        return np.empty((0, NUM_MELS), np.float32)
    rows = [extractor.get_frame(index) for index in range(start, end)]
    frames = np.concatenate(rows).reshape(-1, NUM_MELS)
    extractor.pop(end - start)
    return frames


class OnlineFbank:
    """`fbank` of a stream: frames come as soon as their samples are there, memory stays constant.

    The frames of all calls together equal `fbank` of all samples, however these are cut.
    """

    def __init__(self, sampling_rate: int = SAMPLING_RATE) -> None:
        self._sampling_rate = sampling_rate
        _check(np.empty(0, np.float32), sampling_rate)
        self._begin()

    def _begin(self) -> None:
        self._extractor = kaldi_native_fbank.OnlineFbank(_OPTIONS)
        self._taken = 0

    def accept(self, samples: Samples) -> Features:
        """Take the next samples (N,) and return the frames (T, 80) that are ready, T >= 0.

        Raises:
            InputError: the samples are not one-dimensional, or not all finite: one such sample
                would stay in the state of a model for ever.
        """
        _check(samples, self._sampling_rate)
        if not np.isfinite(samples).all():
            raise InputError("the stream holds NaN or infinite samples; expected finite numbers")
        _accept(self._extractor, samples)
        return self._take()

    def finish(self) -> Features:
        """The last frames (T, 80), T >= 0, after the last sample; then a new stream may begin."""
        self._extractor.input_finished()
        frames = self._take()
        self._begin()
        return frames

    def _take(self) -> Features:
        frames = _frames(self._extractor, self._taken)
        self._taken += len(frames)
        return frames
