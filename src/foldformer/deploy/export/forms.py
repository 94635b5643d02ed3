"""The form that a module takes in an exported graph, where that is another than in training."""

import copy
from functools import singledispatch

from torch import nn


@singledispatch
def export_form(module: nn.Module) -> nn.Module:
    """The module whose `forward` is traced, with the same parameters under the same names.

    A class that is not registered here is traced as it stands, with the forms of its parts.
    """
    return module


def with_export_forms(module: nn.Module) -> nn.Module:
    """A copy of the module whose parts have their export forms; parameters are shared."""
    memo: dict[int, object] = {
        id(tensor): tensor for tensor in module.state_dict(keep_vars=True).values()
    }
    copied = copy.deepcopy(module, memo)
    _replace(copied)
    return copied


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        form = export_form(child)
        if form is child:
            _replace(child)
        else:
            setattr(module, name, form)
