"""The arguments that say which layers share their weights: a plan, or one in short."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.errors import SpecError

if TYPE_CHECKING:
    from foldformer.compress.plan import Plan
    from foldformer.model import Model

log = logging.getLogger(__name__)


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """`--plan`, or `--uses`, `--rank` and `--order`."""
    parser.add_argument(
        "--plan", type=Path, metavar="PLAN.yaml", help="which layers share their weights, and how"
    )
    parser.add_argument(
        "--uses",
        type=int,
        metavar="K",
        help="in place of a plan: every K layers become one that is used K times",
    )
    parser.add_argument(
        "--rank", type=int, metavar="R", help="with --uses: rank of each use's residual; default 8"
    )
    parser.add_argument(
        "--order",
        choices=["adjacent", "cycle"],
        help="with --uses: share with neighbours (default), or with layers far apart",
    )


def plan_of(args: argparse.Namespace, model: "Model") -> "Plan":
    """The plan that the arguments stand for; it fits the model.

    Raises:
        InputError: the plan's file is missing or damaged, or was made for another model.
        SpecError: the arguments contradict each other, or the plan does not fit the model.
    """
    from foldformer.compress.fold import folded_spec

    plan = _plan(args, model)
    try:
        folded_spec(model, plan)
    except SpecError as error:
        raise SpecError(f"{args.plan or '--uses'}: {error}") from None
    return plan


def _plan(args: argparse.Namespace, model: "Model") -> "Plan":
    from foldformer.compress.planning.file import PlanFile, read_plan

    if args.plan is not None:
        for name in ("uses", "rank", "order"):
            if getattr(args, name) is not None:
                raise SpecError(f"--{name}: stands in the plan; give --plan or --uses")
        return read_plan(PlanFile, args.plan, model).plan
    return uniform_plan(args, model.spec.encoder.num_layers, str(args.model))


def uniform_plan(args: argparse.Namespace, num_layers: int, where: str) -> "Plan":
    """What `--uses`, `--rank` and `--order` say for so many layers.

    Args:
        args: parsed.
        num_layers: that there are.
        where: they are, for messages.

    Raises:
        SpecError: `--uses` is missing or does not divide them.
    """
    from foldformer.compress.plan import Plan
    from foldformer.nn.linears.residual import ResidualSpec

    if args.uses is None:
        raise SpecError("--plan or --uses: one of them is needed, to say which layers are shared")
    fitting = [k for k in range(2, num_layers + 1) if num_layers % k == 0]
    if not fitting:
        raise SpecError(f"{where}: has {num_layers} layer; there is nothing to share")
    if args.uses not in fitting:
        raise SpecError(
            f"--uses: {num_layers} layers are not divisible by {args.uses}; possible: "
            f"{', '.join(map(str, fitting))}, or a plan with groups of several sizes"
        )
    return Plan(
        uses=(args.uses,) * (num_layers // args.uses),
        order=args.order or "adjacent",
        linear=ResidualSpec(rank=8 if args.rank is None else args.rank),
    )


def warn_if_no_smaller(before: int, after: int) -> None:
    """Say so if the bytes of the weights are no fewer than they were."""
    if after >= before:
        log.warning(
            "the folded model is no smaller: share between more layers (--uses), lower --rank, or "
            "let `foldformer plan` find what fits a budget"
        )
