"""Trained layers brought close to one another, by changes that leave what they compute as it is.

Hidden units may stand in any order, and so may heads; the space in which a head holds its values
may be turned, if the map behind turns it back; so may that of queries and keys, which only meet
each other. Layers that were trained apart differ in all this by chance, and a mean of them is near
nothing. Here each layer of a group in turn is changed to come as close as it can to the sum of
the others: the sum of all squared distances falls with each change, until none is left to make.
Biases follow, but are not compared: each use keeps its own.

Units are matched by their weights, as Git Re-Basin (Ainsworth et al., arXiv:2209.04836) matches
those of whole models; here layers of one model are, each by itself, since the frames between them
stay as they are.

Matrices are (in, out), K of them in a group; all parts of what is compared are scaled to one norm.
To weigh them by the activations instead, or to scale units and heads (both possible without a
change of what a layer computes) was tried and gave larger errors at the model's output.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from foldformer.compress.filling import Trained
from foldformer.compress.stored import changed

_ROUNDS = 5
"""Rounds over a group at most, and fewer where one gains less than `_ENOUGH` of the whole."""
_ENOUGH = 1e-3

Turn = Callable[[Tensor], Tensor]
"""Cross products C = B^T A (..., P, P) -> the orthogonal Q allowed for which B @ Q is closest to A,
that is tr(Q^T C) largest."""


def assignment(similarity: Tensor) -> Tensor:
    """The permutation p (N,) with the largest sum of similarity[i, p[i]], of (N, N)."""
    # As costs in float64, which it would otherwise make copies to get.
    _, columns = linear_sum_assignment(
        similarity.to("cpu", torch.float64, copy=True).neg_().numpy()
    )
    return torch.from_numpy(columns).to(similarity.device)


def procrustes(cross: Tensor) -> Tensor:
    """A Turn: any rotation or reflection (Schoenemann, Psychometrika 31, 1966)."""
    left, _, right = torch.linalg.svd(cross)
    turn: Tensor = left @ right
    return turn


def rotary_turn(cross: Tensor) -> Tensor:
    """A Turn of the pairs (x_i, x_{i + P/2}) alone, each by its own angle.

    Rotary positions turn the same pairs: two turns of a plane may change places, so that this one,
    of queries and keys alike, cancels in their products.
    """
    first, second = cross.chunk(2, dim=-2)
    (a, b), (c, d) = (part.chunk(2, dim=-1) for part in (first, second))
    along = _diagonal(a) + _diagonal(d)
    across = _diagonal(b) - _diagonal(c)
    angle = torch.atan2(across, along)
    cos, sin = angle.cos().diag_embed(), angle.sin().diag_embed()
    return torch.cat([torch.cat([cos, sin], dim=-1), torch.cat([-sin, cos], dim=-1)], dim=-2)


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def align_units(
    into: Sequence[Trained], out: Trained, reference: int | None = None
) -> tuple[list[Trained], Trained]:
    """Put the hidden units of K feed-forward networks into one order.

    Args:
        into: the maps that end in the hidden units, each (K, in, units): one, or those of a gated
            unit.
        out: the map that begins with them, (K, units, out).
        reference: the layer that the others follow and that stays as it is; all meet if None.

    Returns:
        The same maps, with the moments of what `out` reads. Layers 0..K-1 compute what they did.
    """
    features = torch.cat(
        [*(_scaled(each.weights) for each in into), _scaled(out.weights.mT)], dim=1
    )
    uses, _, units = features.shape
    orders = torch.arange(units, device=features.device).repeat(uses, 1)

    def improve(use: int, target: Tensor) -> None:
        order = assignment(target.t() @ features[use])
        features[use] = features[use][:, order]
        orders[use] = orders[use][order]

    _rounds(features, reference, improve)
    first = [
        replace(
            each,
            weights=_picked(each.weights, orders, 2),
            biases=None if each.biases is None else _picked(each.biases, orders, 1),
        )
        for each in into
    ]
    moments = out.moments
    if moments is not None:
        moments = changed(moments, lambda use, m: m[orders[use]][:, orders[use]])
    return first, replace(out, weights=_picked(out.weights, orders, 1), moments=moments)


def align_heads(
    query: Trained,
    key: Trained,
    value: Trained,
    output: Trained,
    num_heads: int,
    asking: Turn,
    reference: int | None = None,
) -> tuple[Trained, Trained, Trained, Trained]:
    """Put the heads of K attentions into one order, and turn the spaces of each head alike.

    Args:
        query: (K, in, H P).
        key: (K, in, H P).
        value: (K, in, H P).
        output: (K, H P, out).
        num_heads: H.
        asking: how the space of queries and keys may be turned: `rotary_turn` where positions are
            rotary and pair i with i + P/2, `procrustes` where there are none in the attention.
        reference: as for `align_units`.

    Returns:
        The same maps, with the moments of what `output` reads.
    """
    held = torch.cat([_scaled(value.weights.double()), _scaled(output.weights.mT.double())], dim=1)
    asked = torch.cat([_scaled(query.weights.double()), _scaled(key.weights.double())], dim=1)
    features = torch.cat([held, asked], dim=1)
    uses, _, width = features.shape
    eye = torch.eye(width, dtype=features.dtype, device=features.device)
    turns = {"held": eye.repeat(uses, 1, 1), "asked": eye.repeat(uses, 1, 1)}
    parts = {"held": slice(0, held.shape[1]), "asked": slice(held.shape[1], None)}
    kinds = {"held": procrustes, "asked": asking}

    def improve(use: int, target: Tensor) -> None:
        found, gain = {}, torch.zeros(num_heads, num_heads).to(features)
        for name, rows in parts.items():
            cross = _by_heads(features[use, rows], target[rows], num_heads)
            found[name] = kinds[name](cross)
            gain += (found[name] * cross).sum(dim=(-2, -1))
        order = assignment(gain)
        for name, rows in parts.items():
            picked = found[name][torch.arange(num_heads), order]
            turn = _whole(order, picked)
            features[use, rows] = features[use, rows] @ turn
            turns[name][use] = turns[name][use] @ turn

    _rounds(features, reference, improve)
    moments = output.moments
    if moments is not None:
        held_by = turns["held"]
        moments = changed(
            moments, lambda use, m: (held_by[use].t() @ m.double() @ held_by[use]).to(m.dtype)
        )
    weights = (turns["held"].mT @ output.weights.double()).to(output.weights.dtype)
    return (
        _turned(query, turns["asked"]),
        _turned(key, turns["asked"]),
        _turned(value, turns["held"]),
        replace(output, weights=weights, moments=moments),
    )


def _rounds(
    features: Tensor, reference: int | None, improve: Callable[[int, Tensor], None]
) -> None:
    """improve(use, target) for each use: to follow the reference, or until all have met.

    To begin with, each follows those before it: the sum of all others would still be a blur.
    """
    for use in range(len(features)):
        if reference is None and use:
            improve(use, features[:use].sum(dim=0))
        elif reference is not None and use != reference:
            improve(use, features[reference])
    last = -1.0
    for _ in range(_ROUNDS if reference is None and len(features) > 2 else 0):
        for use in range(len(features)):
            improve(use, features.sum(dim=0) - features[use])
        now = float(features.sum(dim=0).square().sum())
        if now <= last * (1 + _ENOUGH):
            return
        last = now


def _scaled(features: Tensor) -> Tensor:
    """Of norm 1, all K together; as they are if they are nothing."""
    norm = features.norm()
    return features / norm if norm > 0 else features


def _picked(stacked: Tensor, orders: Tensor, axis: int) -> Tensor:
    """Of each of the K tensors, the entries of an axis in the order of that use."""
    pairs = zip(stacked, orders, strict=True)
    return torch.stack([tensor.index_select(axis - 1, order) for tensor, order in pairs])


def _by_heads(features: Tensor, target: Tensor, num_heads: int) -> Tensor:
    """B_j^T A_i (i, j, P, P) of the heads j of `features` and i of `target`, both (n, H P)."""
    width = features.shape[1] // num_heads
    products = (features.t() @ target).view(num_heads, width, num_heads, width)
    return products.permute(2, 0, 1, 3)


def _whole(order: Tensor, turns: Tensor) -> Tensor:
    """(H P, H P): takes head order[i] to place i, turned by turns[i] (P, P)."""
    heads, width, _ = turns.shape
    whole = turns.new_zeros(heads, width, heads, width)
    whole[order, :, torch.arange(heads)] = turns
    return whole.view(heads * width, heads * width)


def _turned(each: Trained, turns: Tensor) -> Trained:
    biases = each.biases
    if biases is not None:
        biases = (biases.double()[:, None] @ turns)[:, 0].to(biases.dtype)
    return replace(
        each, weights=(each.weights.double() @ turns).to(each.weights.dtype), biases=biases
    )
