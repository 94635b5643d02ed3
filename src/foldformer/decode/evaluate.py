"""A model's scores on a manifest."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from foldformer.data.batches import eval_loader
from foldformer.decode.recognizer import Recognizer


@dataclass(frozen=True)
class Evaluated:
    """What a model wrote for every utterance of a manifest.

    Attributes:
        ids: of the cuts.
        languages: of the speech; empty where the manifest gives none.
        references: the texts of the manifest.
        hypotheses: the model's.
        audio_seconds: of speech.
        seconds: that it took.
    """

    ids: list[str]
    languages: list[str]
    references: list[str]
    hypotheses: list[str]
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
        chunk: encoder frames (40 ms) a chunk, or None for the full context. Chunked encoding
            under the mask gives what a stream gives.
        text: the field with the reference; the one the model was trained to write unless given.
        progress: called with the number of utterances done.

    Raises:
        InputError: the manifest or a recording in it cannot be read.
    """
    began = time.monotonic()
    result = Evaluated([], [], [], [], 0.0, 0.0)
    audio_seconds = 0.0
    text = recognizer.config.text if text is None else text
    for batch in eval_loader(manifest, recognizer.tokens, text):
        found = recognizer.decode(batch.features, batch.feature_lengths, chunk)
        result.ids.extend(batch.ids)
        result.languages.extend(batch.languages)
        result.references.extend(batch.texts)
        result.hypotheses.extend(recognizer.transcript(best[0]).text for best in found)
        audio_seconds += batch.audio_seconds
        progress(len(result.ids))
    return Evaluated(
        result.ids,
        result.languages,
        result.references,
        result.hypotheses,
        audio_seconds,
        time.monotonic() - began,
    )
