"""The learning rate over the steps, and which weights decay."""

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from foldformer.train.config import TrainingSpec

_NO_DECAY = ("bias", "shift", "scale", "down", "up", "basis", "coefficients", "diagonal")


def factor(spec: TrainingSpec, step: int) -> float:
    """The learning rate at a step (0-based) as a share of its peak."""
    if step < spec.warmup:
        return (step + 1) / spec.warmup
    done = min(1.0, (step - spec.warmup) / max(1, spec.steps - spec.warmup))
    if spec.decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if spec.decay == "linear" else 1.0


def make_optimizer(model: nn.Module, spec: TrainingSpec) -> tuple[AdamW, LambdaLR]:
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101) and its schedule, to be stepped every step.

    Weight decay pulls matrices towards zero. On a product (`down @ up`, `basis @ coefficients`) it
    would be a decay of another kind, and norms and biases have no scale to lose: these have none.
    """
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in _NO_DECAY
        groups[decays].append(parameter)
    optimizer = AdamW(
        [
            {"params": groups[True], "weight_decay": spec.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=spec.learning_rate,
        betas=(spec.betas[0], spec.betas[1]),
        # One pass over the memory, a few times faster; Lightning cannot clip after it in fp16.
        fused=spec.precision != "16-mixed",
    )
    return optimizer, LambdaLR(optimizer, lambda step: factor(spec, step))
