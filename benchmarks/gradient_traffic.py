"""Bytes of gradients that each process hands to the network in a step: dense, and shared.

    OMP_NUM_THREADS=1 python benchmarks/gradient_traffic.py [PRESET ...] [--record FILE]

Counted, not timed: one step of each preset with its head, in a group of one process, in which a
communication hook of DistributedDataParallel adds up the buckets that would be reduced. A layer
that is used K times has one gradient, which is sent once. (A ring of N processes then sends
2 (N - 1) / N of these bytes from each; with `--strategy fsdp` a step reduces the same bytes, and
gathers the weights twice.) The batch does not matter to the count: it is one short utterance.
"""

import argparse
import tempfile
from collections import Counter

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from _record import add_record, record
from foldformer.model import Model
from foldformer.presets import preset

DENSE = "paper-dense"


def traffic(model: Model) -> Counter[str]:
    """{part of the model: bytes handed to the all-reduce in a step}."""
    layers = {id(p) for p in model.encoder.depth.parameters()}
    encoder = {id(p) for p in model.encoder.parameters()}
    sent: Counter[str] = Counter()

    def count(state: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        sizes = [p.numel() * p.element_size() for p in bucket.parameters()]
        assert sum(sizes) == bucket.buffer().nbytes
        for parameter, size in zip(bucket.parameters(), sizes, strict=True):
            sent["model"] += size
            sent["encoder"] += size * (id(parameter) in encoder)
            sent["layers"] += size * (id(parameter) in layers)
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    wrapped: nn.Module = DistributedDataParallel(model)
    wrapped.register_comm_hook(None, count)
    features, targets = torch.randn(1, 64, 80), torch.tensor([[5, 7]])
    wrapped(features, torch.tensor([64]), targets, torch.tensor([2])).mean().backward()
    return sent


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    add_record(parser)
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile() as file:
        dist.init_process_group("gloo", init_method=f"file://{file.name}x", rank=0, world_size=1)
        dense = traffic(preset(DENSE).build())
        print(f"{'MB a step':<16}" + "".join(f"{part:>10}{'ratio':>7}" for part in dense))
        for name in args.presets or [DENSE, "paper-k3-r16"]:
            sent = traffic(preset(name).build()) if name != DENSE else dense
            cells = (f"{sent[part] / 1e6:10.2f}{sent[part] / dense[part]:7.3f}" for part in dense)
            print(f"{name:<16}" + "".join(cells))
            found = {f"{part}_mb": sent[part] / 1e6 for part in dense}
            found |= {f"{part}_ratio": sent[part] / dense[part] for part in dense}
            record(args.record, "gradient_traffic", name, found)
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
