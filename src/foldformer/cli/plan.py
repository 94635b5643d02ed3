"""Decide what a budget of bytes buys best: which layers share, and the rank of every matrix."""

import argparse
import json
import logging
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._foreign import add_layers_argument, is_foreign
from foldformer.cli._foreign_plan import run_plan
from foldformer.cli._outputs import check_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foldformer.compress.foreign.planning import ForeignPlanFile
    from foldformer.compress.layers import Moments
    from foldformer.compress.planning.file import PlanFile
    from foldformer.compress.planning.layer_matrices import LayerMatrices
    from foldformer.compress.planning.made import Made
    from foldformer.model import Model

log = logging.getLogger(__name__)

EXTRA = "train"
"""What this verb needs to be installed with."""

_PRECISIONS = ["fp32", "fp16", "int8", "int4"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a model folder, ours or one of transformers"
    )
    parser.add_argument(
        "--weights",
        required=True,
        metavar="12MB",
        help="what all weights may take at most; MB: 10^6 bytes",
    )
    parser.add_argument(
        "--precision",
        choices=_PRECISIONS,
        default="fp32",
        help="of the stored weights, as `export` takes it; the default: fp32",
    )
    parser.add_argument(
        "--calibration",
        nargs="+",
        metavar="MANIFEST",
        help="Lhotse cuts: the error of outputs on these recordings counts, not that of weights; "
        "for a model of text, a file with one sentence a line",
    )
    parser.add_argument(
        "--order",
        choices=["adjacent", "cycle", "any"],
        default="adjacent",
        help="which layers may share: neighbours, the default; layers at equal distances; or "
        "what is better of the two",
    )
    parser.add_argument(
        "--most-uses", type=int, default=6, metavar="K", help="layers that share at most; default 6"
    )
    add_layers_argument(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the plan as YAML")
    parser.add_argument("--json", action="store_true", help="print JSON: sizes are bytes")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page with pictures")


def run(args: argparse.Namespace) -> None:
    """Plan, write, print."""
    from foldformer.checkpoint import load_model
    from foldformer.compress.planning.budget import bytes_of
    from foldformer.compress.planning.file import fingerprint
    from foldformer.compress.stored import give_back_matrices
    from foldformer.files import whole_file
    from foldformer.report.plan_table import plan_table

    budget = bytes_of(args.weights)
    _check(args)
    give_back_matrices()
    if is_foreign(args):
        run_plan(args, budget)
        _say_written(args)
        return
    with whole_file(args.output, "--output") as output, whole_file(args.report, "--report") as page:
        model, about = load_model(args.model)
        own = fingerprint(model)  # reads all of it, and so before anything else is in memory
        stack, made = _made(args, model, budget, about.chunks)
        file = _file(args, model, own, made)
        if output is not None:
            from foldformer.spec import write_yaml

            write_yaml(output, file)
        if page is not None:
            from foldformer.compress.planning.own import stack_of
            from foldformer.compress.planning.pictures import pictures
            from foldformer.report.plan_page import plan_page

            text = plan_page(
                made,
                pictures(stack, stack_of(model, align=False)),
                model=str(args.model),
                precision=args.precision,
                calibrated=args.calibration is not None,
            )
            page.write_text(text, encoding="utf-8")
    if args.json:
        print(json.dumps(as_json(file, made), indent=2, allow_nan=False))
    else:
        print(plan_table(made, args.precision, args.calibration is not None))
    _say_written(args)


def _say_written(args: argparse.Namespace) -> None:
    """Where the plan and the page are, and what to do with the plan; nothing among JSON."""
    if args.json:
        return
    print()
    if args.report is not None:
        print(f"page: {args.report}")
    if args.output is None:
        print("the plan is written nowhere; -o PLAN.yaml writes it")
    else:
        print(f"plan: {args.output}")
        model, plan = (shlex.quote(str(each)) for each in (args.model, args.output))
        print(f"next: foldformer compress {model} --plan {plan} --output FOLDER")


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be before anything is loaded."""
    from foldformer.errors import SpecError

    if args.most_uses < 1:
        raise SpecError(f"--most-uses: expected 1 or more, got {args.most_uses}")
    check_outputs(
        {"--output": args.output, "--report": args.report},
        [args.model, *(args.calibration or [])],
    )


def _made(
    args: argparse.Namespace, model: "Model", budget: int, chunks: "Sequence[int]"
) -> tuple["LayerMatrices", "Made"]:
    """What the planner saw, and what it made of it."""
    from foldformer.cli._bar import bar
    from foldformer.compress.folder import map_anew
    from foldformer.compress.planning.made import make
    from foldformer.compress.planning.own import stack_of
    from foldformer.errors import InputError
    from foldformer.measure.stored import other_bytes

    try:
        stack_of(model, align=False).check()
    except InputError as error:
        raise InputError(f"{args.model}: {error}") from None
    moments, weights = _heard(args, model, chunks) if args.calibration else (None, None)
    stack = stack_of(model, moments, weights, after=lambda: map_anew(model, args.model))
    other = other_bytes(model, args.precision)
    with bar("groups") as advance:
        made = make(stack, other, budget, args.precision, args.order, args.most_uses, advance)
    _warn_if_larger(model, args.precision, made.bytes)
    return stack, made


def _warn_if_larger(model: "Model", precision: str, planned: int) -> None:
    """Say so where a model that shares its layers already takes less than the plan for it."""
    from foldformer.measure.size import sizes, total

    itself = getattr(total(size for _, size in sizes(model)), precision)
    itself += sum(4 * buffer.numel() for buffer in model.buffers())
    if planned > itself:
        log.warning(
            "the plan takes %.3f MB, and the model as it is %.3f MB, without an error: it shares "
            "its layers already, and a plan starts from all of them; ask for fewer bytes than that",
            planned / 1e6,
            itself / 1e6,
        )


def _heard(
    args: argparse.Namespace, model: "Model", chunks: "Sequence[int]"
) -> tuple["Moments", "Mapping[str, list[float]]"]:
    """Of each matrix: what it hears in the recordings, and how much it matters there."""
    from foldformer.cli._bar import bar
    from foldformer.compress.calibration import calibrate
    from foldformer.compress.folder import map_anew
    from foldformer.compress.planning.importance import heard, importance

    with bar("layers") as advance:

        def heard_by(done: int, all: int) -> None:
            map_anew(model, args.model)
            advance(done, all)

        moments = calibrate(model, args.calibration, chunks=chunks, progress=heard_by)
    with bar("matrices") as advance:
        weights = importance(model, heard(args.calibration), moments, advance)
    map_anew(model, args.model)
    return moments, weights


def _file(args: argparse.Namespace, model: "Model", own: str, made: "Made") -> "PlanFile":
    """What is written; `own` is the model's fingerprint."""
    from foldformer.compress.planning.file import MadeSpec, PlanFile
    from foldformer.compress.planning.own import biases_of

    plan = made.chosen.plan(biases_of(model))
    return PlanFile(
        uses=plan.uses,
        order=plan.order,
        linear=plan.linear,
        linears=plan.linears,
        made=MadeSpec(
            model=own,
            precision=args.precision,
            budget=made.budget,
            bytes=made.bytes,
            error=float(f"{made.error:.4g}"),
            calibrated=args.calibration is not None,
        ),
    )


def as_json(file: "PlanFile | ForeignPlanFile", made: "Made") -> dict[str, object]:
    """All that the table says, and the plan."""
    from foldformer.spec import to_dict

    def number(error: float) -> float | None:
        return error if error != float("inf") else None

    return {
        "plan": to_dict(file),
        "dense": made.dense,
        "other": made.other,
        "smallest": made.smallest,
        "alone": {name: number(error) for name, error in made.alone.items()},
        "groups": [
            {
                "layers": list(layers),
                "matrices": {name: asdict(choice) for name, choice in names.items()},
            }
            for layers, names in made.chosen.groups
        ],
        "curve": [
            {"bytes": point.bytes, **{name: number(e) for name, e in point.errors.items()}}
            for point in made.curve
        ],
    }
