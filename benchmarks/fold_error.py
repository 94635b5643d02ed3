"""What each part of a fold gives: errors on held-out speech.

    python benchmarks/fold_error.py MODEL CALIBRATION HELD_OUT [--uses 3] [--ranks 2 8 16] \\
        [--test MANIFEST] [--record FILE]

Printed is, for each rank, a line for each part as it is added: the mean error of the outputs
of the matrices, and that of the encoder's output, both on the held-out speech and in percent of the
energy; and the bytes of the layers in fp32. Before them, what alignment makes of the norm that is
left after the mean of K matrices. A diagonal takes the bytes of half a rank, so the last
two lines have one rank less than the others, and fewer bytes. With a test set, each fold is
evaluated on it, and so is the dense model: its word error rate and the 95 % interval.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from _parts import PARTS, key_of
from _record import add_record, record
from foldformer.checkpoint import load_model
from foldformer.compress.calibration import calibrate
from foldformer.compress.filling import filled
from foldformer.compress.fold import fold, stack_of
from foldformer.compress.layers import Moments, Places
from foldformer.compress.matrices import Start, output_error
from foldformer.compress.plan import Plan, groups
from foldformer.data.augmentation import features_of
from foldformer.data.cuts import read_cuts
from foldformer.decode.evaluate import evaluate
from foldformer.decode.recognizer import Recognizer
from foldformer.decode.score import ErrorRate, score_text
from foldformer.model import Model
from foldformer.nn.linears.residual import ResidualSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "calibration", "held_out"):
        parser.add_argument(name)
    parser.add_argument("--uses", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--test", help="manifest to count word errors on")
    add_record(parser)
    args = parser.parse_args()
    found = errors(args.model, args.calibration, args.held_out, args.uses, args.ranks, args.test)
    name = f"{Path(args.model).name}-k{args.uses}"
    record(args.record, Path(__file__).stem, name, found)


@torch.no_grad()
def errors(
    folder: str, calibration: str, held_out: str, uses: int, ranks: list[int], test: str | None
) -> dict[str, dict[str, dict[str, float]]]:
    """{"rank-R": {part: figures}}, and {"dense": {"model": figures}}; prints them, too."""
    model, config = load_model(folder)
    recognizer = Recognizer.load(folder)
    moments = calibrate(model, calibration, chunks=config.chunks)
    held = calibrate(model, held_out, chunks=config.chunks)
    utterances = [torch.from_numpy(features) for features in recordings(held_out)]
    expected = [encoded(model, features) for features in utterances]
    energy = sum(float(y.square().sum()) for y in expected)
    layers = model.spec.encoder.num_layers
    print(f"{folder}: {layers} layers, K = {uses}; the encoder's layers: {size(model):,} bytes")
    print(
        "norm left after the mean:", *(f"{left(model, uses, align):.2f}" for align in (False, True))
    )
    wer = word_errors(recognizer, model, test)
    print(*(f"{key} {value:.2f}" for key, value in wer.items()))
    found = {"dense": {"model": {"mb": size(model) / 1e6, **wer}}}
    for rank in ranks:
        of_rank = found[f"rank-{rank}"] = {}
        print(f"\n{'rank':>4} {'':20} {'bytes':>10} {'matrices %':>11} {'encoder %':>10}  WER, %")
        for name, start, whitened, more, diagonal, align in PARTS:
            own = rank + more
            spec = ResidualSpec(rank=own, diagonal=diagonal)
            plan = Plan(uses=(uses,) * (layers // uses), linear=spec)
            known = moments if whitened else None
            folded = fold(model, plan, start=start, moments=known, align=align)
            pairs = zip(utterances, expected, strict=True)
            lost = sum(float((encoded(folded, x) - y).square().sum()) for x, y in pairs)
            matrices = list(matrix_errors(model, plan, start, known, held, align))
            wer = word_errors(recognizer, folded, test)
            of_rank[key_of(name)] = {
                "mb": size(folded) / 1e6,
                "matrices": 100 * float(np.mean(matrices)),
                "encoder": 100 * lost / energy,
                **wer,
            }
            print(
                f"{own:>4} {name:20} {size(folded):>10,} {100 * np.mean(matrices):>11.2f} "
                f"{100 * lost / energy:>10.2f}",
                *(f"{value:6.2f}" for value in wer.values()),
                flush=True,
            )
    return found


def word_errors(recognizer: Recognizer, model: Model, test: str | None) -> dict[str, float]:
    """The rate on a test set in %, and the ends of its interval; nothing without one."""
    if test is None:
        return {}
    heard = Recognizer(model.eval(), recognizer.tokens, recognizer.config)
    said = evaluate(heard, test).utterances
    texts = ([each.reference for each in said], [each.hypothesis for each in said])
    wer: ErrorRate = score_text(*texts).words
    return {"wer": wer.percent, "low": wer.low, "high": wer.high}


def matrix_errors(
    model: Model, plan: Plan, start: Start, moments: Moments | None, held: Moments, align: bool
) -> Iterator[float]:
    """Of each matrix and use, on the held-out speech."""
    places = Places(model)
    for own in groups(plan):
        trained = stack_of(places, own, None, moments, align)
        heard = stack_of(places, own, None, held, align)
        for path, each in trained.items():
            spec = plan.linear_of(0, path)
            linear = spec.build(*each.weights.shape[1:], len(own))
            linear.load_state_dict(filled(linear, each, start))
            known = heard[path].moments
            assert known is not None
            for use, weight in enumerate(each.weights):
                yield output_error(weight, linear.merged(use), known[use])


def left(model: Model, uses: int, align: bool) -> float:
    """The share of the norm of the matrices that their mean does not have."""
    plan = Plan(uses=(uses,) * (model.spec.encoder.num_layers // uses))
    shares = []
    for own in groups(plan):
        for each in stack_of(Places(model), own, None, None, align).values():
            rest = each.weights - each.weights.mean(dim=0)
            shares.append(float(rest.norm() / each.weights.norm()))
    return float(np.mean(shares))


def recordings(manifest: str) -> Iterator[np.ndarray]:
    for cut in read_cuts(manifest):
        yield features_of(cut, None, np.random.default_rng(0))


def encoded(model: Model, features: Tensor) -> Tensor:
    y: Tensor = model.encoder(features[None], torch.tensor([len(features)]))[0]
    return y


def size(model: Model) -> int:
    return sum(4 * parameter.numel() for parameter in model.encoder.depth.parameters())


if __name__ == "__main__":
    main()
