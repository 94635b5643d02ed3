"""Samples to features: 80 log-mel energies every 10 ms, as the device runtimes compute them.

The definition is Kaldi's, in the form that sherpa-onnx uses: windows of 25 ms every 10 ms, the
ends of the recording mirrored (`snip_edges` off), mean removed, pre-emphasis 0.97, "povey" window,
power spectrum of 512 points, 80 mel triangles from 20 to 7600 Hz, natural logarithm, no dither,
no normalisation. It is written out in numpy because the Python binding of kaldi-native-fbank,
which the tests compare with, costs three times as much: it converts every sample and every frame
by itself.
"""

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

_WINDOW = 400  # samples
_SHIFT = 160
_BEFORE = (_WINDOW - _SHIFT) // 2  # a window begins this much before its 10 ms
_FFT = 512
_LOW_HZ, _HIGH_HZ = 20.0, 7600.0
_PREEMPHASIS = np.float32(0.97)
_BLOCK = 128  # frames computed at once, so that their spectra stay in the cache


def _povey_window() -> npt.NDArray[np.float32]:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))
    return (hann**0.85).astype(np.float32)


def _mel_triangles() -> npt.NDArray[np.float32]:
    """Weights (257, 80) of the bins of the spectrum: triangles, equally wide on the mel scale."""

    def mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(_LOW_HZ), mel(_HIGH_HZ), NUM_MELS + 2)
    bins = mel(np.arange(_FFT // 2 + 1) * SAMPLING_RATE / _FFT)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


_POVEY = _povey_window()
_MELS = _mel_triangles()


def fbank(samples: Samples, sampling_rate: int = SAMPLING_RATE) -> Features:
    """The log-mel features (T, 80) of samples (N,), T = N / 160 rounded, halves upwards.

    Raises:
        InputError: `sampling_rate` is not 16000, or `samples` is not one-dimensional.
    """
    _check(samples, sampling_rate)
    count = (len(samples) + _SHIFT // 2) // _SHIFT
    if count == 0:
        return np.empty((0, NUM_MELS), np.float32)
    return _log_mels(np.pad(samples, (_BEFORE, _WINDOW), mode="symmetric"), count)


def _check(samples: Samples, sampling_rate: int) -> None:
    if sampling_rate != SAMPLING_RATE:
        raise InputError(
            f"features are defined at {SAMPLING_RATE} Hz, got {sampling_rate} Hz; "
            f"resample with foldformer.data.audio.to_mono_16k"
        )
    if samples.ndim != 1:
        raise InputError(f"samples have shape {samples.shape}; expected (N,), one channel")


def _log_mels(samples: Samples, count: int) -> Features:
    """The features (count, 80) of the first `count` windows of samples (N,)."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_SHIFT][:count]
    energies = np.empty((count, NUM_MELS), np.float32)
    for start in range(0, count, _BLOCK):
        raw = windows[start : start + _BLOCK]
        centred = raw - raw.mean(axis=1, keepdims=True)
        emphasised = centred.copy()
        emphasised[:, 1:] -= _PREEMPHASIS * centred[:, :-1]
        emphasised[:, 0] *= 1 - _PREEMPHASIS  # Kaldi takes the sample before to be the same
        spectrum = np.fft.rfft(emphasised * _POVEY, _FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        energies[start : start + _BLOCK] = power @ _MELS
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


class OnlineFbank:
    """`fbank` of a stream: frames come as soon as their samples are there, memory stays constant.

    The frames of all calls together equal `fbank` of all samples, however these are cut. Nothing
    in it counts time, so that a stream may last for ever.
    """

    def __init__(self, sampling_rate: int = SAMPLING_RATE) -> None:
        self._sampling_rate = sampling_rate
        self._begun = False
        self._samples = np.empty(0, np.float32)
        _check(self._samples, sampling_rate)

    def accept(self, samples: Samples) -> Features:
        """Take the next samples (N,) and return the frames (T, 80) that are ready, T >= 0.

        Raises:
            InputError: the samples are not one-dimensional, or not all finite: one such sample
                would stay in the state of a model for ever.
        """
        _check(samples, self._sampling_rate)
        if not np.isfinite(samples).all():
            raise InputError("the stream holds NaN or infinite samples; expected finite numbers")
        held = np.concatenate([self._samples, samples]).astype(np.float32, copy=False)
        if not self._begun and len(held) >= _WINDOW - _BEFORE:
            held = np.pad(held, (_BEFORE, 0), mode="symmetric")
            self._begun = True
        count = (len(held) - _WINDOW) // _SHIFT + 1 if self._begun else 0
        self._samples = held[max(count, 0) * _SHIFT :].copy()
        return _log_mels(held, count) if count > 0 else np.empty((0, NUM_MELS), np.float32)

    def finish(self) -> Features:
        """The last frames (T, 80), T >= 0, after the last sample; then a new stream may begin."""
        held, begun = self._samples, self._begun
        self._samples, self._begun = np.empty(0, np.float32), False
        if not begun:
            return fbank(held)
        count = (len(held) - _BEFORE + _SHIFT // 2) // _SHIFT
        return _log_mels(np.pad(held, (0, _WINDOW), mode="symmetric"), count)
