"""Which frame may see which: padding, and the chunks of a stream."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mask:
    """What the mixers of one forward pass may look at.

    Attributes:
        valid: (B, S) bool, the frames that exist: not padding, not before the stream began.
        attention: (B or 1, 1, T or 1, S) bool, True where a query may see a key.
    """

    valid: Tensor
    attention: Tensor


def utterance_mask(lengths: Tensor, frames: int, chunk: int | None, left_context: int) -> Mask:
    """The mask of whole utterances.

    With `chunk` C, frame t sees the frames of its own chunk and `left_context` frames before that
    chunk's start: max(0, C*(t//C) - left_context) <= s < C*(t//C) + C. That is what a stream that
    arrives in chunks of C frames, and remembers `left_context` frames, can see. Without, every
    frame sees all.

    Args:
        lengths: valid frames (B,).
        frames: T, the padded length.
        chunk: frames a chunk, or None for the full context.
        left_context: frames, used with `chunk` only.
    """
    positions = torch.arange(frames, device=lengths.device)
    valid = positions < lengths[:, None]
    # Padding sees at least itself: a row without any key would be undefined.
    if chunk is None:
        itself = positions[:, None] == positions
        return Mask(valid, valid[:, None, None] | itself)
    start = positions // chunk * chunk
    first, end = start - left_context, start + chunk
    seen = (positions >= first[:, None]) & (positions < end[:, None])
    itself = positions[:, None] == positions
    return Mask(valid, (valid[:, None, None] & seen) | itself)


def step_mask(remembered: Tensor, frames: int) -> Mask:
    """The mask of one chunk of a stream: all remembered frames that exist, and the whole chunk.

    Args:
        remembered: (B, left_context) bool, the frames of the state that the stream has had.
        frames: C, the frames of the chunk.
    """
    present = remembered.new_ones(remembered.shape[0], frames)
    valid = torch.cat([remembered, present], dim=1)
    return Mask(valid, valid[:, None, None])
