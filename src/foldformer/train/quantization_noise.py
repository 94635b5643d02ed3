"""Quantisation noise: training on weights of which some are rounded as an export rounds them.

Stock et al., "Training with Quantization Noise for Extreme Model Compression" (arXiv:2004.07320):
in each forward pass a random subset of the weights is replaced by its quantised values, and the
gradient passes to the weights as if they had not been. A weight that is used K times makes its
error K times; trained so, a model does not depend on the digits that an export drops.
"""

import random
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from foldformer.nn.quantise import quantise, shared_weights
from foldformer.train.config import QuantizationNoiseSpec


class QuantizationNoise(Callback):
    """Rounds weights in place before the forward pass, and puts them back after the backward.

    So the gradient is taken at the rounded weights and applied to the exact ones (straight-through,
    Bengio et al., arXiv:1308.3432), whatever happens in between: passes that are computed again for
    activation checkpointing see the same numbers, and the optimiser, averages, checkpoints and
    validations see exact weights alone. Which weights are rounded is decided by seed and step,
    alike in all processes and for all batches of a step, so that summed gradients are those of one
    model.
    """

    def __init__(self, spec: QuantizationNoiseSpec, seed: int) -> None:
        self._spec = spec
        self._seed = seed
        self._exact: list[tuple[nn.Parameter, Tensor]] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Round."""
        self.add(pl_module, trainer.global_step)

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put back."""
        self.remove()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Put back: whoever looks at the weights after an interrupted step finds the exact ones."""
        self.remove()

    @torch.no_grad()
    def add(self, module: nn.Module, step: int) -> None:
        """Round some of the weights of a step."""
        draw = torch.Generator().manual_seed(
            random.Random(f"{self._seed} {step} quantization noise").getrandbits(63)
        )
        for weight in shared_weights(module).values():
            self._exact.append((weight, weight.detach().clone()))
            weight.copy_(self._partly_rounded(weight, draw))

    @torch.no_grad()
    def remove(self) -> None:
        """Put all weights back to what they were."""
        for weight, exact in self._exact:
            weight.copy_(exact)
        self._exact = []

    def _partly_rounded(self, weight: Tensor, draw: torch.Generator) -> Tensor:
        quantised = quantise(weight, self._spec.bits)
        # Drawn on the CPU, so that a run takes the same weights whatever it is computed on.
        drawn = torch.rand(quantised.scales.shape, generator=draw) < self._spec.probability
        chosen = drawn.to(weight.device).repeat_interleave(quantised.block, dim=-2)
        rows = weight.shape[-2]
        return torch.where(chosen[..., :rows, :], quantised.dequantised(), weight)
