"""The learning rate over the steps and of the weights, and which of them decay."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from foldformer.nn.linears.residual import ResidualLinear
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
    Low-rank residuals learn at `spec.residual_rate` of the learning rate, and the matrices that
    they are added to at `spec.shared_rate`.

    What the groups of parameters are depends on the model alone, so that the state of an optimiser
    fits one of another specification.
    """
    kinds = dict[nn.Parameter, _Kind]()
    for module in model.modules():
        if isinstance(module, ResidualLinear):
            kinds[module.weight] = _Kind(uses=module.uses)
            for parameter in (module.down, module.up):
                if parameter is not None:
                    kinds[parameter] = _Kind(rank=sum(module.ranks) / module.uses)
    groups: dict[tuple[bool, _Kind], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in _NO_DECAY
        groups.setdefault((decays, kinds.get(parameter, _Kind())), []).append(parameter)
    optimizer = AdamW(
        [
            {
                "params": parameters,
                "lr": _rate(kind, spec) * spec.learning_rate,
                "weight_decay": spec.weight_decay if decays else 0.0,
            }
            for (decays, kind), parameters in groups.items()
        ],
        lr=spec.learning_rate,
        betas=(spec.betas[0], spec.betas[1]),
        # One pass over the memory, a few times faster; Lightning cannot clip after it in fp16.
        fused=spec.precision != "16-mixed",
    )
    return optimizer, LambdaLR(optimizer, lambda step: factor(spec, step))


def settings_of(optimizer: AdamW) -> list[dict[str, object]]:
    """What each group of a new optimiser is told: its rate at the peak, its decay and its betas."""
    names = ("initial_lr", "weight_decay", "betas")
    return [{name: group[name] for name in names} for group in optimizer.param_groups]


def follow(optimizer: AdamW, schedule: LambdaLR, settings: Sequence[Mapping[str, object]]) -> None:
    """Let an optimiser whose state was loaded go on with other settings than the state holds.

    The rate becomes that of the schedule's next step, as the schedule itself would set it.

    Args:
        optimizer: with its state, which has brought back the settings of then.
        schedule: with its state.
        settings: for each group, see `settings_of`.
    """
    for group, told in zip(optimizer.param_groups, settings, strict=True):
        group.update(told)
    schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    for group, share in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["lr"] = group["initial_lr"] * share(schedule.last_epoch)


@dataclass(frozen=True)
class _Kind:
    """What decides at which rate a parameter learns."""

    uses: int = 1
    """Of a matrix of full rank: how many uses share it."""
    rank: float = 0.0
    """Of low-rank residuals: their mean rank."""


def _rate(kind: _Kind, spec: TrainingSpec) -> float:
    """What parameters of a kind learn at, in parts of the learning rate.

    A step of Adam is as large whatever the gradient. One of a shared matrix is a step of each of
    its K uses, all in the same direction. One of `down` or `up` is as large as one of the shared
    matrix, and those of the R terms of their product add to the same entries: with R = 16 the
    products grew larger than what they are added to, and with R = 2 they did not. What was tried of
    both is in `recipes/paper_table/LOG.md`.
    """
    if kind.uses > 1:
        return 1 / math.sqrt(kind.uses) if spec.shared_rate is None else spec.shared_rate
    if not kind.rank:
        return 1.0
    if spec.residual_rate is not None:
        return spec.residual_rate
    return min(1.0, math.sqrt(2 / kind.rank))
