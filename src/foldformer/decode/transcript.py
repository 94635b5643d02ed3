"""What was heard: transcripts, and the segments of a recording that they are of."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Transcript:
    """What was heard.

    Attributes:
        text: the words.
        tokens: the symbols they were written with.
        times: seconds from the start of the recording at which each token was decided.
        scores: the log-probability of each token when it was decided, in nats; NaN where a runtime
            on a device does not tell.
        score: log-probability of the hypothesis as the search has summed it, in nats; NaN likewise.
    """

    text: str
    tokens: tuple[str, ...]
    times: tuple[float, ...]
    scores: tuple[float, ...]
    score: float


@dataclass(frozen=True)
class Segment:
    """A part of a recording, and what was heard in it.

    Attributes:
        start: seconds from the start of the recording.
        end: the same, of its end.
        transcripts: the best one first; their times count from the start of the recording.
    """

    start: float
    end: float
    transcripts: tuple[Transcript, ...]


def later(transcript: Transcript, seconds: float) -> Transcript:
    """The transcript of a part that begins so many seconds after the recording."""
    return replace(transcript, times=tuple(round(t + seconds, 3) for t in transcript.times))
