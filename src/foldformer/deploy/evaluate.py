"""What an export writes for every utterance of a manifest, in the runtime itself.

Not for a device: manifests are read by Lhotse, which brings PyTorch.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lhotse.cut import Cut

from foldformer.data.batches import heard_cuts
from foldformer.data.cuts import blocks_of, language_of, text_of
from foldformer.data.durations import ENCODER_FRAME_MS, LONGEST
from foldformer.data.pieces import Piece, pieces_of
from foldformer.decode.evaluate import evaluate_transcripts
from foldformer.decode.latency import word_times
from foldformer.decode.utterances import Evaluated, Utterance, write_utterances
from foldformer.deploy.recognizer import ExportRecognizer


def evaluate_export(
    recognizer: ExportRecognizer,
    manifests: str | Sequence[str],
    text: str | None = None,
    longest: float = LONGEST,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Evaluated:
    """Transcribe every utterance of a manifest, or of several, one after the other.

    Args:
        recognizer: of the export, without endpoints.
        manifests: Lhotse cuts.
        text: the field with the reference; the one the model was trained to write unless given.
        longest: seconds; a longer utterance is heard in pieces, cut where it is quietest.
        progress: called with the number of utterances done, and that of all.

    Raises:
        InputError: a manifest or a recording in it cannot be read, or an id occurs twice.
    """
    text = recognizer.spec.source.text if text is None else text
    began = time.monotonic()
    cuts = heard_cuts(manifests, text)
    utterances = []
    for cut in cuts:
        utterances.append(_heard(recognizer, cut, text, longest))
        progress(len(utterances), len(cuts))
    seconds = time.monotonic() - began
    with tempfile.TemporaryDirectory() as beside:
        written = Path(beside) / "heard.jsonl"
        write_utterances(written, utterances)
        return replace(evaluate_transcripts(written, manifests, text), seconds=seconds)


def _heard(recognizer: ExportRecognizer, cut: Cut, text: str, longest: float) -> Utterance:
    texts: list[str] = []
    emitted: list[float] = []
    stream = recognizer.spec.stream
    for piece in pieces_of(blocks_of(cut), round(cut.sampling_rate), f"cut {cut.id!r}", longest):
        found = recognizer.transcribe(piece.samples, piece.sampling_rate)
        texts.append(found.text)
        if stream is not None:
            emitted += _emitted(found.tokens, found.times, stream.chunk, piece)
    return Utterance(
        id=cut.id,
        language=language_of(cut),
        reference=text_of(cut, text),
        hypothesis=" ".join(" ".join(texts).split()),
        seconds=cut.duration,
        emitted=None if stream is None else tuple(emitted),
    )


def _emitted(
    tokens: Sequence[str], times: Sequence[float], chunk: int, piece: Piece
) -> list[float]:
    """When the stream had heard enough for each word, in seconds of the recording."""
    frames = [round(each * 1000 / ENCODER_FRAME_MS) for each in times]
    heard = word_times(tokens, frames, chunk, piece.end - piece.start)
    return [piece.start + each for each in heard]
