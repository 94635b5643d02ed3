"""What sharing costs in training: a step of the shared encoder against one of the dense encoder.

    OMP_NUM_THREADS=1 python benchmarks/training_cost.py [--widths 144 256 512] [--steps 9]

A step is forward, backward and AdamW, on 16 utterances of 256 encoder frames (4096 frames), K = 3,
R = 16 with diagonals. The two take turns; each ratio is of two steps that follow one another, and
what is printed is the median with the quartiles, and the ratio of the least times, which a busy
machine disturbs less. Times are those of the processor, for the same reason. Few layers, to save
time: the ratio does not depend on their number.
"""

import argparse
import statistics
import time

import torch

from foldformer.nn.encoder import Encoder, EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec

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
        self.optimiser = torch.optim.AdamW(self.encoder.parameters(), lr=1e-4)

    def step(self, features: torch.Tensor, lengths: torch.Tensor, wanted: torch.Tensor) -> float:
        """One step; its seconds."""
        start = time.process_time()
        self.optimiser.zero_grad()
        y, _ = self.encoder(features, lengths)
        (y - wanted).square().mean().backward()
        self.optimiser.step()
        return time.process_time() - start

    def gradient_bytes(self) -> int:
        """Bytes that a data-parallel training would exchange."""
        gradients = [p.grad for p in self.encoder.parameters() if p.grad is not None]
        return sum(g.numel() * g.element_size() for g in gradients)

    def optimiser_bytes(self) -> int:
        """Bytes of the moments."""
        states = self.optimiser.state.values()
        return sum(t.numel() * t.element_size() for s in states for t in s.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[144, 256, 512])
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--uses", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"K={args.uses} R={args.rank}, {BATCH * FRAMES} encoder frames a batch, one thread")
    print("width layers   dense s  shared s  ratio  (quartiles)    of least  gradients  optimiser")
    for width in args.widths:
        features = torch.randn(BATCH, 4 * FRAMES, MELS)
        lengths = torch.full((BATCH,), 4 * FRAMES)
        wanted = torch.randn(BATCH, FRAMES, width)
        dense, shared = Training(width, 1, 0), Training(width, args.uses, args.rank)
        times = []
        for _ in range(args.steps + 1):
            times.append([t.step(features, lengths, wanted) for t in (dense, shared)])
        ratios = [b / a for a, b in times[1:]]
        low, median, high = statistics.quantiles(ratios, n=4)
        columns = list(zip(*times[1:], strict=True))
        first, second = (statistics.median(column) for column in columns)
        least = min(columns[1]) / min(columns[0])
        gradients = dense.gradient_bytes() / shared.gradient_bytes()
        states = dense.optimiser_bytes() / shared.optimiser_bytes()
        print(
            f"{width:5} {NUM_LAYERS.get(width, 3):6} {first:9.3f} {second:9.3f} {median:6.3f}  "
            f"({low:.3f}-{high:.3f})  {least:8.3f}  {gradients:7.2f} x  {states:7.2f} x",
            flush=True,
        )


if __name__ == "__main__":
    main()
