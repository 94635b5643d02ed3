"""From recordings to text by an export: what `foldformer.load` gives, without PyTorch."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from foldformer.data.durations import LONGEST, SAMPLING_RATE, shown
from foldformer.data.tokens import SPACE, Tokens
from foldformer.decode.transcript import Segment, Transcript, later
from foldformer.deploy.check import check_export
from foldformer.deploy.folder import ExportSpec
from foldformer.deploy.hotwords import Hotwords
from foldformer.deploy.memory import Memory, after_call
from foldformer.deploy.runtime import Decoding, open_runtime, refusals
from foldformer.deploy.stream import ExportStream, segments_of
from foldformer.errors import SpecError

if TYPE_CHECKING:  # what a stream can do without, at 15 MB and more
    from foldformer.data.audio import Samples
    from foldformer.deploy.given import Sound
    from foldformer.deploy.recordings import Audio


def load(
    folder: str | Path,
    *,
    beam: int = 1,
    hotwords: Hotwords | None = None,
    endpoint: float | None = None,
    longest: float = LONGEST,
    threads: int = 1,
    memory: Memory = "quick",
) -> "ExportRecognizer":
    """The recogniser of an export; what is not said of it is said by the export.

    Args:
        folder: made by `foldformer export`.
        beam: hypotheses kept; 1 is greedy. More want a transducer.
        hotwords: phrases to prefer; they want a transducer and a beam of 2 or more.
        endpoint: seconds of silence after words that end a segment of a stream; twice as many end
            one without words. None: nothing does.
        longest: seconds after which a segment ends in any case, where there are endpoints.
        threads: of the runtime.
        memory: what is kept of what loading took, and from chunk to chunk; of the whole process,
            see `foldformer.deploy.memory.Memory`.

    Raises:
        InputError: the folder is incomplete or damaged.
        SpecError: the export cannot do what is asked for.
        MissingExtraError: sherpa-onnx is not installed.
    """
    decoding = Decoding(
        beam=beam,
        hotwords=hotwords,
        endpoint=endpoint,
        longest=longest,
        threads=threads,
        memory=memory,
    )
    return ExportRecognizer(Path(folder), decoding)


def check_chunk(spec: ExportSpec, chunk: int | None) -> None:
    """Compare a chunk that is asked for, in encoder frames, with that of an export.

    Raises:
        SpecError: the export hears other chunks.
    """
    own = None if spec.stream is None else spec.stream.chunk
    if chunk not in (None, own):
        heard = "whole recordings" if own is None else f"chunks of {shown(own)}"
        raise SpecError(
            f"chunk: this export hears {heard}, which is fixed in its files, and "
            f"{shown(chunk or 0)} was asked for; leave it out, or export the model with "
            f"--streaming --chunk {shown(chunk or 0)}"
        )


def check_head(spec: ExportSpec, head: str | None) -> None:
    """Compare a head that is asked for with that of an export.

    Raises:
        SpecError: the export has another one.
    """
    if head not in (None, spec.head):
        raise SpecError(
            f"head: this export has the head {spec.head} alone, and {head} was asked for; leave it "
            f"out, or export the model with --head {head}"
        )


class ExportRecognizer:
    """Recognises, or translates, recordings and streams, in sherpa-onnx.

    Attributes:
        spec: what the export is.
        tokens: what its outputs mean.
    """

    def __init__(self, folder: Path, decoding: Decoding) -> None:
        """Check and load an export; `load` says what is raised."""
        self.spec: ExportSpec
        self.tokens: Tokens
        self.spec, self.tokens = check_export(folder)
        self._folder = folder
        self._after_call = after_call(decoding.memory)
        self._endpoints = decoding.endpoint is not None
        self._runtime = open_runtime(folder, self.spec, self.tokens, decoding)
        # The runtime shows the first "▁" of a symbol as a space.
        self._ids = {
            f" {symbol[1:]}" if symbol.startswith(SPACE) else symbol: index
            for index, symbol in enumerate(self.tokens.symbols)
        }

    def transcribe(
        self, audio: "Audio", sampling_rate: int | None = None, chunk: int | None = None
    ) -> Transcript:
        """Write down one recording.

        Args:
            audio: a path or file object of any format that libsndfile reads, or samples: (N,) or
                (N, channels), floats in [-1, 1] or integers of full scale.
            sampling_rate: of samples, in Hz; a file knows its own.
            chunk: None, or that of the export, in encoder frames (40 ms).

        Raises:
            InputError: the recording is missing, damaged, empty or too short.
            SpecError: the export hears other chunks.
        """
        from foldformer.deploy.recordings import samples_of

        check_chunk(self.spec, chunk)
        return self._heard(samples_of(audio, sampling_rate))

    def segments(
        self,
        audio: str | Path | BinaryIO,
        chunk: int | None = None,
        longest: float = LONGEST,
        partial: Callable[[Segment], object] | None = None,
    ) -> Iterator[Segment]:
        """Write down a recording of any length, part after part, in constant memory.

        With endpoints, or where partial results are asked for, the recording is one stream, and a
        segment ends where an endpoint is found. Otherwise it is cut where it is quietest
        (`foldformer.data.pieces`).

        Args:
            audio: a path or file object of any format that libsndfile reads.
            chunk: see `transcribe`.
            longest: seconds of a segment, 1 or more; with endpoints, `load` was told.
            partial: see `live`.

        Raises:
            InputError: the recording is missing, damaged, empty or too short. Damage is found when
                it is reached.
            SpecError: the export hears other chunks, or whole recordings and `partial` is given.
        """
        from foldformer.deploy.recordings import blocks_of, pieces_of

        check_chunk(self.spec, chunk)
        if self._endpoints or partial is not None:
            yield from self.live(blocks_of(audio), partial)
            return
        for piece, samples in pieces_of(audio, longest):
            found = later(self._heard(samples), piece.start)
            yield Segment(round(piece.start, 3), round(piece.end, 3), (found,))

    def live(
        self,
        blocks: "Iterable[tuple[Sound, int]]",
        partial: Callable[[Segment], object] | None = None,
    ) -> Iterator[Segment]:
        """Write down what comes in, a segment as soon as an endpoint is found; else at the end.

        Args:
            blocks: samples (N,) or (N, channels) and their rate in Hz, as they come.
            partial: told of the segment at work, from its start to what has been heard, whenever
                it has got more tokens.

        Raises:
            InputError: samples that are no finite numbers or not of full scale 1.0, or another rate
                on the way.
            SpecError: the export is for whole recordings.
        """
        return segments_of(self.stream(), blocks, partial)

    def stream(self) -> ExportStream:
        """A stream that hears the export's chunk at a time.

        Raises:
            SpecError: the export is for whole recordings.
        """
        if self.spec.stream is None:
            raise SpecError(
                "stream: this export hears whole recordings; make one for streams with "
                "foldformer export --streaming"
            )
        return ExportStream(
            self._folder,
            self._runtime,
            self.spec.stream.chunk,
            self._transcript,
            self._after_call,
        )

    def _heard(self, samples: "Samples") -> Transcript:
        """The transcript of samples (N,) at 16 kHz."""
        if self.spec.streams:
            stream = self.stream()
            stream.accept(samples)
            return stream.finish()
        heard = self._runtime.create_stream()
        heard.accept_waveform(SAMPLING_RATE, samples)
        with refusals(self._folder):
            self._runtime.decode_stream(heard)
        self._after_call()
        return self._transcript(heard.result, 0.0, math.inf)

    def _transcript(self, result: Any, start: float, end: float) -> Transcript:
        """A result of the runtime; scores are NaN where it tells none, as for CTC.

        What it found after `end`, in the silence that completes a chunk, was not said.
        """
        times = [round(start + time, 3) for time in result.timestamps]
        said = sum(time < end for time in times)
        ids = [self._ids[token] for token in result.tokens[:said]]
        found = list(result.ys_probs if self.spec.streams else result.ys_log_probs)[:said]
        scores = found if len(found) == said else [math.nan] * said
        # Of lists: a tuple of a generator is resized, and Python keeps 2000 freed ones of each
        # length that nothing uses again, 5 MB in some hours of a stream.
        symbols = [self.tokens.symbols[index] for index in ids]
        rounded = [round(score, 4) for score in scores]
        return Transcript(
            text=self.tokens.decode(ids),
            tokens=tuple(symbols),
            times=tuple(times[:said]),
            scores=tuple(rounded),
            score=round(math.fsum(scores), 4) if scores else math.nan,
        )
