"""Show the results of experiments: tables beside the paper's, figures, errors, as one page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXTRA = "train"
"""What this verb needs to be installed with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="*",
        metavar="RESULTS",
        help="results of `foldformer experiment` (*.jsonl), or the recipe folder or YAML file; "
        "needed unless --update alone is given",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.html", help="write everything as a page"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the tables, too, where there is a page"
    )
    parser.add_argument(
        "--layers",
        type=Path,
        metavar="MODEL",
        help="a model folder, to show on the page how alike the weights of its layers are",
    )
    parser.add_argument(
        "--update",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE.md",
        help="write the figures that these files quote anew; their marks say of which results",
    )


def run(args: argparse.Namespace) -> None:
    """Bring documents up to date; write the page, or print Markdown."""
    from foldformer.errors import SpecError

    if args.layers is not None and args.output is None:
        raise SpecError("--layers: is a part of the page; name that with -o FILE.html")
    if not args.results and (args.output is not None or args.markdown or not args.update):
        raise SpecError("RESULTS: missing; expected results of `foldformer experiment` to show")
    from foldformer.cli._outputs import check_outputs
    from foldformer.experiment.spec import experiment_file, results_file

    read = [f(place) for place in args.results for f in (Path, experiment_file, results_file)]
    check_outputs({"-o": args.output}, [*read, *args.update, args.layers])
    _update(args.update)
    if args.results:
        _show(args)


def _update(documents: "Sequence[Path]") -> None:
    """Write what documents quote anew, in all of them or in none."""
    from foldformer.files import complete_files
    from foldformer.report.quoted import updated

    for document, text in [(document, updated(document)) for document in documents]:
        with complete_files(document.parent) as beside:
            (beside / document.name).write_text(text, encoding="utf-8")


def _show(args: argparse.Namespace) -> None:
    """Results as a page, or as Markdown."""
    from foldformer.errors import InputError
    from foldformer.files import complete_files
    from foldformer.report.evidence import read_evidence
    from foldformer.report.markdown import markdown

    evidence = [read_evidence(place) for place in args.results]
    if args.output is not None:
        from foldformer.measure.similarity import similarity_of
        from foldformer.report.experiment_page import experiment_page

        if args.output.is_dir():
            raise InputError(f"{args.output}: is a folder; -o names a file")
        similarity = None if args.layers is None else similarity_of(args.layers)
        page = experiment_page(evidence, similarity)
        with complete_files(args.output.parent) as beside:
            (beside / args.output.name).write_text(page, encoding="utf-8")
        print(f"report: {args.output}")
    if args.markdown or args.output is None:
        print(markdown(evidence))
