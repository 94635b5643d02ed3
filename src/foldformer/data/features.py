"""Samples to features: 80 log-mel energies every 10 ms, as the device runtimes compute them.

The definition is Kaldi's, in the form that sherpa-onnx uses: windows of 25 ms every 10 ms, the
ends mirrored (`snip_edges` off), mean removed, pre-emphasis 0.97, "povey" window, power spectrum
of 512 points, 80 mel triangles from 20 to 7600 Hz, natural logarithm, no dither, no
normalisation. N samples at 16 kHz give round(N / 160) frames, halves upwards.
"""

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt

from foldformer.data.audio import SAMPLING_RATE
from foldformer.errors import InputError

NUM_MELS = 80
"""Features in a frame."""

FRAME_SHIFT = 0.01
"""Seconds from one frame to the next."""

PADDING = float(np.log(1e-10))
"""What stands after the end of a shorter utterance in a batch, as the runtimes pad."""

Features = npt.NDArray[np.float32]


def fbank(samples: npt.NDArray[np.float32], sampling_rate: int = SAMPLING_RATE) -> Features:
    """The log-mel features (T, 80) of samples (N,), T = round(N / 160).

    Raises:
        InputError: `sampling_rate` is not 16000, or `samples` is not one-dimensional.
    """
    stream = OnlineFbank(sampling_rate)
    return np.concatenate([stream.accept(samples), stream.finish()])


def _options() -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLING_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = NUM_MELS
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = -400.0  # below the Nyquist frequency: 7600 Hz
    return options


class OnlineFbank:
    """`fbank` of a stream: frames come as soon as their samples are there, memory stays constant.

    The frames of all calls together equal `fbank` of all samples, however these are cut.
    """

    def __init__(self, sampling_rate: int = SAMPLING_RATE) -> None:
        if sampling_rate != SAMPLING_RATE:
            raise InputError(
                f"features are defined at {SAMPLING_RATE} Hz, got {sampling_rate} Hz; "
                f"resample with foldformer.data.audio.to_mono_16k"
            )
        self._extractor = kaldi_native_fbank.OnlineFbank(_options())
        self._taken = 0

    def accept(self, samples: npt.NDArray[np.float32]) -> Features:
        """Take the next samples (N,) and return the frames (T, 80) that are ready, T >= 0."""
        if samples.ndim != 1:
            raise InputError(f"samples have shape {samples.shape}; expected (N,), one channel")
        self._extractor.accept_waveform(SAMPLING_RATE, samples.tolist())
        return self._ready()

    def finish(self) -> Features:
        """The last frames (T, 80), T >= 0, after the last sample."""
        self._extractor.input_finished()
        return self._ready()

    def _ready(self) -> Features:
        end = self._extractor.num_frames_ready
        frames = np.empty((end - self._taken, NUM_MELS), dtype=np.float32)
        for row in range(len(frames)):
            frames[row] = self._extractor.get_frame(self._taken + row)
        self._extractor.pop(len(frames))
        self._taken = end
        return frames
