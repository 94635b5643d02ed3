"""What a model writes for every utterance of a manifest."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from foldformer.data.batches import eval_loader
from foldformer.decode.recognizer import Recognizer


@dataclass(frozen=True)
class Utterance:
    """One utterance: what it says, and what the model wrote."""

    id: str
    language: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Evaluated:
    """A model's transcripts of a manifest.

    Attributes:
        utterances: in the order of evaluation, longest first.
        audio_seconds: of speech.
        seconds: that it took, features included.
    """

    utterances: list[Utterance]
    audio_seconds: float
    seconds: float


def evaluate(
    recognizer: Recognizer,
    manifest: str,
    chunk: int | None = None,
    text: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluated:
    """Transcribe every utterance of a manifest.

    Args:
        recognizer: the model with its search.
        manifest: Lhotse cuts.
        chunk: encoder frames (40 ms) a chunk, or None for the full context. Encoding under the
            chunk mask gives what a stream gives.
        text: the field with the reference; the one the model was trained to write unless given.
        progress: called with the number of utterances done.

    Raises:
        InputError: the manifest or a recording in it cannot be read.
    """
    began = time.monotonic()
    utterances: list[Utterance] = []
    audio_seconds = 0.0
    text = recognizer.config.text if text is None else text
    for batch in eval_loader(manifest, recognizer.tokens, text):
        found = recognizer.decode(batch.features, batch.feature_lengths, chunk)
        written = [recognizer.transcript(hypotheses[0]).text for hypotheses in found]
        rows = zip(batch.ids, batch.languages, batch.texts, written, strict=True)
        utterances.extend(Utterance(*row) for row in rows)
        audio_seconds += batch.audio_seconds
        progress(len(utterances))
    return Evaluated(utterances, audio_seconds, time.monotonic() - began)
