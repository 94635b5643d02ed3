"""Train a model as a YAML file says; run again, it goes on where it was stopped.

Every key of the YAML can be set on the command line: --training.steps 2000
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._training import (
    add_training_arguments,
    check_training_arguments,
    parse_settings,
    train_as_asked,
)
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from foldformer.train.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.yaml", help="what to train, and on what"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only look: read all the data, say what would be left out and why, estimate memory",
    )
    add_training_arguments(parser)
    parser.usage = (  # argparse breaks no line of a usage that it is given
        "%(prog)s CONFIG.yaml [--check] [--accept-changes]\n"
        "           [--skip-bad-batches N] [--devices N] [--nodes N]\n"
        "           [--strategy ddp|fsdp] [--key value ...]"
    )
    parser.epilog = "--key value sets a key over the file, as in --training.steps 2000"
    parser.set_defaults(takes_settings=True)


def run(args: argparse.Namespace) -> int:
    """Train, then say where the model is and how to use it; or check alone."""
    settings = parse_settings(args.settings)
    check_training_arguments(args)
    from foldformer.checkpoint import CONFIG
    from foldformer.train.config import read_config

    config = read_config(args.config, settings)
    own = Path(config.output, CONFIG)
    if own.exists() and own.samefile(args.config):
        raise SpecError(
            f"output: the model's {CONFIG} would be written over {args.config}, which says how to "
            "train it; name another folder, or the file otherwise"
        )
    if args.check:
        return _check(args, config)
    trained = train_as_asked(args, config)
    if trained is None:
        return 0
    scores = ", ".join(f"{name} {value:.4g}" for name, value in trained.metrics.items())
    print(f"best validation: {scores}")
    print(f"model: {trained.folder}")
    print(f"next: foldformer transcribe {shlex.quote(str(trained.folder))} RECORDING.wav")
    return 0


def _check(args: argparse.Namespace, config: "TrainConfig") -> int:
    """Print what is in the data and what is wrong; 2 if a training could not start."""
    from tqdm import tqdm

    from foldformer.report.check import check_report
    from foldformer.train.check import check

    bar = "reading audio: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    # Shown only where a person watches, like all bars.
    with tqdm(
        total=0, bar_format=bar, dynamic_ncols=True, delay=1.0, disable=None, leave=False
    ) as shown:

        def advance(seconds: float, total: float) -> None:
            shown.total = total
            shown.update(min(seconds, total - shown.n))  # sums of floats may differ in the end

        found = check(
            config,
            advance,
            accept_changes=args.accept_changes,
            devices=args.devices or 1,
            nodes=args.nodes or 1,
            strategy=args.strategy,
        )
    print(check_report(found))
    return 2 if found.all_errors else 0
