"""What each part of a fold gives: errors on held-out speech; and what folding itself costs.

    python benchmarks/fold_error.py MODEL CALIBRATION HELD_OUT [--uses 3] [--ranks 2 8 16]
    python benchmarks/fold_error.py --paper

The first prints, for each rank, a line for each part as it is added: the mean error of the outputs
of the matrices, and that of the encoder's output, both on the held-out speech and in percent of the
energy; and the bytes of the layers in fp32. Before them, what alignment makes of the norm that is
left after the mean of K matrices. A diagonal takes the bytes of half a rank, so the last
two lines have one rank less than the others, and fewer bytes.

The second folds the 57 M parameters of `paper-dense` (random weights) into three uses of rank 16,
and prints seconds and the peak of memory.
"""

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from _parts import PARTS
from foldformer.checkpoint import load_model
from foldformer.compress.calibration import calibrate
from foldformer.compress.filling import filled
from foldformer.compress.fold import fold, stack_of
from foldformer.compress.layers import Moments, Places
from foldformer.compress.matrices import Start, output_error
from foldformer.compress.plan import Plan, groups
from foldformer.data.augmentation import features_of
from foldformer.data.cuts import read_cuts
from foldformer.model import Model
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.presets import preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="MODEL CALIBRATION HELD_OUT")
    parser.add_argument("--uses", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--paper", action="store_true")
    args = parser.parse_args()
    if args.paper:
        costs()
    else:
        errors(*args.files, uses=args.uses, ranks=args.ranks)


@torch.no_grad()
def errors(folder: str, calibration: str, held_out: str, uses: int, ranks: list[int]) -> None:
    model, config = load_model(folder)
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
    for rank in ranks:
        print(f"\n{'rank':>4} {'':20} {'bytes':>10} {'matrices %':>11} {'encoder %':>10}")
        for name, start, whitened, more, diagonal, align in PARTS:
            own = rank + more
            spec = ResidualSpec(rank=own, diagonal=diagonal)
            plan = Plan(uses=(uses,) * (layers // uses), linear=spec)
            known = moments if whitened else None
            folded = fold(model, plan, start=start, moments=known, align=align)
            pairs = zip(utterances, expected, strict=True)
            lost = sum(float((encoded(folded, x) - y).square().sum()) for x, y in pairs)
            matrices = list(matrix_errors(model, plan, start, known, held, align))
            print(
                f"{own:>4} {name:20} {size(folded):>10,} {100 * np.mean(matrices):>11.2f} "
                f"{100 * lost / energy:>10.2f}",
                flush=True,
            )


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


def costs() -> None:
    before = resident()
    torch.manual_seed(0)
    model = preset("paper-dense").build().eval()
    own = sum(4 * parameter.numel() for parameter in model.parameters()) / 1e6
    plan = Plan(uses=(3,) * 6, linear=ResidualSpec(rank=16))
    moments = decaying()
    wall, cpu = time.perf_counter(), time.process_time()
    fold(model, plan, moments=moments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} s of a core with "
        f"{torch.get_num_threads()} threads; peak {peak - before:.0f} MB more than before the "
        f"model of {own:.0f} MB was made"
    )


def decaying() -> dict[str, Tensor]:
    """Moments as of frames in which few directions have most of the energy, alike in all layers."""
    found = {}
    for width in (512, 2048):
        frames = torch.randn(3000, width) * torch.exp(-torch.arange(width) / (width / 5))
        found[width] = frames.t() @ frames / len(frames)
    names = ("query", "key", "value", "output", "expand")
    wide = {f"{place}.contract": found[2048] for place in range(18)}
    return wide | {f"{place}.{name}": found[512] for place in range(18) for name in names}


def resident() -> float:
    """Megabytes of memory that the process has now."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
