"""Get or make a corpus: `foldformer corpus NAME OUT_DIR`."""

import argparse
import importlib
import pkgutil

from foldformer.data import corpora


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each public module of `foldformer.data.corpora`."""
    names = parser.add_subparsers(dest="corpus", metavar="NAME", required=True)
    for info in pkgutil.iter_modules(corpora.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{corpora.__name__}.{info.name}")
        summary = (module.__doc__ or "").strip().splitlines()[0]
        corpus = names.add_parser(info.name, help=summary, description=summary)
        module.add_arguments(corpus)
        corpus.set_defaults(run_corpus=module.run)


def run(args: argparse.Namespace) -> int | None:
    """Run the corpus's own command."""
    code: int | None = args.run_corpus(args)
    return code
