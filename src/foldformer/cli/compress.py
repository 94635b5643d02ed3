"""Fold a trained model into a smaller one and, given data, let it learn from the original.

The folded model has fewer layers with weights of their own, each used several times in depth. It
makes more errors than the original until it has learnt from it: give --data and --valid for that.
Run again, the command goes on where it was stopped.
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._foreign import add_layers_argument, is_foreign
from foldformer.cli._foreign_compress import run_compress
from foldformer.cli._plan_arguments import add_plan_arguments, plan_of, warn_if_no_smaller
from foldformer.cli._training import (
    add_training_arguments,
    asked_keys,
    check_training_arguments,
    parse_settings,
    train_as_asked,
)
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from foldformer.compress.folder import Folded, Origin
    from foldformer.train.config import TrainConfig

EXTRA = "train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a trained model")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the model folder to make"
    )
    add_plan_arguments(parser)
    add_layers_argument(parser)
    parser.add_argument(
        "--start",
        choices=["fit", "average", "stepwise", "lower"],
        default="fit",
        help="where shared weights come from; default fit: all found together by least squares",
    )
    parser.add_argument(
        "--calibration",
        action="extend",
        nargs="+",
        default=[],
        metavar="MANIFEST",
        help="recordings to fit the fold to; default: those of --data",
    )
    parser.add_argument(
        "--data",
        action="extend",
        nargs="+",
        default=[],
        metavar="MANIFEST",
        help="recordings to learn from; without them the model is folded and no more",
    )
    parser.add_argument(
        "--valid",
        action="extend",
        nargs="+",
        default=[],
        metavar="MANIFEST",
        help="recordings to measure progress on; needed with --data",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="of learning; default: an eighth of the original's"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="RECOVERY.yaml",
        help="keys of a training YAML, data and training, that hold for the learning",
    )
    add_training_arguments(parser, alone=True)
    parser.usage = (  # argparse breaks no line of a usage that it is given
        "%(prog)s MODEL --output FOLDER\n"
        "           (--plan PLAN.yaml | --uses K [--rank R] [--order ORDER])\n"
        "           [--layers LIST] [--start START] [--calibration MANIFEST ...]\n"
        "           [--data MANIFEST ... --valid MANIFEST ...] [--steps N]\n"
        "           [--config RECOVERY.yaml] [--accept-changes]\n"
        "           [--skip-bad-batches N] [--devices N] [--key value ...]"
    )
    parser.epilog = (
        "MODEL may be one of transformers (config.json and safetensors): --calibration and --data "
        "are then text files with one sentence a line, or manifests for Whisper, of which a share "
        "is kept apart to measure on where there is no --valid. --key value sets a key of the "
        "training, as in --training.learning_rate 5e-4 or --training.distillation.data 1, the "
        "weight of the loss on the data"
    )
    parser.set_defaults(takes_settings=True)


def run(args: argparse.Namespace) -> int:
    """Fold, learn, and say what has come of it."""
    if is_foreign(args):
        return run_compress(args)
    settings = parse_settings(args.settings)
    check_training_arguments(args)
    asked = asked_keys(args, settings)
    origin = _origin(args, _manifests(asked, settings))
    recovers = bool(_manifests(asked, settings))
    learns_in = args.devices is not None or args.strategy != "ddp"
    if not recovers and (asked or settings or learns_in):
        raise SpecError(
            "--valid, --steps, --config, --devices, --strategy and keys: for learning; give "
            "--data as well"
        )
    folder = args.output / "training" / "fold" if recovers else args.output
    config = None
    _check_alone(args)
    if recovers:  # what is wrong with it is said before any work is done
        from foldformer.train.run import check_strategy

        config = _config(args, origin, asked, settings)
        check_strategy(config, args.strategy)
    folded = _fold(args, folder, origin)
    if config is None:
        _say_folded(args.output, folded)
        return 0
    return _recover(args, config, folded)


def _check_alone(args: argparse.Namespace) -> None:
    """Refuse to fold in several processes at once; `--devices` starts them after the fold."""
    from foldformer.train.place import place_of

    if place_of() is not None or (args.nodes or 1) > 1:
        raise SpecError(
            "compress: folds in one process; start it on one machine, without torchrun or srun, "
            "with --devices N for several GPUs"
        )


def _manifests(asked: dict[str, object], settings: list[tuple[str, str]]) -> list[str]:
    """Those to learn from; none where nothing is to be learnt.

    Raises:
        SpecError: something else stands there.
    """
    from foldformer.spec import override

    data = override(asked, settings).get("data")
    found = data.get("train", []) if isinstance(data, dict) else []
    manifests = [found] if isinstance(found, str) else found
    if not isinstance(manifests, list) or not all(isinstance(each, str) for each in manifests):
        raise SpecError(f"data.train: expected a manifest or a list of them, got {found!r}")
    return manifests


def _origin(args: argparse.Namespace, manifests: list[str]) -> "Origin":
    """What the fold is to be made of; the manifests are there, and hold something."""
    from foldformer.checkpoint import WEIGHTS, load_model
    from foldformer.compress.folder import Origin
    from foldformer.compress.record import named_as_before
    from foldformer.data.batches import manifests_of
    from foldformer.data.cuts import load_cuts
    from foldformer.files import sha256

    model, _ = load_model(args.model)
    plan = plan_of(args, model)
    for path in manifests_of([*manifests, *args.calibration, *args.valid]):
        load_cuts(path)
    origin = Origin(
        model=str(args.model),
        weights=sha256(args.model / WEIGHTS),
        plan=plan,
        start=args.start,
        calibration=tuple(args.calibration or manifests),
    )
    return named_as_before(args.output, origin)


def _fold(args: argparse.Namespace, folder: Path, origin: "Origin") -> "Folded":
    from tqdm import tqdm

    from foldformer.compress.folder import fold_into
    from foldformer.compress.stored import give_back_matrices

    give_back_matrices()
    bar = "hearing how the layers are used: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    # Shown only where a person watches, like all bars.
    with tqdm(
        total=0, bar_format=bar, dynamic_ncols=True, delay=1.0, disable=None, leave=False
    ) as shown:

        def advance(done: int, all: int) -> None:
            shown.total = all
            shown.update(done - shown.n)

        folded = fold_into(args.output, folder, origin, _command(args), advance)
    if folded.done_before:
        print(f"folded before: {folder}")
    else:
        encoder = folded.model.spec.encoder
        before, after = (f"{size / 1e6:.2f} MB" for size in folded.bytes)
        layers = f"{encoder.num_layers} layers of {len(encoder.uses_of_layers)}"
        print(f"folded: {layers} sets of weights, {before} -> {after}", flush=True)
        warn_if_no_smaller(*folded.bytes)
    return folded


def _config(
    args: argparse.Namespace,
    origin: "Origin",
    asked: dict[str, object],
    settings: list[tuple[str, str]],
) -> "TrainConfig":
    """How the fold is to learn.

    Raises:
        SpecError: something is wrong with what is asked for, or there is nothing to measure on.
    """
    from dataclasses import replace

    from foldformer.checkpoint import load_model
    from foldformer.compress.fold import folded_spec
    from foldformer.spec import override
    from foldformer.train.recovery import recovery_config

    source = Path(origin.model)
    original, about = load_model(source)
    spec = folded_spec(original, origin.plan)
    fold = args.output / "training" / "fold"
    about = replace(about, model=spec)
    data = override(asked, settings).get("data")
    if isinstance(data, dict) and not data.get("valid"):
        # What else is wrong is said first, and of a key of its own.
        settings = [*settings, ("data.valid", "none")]
        recovery_config(source, fold, about, args.output, asked, settings)
        raise SpecError("--valid: is needed with --data: recordings to measure progress on")
    return recovery_config(source, fold, about, args.output, asked, settings)


def _recover(args: argparse.Namespace, config: "TrainConfig", folded: "Folded") -> int:
    print(f"learning from {args.model}: {config.training.steps} steps", flush=True)
    trained = train_as_asked(args, config, folded.section)
    if trained is None:
        return 0
    scores = ", ".join(f"{name} {value:.4g}" for name, value in trained.metrics.items())
    before, after = (f"{size / 1e6:.2f} MB" for size in folded.bytes)
    print(f"best validation: {scores}")
    print(f"model: {trained.folder}, {before} -> {after}")
    folder, original = (shlex.quote(str(each)) for each in (trained.folder, args.model))
    print(f"next: foldformer evaluate {folder} MANIFEST --against {original}")
    return 0


def _say_folded(output: Path, folded: "Folded") -> None:
    print(f"model: {output}")
    before, after = folded.bytes
    if after != before:  # else every layer has kept what it had
        print(
            "it has not learnt from the original yet: expect several times its errors, or\n"
            "more; give --data and --valid as well to let it learn"
        )
    print(f"next: foldformer evaluate {shlex.quote(str(output))} MANIFEST")


def _command(args: argparse.Namespace) -> str:
    """What makes this model again."""
    words = ["foldformer", "compress", str(args.model), "--output", str(args.output)]
    for name in ("plan", "uses", "rank", "order"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    if args.start != "fit":
        words += ["--start", args.start]
    for name in ("calibration", "data", "valid"):
        for manifest in getattr(args, name):
            words += [f"--{name}", manifest]
    for name in ("steps", "config"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    return shlex.join([*words, *args.settings])
