"""The arguments of the verbs that train, and the processes that they ask for."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._logs import show_logs
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from foldformer.train.config import TrainConfig
    from foldformer.train.place import Place
    from foldformer.train.run import Trained


def add_training_arguments(parser: argparse.ArgumentParser, alone: bool = False) -> None:
    """`--accept-changes`, `--skip-bad-batches`, `--devices`, `--nodes` and `--strategy`.

    Args:
        alone: the verb refuses the last two, so its help does not offer them.
    """
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="go on with an earlier run although its configuration or its data have changed",
    )
    parser.add_argument(
        "--skip-bad-batches",
        type=int,
        default=0,
        metavar="N",
        help="leave out up to N steps, over the whole run, whose loss or gradient is not finite",
    )
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="GPUs of this machine, or processes where there are none, that train together; "
        "1 unless torchrun or srun says otherwise",
    )
    parser.add_argument(
        "--nodes",
        type=int,
        metavar="N",
        help=argparse.SUPPRESS if alone else "machines that train together",
    )
    parser.add_argument(
        "--strategy",
        choices=["ddp", "fsdp"],
        default="ddp",
        help=argparse.SUPPRESS
        if alone
        else "what each device holds: a copy of the model (the default), or a share of it",
    )


def check_training_arguments(args: argparse.Namespace) -> None:
    """Refuse numbers that are none to train with.

    Raises:
        SpecError: a number is too small.
    """
    if args.skip_bad_batches < 0:
        raise SpecError(f"--skip-bad-batches: expected 0 or more, got {args.skip_bad_batches}")
    for name in ("devices", "nodes"):
        if (asked := getattr(args, name)) is not None and asked < 1:
            raise SpecError(f"--{name}: expected 1 or more, got {asked}")


def train_as_asked(
    args: argparse.Namespace, config: "TrainConfig", origin: str = ""
) -> "Trained | None":
    """What the training ends with; None in a process that leaves it to another to say that.

    Args:
        args: with those of `add_training_arguments`.
        config: what to train.
        origin: see `foldformer.train.run.train`.
    """
    from foldformer.train.launch import launch
    from foldformer.train.place import check_asked, place_of
    from foldformer.train.run import train
    from foldformer.train.state import how_to_go_on

    work = partial(
        train,
        config,
        accept_changes=args.accept_changes,
        skip_bad_batches=args.skip_bad_batches,
        strategy=args.strategy,
        origin=origin,
    )
    place = place_of()
    if place is not None:
        check_asked(place, args.devices, args.nodes)
        trained = work(place=place)
        return trained if place.rank == 0 else None
    devices, nodes = args.devices or 1, args.nodes or 1
    if devices * nodes == 1:
        return work()
    prepare = partial(show_logs, args.debug)
    go_on = partial(how_to_go_on, Path(config.output))
    return launch(partial(_at, work), devices, nodes, prepare=prepare, go_on=go_on)


def _at(
    work: "Callable[..., Trained]", place: "Place", say: "Callable[[str], object]"
) -> "Trained | None":
    """`work` at its place; only the first process of all has something to say in the end."""
    trained = work(place=place, say=say)
    return trained if place.rank == 0 else None


def parse_settings(words: list[str]) -> list[tuple[str, str]]:
    """`--key value` and `--key=value` pairs.

    Raises:
        SpecError: a word that is no key, or a key without a value.
    """
    settings = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise SpecError(f"{word!r}: expected a setting like --training.steps 2000")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise SpecError(f"{word}: has no value; write {word} VALUE")
            value = rest.pop(0)
        settings.append((key, value))
    return settings


def asked_keys(
    args: argparse.Namespace, settings: "Sequence[tuple[str, str]]"
) -> dict[str, object]:
    """The keys of a training YAML that the arguments of `compress` stand for: its data and steps.

    Raises:
        SpecError: --config says something else where these belong, or `settings`, the dotted keys
            of the command line, say the same.
        InputError: it cannot be read.
    """
    from foldformer.spec import read_yaml

    if args.steps is not None and any(key == "training.steps" for key, _ in settings):
        raise SpecError("--steps: is short for --training.steps; give one of the two")
    asked: dict[str, object] = dict(read_yaml(args.config)) if args.config else {}
    for key, name, value in (
        ("data", "train", args.data),
        ("data", "valid", args.valid),
        ("training", "steps", args.steps),
    ):
        if value not in (None, []):
            part = asked.get(key, {})
            if not isinstance(part, dict):
                raise SpecError(f"{args.config}: {key}: expected a mapping, got {part!r}")
            asked[key] = part | {name: value}
    return asked
