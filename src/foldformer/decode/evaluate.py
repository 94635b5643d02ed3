"""What a model writes for every utterance of a manifest."""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.dataset import SimpleCutSampler

from foldformer.data.alignment import word_ends
from foldformer.data.batches import ALL_BATCHES, heard_cuts, manifests_of, unheard
from foldformer.data.cuts import blocks_of, language_of, read_cuts, samples_of, text_of
from foldformer.data.durations import ENCODER_FRAME_MS
from foldformer.data.feature_cache import at_16k
from foldformer.data.pieces import LONGEST, pieces_of
from foldformer.decode.latency import word_times
from foldformer.decode.recognizer import Recognizer
from foldformer.decode.utterances import Evaluated, Utterance, Written, read_transcripts
from foldformer.errors import InputError

_BATCH = 200.0  # seconds of audio that are heard at once


def evaluate(
    recognizer: Recognizer,
    manifests: str | Sequence[str],
    chunk: int | None = None,
    text: str | None = None,
    longest: float = LONGEST,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Evaluated:
    """Transcribe every utterance of a manifest, or of several.

    Args:
        recognizer: the model with its search.
        manifests: Lhotse cuts.
        chunk: encoder frames (40 ms) a chunk, or None for the full context. Encoding under the
            chunk mask gives what a stream gives.
        text: the field with the reference; the one the model was trained to write unless given.
        longest: seconds; a longer utterance is heard in pieces, as `Recognizer.segments` cuts it.
        progress: called with the number of utterances done, and that of all.

    Raises:
        InputError: a manifest or a recording in it cannot be read, or an id occurs twice.
    """
    text = recognizer.config.text if text is None else text
    said = _said(manifests, text)
    began = time.monotonic()
    utterances: list[Utterance] = []
    cuts = heard_cuts(manifests, text)
    long = [cut for cut in cuts if cut.duration > longest]
    for cut in long:
        utterances.append(_in_pieces(recognizer, cut, chunk, said[cut.id], longest))
        progress(len(utterances), len(cuts))
    short = CutSet(cuts[len(long) :])
    for some in SimpleCutSampler(short, max_duration=_BATCH, shuffle=False, **ALL_BATCHES):
        utterances.extend(_transcribed(recognizer, list(some), chunk, said))
        progress(len(utterances), len(cuts))
    return _evaluated(utterances, time.monotonic() - began)


def evaluate_transcripts(
    path: Path, manifests: str | Sequence[str], text: str = "text"
) -> Evaluated:
    """Transcripts of every utterance of a manifest, read from JSON lines.

    Args:
        path: what `write_utterances` wrote, or any system's `id` and `hypothesis`.
        manifests: Lhotse cuts; their recordings are not read.
        text: the field with the reference.

    Raises:
        InputError: a file cannot be read, or the utterances of the two are not the same.
    """
    written = transcripts_of(path, manifests)
    said = _said(manifests, text, written)
    utterances = [
        Utterance(
            id=id_,
            language=said[id_].language,
            reference=said[id_].text,
            hypothesis=each.hypothesis,
            seconds=said[id_].seconds,
            spoken=said[id_].words if each.emitted is not None else None,
            emitted=each.emitted,
        )
        for id_, each in written.items()
    ]
    return _evaluated(utterances, None)


def transcripts_of(path: Path, manifests: str | Sequence[str]) -> dict[str, Written]:
    """{id: transcript} of a file, which holds those of the utterances of the manifests.

    Raises:
        InputError: as of `evaluate_transcripts`.
    """
    written = read_transcripts(path)
    cuts = [cut for manifest in manifests_of(manifests) for cut in read_cuts(manifest)]
    known = {cut.id for cut in cuts}
    named = ", ".join(manifests_of(manifests))
    missing = [cut.id for cut in cuts if not unheard(cut) and cut.id not in written]
    foreign = [id_ for id_ in written if id_ not in known]
    for ids, lacks, has in ((missing, path, named), (foreign, named, path)):
        if ids:
            raise InputError(
                f"{lacks}: lacks {len(ids)} of the utterances in {has}, such as {ids[0]!r}; "
                "expected transcripts of the same utterances"
            )
    if not written:
        raise InputError(f"{named}: none of its {len(cuts)} cuts can be heard, and {path} is empty")
    return written


@dataclass(frozen=True)
class _Said:
    """What a manifest knows of an utterance."""

    text: str
    language: str
    seconds: float
    words: tuple[tuple[str, float], ...] | None


def _said(
    manifests: str | Sequence[str], text: str, wanted: Container[str] = ()
) -> dict[str, _Said]:
    """By id; a cut that nobody hears needs no text, unless it is `wanted`."""
    found: dict[str, _Said] = {}
    for path in manifests_of(manifests):
        for cut in read_cuts(path):
            if cut.id in found:
                raise InputError(
                    f"{path}: holds the cut {cut.id!r} of another manifest; expected each id once"
                )
            if not unheard(cut) or cut.id in wanted:
                reference, words = text_of(cut, text), word_ends(cut) or None
            else:
                reference, words = "", None
            found[cut.id] = _Said(reference, language_of(cut), cut.duration, words)
    return found


def _transcribed(
    recognizer: Recognizer, cuts: Sequence[Cut], chunk: int | None, said: dict[str, _Said]
) -> list[Utterance]:
    found = recognizer.hear([at_16k(samples_of(cut), cut.sampling_rate) for cut in cuts], chunk)
    utterances = []
    for cut, hypotheses in zip(cuts, found, strict=True):
        best, known = hypotheses[0], said[cut.id]
        transcript = recognizer.transcript(best)
        words, emitted = None, None
        if chunk is not None:
            words = known.words
            emitted = word_times(transcript.tokens, best.frames, chunk, known.seconds)
        utterances.append(
            Utterance(
                id=cut.id,
                language=known.language,
                reference=known.text,
                hypothesis=transcript.text,
                seconds=known.seconds,
                spoken=words,
                emitted=emitted,
            )
        )
    return utterances


def _in_pieces(
    recognizer: Recognizer, cut: Cut, chunk: int | None, said: _Said, longest: float
) -> Utterance:
    """A long utterance: attention over all of it costs memory with the square of its length."""
    texts: list[str] = []
    emitted: list[float] = []
    rate, name = round(cut.sampling_rate), f"cut {cut.id!r}"
    for piece in pieces_of(blocks_of(cut), rate, name, longest):
        best = recognizer.segment(piece, chunk).transcripts[0]
        texts.append(best.text)
        if chunk is not None:
            frames = [round((t - piece.start) * 1000 / ENCODER_FRAME_MS) for t in best.times]
            heard = word_times(best.tokens, frames, chunk, piece.end - piece.start)
            emitted += [round(piece.start + time, 4) for time in heard]
    return Utterance(
        id=cut.id,
        language=said.language,
        reference=said.text,
        hypothesis=" ".join(" ".join(texts).split()),
        seconds=said.seconds,
        spoken=said.words if chunk is not None else None,
        emitted=tuple(emitted) if chunk is not None else None,
    )


def _evaluated(utterances: list[Utterance], seconds: float | None) -> Evaluated:
    return Evaluated(utterances, sum(each.seconds for each in utterances), seconds)
