"""Time of our transducer loss against warprnnt-numba, and its peak memory over the logits' bytes.

Forward and backward on the same inputs, one thread, runs interleaved, medians. The CPU path of
warprnnt-numba is a Python loop over cells: one of its runs takes most of a minute at the default
size. Memory is the growth of the process's peak resident set from before the logits exist.

    python benchmarks/transducer_loss.py [--json] [--repeats 3] [--shape 8 200 40 256]
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from foldformer.nn.transducer_loss import transducer_loss

Loss = Callable[[Tensor], Tensor]

# Runs of ours for each run of theirs: a single short run after a long one measures cold memory.
SHORT_RUNS = 5


def random_targets(shape: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    batch, frames, tokens, vocab_size = shape
    targets = torch.randint(1, vocab_size, (batch, tokens), dtype=torch.int32)
    full = (torch.full((batch,), size, dtype=torch.int32) for size in (frames, tokens))
    return targets, *full


def random_logits(shape: list[int]) -> Tensor:
    batch, frames, tokens, vocab_size = shape
    return torch.randn(batch, frames, tokens + 1, vocab_size, requires_grad=True)


def forward_backward(loss: Loss, logits: Tensor) -> tuple[float, Tensor, Tensor]:
    """Seconds, losses (B,) and the gradient of their sum."""
    start = time.perf_counter()
    losses = loss(logits)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    return time.perf_counter() - start, losses.detach(), gradient


def peak_over_logits(shape: list[int], *, overwrite: bool) -> float:
    """Growth of peak memory by the logits, forward and backward, over the logits' bytes.

    A peak only rises: measure the smaller one first.
    """

    def loss(logits: Tensor) -> Tensor:
        return transducer_loss(logits, *targets, overwrite_logits=overwrite)

    targets = random_targets([2, 4, 3, 5])
    forward_backward(loss, random_logits([2, 4, 3, 5]))  # load the code
    targets = random_targets(shape)
    before = resident_bytes()
    logits = random_logits(shape)
    forward_backward(loss, logits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (peak - before) / (logits.numel() * logits.element_size())


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def compare(shape: list[int], repeats: int) -> dict[str, float]:
    from warprnnt_numba.rnnt_loss.rnnt_pytorch import rnnt_loss

    targets = random_targets(shape)
    logits = random_logits(shape)
    losses: dict[str, Loss] = {
        "ours": lambda x: transducer_loss(x, *targets),
        "overwriting": lambda x: transducer_loss(x, *targets, overwrite_logits=True),
        "theirs": lambda x: rnnt_loss(x, *targets, reduction="none"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    values, gradients = {}, {}
    for _ in range(repeats):
        for name, loss in losses.items():
            for _ in range(1 if name == "theirs" else SHORT_RUNS):
                scratch = logits.detach().clone().requires_grad_()
                spent, values[name], gradients[name] = forward_backward(loss, scratch)
                seconds[name].append(spent)
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    return {
        **{f"seconds_{name}": value for name, value in medians.items()},
        "times_faster": medians["theirs"] / medians["ours"],
        "largest_difference_of_losses": (values["ours"] - values["theirs"]).abs().max().item(),
        "largest_difference_of_gradients": (
            (gradients["ours"] - gradients["theirs"]).abs().max().item()
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=3, help="runs of warprnnt-numba")
    parser.add_argument(
        "--shape",
        type=int,
        nargs=4,
        default=[8, 200, 40, 256],
        metavar=("B", "T", "U", "V"),
        help="utterances, frames, tokens, vocabulary",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result: dict[str, object] = {
        "shape": args.shape,
        "repeats": args.repeats,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "peak_over_logits_overwriting": peak_over_logits(args.shape, overwrite=True),
        "peak_over_logits": peak_over_logits(args.shape, overwrite=False),
        **compare(args.shape, args.repeats),
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:34} {f'{value:.4g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
