import itertools
import math

import pytest
import torch
from torch import Tensor

from foldformer.errors import SpecError
from foldformer.nn.heads import HeadSpec
from foldformer.nn.heads.ctc import CtcHead, CtcSpec
from foldformer.spec import from_dict, to_dict

VOCAB = 3


def head() -> CtcHead:
    torch.manual_seed(0)
    return CtcSpec().build(4, VOCAB).double()


def sum_over_paths(log_probs: Tensor, targets: list[int]) -> Tensor:
    """-log of the sum over all frame-wise paths that read as the targets."""
    scores = []
    for path in itertools.product(range(VOCAB), repeat=len(log_probs)):
        if [token for token, _ in itertools.groupby(path) if token] == targets:
            scores.append(sum(row[token] for row, token in zip(log_probs, path, strict=True)))
    return -torch.stack(scores).logsumexp(0)


def test_loss_equals_brute_force() -> None:
    """Lengths and targets of any kind beside each other; padding may hold any id."""
    model = head()
    x = torch.randn(4, 5, 4, dtype=torch.float64, requires_grad=True)
    targets = [[1, 2], [1, 1], [], [2, 1, 2]]
    padded = torch.full((4, 3), -100)
    for b, row in enumerate(targets):
        padded[b, : len(row)] = torch.tensor(row)
    lengths = [5, 4, 3, 3]
    sizes = torch.tensor([len(row) for row in targets])
    loss = model.loss(x, torch.tensor(lengths), padded, sizes)
    log_probs = (x @ model.output.weight.T + model.output.bias).log_softmax(-1)
    expected = torch.stack(
        [
            sum_over_paths(log_probs[b, : lengths[b]], row) if row else -log_probs[b, :3, 0].sum()
            for b, row in enumerate(targets)
        ]
    )
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)
    assert torch.equal(gradient[3, 3:], torch.zeros(2, 4, dtype=torch.float64))


def test_impossible_alignment_counts_nothing() -> None:
    """Tokens 1 1 need three frames, for the blank between them."""
    model = head()
    x = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 1], [1, 2]])
    loss = model.loss(x, torch.tensor([2, 2]), targets, torch.tensor([2, 2]))
    assert loss[0] == 0
    assert loss[1] > 0
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert torch.equal(gradient[0], torch.zeros_like(gradient[0]))


def test_all_targets_empty() -> None:
    model = head()
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    targets = torch.zeros(1, 0, dtype=torch.long)
    loss = model.loss(x, torch.tensor([3]), targets, torch.tensor([0]))
    torch.testing.assert_close(loss, -model.log_probs(x)[:, :, 0].sum(1))


def test_autocast_computes_probabilities_in_float32() -> None:
    model = head().float()
    model.output.weight.data *= 50
    x = torch.randn(1, 40, 4)
    arguments = torch.tensor([40]), torch.tensor([[1, 2]]), torch.tensor([2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.output(x)
        log_probs, loss = model.log_probs(x), model.loss(x, *arguments)
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    torch.testing.assert_close(log_probs, logits.float().log_softmax(-1))


def test_gradients_reach_every_parameter() -> None:
    model = head()
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    loss = model.loss(x, torch.tensor([5]), torch.tensor([[1, 2]]), torch.tensor([2]))
    loss.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_spec() -> None:
    spec = CtcSpec(weight=0.3, dropout=0.1)
    assert from_dict(HeadSpec, to_dict(spec)) == spec
    assert to_dict(spec)["kind"] == "ctc"
    for wrong in (1.0, -0.1, math.nan):
        with pytest.raises(SpecError, match="dropout: expected"):
            CtcSpec(dropout=wrong)
    with pytest.raises(SpecError, match="weight"):
        CtcSpec(weight=-1)
