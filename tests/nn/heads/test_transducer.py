import math

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.heads import HeadSpec
from foldformer.nn.heads.transducer import TransducerHead, TransducerSpec
from foldformer.nn.transducer_loss import transducer_loss
from foldformer.spec import from_dict, to_dict

WIDTH, VOCAB = 6, 5


def head(context: int = 2, **rest: float) -> TransducerHead:
    torch.manual_seed(0)
    spec = TransducerSpec(predictor_dim=8, joiner_dim=7, context=context, **rest)
    return spec.build(WIDTH, VOCAB).double()


@pytest.mark.parametrize("context", [1, 2, 4])
def test_predictor_is_a_depthwise_convolution_over_the_past(context: int) -> None:
    """Over blank followed by the targets, padded with zeros on the left."""
    predictor = head(context).predictor
    targets = torch.tensor([[1, 2, 3, 4, 1], [4, 4, 2, 1, 3]])
    embedded = predictor.embedding(torch.nn.functional.pad(targets, (1, 0)))
    padded = torch.nn.functional.pad(embedded.transpose(1, 2), (context - 1, 0))
    convolved = torch.nn.functional.conv1d(padded, predictor.weight.T.unsqueeze(1), groups=8)
    expected = predictor.projection(convolved.transpose(1, 2).relu())
    windows = predictor.windows(targets)
    assert windows.shape == (2, 6, context)
    assert windows[0, 0].tolist() == predictor.start_context() == [-1] * (context - 1) + [0]
    torch.testing.assert_close(predictor(windows), expected)


def test_parts_have_the_shapes_of_the_runtimes() -> None:
    """y (N, context) -> (N, J); (N, J), (N, J) -> (N, V); any N, and ids below 0 as nothing."""
    model = head(3)
    y = torch.tensor([[-1, -1, 0], [-1, 0, 2], [1, 2, 3], [4, 4, 4]])
    decoder_out = model.predictor(y)
    assert decoder_out.shape == (4, 7)
    encoder_out = model.project(torch.randn(4, WIDTH, dtype=torch.float64))
    logits = model.joiner(encoder_out, decoder_out)
    assert logits.shape == (4, VOCAB)
    weight, bias = model.joiner.output.weight, model.joiner.output.bias
    torch.testing.assert_close(logits, (encoder_out + decoder_out).tanh() @ weight.T + bias)
    embedding = model.predictor.embedding.weight[0] * model.predictor.weight[-1]
    torch.testing.assert_close(
        decoder_out[0], model.predictor.projection(embedding.relu()), msg="ids below 0"
    )


def test_logits_are_those_of_single_steps() -> None:
    model = head()
    x = torch.randn(2, 4, WIDTH, dtype=torch.float64)
    targets = torch.tensor([[1, 2, 3], [4, 1, 1]])
    logits = model.logits(x, targets)
    assert logits.shape == (2, 4, 4, VOCAB)
    for b, t, u in [(0, 0, 0), (0, 3, 1), (1, 2, 2), (1, 3, 3)]:
        history = [*model.predictor.start_context(), *targets[b, :u].tolist()][-2:]
        step = model.joiner(model.project(x[b, t]), model.predictor(torch.tensor(history)))
        torch.testing.assert_close(logits[b, t, u], step)


def test_loss_ignores_padding() -> None:
    model = head()
    x = torch.randn(2, 6, WIDTH, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 2, 3], [4, -100, 9999]])
    loss = model.loss(x, torch.tensor([6, 4]), targets, torch.tensor([3, 1]))
    for b, t, u in [(0, 6, 3), (1, 4, 1)]:
        sizes = torch.tensor([t]), targets[b : b + 1, :u], torch.tensor([u])
        torch.testing.assert_close(loss[b : b + 1], model.loss(x[b : b + 1, :t], *sizes))
    loss.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad[1, 4:], torch.zeros(2, WIDTH, dtype=torch.float64))


def test_gradients_reach_every_parameter() -> None:
    """And are those of the plain loss, which does not overwrite its logits."""
    model = head()
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64, requires_grad=True)
    lengths, targets, sizes = torch.tensor([3, 2]), torch.tensor([[1, 2], [4, 3]]), [2, 2]
    wanted = {"x": x, **dict(model.named_parameters())}
    plain = transducer_loss(model.logits(x, targets), targets, lengths, torch.tensor(sizes))
    expected = torch.autograd.grad(plain.sum(), list(wanted.values()))
    loss = model.loss(x, lengths, targets, torch.tensor(sizes))
    gradients = torch.autograd.grad(loss.sum(), list(wanted.values()))
    for name, gradient, reference in zip(wanted, gradients, expected, strict=True):
        torch.testing.assert_close(gradient, reference, msg=name)
        assert gradient.abs().sum() > 0, name


def test_autocast_rounds_nothing_but_the_logits() -> None:
    model = head().float()
    x = torch.randn(1, 30, WIDTH)
    sizes = torch.tensor([30]), torch.tensor([[1, 2, 3]]), torch.tensor([3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.logits(x, sizes[1])
        loss = model.loss(x, *sizes)
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    exact = transducer_loss(logits.double(), sizes[1], sizes[0], sizes[2])
    torch.testing.assert_close(loss, exact.float(), rtol=1e-6, atol=1e-5)
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_dropout_only_in_training() -> None:
    model = head(dropout=0.5)
    x, targets = torch.randn(1, 4, WIDTH, dtype=torch.float64), torch.tensor([[1, 2]])
    assert not torch.equal(model.logits(x, targets), model.logits(x, targets))
    model.eval()
    assert torch.equal(model.logits(x, targets), model.logits(x, targets))


def test_spec() -> None:
    spec = TransducerSpec(weight=0.5, joiner_dim=32, context=3)
    assert from_dict(HeadSpec, to_dict(spec)) == spec
    assert to_dict(spec)["kind"] == "transducer"
    for name in ("predictor_dim", "joiner_dim", "context"):
        with pytest.raises(SpecError, match=f"{name}: expected 1 or more, got 0"):
            TransducerSpec(**{name: 0})
    with pytest.raises(SpecError, match="dropout: expected"):
        TransducerSpec(dropout=math.inf)
