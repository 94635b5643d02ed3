"""The verb `plan` for models of `transformers`."""

import argparse
import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from foldformer.cli._bar import bar
from foldformer.cli._foreign import batches_for, kept_lines, lists_in
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from foldformer.compress.foreign.seen import Seen, Stacks
    from foldformer.compress.planning.made import Made


def run_plan(args: argparse.Namespace, budget: int) -> None:
    """Plan, write, print."""
    from foldformer.compress.foreign import planning
    from foldformer.compress.foreign.originals import load_original
    from foldformer.files import whole_file
    from foldformer.report.plan_table import plan_table
    from foldformer.spec import write_yaml

    if args.precision != "fp32":
        raise SpecError(
            f"--precision: {args.precision} is for foldformer's own models; a folded model of "
            "transformers is stored in fp32"
        )
    with whole_file(args.output, "--output") as output, whole_file(args.report, "--report") as page:
        model = load_original(args.model)
        lists = lists_in(args, model)
        if page is not None and len(lists) > 1:
            raise SpecError(
                f"--report: draws one list of layers, and the model has {', '.join(lists)}; name "
                "one with --layers"
            )
        batches = batches_for(args, model, lists, args.calibration) if args.calibration else None
        seen, made, tried = _made(args, model, lists, batches, budget)
        file = planning.plan_file(model, made, seen.stacks, batches is not None)
        if output is not None:
            write_yaml(output, file)
        if page is not None:
            page.write_text(_page(args, model, made, seen.stacks), encoding="utf-8")
    if args.json:
        from foldformer.cli.plan import as_json

        print(json.dumps({**as_json(file, made), "tried": tried}, indent=2, allow_nan=False))
        return
    for line in _counted(seen.stacks):
        print(line)
    print(plan_table(made, args.precision, args.calibration is not None))
    if tried:
        shown = ", ".join(f"{name} {100 * error:.3g} %" for name, error in tried.items())
        print(textwrap.fill(f"lost when tried: {shown}; the least is taken", 80))
    print("\n".join(["", *kept_lines(model, lists)]))


def _made(
    args: argparse.Namespace,
    model: "nn.Module",
    lists: Sequence[str],
    batches: Sequence[dict[str, "Tensor"]] | None,
    budget: int,
) -> tuple["Seen", "Made", dict[str, float]]:
    """What the planner saw, what it made of it, and what that lost when it was tried."""
    from foldformer.compress.foreign import planning
    from foldformer.compress.foreign.seen import look

    with bar("matrices") as advance:
        seen = look(model, lists, batches, advance)
    with bar("groups") as advance:
        made, tried = planning.make(seen, budget, args.order, args.most_uses, advance)
    return seen, made, tried


def _counted(stacks: "Stacks") -> list[str]:
    """Which layers of the table are which of the model, where it has several lists."""
    lines, first = [], 0
    for name, stack in stacks.items():
        last = first + stack.num_layers
        lines.append(f"layers {first}-{last - 1}: {name}")
        first = last
    return [*lines, ""] if len(lines) > 1 else []


def _page(args: argparse.Namespace, model: "nn.Module", made: "Made", stacks: "Stacks") -> str:
    from foldformer.compress.foreign.seen import stack_of
    from foldformer.compress.planning.pictures import pictures
    from foldformer.report.plan_page import plan_page

    ((name, stack),) = stacks.items()
    return plan_page(
        made,
        pictures(stack, stack_of(model, name, None, {})),
        model=str(args.model),
        precision=args.precision,
        calibrated=args.calibration is not None,
    )
