"""Score a model or an export: WER, CER, BLEU, chrF, the worst errors, latency, a comparison."""

import argparse
import json
import shlex
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldformer.cli._bar import bar
from foldformer.cli._foreign import refuse_foreign
from foldformer.cli._model_arguments import (
    SEGMENT,
    add_model_arguments,
    check_beam,
    chunk_of,
    segment_of,
)
from foldformer.cli._outputs import check_outputs
from foldformer.deploy.folder import is_export
from foldformer.errors import InputError, SpecError
from foldformer.files import whole_file

if TYPE_CHECKING:
    from foldformer.decode.utterances import Evaluated
    from foldformer.deploy.folder import ExportSpec

EXTRA = "train"
"""What this verb needs to be installed with."""

_WORST = 10  # utterances of the page and of JSON, where --worst does not say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    what = (
        "a model folder, an export, which is heard in sherpa-onnx, or transcripts: JSON lines with "
        "`id`, `hypothesis`, as of --output"
    )
    add_model_arguments(parser, what)
    parser.add_argument(
        "manifest",
        nargs="+",
        metavar="MANIFEST",
        help="Lhotse cuts: *.jsonl, *.jsonl.gz, or a folder in the Shar format",
    )
    parser.add_argument(
        "--text",
        metavar="FIELD",
        help="the references: `text` or a custom field; default: what the model was trained on",
    )
    parser.add_argument(
        "--weights",
        choices=["fp32", "int8", "int4"],
        default="fp32",
        help="round the model's matrices first, as an export of that precision stores them",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="another model folder, export or transcripts, to compare with by the paired bootstrap",
    )
    parser.add_argument(
        "--worst",
        type=int,
        metavar="N",
        help="show the N utterances with most errors; with --html and --json 10 unless given",
    )
    parser.add_argument("--json", action="store_true", help="all results as one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write all results as a page")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write every utterance to FILE, as JSON lines"
    )
    parser.add_argument(
        "--card", action="store_true", help="write the scores into the model's card, README.md"
    )


def run(args: argparse.Namespace) -> None:
    """Evaluate, and print the scores of all utterances and of each language."""
    from foldformer.decode.utterances import write_utterances
    from foldformer.report.scores import results_of

    _check(args)
    if args.against is not None:
        _check_against(args, args.against)
    with whole_file(args.output, "--output") as output, whole_file(args.html, "--html") as html:
        evaluated, measured = _evaluated(args, args.model, args.text)
        against = None
        if args.against is not None:  # by the same references, whatever the other was trained on
            against = _evaluated(args, args.against, measured["text"])[0]
        worst = _WORST if args.worst is None else args.worst
        results = results_of(evaluated, against, worst)
        results["measured"] = measured
        if output is not None:
            write_utterances(output, evaluated.utterances)
        if html is not None:
            from foldformer.report.page import page

            html.write_text(page(results), encoding="utf-8")
    _print(args, results)
    if args.card:
        from foldformer.train.card import add_to_card

        add_to_card(args.model, results)
    if not args.json:
        _say_written(args)


def _say_written(args: argparse.Namespace) -> None:
    """Where everything is that is not on the screen."""
    written = {
        "transcripts": args.output,
        "page": args.html,
        "card": args.model / "README.md" if args.card else None,
    }
    lines = [f"{what}: {path}" for what, path in written.items() if path is not None]
    if lines:
        print("", *lines, sep="\n")


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot go together before anything is loaded."""
    if args.worst is not None and args.worst < 0:
        raise SpecError(f"--worst: expected 0 or more, got {args.worst}")
    if args.card and (args.model.is_file() or is_export(args.model)):
        what = "transcripts have no card" if args.model.is_file() else "this is an export"
        raise SpecError(f"--card: {what}; give the folder of the model")
    if args.model.is_file() and (args.against is None or args.against.is_file()):
        usual = {"chunk": None, "segment": SEGMENT, "head": None, "beam": 1, "weights": "fp32"}
        for name, default in usual.items():
            if getattr(args, name) != default:
                raise SpecError(
                    f"--{name}: says how a model hears, and {args.model} holds transcripts; leave "
                    "it out"
                )
    for folder in filter(None, (args.model, args.against)):
        refuse_foreign(folder)
    check_outputs(
        {"--output": args.output, "--html": args.html},
        [args.model, args.against, *args.manifest],
    )


def _check_against(args: argparse.Namespace, other: Path) -> None:
    """Refuse what there is nothing to compare with in, before the model is heard, maybe for hours.

    Raises:
        InputError: it is neither a model folder nor transcripts of these utterances.
        SpecError: it has no such head, or an option asks for what is fixed in an export.
    """
    if other.is_file():
        from foldformer.decode.evaluate import transcripts_of

        transcripts_of(other, args.manifest)
    elif is_export(other):
        from foldformer.deploy.check import check_export

        check_export(other)
        _check_fixed(args, other)
    elif other.exists():
        from foldformer.decode.recognizer import Recognizer

        Recognizer.load(other, args.head)  # weights are mapped, and not read
    else:
        raise InputError(
            f"--against: {other}: no such file or folder; expected a model folder, an export, or "
            "transcripts as of --output"
        )


def _evaluated(
    args: argparse.Namespace, model: Path, text: str | None
) -> tuple["Evaluated", dict[str, Any]]:
    """The transcripts of a model folder or of a file, and how they came about."""
    from foldformer.decode.evaluate import evaluate, evaluate_transcripts

    measured: dict[str, Any] = {"model": str(model), "manifest": ", ".join(args.manifest)}
    if model.is_file():
        text = text or "text"
        evaluated = evaluate_transcripts(model, args.manifest, text)
    elif is_export(model):
        evaluated, heard = _of_export(args, model, text)
        text = heard.pop("text")
        measured |= heard
    else:
        from foldformer.decode.recognizer import Recognizer

        chunk, longest = chunk_of(args), segment_of(args)
        check_beam(args)
        recognizer = Recognizer.load(model, args.head, args.beam)
        if args.weights != "fp32":
            from foldformer.nn.quantise import round_weights

            round_weights(recognizer.model, 8 if args.weights == "int8" else 4)
        text = text or recognizer.config.text
        with bar("utterances") as advance:
            evaluated = evaluate(recognizer, args.manifest, chunk, text, longest, advance)
        measured |= {
            "chunk": args.chunk or "none: whole recordings",
            "head": args.head or next(iter(recognizer.model.heads)),
            "beam": args.beam,
            "weights": args.weights,
            "torch": version("torch"),
        }
    measured |= {
        "text": text,
        "against": None if args.against is None else str(args.against),
        "command": _command(args),
        "foldformer": version("foldformer"),
        "date": date.today().isoformat(),
    }
    return evaluated, measured


def _of_export(
    args: argparse.Namespace, folder: Path, text: str | None
) -> tuple["Evaluated", dict[str, Any]]:
    """The transcripts of an export, and how it heard.

    Raises:
        SpecError: an option asks for what is fixed in its files.
    """
    from foldformer.data.durations import shown
    from foldformer.deploy.evaluate import evaluate_export
    from foldformer.deploy.recognizer import load

    spec = _check_fixed(args, folder)
    check_beam(args)
    recognizer = load(folder, beam=args.beam)
    text = text or spec.source.text
    with bar("utterances") as advance:
        evaluated = evaluate_export(recognizer, args.manifest, text, segment_of(args), advance)
    return evaluated, {
        "text": text,
        "chunk": "none: whole recordings" if spec.stream is None else shown(spec.stream.chunk),
        "head": spec.head,
        "beam": args.beam,
        "weights": spec.precision,
        "sherpa-onnx": version("sherpa-onnx"),
    }


def _check_fixed(args: argparse.Namespace, folder: Path) -> "ExportSpec":
    """What an export is; refuse options that ask for something else.

    Raises:
        SpecError: there is such an option.
    """
    from foldformer.deploy.folder import read_export
    from foldformer.deploy.recognizer import check_chunk, check_head

    spec = read_export(folder)
    check_chunk(spec, chunk_of(args))
    check_head(spec, args.head)
    if args.weights not in ("fp32", spec.precision):
        raise SpecError(
            f"weights: those of this export are stored in {spec.precision}; leave it out, or "
            f"export the model with --precision {args.weights}"
        )
    return spec


def _command(args: argparse.Namespace) -> str:
    """What gives these figures again; where they are written to makes no difference to them."""
    words = ["foldformer", "evaluate", str(args.model), *args.manifest]
    for name in ("chunk", "head", "text", "against"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    if args.beam != 1:
        words += ["--beam", str(args.beam)]
    if args.weights != "fp32":
        words += ["--weights", args.weights]
    if args.segment != SEGMENT:
        words += ["--segment", args.segment]
    return shlex.join(words)


def _print(args: argparse.Namespace, results: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2, allow_nan=False))
        return
    from foldformer.report.score_table import score_table, worst_table

    print(score_table(results))
    if args.worst:
        print(f"\n{worst_table(results)}")
