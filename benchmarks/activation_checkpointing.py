"""What activation checkpointing saves and costs: memory and time of a training step.

    OMP_NUM_THREADS=1 python benchmarks/activation_checkpointing.py [--width 256] [--steps 7]
        [--record FILE]

A step is forward and backward of encoder and CTC head on 16 utterances of 10 s. Memory is what
PyTorch's profiler counts: bytes that are held when the forward pass is over (weights and input not
counted), and the most at any moment of the step. The two take turns; the ratio of times is the
median over pairs of steps that follow one another, with the quartiles, in seconds of the
processor.
"""

import argparse
import statistics
import time

import torch
from torch.profiler import ProfilerActivity, profile

from _models import VOCABULARY, trained_model
from _record import add_record, record
from foldformer.train.recompute import recompute

BATCH, FRAMES, MELS, TOKENS = 16, 1000, 80, 30


class Training:
    """A model and its batch."""

    def __init__(self, width: int, layers: int, uses: int, thrifty: bool) -> None:
        self.model = trained_model(width, layers, uses)
        if thrifty:
            recompute(self.model)
        self.batch = (
            torch.randn(BATCH, FRAMES, MELS),
            torch.full((BATCH,), FRAMES),
            torch.randint(1, VOCABULARY, (BATCH, TOKENS)),
            torch.full((BATCH,), TOKENS),
        )

    def forward(self) -> torch.Tensor:
        """The loss."""
        losses: torch.Tensor = self.model(*self.batch)
        return losses.mean()

    def step(self) -> float:
        """One step without an optimiser; its seconds."""
        start = time.process_time()
        self.model.zero_grad()
        self.forward().backward()
        return time.process_time() - start

    def memory(self) -> tuple[int, int]:
        """Bytes held after the forward pass, and the most at any moment of forward and backward."""
        self.model.zero_grad()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as forward:
            loss = self.forward()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as backward:
            loss.backward()
        held, most = _held(forward, 0)
        return held, max(most, _held(backward, held)[1])


def _held(measured: profile, before: int) -> tuple[int, int]:
    """Bytes at the end, and the most at any moment, of `before` and what was taken and freed."""
    held = most = before
    events = measured.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return held, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=7)
    add_record(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"width {args.width}, {args.layers} layers in depth, {BATCH} x {FRAMES / 100:g} s")
    print("K  held MB: plain  recomputed  most MB: plain  recomputed   time ratio (quartiles)")
    for uses in (1, 3):
        plain, thrifty = (Training(args.width, args.layers, uses, t) for t in (False, True))
        times = [(plain.step(), thrifty.step()) for _ in range(args.steps + 1)][1:]
        low, median, high = statistics.quantiles([b / a for a, b in times], n=4)
        (held, most), (held_less, most_less) = plain.memory(), thrifty.memory()
        print(
            f"{uses} {held / 1e6:14.1f} {held_less / 1e6:11.1f} {most / 1e6:15.1f} "
            f"{most_less / 1e6:11.1f} {median:12.3f} ({low:.3f}-{high:.3f})",
            flush=True,
        )
        megabytes = {"held": held, "held_less": held_less, "most": most, "most_less": most_less}
        found = {f"{name}_mb": value / 1e6 for name, value in megabytes.items()}
        found |= {"time_low": low, "time": median, "time_high": high}
        shape = f"{args.layers}x{args.width}-k{uses}"
        record(args.record, "activation_checkpointing", shape, found)


if __name__ == "__main__":
    main()
