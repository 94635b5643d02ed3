"""A stream: samples come in pieces of any size, text comes out as it is decided."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from foldformer.data.audio import SAMPLING_RATE
from foldformer.data.features import OnlineFbank
from foldformer.data.incoming import Incoming
from foldformer.data.last_chunk import encoder_frames_of, silence_after
from foldformer.decode.search import Hypothesis, Search, until
from foldformer.model import Model
from foldformer.nn.subsampling import FACTOR

Result = TypeVar("Result")


class Stream(Generic[Result]):
    """Hears a recording chunk by chunk; with `cut`, in constant memory for as long as it lasts.

    However the samples are cut into pieces, the result is that of the whole recording encoded
    with the same chunk. The last one is completed with silence, as the runtimes do it.
    """

    def __init__(
        self,
        model: Model,
        search: Search[Any],
        transcript: Callable[[Hypothesis], Result],
        chunk: int,
        left_context: int | None,
    ) -> None:
        if chunk < 1:
            raise ValueError(f"chunk: expected 1 encoder frame or more, got {chunk}")
        self._encoder = model.encoder
        self._search = search
        self._transcript = transcript
        self._chunk = chunk
        self._incoming = Incoming()
        self._fbank = OnlineFbank()
        self._pending = np.zeros((0, self._encoder.subsampling.mean.numel()), dtype=np.float32)
        self._encoder_state = self._encoder.init_state(1, left_context)
        self._search_state = search.init_state()
        self._finished = False
        self._end: int | None = None
        self._num_samples = 0
        self._num_frames = 0
        self._cut_at = 0

    @property
    def result(self) -> Result:
        """What has been decided so far, or since the last `cut`."""
        best = self._search.hypotheses(self._search_state)[0]
        frames = tuple(frame + self._cut_at for frame in best.frames)
        found = replace(best, frames=frames)
        return self._transcript(found if self._end is None else until(found, self._end))

    def cut(self) -> Result:
        """The result so far, which is then forgotten: what follows is another segment.

        The encoder goes on as if nothing had happened, and times still count from the start. The
        search remembers every token, so a stream without end is to be cut now and then, best in a
        pause, when no token has come for a while.
        """
        result = self.result
        self._search_state = self._search.init_state()
        self._cut_at = self._num_frames
        return result

    def accept(self, samples: NDArray[np.float32], sampling_rate: int = SAMPLING_RATE) -> Result:
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

    def finish(self) -> Result:
        """Hear what is left of the last chunk, filled up with silence; the final result."""
        if not self._finished:
            self._hear(self._incoming.finish())
            said = self._num_samples
            self._hear(np.zeros(silence_after(said, self._chunk), np.float32))
            self._end = encoder_frames_of(said)
            self._finished = True
        return self.result

    def _hear(self, samples: NDArray[np.float32]) -> None:
        if len(samples):
            self._num_samples += len(samples)
            self._pending = np.concatenate([self._pending, self._fbank.accept(samples)])
        self._encode(FACTOR * self._chunk * (len(self._pending) // (FACTOR * self._chunk)))

    @torch.inference_mode()
    def _encode(self, frames: int) -> None:
        """Encode that many pending feature frames, a chunk at a time."""
        size = FACTOR * self._chunk
        for start in range(0, frames, size):
            piece = torch.from_numpy(self._pending[start : min(start + size, frames)])
            x, self._encoder_state = self._encoder.step(piece[None], self._encoder_state)
            self._search_state = self._search.advance(self._search_state, x[0])
            self._num_frames += x.shape[1]
        self._pending = self._pending[frames:]
