"""Against brute force over all alignments, finite differences and warprnnt-numba."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from foldformer.nn.transducer_loss import transducer_loss

VOCAB = 5


def sum_over_alignments(logits: Tensor, targets: list[int], blank: int = 0) -> Tensor:
    """-log of the sum over every order of T - 1 blanks and U labels; a last blank ends them all."""
    frames, tokens = logits.shape[0], len(targets)
    log_probs = logits.log_softmax(-1)
    paths = []
    for places in itertools.combinations(range(frames - 1 + tokens), tokens):
        t = u = 0
        score = logits.new_zeros(())
        for step in range(frames - 1 + tokens):
            if step in places:
                score = score + log_probs[t, u, targets[u]]
                u += 1
            else:
                score = score + log_probs[t, u, blank]
                t += 1
        paths.append(score + log_probs[t, u, blank])
    assert len(paths) == math.comb(frames - 1 + tokens, tokens)
    return -torch.stack(paths).logsumexp(0)


def batch(
    frames: list[int], tokens: list[int], *, vocab: int = VOCAB, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    logits = 2 * torch.randn(len(frames), max(frames), max(tokens) + 1, vocab, dtype=torch.float64)
    targets = torch.randint(1, vocab, (len(frames), max(tokens)))
    return logits.to(dtype).requires_grad_(), targets, torch.tensor(frames), torch.tensor(tokens)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=3),
    blank=st.integers(0, VOCAB - 1),
    data=st.data(),
)
def test_loss_and_gradient_equal_brute_force(
    sizes: list[tuple[int, int]], blank: int, data: st.DataObject
) -> None:
    """Any mixture of lengths: also no targets, and more targets than frames."""
    frames, tokens = (list(numbers) for numbers in zip(*sizes, strict=True))
    logits, _, *lengths = batch(frames, tokens)
    labels = st.integers(0, VOCAB - 1).filter(lambda token: token != blank)
    rows = st.lists(labels, min_size=max(tokens), max_size=max(tokens))
    targets = torch.tensor([data.draw(rows) for _ in sizes], dtype=torch.long)
    weights = torch.arange(1.0, len(sizes) + 1, dtype=torch.float64) - 1.5
    expected = torch.stack(
        [
            sum_over_alignments(logits[b, :t, : u + 1], targets[b, :u].tolist(), blank)
            for b, (t, u) in enumerate(sizes)
        ]
    )
    (expected_gradient,) = torch.autograd.grad(expected @ weights, logits)
    loss = transducer_loss(logits, targets, *lengths, blank=blank)
    (gradient,) = torch.autograd.grad(loss @ weights, logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_gradient_equals_finite_differences() -> None:
    logits, targets, *lengths = batch([3, 2, 3], [2, 4, 0])
    assert torch.autograd.gradcheck(lambda x: transducer_loss(x, targets, *lengths), (logits,))


def test_equals_warprnnt_numba() -> None:
    from warprnnt_numba.rnnt_loss.rnnt_pytorch import rnnt_loss

    logits, targets, *lengths = batch([12, 9], [5, 7], vocab=11, dtype=torch.float32)
    theirs = rnnt_loss(logits, targets.int(), *(sizes.int() for sizes in lengths), reduction="none")
    (expected,) = torch.autograd.grad(theirs.sum(), logits)
    loss = transducer_loss(logits, targets, *lengths)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing() -> None:
    """Padding of nan and of ids out of range: same bits, and a gradient of exactly 0."""
    frames, tokens = [4, 7, 5], [3, 2, 0]
    logits, targets, *lengths = batch(frames, tokens)
    alone = []
    for b, (t, u) in enumerate(zip(frames, tokens, strict=True)):
        part = logits[b : b + 1, :t, : u + 1]
        sizes = torch.tensor([t]), torch.tensor([u])
        loss = transducer_loss(part, targets[b : b + 1, :u], *sizes)
        alone.append((loss, torch.autograd.grad(loss, part)[0]))
    padded = torch.full((3, 9, 6, VOCAB), math.nan, dtype=torch.float64)
    ids = torch.full((3, 5), -100)
    for b, (t, u) in enumerate(zip(frames, tokens, strict=True)):
        padded[b, :t, : u + 1] = logits[b, :t, : u + 1].detach()
        ids[b, :u] = targets[b, :u]
    padded.requires_grad_()
    loss = transducer_loss(padded, ids, *lengths)
    (gradient,) = torch.autograd.grad(loss.sum(), padded)
    for b, (t, u) in enumerate(zip(frames, tokens, strict=True)):
        torch.testing.assert_close(loss[b : b + 1], alone[b][0], rtol=1e-14, atol=0)
        part = gradient[b : b + 1, :t, : u + 1]
        torch.testing.assert_close(part, alone[b][1], rtol=1e-12, atol=1e-14)
        gradient[b, :t, : u + 1] = 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_more(dtype: torch.dtype) -> None:
    """Loss and gradient of the rounded logits, not a rounded loss; the gradient in their type."""
    half, targets, *lengths = batch([30, 24], [8, 10], vocab=20, dtype=dtype)
    full = half.detach().double().requires_grad_()
    loss = transducer_loss(half, targets, *lengths)
    exact = transducer_loss(full, targets, *lengths)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact.float(), rtol=1e-6, atol=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), half)
    (expected,) = torch.autograd.grad(exact.sum(), full)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient, expected.to(dtype), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_huge_logits_stay_exact(dtype: torch.dtype) -> None:
    """The whole range of float16: losses over its maximum, no nan; as exact as in float64."""
    generator = torch.Generator().manual_seed(1)
    signs = torch.randint(-1, 2, (2, 6, 4, VOCAB), generator=generator)
    logits = (60000.0 * signs).to(dtype).requires_grad_()
    sizes = torch.tensor([[1, 2, 3], [4, 2, 1]]), torch.tensor([6, 4]), torch.tensor([3, 2])
    loss = transducer_loss(logits, *sizes)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.isfinite().all()
    full = logits.detach().double().requires_grad_()
    exact = transducer_loss(full, *sizes)
    torch.testing.assert_close(loss, exact.float())
    (expected,) = torch.autograd.grad(exact.sum(), full)
    torch.testing.assert_close(gradient, expected.to(dtype), rtol=1e-2, atol=1e-2)


def test_impossible_token_beside_the_targets() -> None:
    """A logit of -inf that no alignment needs: the loss of the vocabulary without that token."""
    logits, targets, *lengths = batch([4], [3], vocab=VOCAB)
    logits = torch.cat([logits.detach(), torch.full((1, 4, 4, 1), -math.inf)], -1).requires_grad_()
    loss = transducer_loss(logits, targets, *lengths)
    torch.testing.assert_close(
        loss[0], sum_over_alignments(logits[0, ..., :-1], targets[0].tolist())
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    assert torch.equal(gradient[..., -1], torch.zeros(1, 4, 4, dtype=torch.float64))


def test_utterance_without_alignment_has_infinite_loss_and_no_gradient() -> None:
    logits, targets, *lengths = batch([4, 4], [3, 3])
    values = logits.detach().clone()
    values[0, :, 1, targets[0, 1]] = -math.inf
    values.requires_grad_()
    loss = transducer_loss(values, targets, *lengths)
    assert loss[0] == math.inf
    torch.testing.assert_close(loss[1], sum_over_alignments(values[1], targets[1].tolist()))
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    assert torch.equal(gradient[0], torch.zeros_like(gradient[0]))
    assert gradient[1].abs().sum() > 0


def test_long_utterance_keeps_float32_exact() -> None:
    """Gradients of each cell sum to 0 over the vocabulary, also after hundreds of steps."""
    logits, targets, *lengths = batch([300], [60], vocab=8, dtype=torch.float32)
    full = logits.detach().double().requires_grad_()
    (gradient,) = torch.autograd.grad(transducer_loss(logits, targets, *lengths), logits)
    (expected,) = torch.autograd.grad(transducer_loss(full, targets, *lengths), full)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient.sum(-1), torch.zeros(1, 300, 61), rtol=0, atol=1e-5)


def test_logits_of_any_strides() -> None:
    logits, targets, *lengths = batch([4, 3], [2, 3])
    turned = logits.detach().permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0).requires_grad_()
    assert not turned.is_contiguous()
    loss = transducer_loss(turned, targets, *lengths)
    torch.testing.assert_close(loss, transducer_loss(logits, targets, *lengths))
    (gradient,) = torch.autograd.grad(loss.sum(), turned)
    (expected,) = torch.autograd.grad(transducer_loss(logits, targets, *lengths).sum(), logits)
    torch.testing.assert_close(gradient, expected)


def test_overwriting_gives_the_same_gradient_once() -> None:
    logits, targets, *lengths = batch([5, 3], [2, 4])
    (expected,) = torch.autograd.grad(transducer_loss(logits, targets, *lengths).sum(), logits)
    scratch = logits * 1
    loss = transducer_loss(scratch, targets, *lengths, overwrite_logits=True).sum()
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(scratch.detach(), expected)
    with pytest.raises(RuntimeError, match="inplace operation"):
        torch.autograd.grad(loss, logits)


def peak_bytes(*, overwrite: bool) -> float:
    """The most bytes alive during forward and backward, logits included, over the logits' bytes."""
    logits, targets, *lengths = batch([80] * 6, [30] * 6, vocab=512, dtype=torch.float32)
    size = logits.numel() * logits.element_size()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        scratch = logits * 1  # the logits of a model: not a leaf
        loss = transducer_loss(scratch, targets, *lengths, overwrite_logits=overwrite).sum()
        torch.autograd.grad(loss, scratch)
    live = highest = 0
    for event in trace.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            highest = max(highest, live)
    return highest / size


def test_memory_is_logits_and_gradient() -> None:
    assert peak_bytes(overwrite=False) < 2.05


def test_memory_of_overwriting_is_that_of_the_logits() -> None:
    assert peak_bytes(overwrite=True) < 1.1


def test_no_double_backward() -> None:
    logits, targets, *lengths = batch([3], [2])
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    loss = factor * transducer_loss(logits, targets, *lengths)
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_without_gradient() -> None:
    logits, targets, *lengths = batch([4, 2], [3, 1])
    with torch.no_grad():
        loss = transducer_loss(logits, targets, *lengths)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, transducer_loss(logits, targets, *lengths).detach())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 4, VOCAB)}, r"logits: expected .* \(B, T, U\+1, V\)"),
        ({"logits": torch.zeros(2, 4, 3, VOCAB, dtype=torch.long)}, "logits: expected floating"),
        ({"targets": torch.ones(2, 3, dtype=torch.long)}, r"targets: expected shape \(2, 2\)"),
        ({"targets": torch.ones(2, 2)}, "targets: expected whole numbers, got torch.float32"),
        ({"targets": torch.tensor([[1, 0], [2, 2]])}, r"targets\[0, 1\]: .* blank \(0\), got 0"),
        ({"targets": torch.tensor([[1, 1], [9, 2]])}, r"targets\[1, 0\]: .* got 9"),
        ({"targets": torch.tensor([[1, 1], [-1, 2]])}, r"targets\[1, 0\]: .* got -1"),
        ({"lengths": torch.tensor([4])}, r"lengths: expected shape \(2,\)"),
        ({"lengths": torch.tensor([4, 5])}, r"lengths\[1\]: expected 1 to 4 frames, got 5"),
        ({"lengths": torch.tensor([0, 4])}, r"lengths\[0\]: expected 1 to 4 frames, got 0"),
        ({"target_lengths": torch.tensor([2, 3])}, r"target_lengths\[1\]: expected 0 to 2 tokens"),
        ({"target_lengths": torch.tensor([2, -1])}, r"target_lengths\[1\]: .* got -1"),
        ({"blank": VOCAB}, "blank: expected an id from 0 to 4, got 5"),
    ],
)
def test_wrong_arguments(change: dict[str, Tensor | int], message: str) -> None:
    arguments: dict[str, Tensor | int] = {
        "logits": torch.zeros(2, 4, 3, VOCAB),
        "targets": torch.tensor([[1, 2], [3, 4]]),
        "lengths": torch.tensor([4, 3]),
        "target_lengths": torch.tensor([2, 1]),
    }
    with pytest.raises(ValueError, match=message):
        transducer_loss(**(arguments | change))
