"""What a stream is given, as the runtime takes it fastest: numbers in a memoryview.

numpy takes 15 MB. Samples that need nothing done to them, those of an `array("f")` at 16 kHz, pass
without it; all others are converted as everywhere (`foldformer.data.incoming`).
"""

import math
from array import array
from typing import TYPE_CHECKING

from foldformer.data.durations import SAMPLING_RATE
from foldformer.data.scale import check_scale
from foldformer.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from foldformer.data.incoming import Incoming

    Sound = array[float] | NDArray[np.float32]


_NAME = "the stream"


class Given:
    """What comes in goes out at 16 kHz; however it is cut, the result is the same."""

    def __init__(self) -> None:
        self._began = False
        self._incoming: Incoming | None = None

    def accept(self, samples: "Sound", sampling_rate: int) -> memoryview:
        """The next samples, as far as the filter lets them out; see `Incoming`.

        Raises:
            InputError: samples that are no finite numbers or not of full scale 1.0, or a sampling
                rate that is not positive or changed on the way; nothing has been taken then.
        """
        if (
            self._incoming is None
            and isinstance(samples, array)
            and samples.typecode == "f"
            and sampling_rate == SAMPLING_RATE
        ):
            if not all(map(math.isfinite, samples)):  # they would stay in the encoder
                raise InputError(
                    "the stream holds NaN or infinite samples; expected finite numbers"
                )
            check_scale(max(map(abs, samples), default=0.0), _NAME)
            self._began = True
            return memoryview(samples)
        from foldformer.data.audio import mono_floats

        mono = mono_floats(samples)
        check_scale(float(abs(mono).max(initial=0.0)), _NAME)
        if self._incoming is None:
            from foldformer.data.incoming import Incoming

            self._incoming = Incoming()
            if self._began:
                self._incoming.accept([], SAMPLING_RATE)
        return self._incoming.accept(mono, sampling_rate).data

    def finish(self) -> memoryview:
        """What the filter still held, after the last sample."""
        return silence(0) if self._incoming is None else self._incoming.finish().data


def mono_of(samples: "Sound") -> "Sound":
    """Samples (N,) of those of several channels (N, channels)."""
    if isinstance(samples, array):
        return samples
    from foldformer.data.audio import mono_floats

    return mono_floats(samples)


def silence(num_samples: int) -> memoryview:
    """So many samples of silence."""
    return memoryview(array("f", bytes(4 * num_samples)))
