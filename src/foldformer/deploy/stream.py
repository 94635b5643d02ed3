"""A stream through an export: what `foldformer.decode.stream` does, in sherpa-onnx."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldformer.data.audio import SAMPLING_RATE, Samples
from foldformer.data.incoming import Incoming
from foldformer.decode.transcript import Segment, Transcript
from foldformer.deploy.runtime import refusals

_FRAME = SAMPLING_RATE // 100
"""Samples from one feature frame to the next."""

_FACTOR = 4
"""Feature frames an encoder frame."""

_PART = 0.1
"""Seconds between looks for an endpoint."""


class ExportStream:
    """Hears a recording chunk by chunk; with `cut`, in constant memory for as long as it lasts."""

    def __init__(
        self,
        folder: Path,
        runtime: Any,
        chunk: int,
        transcript: Callable[[Any, float, float], Transcript],
    ) -> None:
        """Begin a stream.

        Args:
            folder: of the export, for messages.
            runtime: sherpa-onnx's recogniser of streams.
            chunk: encoder frames (40 ms) it hears at a time.
            transcript: from the runtime's result, the seconds at which its times begin, and those
                at which what it was given ends.
        """
        self._folder = folder
        self._runtime = runtime
        self._frames = _FACTOR * chunk
        self._transcript = transcript
        self._stream = runtime.create_stream()
        self._incoming = Incoming()
        self._num_samples = 0
        self._finished = False

    @property
    def result(self) -> Transcript:
        """What has been decided so far, or since the last `cut`."""
        found = self._runtime.get_result_all(self._stream)
        end = self._num_frames / 100 if self._finished else math.inf
        return self._transcript(found, found.start_time, end)

    @property
    def endpoint(self) -> bool:
        """Whether a segment ends here; never without `endpoint` in `foldformer.deploy.load`."""
        return bool(self._runtime.is_endpoint(self._stream))

    @property
    def seconds(self) -> float:
        """How much it has been given."""
        return self._num_samples / SAMPLING_RATE

    def cut(self) -> Transcript:
        """The result so far, which is then forgotten: what follows is another segment.

        Times still count from the start. The encoder of a CTC export forgets what it has heard,
        that of a transducer goes on as if nothing had happened: so sherpa-onnx does it.
        """
        result = self.result
        self._runtime.reset(self._stream)
        return result

    def accept(
        self, samples: NDArray[np.float32], sampling_rate: int = SAMPLING_RATE
    ) -> Transcript:
        """Hear the next samples (N,), of any number, and return the result so far.

        Raises:
            InputError: samples that are no finite numbers, or a sampling rate that is not positive
                or changed on the way; the stream is then as it was before.
            ValueError: the stream was finished before.
        """
        if self._finished:
            raise ValueError("the stream is finished; begin another one")
        self._hear(self._incoming.accept(samples, sampling_rate))
        return self.result

    def finish(self) -> Transcript:
        """Hear what is left of the last chunk, filled up with silence, and return the result."""
        if not self._finished:
            self._hear(self._incoming.finish())
            self._hear(np.zeros(self._missing(), np.float32), last=True)
            self._finished = True
        return self.result

    @property
    def _num_frames(self) -> int:
        """Feature frames of what it has been given that encoder frames are made of."""
        return (self._num_samples + _FRAME // 2) // _FRAME // _FACTOR * _FACTOR

    def _missing(self) -> int:
        """Samples that complete the last chunk, and one frame, without which it is not heard."""
        chunks = -(-self._num_frames // self._frames)
        return max((chunks * self._frames + 1) * _FRAME - self._num_samples, 0)

    def _hear(self, samples: Samples, last: bool = False) -> None:
        if len(samples):
            self._stream.accept_waveform(SAMPLING_RATE, samples)
        if last:
            self._stream.input_finished()
        else:
            self._num_samples += len(samples)
        with refusals(self._folder):
            while self._runtime.is_ready(self._stream):
                self._runtime.decode_stream(self._stream)


def segments_of(stream: ExportStream, blocks: Iterable[tuple[Samples, int]]) -> Iterator[Segment]:
    """What a stream hears, a segment as soon as it ends; a part without words is none.

    Args:
        stream: a new one, of a runtime that finds endpoints.
        blocks: samples (N,) and their rate in Hz, as they come.
    """
    start = 0.0
    for samples, rate in blocks:
        size = max(round(rate * _PART), 1)
        for begin in range(0, len(samples), size):
            stream.accept(samples[begin : begin + size], rate)
            if stream.endpoint:
                found, end = stream.cut(), round(stream.seconds, 3)
                if found.tokens:
                    yield Segment(start, end, (found,))
                start = end
    found = stream.finish()
    yield Segment(start, round(stream.seconds, 3), (found,))
