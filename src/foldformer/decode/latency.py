"""How long after its speech a stream writes a word.

Times count what a stream has to hear, and nothing for computing: those of any device are longer
by what it needs for a chunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldformer.data.durations import ENCODER_FRAME_MS
from foldformer.decode.edits import aligned
from foldformer.decode.texts import normalised
from foldformer.decode.utterances import Utterance
from foldformer.decode.words import spelled

_OVERHANG = 0.0075  # seconds that the window of a feature frame reaches beyond its 10 ms


@dataclass(frozen=True)
class Latency:
    """Delays of many words or utterances.

    Attributes:
        name: what is measured, in the terms of the field.
        milliseconds: each of them, rising.
    """

    name: str
    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """The delay that `percent` % of them do not exceed, in milliseconds."""
        return float(np.percentile(self.milliseconds, percent, method="inverted_cdf"))


def word_times(
    symbols: Sequence[str], frames: Sequence[int], chunk: int, seconds: float
) -> tuple[float, ...]:
    """When a stream has heard enough to write each word of a transcript, in seconds.

    A token is decided with the chunk that its frame is in; a word is there with its last token.

    Args:
        symbols: the tokens, "▁" for a space.
        frames: the encoder frame (40 ms) that each token was found at.
        chunk: encoder frames a chunk.
        seconds: length of the recording, at whose end the last chunk is completed at once.
    """
    decided = [frames[places[-1]] for _, places in spelled(symbols)]
    heard = [(at // chunk + 1) * chunk * ENCODER_FRAME_MS / 1000 + _OVERHANG for at in decided]
    return tuple(min(round(time, 4), seconds) for time in heard)


def latencies(utterances: Sequence[Utterance]) -> list[Latency]:
    """Two delays of a stream; none where the whole recordings were heard first.

    Where the manifest knows when words end and the references are these words:

    - word emission delay: from the end of each word that was recognised to its last token;
    - partial recognition latency (arXiv:2010.11148): from the end of the last word spoken to the
      last token of the utterance.

    Otherwise, as of translations:

    - length-adaptive average lagging, LAAL (arXiv:2206.05807): how far behind the speech each
      word is on average, compared with words spread evenly over the recording;
    - final latency: from the end of the recording to the last token; negative after silence.
    """
    streamed = [each for each in utterances if each.emitted]
    timed = [(each, _word_ends(each)) for each in streamed]
    known = [(each, ends) for each, ends in timed if ends]
    if known:
        delays = [delay for each, ends in known for delay in _emission_delays(each, ends)]
        last = [each.emitted[-1] - ends[-1][1] for each, ends in known if each.emitted]
        found = {"word emission delay": delays, "partial recognition latency": last}
    else:
        lagging = [_average_lagging(each) for each in streamed]
        last = [each.emitted[-1] - each.seconds for each in streamed if each.emitted]
        found = {"average lagging (LAAL)": lagging, "final latency": last}
    return [
        Latency(name, tuple(sorted(round(1000 * delay, 1) for delay in delays)))
        for name, delays in found.items()
        if delays
    ]


def _word_ends(utterance: Utterance) -> list[tuple[str, float]]:
    """Normalised words of the reference and their ends; empty where the manifest times others.

    Of several written words that were timed as one (`twenty-one`), each ends with the last.
    """
    ends = [
        (word, end) for spoken, end in utterance.spoken or () for word in normalised(spoken).split()
    ]
    words = [word for word, _ in ends]
    return ends if words == normalised(utterance.reference).split() else []


def _emission_delays(utterance: Utterance, ends: list[tuple[str, float]]) -> list[float]:
    """Seconds from the end of each word that was recognised to its last token."""
    emitted = zip(utterance.hypothesis.split(), utterance.emitted or (), strict=True)
    written = [(part, time) for word, time in emitted for part in normalised(word).split()]
    delays = []
    spoken, times = iter(ends), iter(written)
    for said, heard in aligned([word for word, _ in ends], [word for word, _ in written]):
        end = next(spoken)[1] if said is not None else None
        time = next(times)[1] if heard is not None else None
        if said == heard and end is not None and time is not None:
            delays.append(time - end)
    return delays


def _average_lagging(utterance: Utterance) -> float:
    """LAAL in seconds: mean over i of d_i - i T / max(|Y|, |Y*|), until the recording has ended."""
    times = utterance.emitted or ()
    words = max(len(times), len(utterance.reference.split()))
    heard = [place for place, time in enumerate(times) if time >= utterance.seconds]
    counted = times[: heard[0] + 1] if heard else times
    ideal = [place * utterance.seconds / words for place in range(len(counted))]
    return sum(time - on_time for time, on_time in zip(counted, ideal, strict=True)) / len(counted)
