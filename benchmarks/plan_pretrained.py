"""At equal bytes, what pretrained models lose: the plan against the best alone, and part by part.

    python benchmarks/plan_pretrained.py MODEL --calibration FILE... --held-out FILE \\
        [--record FILE --name NAME]

MODEL is a folder of `transformers`; files are texts with one sentence a line or, for Whisper,
manifests (see `fold_pretrained.py` on where to get such models). The error is the part of the
energy of the model's output (hidden states, or scores up to a constant) that is lost on the
held-out file, which neither plan nor fold has seen; nothing is trained.

First, for budgets in percent of the layers' maps: the plan, the best plan that does nothing but
share with residuals, and the best that does nothing but factor; and which of them is taken, as the
one that loses least on a part of the calibration file that was kept apart. Then, for groups of K
and each rank, a line for each part of a fold as it is added; a diagonal takes the bytes of half a
rank, so the last two lines have one rank less and fewer bytes.
"""

import argparse
import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from _parts import PARTS, key_of
from _record import add_record, record
from foldformer.compress.foreign import ForeignPlan, align, calibrate, find_stack, fold, planning
from foldformer.compress.foreign.importance import said
from foldformer.compress.foreign.originals import batches_of, lists_of, load_original, widest
from foldformer.compress.foreign.seen import look
from foldformer.compress.matrices import Start
from foldformer.compress.plan import Plan
from foldformer.compress.planning.made import ALONE
from foldformer.compress.planning.planner import Planner
from foldformer.nn.linears.residual import ResidualSpec

Batches = Sequence[dict[str, Tensor]]


@torch.no_grad()
def lost(folded: nn.Module, batches: Batches, exact: Sequence[Tensor]) -> float:
    error = sum(
        float((said(folded, batch) - y).square().sum())
        for batch, y in zip(batches, exact, strict=True)
    )
    return error / sum(float(y.square().sum()) for y in exact)


def aligned(model: Any, lists: Sequence[str], uses: int | None) -> Any:
    """A copy whose layers are close in groups of so many, or all of them."""
    closer = copy.deepcopy(model)
    align(closer, grouped(model, lists, uses, ResidualSpec()))
    return closer


def grouped(model: Any, lists: Sequence[str], uses: int | None, spec: ResidualSpec) -> ForeignPlan:
    plans = {}
    for name in lists:
        layers = len(find_stack(model, name).layers)
        size = min(uses or layers, layers)
        plans[name] = Plan(uses=(size,) * (layers // size), linear=spec)
    return ForeignPlan(stacks=plans)


def folded(model: Any, plan: ForeignPlan, start: Start, moments: dict[str, Tensor] | None) -> Any:
    small = copy.deepcopy(model)
    fold(small, plan, start=start, moments=moments)
    return small


def plans(
    model: Any,
    lists: Sequence[str],
    calibration: Batches,
    held: Batches,
    percents: Sequence[int],
) -> dict[str, dict[str, float]]:
    start = time.process_time()
    seen = look(model, lists, calibration)
    tables, layers = planning.tables_of(seen.stacks), planning.layers_of_all(seen.stacks)
    ways = {"plan": Planner(tables, layers)} | {
        name: Planner(tables, layers, "adjacent", whats) for name, whats in ALONE.items()
    }
    whole = ways["plan"].largest
    print(f"planning: {time.process_time() - start:.0f} s of processor time; maps {whole:,} bytes")
    print(
        f"{'% of them':>10}"
        + "".join(f"{f'{n}: foreseen, lost':>27}" for n in (*ways, "plan, tried")),
        "  taken",
    )
    found: dict[str, dict[str, float]] = {}
    for percent in percents:
        budget = whole * percent // 100
        chosen = {n: way.best(budget) for n, way in ways.items() if way.error(budget) < 1e9}
        made, tried = planning.best_tried(seen, tables, seen.other + budget)
        chosen["plan, tried"] = made.chosen
        errors = dict(zip(chosen, planning.lost(seen, list(chosen.values()), held), strict=True))
        row = f"{percent:10}"
        for name in (*ways, "plan, tried"):
            row += (
                f"{100 * chosen[name].error:16.2f}{100 * errors[name]:11.2f}"
                if name in chosen
                else (f"{'-':>27}")
            )
        print(f"{row}  {min(tried, key=lambda name: tried[name])}", flush=True)
        found[f"{percent}"] = {
            name.replace(",", "").replace(" ", "-"): 100 * error for name, error in errors.items()
        }
    return found


def parts(
    model: Any,
    lists: Sequence[str],
    calibration: Batches,
    held: Batches,
    exact: Sequence[Tensor],
    uses: int,
    ranks: Sequence[int],
) -> dict[str, dict[str, float]]:
    closer = aligned(model, lists, uses)
    known = {
        False: calibrate(model, lists, calibration),
        True: calibrate(closer, lists, calibration),
    }
    found: dict[str, dict[str, float]] = {}
    for rank in ranks:
        of_rank = found[f"rank-{rank}"] = {}
        print(f"\n{'K':>2}{'rank':>5} {'':20}{'MB of maps':>11}{'lost, %':>9}")
        for name, start, whitened, more, diagonal, close in PARTS:
            spec = ResidualSpec(rank=rank + more, diagonal=diagonal)
            small = folded(
                closer if close else model,
                grouped(model, lists, uses, spec),
                start,
                known[close] if whitened else None,
            )
            size = sum(
                4 * parameter.numel()
                for path, parameter in small.named_parameters()
                if ".shared." in path and not path.endswith("bias")
            )
            of_rank[key_of(name)] = 100 * lost(small, held, exact)
            print(
                f"{uses:2}{rank + more:5} {name:20}{size / 1e6:11.2f}{of_rank[key_of(name)]:9.2f}",
                flush=True,
            )
    return found


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", required=True, nargs="+")
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--percents", type=int, nargs="*", default=[30, 40, 50, 60, 70, 80])
    parser.add_argument("--uses", type=int, default=2)
    parser.add_argument("--ranks", type=int, nargs="*", default=[16, 64, 128])
    parser.add_argument("--batches", type=int, default=20, help="of held-out data at most")
    add_record(parser)
    parser.add_argument("--name", help="of the model in the file; its folder's unless given")
    args = parser.parse_args()
    model: Any = load_original(args.model)
    lists = lists_of(model)
    least = widest(model, lists)
    calibration = batches_of(args.model, model, args.calibration, least=least)
    held = batches_of(args.model, model, [args.held_out], least=least)
    held = held[:: -(-len(held) // args.batches)]
    exact = [said(model, batch) for batch in held]
    name = args.name or args.model.name
    if args.percents:
        found = plans(model, lists, calibration, held, args.percents)
        record(args.record, Path(__file__).stem, f"{name}-plans", found)
    if args.ranks:
        found = parts(model, lists, calibration, held, exact, args.uses, args.ranks)
        record(args.record, Path(__file__).stem, f"{name}-parts-k{args.uses}", found)


if __name__ == "__main__":
    main()
