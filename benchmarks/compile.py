"""Whether torch.compile helps the training of a shared model on batches of changing length.

    OMP_NUM_THREADS=1 python benchmarks/compile.py [--width 256] [--steps 24] [--record FILE]

A step is forward, backward and AdamW of encoder and CTC head, in training mode with dropout; what
is compiled is the depth of the encoder, all uses of all layers. (With the subsampling, PyTorch
compiles anew for lengths that do not divide by 4 and others, and gives up after eight times.) The
batches are those of bucketed training: lengths and numbers of utterances change from one to the
next, with about the same number of frames. Both models are given the same batches and take turns;
the ratio is the median over pairs of steps, with the quartiles, after the first third of them, in
seconds of the processor. What compiling took is the longer time by the clock of all steps.
"""

import argparse
import random
import statistics
import time

import torch

from _models import VOCABULARY, trained_model
from _record import add_record, record

FRAMES, MELS, TOKENS = 6000, 80, 20


class Training:
    """A model and its optimiser."""

    def __init__(self, width: int, layers: int, uses: int, compiled: bool) -> None:
        self.model = trained_model(width, layers, uses)
        if compiled:
            self.model.encoder.depth.compile(dynamic=True)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self, batch: tuple[torch.Tensor, ...]) -> tuple[float, float]:
        """One step; its seconds of the processor and by the clock."""
        start, clock = time.process_time(), time.perf_counter()
        self.optimiser.zero_grad()
        self.model(*batch).mean().backward()
        self.optimiser.step()
        return time.process_time() - start, time.perf_counter() - clock


def batch_of(seconds: float) -> tuple[torch.Tensor, ...]:
    """Features, their lengths, targets and their lengths: utterances of about these seconds."""
    longest = round(100 * seconds)
    size = max(1, FRAMES // longest)
    lengths = torch.randint(longest * 9 // 10, longest + 1, (size,))
    lengths[0] = longest
    targets = torch.randint(1, VOCABULARY, (size, TOKENS))
    return torch.randn(size, longest, MELS), lengths, targets, torch.full((size,), TOKENS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--uses", type=int, nargs="+", default=[1, 3])
    add_record(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"width {args.width}, {args.layers} layers in depth, about {FRAMES} frames a batch")
    print(" K  eager s  compiled s  ratio (quartiles)       extra s for compiling")
    for uses in args.uses:
        eager, compiled = (Training(args.width, args.layers, uses, c) for c in (False, True))
        draw = random.Random(0)
        times = []
        for _ in range(args.steps):
            batch = batch_of(draw.uniform(2.0, 15.0))
            times.append((eager.step(batch), compiled.step(batch)))
        settled = [(e[0], c[0]) for e, c in times[args.steps // 3 :]]
        low, median, high = statistics.quantiles([c / e for e, c in settled], n=4)
        extra = sum(c[1] - e[1] for e, c in times)
        columns = list(zip(*settled, strict=True))
        first, second = (statistics.median(column) for column in columns)
        quartiles = f"{median:.3f} ({low:.3f}-{high:.3f})"
        print(
            f"{uses:2} {first:8.3f} {second:11.3f}  {quartiles} {extra:14.1f}",
            flush=True,
        )
        found = {"time_low": low, "time": median, "time_high": high, "compiling_s": extra}
        record(args.record, "compile", f"{args.layers}x{args.width}-k{uses}", found)


if __name__ == "__main__":
    main()
