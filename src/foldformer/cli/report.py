"""Show the results of experiments: tables beside the paper's, figures, errors, as one page."""

import argparse
from contextlib import ExitStack
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
    """Write what documents quote anew: in none, where one of them cannot be made or written."""
    from foldformer.files import whole_file
    from foldformer.report.quoted import updated

    texts = [updated(document) for document in documents]
    with ExitStack() as all_:
        places = [all_.enter_context(whole_file(each, "--update")) for each in documents]
        for place, text in zip(places, texts, strict=True):
            assert place is not None
            place.write_text(text, encoding="utf-8")


def _show(args: argparse.Namespace) -> None:
    """Results as a page, or as Markdown."""
    from foldformer.files import whole_file
    from foldformer.report.evidence import read_evidence
    from foldformer.report.markdown import markdown

    evidence = [read_evidence(place) for place in args.results]
    if args.output is not None:
        from foldformer.measure.similarity import similarity_of
        from foldformer.report.experiment_page import experiment_page

        with whole_file(args.output, "-o") as output:
            assert output is not None
            similarity = None if args.layers is None else similarity_of(args.layers)
            output.write_text(experiment_page(evidence, similarity), encoding="utf-8")
        print(f"report: {args.output}")
    if args.markdown or args.output is None:
        print(markdown(evidence))
