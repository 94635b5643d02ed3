"""What sharing costs in training: a step of the shared encoder against one of the dense encoder.

    OMP_NUM_THREADS=1 python benchmarks/training_cost.py [--widths 144 256 512] [--steps 9]

A step is forward, backward, clipping and AdamW, as `foldformer train` makes it and with its setting
of the allocator, on 16 utterances of 256 encoder frames (4096 frames), K = 3, R = 16 with
diagonals. The two take turns, each first every other time; each ratio is of two steps
that follow one another, and what is printed is the median with the quartiles, and the ratio of the
least times, which a busy machine disturbs less. Times are those of the processor, for the same
reason. Few layers, to save time: the ratio does not depend on their number.

Then how many times smaller the gradients and the optimiser's state are, as allocated: those of the
weight matrices, which are shared, and those of the whole encoder with its residuals, norms and
subsampling, which are not.
"""

import argparse
import statistics
import sys
import time

import torch

from foldformer.nn.encoder import Encoder, EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.train.allocator import keep_freed_memory

BATCH, FRAMES, MELS = 16, 256, 80
NUM_LAYERS = {144: 6, 256: 6, 512: 3}


class Training:
    """An encoder and its optimiser."""

    def __init__(self, width: int, uses: int, rank: int) -> None:
        torch.manual_seed(0)
        spec = EncoderSpec(
            d_model=width,
            num_layers=NUM_LAYERS.get(width, 3),
            uses=uses,
            feed_forward=DenseFeedForwardSpec(d_ff=4 * width),
            linear=ResidualSpec(rank=rank),
        )
        self.encoder: Encoder = spec.build()
        self.optimiser = torch.optim.AdamW(self.encoder.parameters(), lr=1e-4, fused=True)

    def step(self, features: torch.Tensor, lengths: torch.Tensor, wanted: torch.Tensor) -> float:
        """One step; its seconds."""
        start = time.process_time()
        self.optimiser.zero_grad()
        y, _ = self.encoder(features, lengths)
        (y - wanted).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        return time.process_time() - start

    def bytes(self, matrices: bool) -> tuple[int, int]:
        """Of gradients and of AdamW's moments: of the layers' weight matrices, or of all."""
        gradients = moments = 0
        for name, parameter in self.encoder.named_parameters():
            if matrices and not (name.startswith("depth.") and name.endswith(".weight")):
                continue
            assert parameter.grad is not None
            gradients += parameter.grad.nbytes
            moments += sum(t.nbytes for t in self.optimiser.state[parameter].values() if t.ndim)
        return gradients, moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[144, 256, 512])
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--uses", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"K={args.uses} R={args.rank}, {BATCH * FRAMES} encoder frames a batch, one thread")
    print("width layers   dense s  shared s  ratio  (quartiles)    of least")
    for width in args.widths:
        features = torch.randn(BATCH, 4 * FRAMES, MELS)
        lengths = torch.full((BATCH,), 4 * FRAMES)
        wanted = torch.randn(BATCH, FRAMES, width)
        dense, shared = Training(width, 1, 0), Training(width, args.uses, args.rank)
        times = []
        for number in range(args.steps + 1):
            turns = (dense, shared) if number % 2 else (shared, dense)
            seconds = {turn: turn.step(features, lengths, wanted) for turn in turns}
            times.append((seconds[dense], seconds[shared]))
        ratios = [b / a for a, b in times[1:]]
        low, median, high = statistics.quantiles(ratios, n=4)
        columns = list(zip(*times[1:], strict=True))
        first, second = (statistics.median(column) for column in columns)
        least = min(columns[1]) / min(columns[0])
        print(
            f"{width:5} {NUM_LAYERS.get(width, 3):6} {first:9.3f} {second:9.3f} {median:6.3f}  "
            f"({low:.3f}-{high:.3f})  {least:8.3f}"
        )
        for matrices, what in ((True, "weight matrices"), (False, "whole encoder")):
            pairs = zip(dense.bytes(matrices), shared.bytes(matrices), strict=True)
            gradients, moments = (one / other for one, other in pairs)
            print(f"      {what}: gradients {gradients:.2f} x, moments {moments:.2f} x smaller")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
