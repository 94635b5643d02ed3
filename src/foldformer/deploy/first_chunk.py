"""The first chunk of an export that hears streams, so that no user's chunk is the first."""

from array import array
from typing import Any

from foldformer.data.durations import ENCODER_FRAME_MS, SAMPLING_RATE

_AHEAD = SAMPLING_RATE // 10
"""Samples beyond the chunk: a runtime wants frames to follow it."""


def hear_first_chunk(recognizer: Any, chunk: int) -> None:
    """Run a chunk of silence, in a stream of its own.

    Memory is fetched and code is read that later chunks do not need; before `Loading.end`, that
    goes back with what loading took. And the first chunk that a user waits for is like the others.

    Args:
        recognizer: sherpa-onnx's, of streams.
        chunk: encoder frames (40 ms).
    """
    stream = recognizer.create_stream()
    # Twice the chunk: one hears further than the frames that it decides on.
    samples = 2 * chunk * ENCODER_FRAME_MS * SAMPLING_RATE // 1000 + _AHEAD
    stream.accept_waveform(SAMPLING_RATE, memoryview(array("f", bytes(4 * samples))))
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
