"""At equal bytes: the plan against the best of sharing alone and of low rank alone.

    python benchmarks/plan_error.py MODEL --calibration TRAIN.jsonl.gz --held-out DEV.jsonl.gz \\
        [--record FILE]

For each budget, three models are folded from a dense one: by the plan, by the best plan that does
nothing but share with residuals, and by the best that does nothing but factor matrices. The error
is measured: the part of the energy of the encoder's output that is lost on recordings that neither
plan nor fold have heard. Matrices may stay as they are in all three.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from _record import add_record, record
from foldformer.checkpoint import load_model
from foldformer.compress.calibration import calibrate
from foldformer.compress.fold import fold
from foldformer.compress.planning.importance import heard, importance
from foldformer.compress.planning.made import ALONE
from foldformer.compress.planning.own import biases_of, stack_of
from foldformer.compress.planning.planner import Planner, candidates
from foldformer.compress.planning.tables import tables
from foldformer.measure.stored import other_bytes
from foldformer.model import Model


@torch.no_grad()
def lost(dense: Model, folded: Model, utterances: list[Tensor]) -> float:
    error = whole = 0.0
    for features in utterances:
        lengths = torch.tensor([len(features)])
        y = dense.encoder(features[None], lengths)[0]
        error += float((folded.encoder(features[None], lengths)[0] - y).square().sum())
        whole += float(y.square().sum())
    return error / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", nargs="+", required=True)
    parser.add_argument("--held-out", nargs="+", required=True)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--order", default="adjacent")
    parser.add_argument("--seconds", type=float, default=120, help="of held-out speech")
    add_record(parser)
    args = parser.parse_args()
    start = time.process_time()
    model, _ = load_model(args.model)
    moments = calibrate(model, args.calibration)
    stack = stack_of(model, moments, importance(model, heard(args.calibration), moments))
    groups = candidates(stack.num_layers, args.order, 6)
    of_groups = tables(stack, groups, args.precision)
    ways = {"plan": Planner(of_groups, stack.num_layers, args.order)} | {
        name: Planner(of_groups, stack.num_layers, args.order, whats)
        for name, whats in ALONE.items()
    }
    other = other_bytes(model, args.precision)
    dense = other + ways["plan"].largest
    print(f"planning: {time.process_time() - start:.0f} s of processor time")
    utterances = heard(args.held_out, args.seconds)
    names = "".join(f"{name:>24}" for name in ways)
    print(f"{'bytes of':>10}\n{'dense, %':>10}{'MB':>8}{names}{'plan / best alone':>20}")
    print(f"{'':18}{'predicted  measured, %':>24}" * 1 + f"{'predicted  measured, %':>24}" * 2)
    found: dict[str, dict[str, float]] = {}
    for percent in (25, 30, 40, 50, 60, 70, 80, 90):
        budget = dense * percent // 100
        row, measured = f"{percent:10}{budget / 1e6:8.3f}", {}
        for name, way in ways.items():
            if way.error(budget - other) == float("inf"):
                row += f"{'-':>24}"
                continue
            chosen = way.best(budget - other)
            folded = fold(model, chosen.plan(biases_of(model)), moments=moments)
            measured[name] = lost(model, folded, utterances)
            row += f"{100 * chosen.error:13.3g}{100 * measured[name]:11.3g}"
        if len(measured) > 1:
            alone = min(error for name, error in measured.items() if name != "plan")
            row += f"{measured['plan'] / alone:20.3f}"
        found[f"{percent}"] = {
            name.replace(" ", "-"): 100 * error for name, error in measured.items()
        }
        if len(measured) > 1:
            found[f"{percent}"]["ratio"] = measured["plan"] / alone
        print(row, flush=True)
    record(args.record, Path(__file__).stem, f"{args.model.name}-{args.precision}", found)


if __name__ == "__main__":
    main()
