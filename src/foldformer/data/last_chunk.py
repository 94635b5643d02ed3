"""How a stream ends: the last chunk is completed with silence, of which nothing is written.

The runtimes hear whole chunks alone, and one only when a further feature frame is there. So a
recording is followed by silence, here as there. The frames before the end see it as part of
their chunk; what would be written at a frame that begins after the end was not said.
"""

from foldformer.data.durations import ENCODER_FRAME_MS, SAMPLING_RATE

_FACTOR = 4
"""Feature frames an encoder frame."""

_SHIFT = SAMPLING_RATE * ENCODER_FRAME_MS // 1000 // _FACTOR
"""Samples at 16 kHz from one feature frame to the next."""


def encoder_frames_of(num_samples: int) -> int:
    """Encoder frames (40 ms) that so many samples at 16 kHz are heard in, the last one whole.

    >>> encoder_frames_of(559), encoder_frames_of(560), encoder_frames_of(16000)
    (0, 1, 25)
    """
    return (num_samples + _SHIFT // 2) // _SHIFT // _FACTOR


def chunks_of(num_samples: int, chunk: int) -> int:
    """Chunks of `chunk` encoder frames that so many samples at 16 kHz are heard in."""
    return -(-encoder_frames_of(num_samples) // chunk)


def silence_after(num_samples: int, chunk: int) -> int:
    """Samples of silence that complete the last chunk, and one feature frame.

    >>> silence_after(16000, 8)  # 25 frames, so 7 are missing
    4640
    """
    frames = chunks_of(num_samples, chunk) * chunk * _FACTOR + 1
    return max(frames * _SHIFT - num_samples, 0)
