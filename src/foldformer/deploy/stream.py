"""A stream through an export: what `foldformer.decode.stream` does, in sherpa-onnx."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldformer.data.durations import ENCODER_FRAME_MS, SAMPLING_RATE
from foldformer.data.last_chunk import encoder_frames_of, silence_after
from foldformer.decode.transcript import Segment, Transcript
from foldformer.deploy.given import Given, mono_of, silence
from foldformer.deploy.runtime import refusals

if TYPE_CHECKING:
    from foldformer.deploy.given import Sound

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
        after_call: Callable[[], object],
    ) -> None:
        """Begin a stream.

        Args:
            folder: of the export, for messages.
            runtime: sherpa-onnx's recogniser of streams.
            chunk: encoder frames (40 ms) it hears at a time.
            transcript: from the runtime's result, the seconds at which its times begin, and those
                at which what it was given ends.
            after_call: done when chunks have been heard.
        """
        self._folder = folder
        self._runtime = runtime
        self._chunk = chunk
        self._transcript = transcript
        self._after_call = after_call
        self._stream = runtime.create_stream()
        self._given = Given()
        self._num_samples = 0
        self._finished = False

    @property
    def start(self) -> float:
        """Seconds at which the result begins: 0, or where the last `cut` was.

        No more had been decoded by then, which is up to a chunk less than had been given.
        """
        return round(float(self._runtime.get_result_all(self._stream).start_time), 3)

    @property
    def result(self) -> Transcript:
        """What has been decided so far, or since the last `cut`."""
        found = self._runtime.get_result_all(self._stream)
        end = encoder_frames_of(self._num_samples) * ENCODER_FRAME_MS / 1000
        end = end if self._finished else math.inf
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
        that of a transducer goes on as if nothing had happened: that is how sherpa-onnx works.
        """
        result = self.result
        self._runtime.reset(self._stream)
        return result

    def accept(self, samples: "Sound", sampling_rate: int = SAMPLING_RATE) -> Transcript:
        """Hear the next samples (N,), of any number, and return the result so far.

        An `array.array("f")` at 16 kHz needs no numpy, which takes 15 MB.

        Raises:
            InputError: samples that are no finite numbers or not of full scale 1.0, or a sampling
                rate that is not positive or changed on the way; the stream is then as before.
            ValueError: the stream was finished before.
        """
        if self._finished:
            raise ValueError("the stream is finished; begin another one")
        self._hear(self._given.accept(samples, sampling_rate))
        return self.result

    def finish(self) -> Transcript:
        """Hear what is left of the last chunk, filled up with silence, and return the result."""
        if not self._finished:
            self._hear(self._given.finish())
            missing = silence_after(self._num_samples, self._chunk)
            self._hear(silence(missing), last=True)
            self._finished = True
        return self.result

    def _hear(self, samples: memoryview, last: bool = False) -> None:
        if len(samples):
            self._stream.accept_waveform(SAMPLING_RATE, samples)
        if last:
            self._stream.input_finished()
        else:
            self._num_samples += len(samples)
        heard = False
        with refusals(self._folder):
            while self._runtime.is_ready(self._stream):
                self._runtime.decode_stream(self._stream)
                heard = True
        if heard:
            self._after_call()


def segments_of(
    stream: ExportStream,
    blocks: "Iterable[tuple[Sound, int]]",
    partial: Callable[[Segment], object] | None = None,
) -> Iterator[Segment]:
    """What a stream hears, a segment as soon as it ends.

    A part without words that an endpoint ends is no segment; the last part is one in any case.

    Args:
        stream: a new one, of a runtime that finds endpoints.
        blocks: samples (N,) or (N, channels) and their rate in Hz, as they come.
        partial: told of the segment at work whenever it has got more tokens.
    """
    known = 0
    for block, rate in blocks:
        samples, size = mono_of(block), max(round(rate * _PART), 1)
        for begin in range(0, len(samples), size):
            found = stream.accept(samples[begin : begin + size], rate)
            if partial is not None and len(found.tokens) > known:
                partial(Segment(stream.start, round(stream.seconds, 3), (found,)))
            known = len(found.tokens)
            if stream.endpoint:
                start, found, known = stream.start, stream.cut(), 0
                if found.tokens:
                    yield Segment(start, stream.start, (found,))
    found = stream.finish()
    yield Segment(stream.start, round(stream.seconds, 3), (found,))
