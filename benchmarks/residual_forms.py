"""Merged or factored: which form of ResidualLinear is faster, and does the rule choose it?

    OMP_NUM_THREADS=1 python benchmarks/residual_forms.py [--train]

Prints, for each shape, rank and number of frames, the processor time of both forms (the least of
several interleaved runs, so that other work on the machine counts little), the form that
`ResidualLinear.prefers_merged` chooses, and what that costs against the better one.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from foldformer.nn.linears.residual import ResidualLinear

SHAPES = ((128, 128), (128, 512), (256, 256), (512, 512), (512, 2048), (2048, 512))
RANKS = (0, 2, 16, 32)
FRAMES = (8, 16, 32, 64, 125, 250, 500, 1000, 2000, 8000)


def least(forms: list[Callable[[], None]], seconds: float) -> list[float]:
    """The least time of each form in seconds, run in turn for about `seconds`, 5 times at least."""
    times: list[list[float]] = [[] for _ in forms]
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for form, own in zip(forms, times, strict=True):
            start = time.process_time()
            form()
            own.append(time.process_time() - start)
    return [min(own[1:]) for own in times]


def compare(
    rows: int, columns: int, rank: int, frames: int, train: bool, seconds: float
) -> tuple[list[float], bool]:
    linear = ResidualLinear(rows, columns, (rank, rank), diagonal=True, bias=True)
    x = torch.randn(frames, rows, requires_grad=train)
    grad = torch.randn(frames, columns)

    def run(form: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
        if train:
            form(x, 1).backward(grad)
            x.grad = None
            linear.zero_grad()
        else:
            with torch.inference_mode():
                form(x, 1)

    forms = [lambda: run(linear.forward_merged), lambda: run(linear.forward_factored)]
    with torch.set_grad_enabled(train):
        chosen = linear.prefers_merged(frames, 1)
    return least(forms, seconds), chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="forward and backward")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each row")
    args = parser.parse_args()
    torch.set_num_threads(1)
    losses: dict[int, list[float]] = {frames: [] for frames in FRAMES}
    print("  in   out  R frames  merged us  factored us  rule      against the better")
    for rows, columns in SHAPES:
        for rank in RANKS:
            for frames in FRAMES:
                (merged, factored), chosen = compare(
                    rows, columns, rank, frames, args.train, args.seconds
                )
                loss = (merged if chosen else factored) / min(merged, factored)
                losses[frames].append(loss)
                print(
                    f"{rows:4} {columns:5} {rank:2} {frames:6} {1e6 * merged:10.0f} "
                    f"{1e6 * factored:12.0f}  {'merged' if chosen else 'factored':8} {loss:8.2f}",
                    flush=True,
                )
    for frames, own in losses.items():
        print(f"{frames:5} frames: {statistics.mean(own):.3f} on average, {max(own):.2f} at worst")
    everything = [loss for own in losses.values() for loss in own]
    print(f"all: {statistics.mean(everything):.3f} on average, {max(everything):.2f} at worst")


if __name__ == "__main__":
    main()
