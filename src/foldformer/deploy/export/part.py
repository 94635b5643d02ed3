"""What one file of an export computes."""

from abc import ABC, abstractmethod

import onnx_ir as ir
import torch
from torch import Tensor, nn

from foldformer.deploy.export.parity import Run
from foldformer.model import Model
from foldformer.nn.heads import Head
from foldformer.nn.subsampling import Subsampling

Axes = dict[str, dict[int, torch.export.Dim]]


class Part(nn.Module, ABC):
    """The modules of one file, under the names that they have in the model."""

    def __init__(self, model: Model, head: str) -> None:
        super().__init__()
        self.kind = head
        self.heads = nn.ModuleDict({head: model.head(head)})

    @property
    def head(self) -> Head:
        """The one head."""
        head = self.heads[self.kind]
        assert isinstance(head, Head)
        return head

    @abstractmethod
    def graph(self) -> ir.Model:
        """The graph, with the metadata that the runtime wants."""

    @abstractmethod
    def difference(self, run: Run) -> float:
        """The largest difference between `forward` and the file on random inputs.

        Inputs have the sizes that a runtime may call it with. See `parity.difference`.
        """


def random_features(subsampling: Subsampling, batch: int, frames: int) -> Tensor:
    """Features (B, T, F) about as loud as those that the model was trained on."""
    noise = torch.randn(batch, frames, subsampling.mean.numel())
    return subsampling.mean + subsampling.deviation * noise
