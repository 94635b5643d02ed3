"""A model in shards: each process keeps its share of the weights of each layer."""

from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from foldformer.errors import SpecError
from foldformer.nn.layer import Layer

try:
    from torch.distributed.fsdp import FSDPModule, fully_shard
except ImportError:
    raise SpecError(
        f"--strategy fsdp: needs PyTorch 2.6 or newer, got {torch.__version__}"
    ) from None


def shard(model: nn.Module, device: torch.device) -> None:
    """Split a model among all processes: every Layer a shard, and what is left another one.

    It stays the same module (FSDP2, `fully_shard`); its parameters become shares of themselves.
    All processes must hold the same weights. A layer is gathered once in the forward pass, for all
    of its uses in a row, once in the backward pass, and its gradient is reduced once.
    """
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for layer in model.modules():
        if isinstance(layer, Layer):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def sync_gradients(model: nn.Module, sync: bool) -> None:
    """Whether the next backward pass reduces gradients, or sums them up for one that does."""
    for module in _sharded(model):
        module.set_requires_gradient_sync(sync, recurse=False)


def gather(model: nn.Module) -> None:
    """Let every process hold all weights until `release`; nothing to do where there are no shards.

    A validation is shared out unevenly, and so no process may wait for another in the middle of it.
    """
    for module in _sharded(model):
        _keep(module, True)
        module.unshard()


def release(model: nn.Module) -> None:
    """Go back to shards."""
    for module in _sharded(model):
        _keep(module, False)
        module.reshard()


def _keep(module: FSDPModule, kept: bool) -> None:
    if isinstance(module, Layer):  # the rest is always kept until the backward pass
        module.set_reshard_after_forward(not kept, recurse=False)


def _sharded(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def whole(value: Any) -> Any:
    """The same nested dicts and lists with whole tensors in place of shares of them.

    All processes must take part; the whole tensors are on the CPU, and only in the first process.
    """
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(each) for each in value)
    if not isinstance(value, DTensor):
        return value
    tensor = value.full_tensor()
    return tensor.cpu() if torch.distributed.get_rank() == 0 else None


def own_share(tensor: torch.Tensor) -> torch.Tensor:
    """The share of this process in the memory of a tensor; all of one that is not shared."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def share_like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The share of a whole tensor that this process has of another one; or all, if it has all."""
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    device = other.device_mesh.device_type
    return distribute_tensor(tensor.to(device), other.device_mesh, other.placements)
