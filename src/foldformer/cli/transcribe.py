"""Write down what recordings say, or its translation."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from foldformer.cli._export_arguments import add_export_arguments, check_model_options, open_export
from foldformer.cli._foreign import refuse_foreign
from foldformer.cli._model_arguments import (
    add_model_arguments,
    check_beam,
    chunk_of,
    segment_of,
)
from foldformer.cli._process import ENDS
from foldformer.cli._recordings import STANDARD_INPUT, Recording, recordings_of
from foldformer.errors import InputError, SpecError

if TYPE_CHECKING:
    from foldformer.cli._progress import Progress
    from foldformer.data.audio import Samples
    from foldformer.decode.transcript import Segment
    from foldformer.report.transcripts import Writer

Write = Callable[[str], object]
_Block: TypeAlias = "tuple[Samples, int]"

_MICROPHONE = Recording("microphone", Path("microphone"))


class _Recognizer(Protocol):
    """What a model and an export have in common."""

    def segments(
        self, audio: str | BinaryIO, chunk: int | None, longest: float
    ) -> "Iterator[Segment]":
        """The segments of a recording."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    add_model_arguments(parser, "a model folder, or an export")
    recordings = parser.add_argument(
        "recordings",
        nargs="+",
        default=[],
        metavar="AUDIO",
        help="files of any format and rate, folders, patterns like 'calls/*.wav', or - for "
        "standard input",
    )
    parser.add_argument(
        "--format",
        choices=["text", "json", "srt", "vtt"],
        default="text",
        help="text (default); json: an object a line, with times and scores; srt, vtt: subtitles",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="--format json"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write a file for each recording into FOLDER"
    )
    parser.add_argument(
        "--num-best",
        type=int,
        metavar="N",
        help="write the N best hypotheses with their scores; wants --beam N or more",
    )
    add_export_arguments(parser, recordings)
    parser.usage = (  # argparse breaks no line of a usage that it is given
        "%(prog)s MODEL (AUDIO [AUDIO ...] | --microphone)\n"
        "           [--format text|json|srt|vtt] [--output FOLDER] [--segment 30s]\n"
        "           [--chunk 320ms] [--head KIND] [--beam N] [--num-best N]\n"
        "           [--endpoint 1.2s] [--partial] [--hotwords FILE [--hotwords-score X]]\n"
        "           [--threads N] [--memory quick|small] [--microphone-device NAME]"
    )


def run(args: argparse.Namespace) -> int:
    """Transcribe each recording; a bad one is reported, and the rest go on."""
    from foldformer.cli._progress import Progress

    chunk, longest = chunk_of(args), segment_of(args)
    check_beam(args)
    if args.num_best is not None and args.num_best < 1:
        raise SpecError(f"num-best: expected 1 or more, got {args.num_best}")
    if args.num_best and args.format in ("srt", "vtt"):
        raise SpecError(f"num-best: {args.format} holds one hypothesis; take text or json")
    recognizer = _recognizer(args, longest)
    if args.microphone:
        return _listen(recognizer, args)

    def hear(source: str | BinaryIO, writer: "Writer", write: Write) -> "Iterator[Segment]":
        if not args.partial:
            return recognizer.segments(source, chunk, longest)
        from foldformer.deploy.recognizer import ExportRecognizer

        assert isinstance(recognizer, ExportRecognizer)
        return recognizer.segments(source, chunk, longest, _grown(writer, write))

    with Progress() as progress:
        recordings = _find(args.recordings, progress)
        _check_places(recordings, args)
        progress.begin(len(recordings), sys.stderr.isatty() and _elsewhere(args.output))
        for recording in recordings:
            try:
                source = recording.source()
                with _place(recording, args) as (writer, write):
                    write(writer.begin())
                    for segment in hear(source, writer, write):
                        write(writer.segment(segment))
                        progress.heard(recording.name, segment.end)
                    write(writer.end())
            except InputError as error:
                progress.complain(error)
            progress.next()
    return 2 if progress.complaints else 0


def _recognizer(args: argparse.Namespace, longest: float) -> _Recognizer:
    """The model or the export."""
    from foldformer.deploy.folder import is_export

    if is_export(args.model):
        return open_export(args, longest)
    check_model_options(args)
    if args.num_best and args.num_best > args.beam >= 1:
        raise SpecError(
            f"num-best: {args.num_best} hypotheses want a beam as large; add --beam {args.num_best}"
        )
    from foldformer.decode.recognizer import Recognizer

    refuse_foreign(args.model)
    return Recognizer.load(args.model, args.head, args.beam, args.num_best or 1)


def _listen(recognizer: _Recognizer, args: argparse.Namespace) -> int:
    """Write down what the microphone hears, until Ctrl-C ends it, or the device does."""
    from foldformer.deploy.microphone import microphone
    from foldformer.deploy.recognizer import ExportRecognizer

    assert isinstance(recognizer, ExportRecognizer)
    lost: list[InputError] = []
    with _interrupted() as stopped:
        heard = microphone(args.microphone_device, stopped)
        first = list(islice(heard, 1))  # before a file is made: there may be no such device
        blocks = chain(first, _until_lost(heard, lost))
        with _place(_MICROPHONE, args) as (writer, write):
            partial = _grown(writer, write) if args.partial else None
            write(writer.begin())
            for segment in recognizer.live(blocks, partial):
                write(writer.segment(segment))
            write(writer.end())
    if lost:
        raise lost[0]
    return 0


def _until_lost(blocks: Iterable[_Block], lost: list[InputError]) -> Iterator[_Block]:
    """The blocks up to an error, which is told in `lost`: what was heard before is still said."""
    try:
        yield from blocks
    except InputError as error:
        lost.append(error)


def _grown(writer: "Writer", write: Write) -> "Callable[[Segment], object]":
    """What writes a segment that is not at its end yet."""
    from foldformer.report.transcripts import LiveWriter

    assert isinstance(writer, LiveWriter)  # `open_export` has refused the others
    return lambda segment: write(writer.partial(segment))


@contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Asks whether there was a Ctrl-C, or a signal to end, which otherwise do nothing."""
    seen: list[int] = []
    ends = [number for number in ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {
        number: signal.signal(number, lambda number, frame: seen.append(number))
        for number in [signal.SIGINT, *ends]
    }
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _find(words: Sequence[str], progress: "Progress") -> list[Recording]:
    """The recordings that the words name, each once."""
    found: dict[str, Recording] = {}
    for word in words:
        try:
            found |= {each.name: each for each in recordings_of(word) if each.name not in found}
        except InputError as error:
            progress.complain(error)
    return list(found.values())


def _check_places(recordings: Sequence[Recording], args: argparse.Namespace) -> None:
    """Each transcript needs a place of its own."""
    if args.output is None:
        if args.format in ("srt", "vtt") and len(recordings) > 1:
            raise SpecError(
                f"format: {args.format} holds one recording, and there are {len(recordings)}; "
                "name a folder for them: --output FOLDER"
            )
        return
    suffix = _writer(recordings[0], args).suffix if recordings else ""
    taken: dict[Path, Recording] = {}
    for each in recordings:
        path = args.output / each.place.parent / (each.place.name + suffix)
        if _is_of_file(each) and path.exists() and path.parent.samefile(Path(each.name).parent):
            raise InputError(
                f"{each.name}: its transcript would be written over {path}, which stands beside "
                "it; take another folder for --output"
            )
        other = taken.setdefault(each.place, each)
        if other is not each:
            raise InputError(
                f"{each.name}: its transcript would have the name of that of {other.name}; "
                "rename one, or take another folder for it"
            )


def _elsewhere(output: Path | None) -> bool:
    """Whether the transcripts go elsewhere than to the terminal, where they are progress enough."""
    return output is not None or not sys.stdout.isatty()


@contextmanager
def _place(recording: Recording, args: argparse.Namespace) -> Iterator[tuple["Writer", Write]]:
    """What writes the recording's transcript, and where to.

    In a folder, that of a recording is whole or not there, and that of the microphone grows.

    Raises:
        InputError: it would be written over earlier subtitles.
    """
    if args.output is None:
        alone = args.microphone or args.recordings == [recording.name]
        name = "" if alone else recording.name
        yield _writer(recording, args, name, not _is_unicode(sys.stdout.encoding)), _print
        return
    from foldformer.files import complete_files

    writer = _writer(recording, args)
    path = args.output / recording.place.parent / (recording.place.name + writer.suffix)
    if recording is _MICROPHONE:  # what was said stays, however this listening or another ended
        if args.format in ("srt", "vtt") and path.exists():
            raise InputError(
                f"{path}: is there already, and subtitles are of one listening; take another "
                "folder for --output"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8", buffering=1) as file:
            yield writer, file.write
        return
    with (
        complete_files(path.parent) as beside,
        # The name of the recording stands in it, which need not be Unicode.
        open(beside / path.name, "w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield writer, file.write


def _is_of_file(recording: Recording) -> bool:
    """Whether it is read from a file that is there; what is not there is told when it is read."""
    live = recording is _MICROPHONE or recording.name == STANDARD_INPUT
    return not live and os.path.exists(recording.name)  # Path fails for names that cannot be


def _writer(
    recording: Recording, args: argparse.Namespace, name: str = "", ascii_only: bool = False
) -> "Writer":
    from foldformer.report.transcripts import JsonWriter, SrtWriter, TextWriter, VttWriter

    if args.format == "json":
        return JsonWriter(recording.name, bool(args.num_best), ascii_only)
    if args.format == "text":
        return TextWriter(name, bool(args.num_best))
    return SrtWriter() if args.format == "srt" else VttWriter()


def _is_unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().startswith("utf")


def _print(text: str) -> None:
    print(text, end="", flush=True)
