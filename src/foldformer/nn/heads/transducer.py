"""Transducer (Graves 2012, arXiv:1211.3711) without a recurrent predictor.

The predictor sees the last few tokens and no more (arXiv:2003.07705, arXiv:2109.07513). The parts
are those of the runtimes' files: the encoder's file ends with `encoder_projection`; `predictor` and
`joiner` are exported as they stand.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from foldformer.errors import SpecError
from foldformer.nn.heads import Head, HeadSpec
from foldformer.nn.transducer_loss import transducer_loss

_NEVER = -1e4  # log-probability of what cannot be; -inf would make differences that are none


@dataclass(frozen=True, kw_only=True)
class TransducerSpec(HeadSpec):
    """A predictor of the last few tokens, and a joiner of encoder and predictor."""

    predictor_dim: int = 256
    """Width of the token embeddings."""
    joiner_dim: int = 256
    """Width at which encoder and predictor meet."""
    context: int = 2
    """Tokens that the predictor sees."""
    dropout: float = 0.0
    """Share of the encoder's outputs and of the predictor's numbers set to 0 in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("predictor_dim", "joiner_dim", "context"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout: expected a number from 0 to below 1, got {self.dropout}")

    def build(self, d_model: int, vocab_size: int) -> "TransducerHead":
        """The module for encoder outputs of width `d_model`."""
        return TransducerHead(self, d_model, vocab_size)


class Predictor(nn.Module):
    """y -> Linear(ReLU(sum_i weight_i * embedding(y_i))): no state but the last tokens."""

    def __init__(self, spec: TransducerSpec, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, spec.predictor_dim)
        # A depthwise convolution over exactly one window, stored (context, predictor_dim).
        self.weight = nn.Parameter(torch.empty(spec.context, spec.predictor_dim))
        nn.init.uniform_(self.weight, -(spec.context**-0.5), spec.context**-0.5)
        self.dropout = nn.Dropout(spec.dropout)
        self.projection = nn.Linear(spec.predictor_dim, spec.joiner_dim)

    def forward(self, y: Tensor) -> Tensor:
        """(..., J) of the last `context` tokens (..., context), oldest first.

        Tokens below 0 stand for nothing: zeros in place of an embedding. The context at the start
        is `start_context`.
        """
        embedded = self.embedding(y.clamp(min=0)) * (y >= 0).unsqueeze(-1)
        mixed = (embedded * self.weight).sum(-2).relu()
        projected: Tensor = self.projection(self.dropout(mixed))
        return projected

    def start_context(self) -> list[int]:
        """The context before the first token: [-1, ..., -1, 0], as in icefall and sherpa-onnx."""
        return [-1] * (len(self.weight) - 1) + [0]

    def windows(self, targets: Tensor) -> Tensor:
        """The contexts (B, U+1, context) before each of the tokens (B, U) and after the last."""
        start = targets.new_tensor(self.start_context()).expand(len(targets), -1)
        return torch.cat([start, targets], 1).unfold(1, len(self.weight), 1)


class Joiner(nn.Module):
    """Linear(tanh(encoder_out + decoder_out)): raw logits."""

    def __init__(self, spec: TransducerSpec, vocab_size: int) -> None:
        super().__init__()
        self.output = nn.Linear(spec.joiner_dim, vocab_size)

    def forward(self, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:
        """Logits (..., V) of projected encoder and predictor outputs, both (..., J)."""
        # In place: at (B, T, U+1, J) this is the largest tensor of a training step.
        logits: Tensor = self.output((encoder_out + decoder_out).tanh_())
        return logits


class TransducerHead(Head):
    """Scores of a token or blank, given a frame and the tokens before; see `transducer_loss`."""

    def __init__(self, spec: TransducerSpec, d_model: int, vocab_size: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(spec.dropout)
        self.encoder_projection = nn.Linear(d_model, spec.joiner_dim)
        self.predictor = Predictor(spec, vocab_size)
        self.joiner = Joiner(spec, vocab_size)

    def project(self, x: Tensor) -> Tensor:
        """What the joiner takes of encoder outputs: (..., D) -> (..., J)."""
        projected: Tensor = self.encoder_projection(self.dropout(x))
        return projected

    def logits(self, x: Tensor, targets: Tensor) -> Tensor:
        """Scores (B, T, U+1, V) for every frame and every number of tokens emitted before."""
        encoder_out = self.project(x).unsqueeze(2)
        decoder_out = self.predictor(self.predictor.windows(targets)).unsqueeze(1)
        logits: Tensor = self.joiner(encoder_out, decoder_out)
        return logits

    def outputs(self, x: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities (B, T, U+1, 3) of blank, the text's next token, and all others.

        So the lattice of an utterance takes three numbers a cell and not V (Panchapagesan et al.,
        arXiv:2011.06110). The logits are computed again in the backward pass, for their size. See
        `Head.outputs`.
        """
        collapsed: Tensor = checkpoint(
            self._collapsed, x, targets, temperature, use_reentrant=False
        )
        return collapsed

    def _collapsed(self, x: Tensor, targets: Tensor, temperature: float) -> Tensor:
        logits = self.logits(x, targets)
        working = torch.promote_types(logits.dtype, torch.float32)
        log_probs = (logits / temperature).log_softmax(-1, dtype=working)
        blank = log_probs[..., :1]
        following = nn.functional.pad(targets, (0, 1))[:, None, :, None]
        following = following.expand(*log_probs.shape[:3], 1)
        label = log_probs.gather(-1, following)
        rest = log_probs.scatter(-1, following, _NEVER)[..., 1:].logsumexp(-1, keepdim=True)
        # After the last token there is none to come: all that is not blank is another one.
        return torch.cat([blank, label.masked_fill(following == 0, _NEVER), rest], -1)

    def loss(self, x: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """-log P(targets | x) of each utterance, in nats; see `Head.loss`.

        To save memory the gradient replaces the logits: backward runs once, without retain_graph.

        Raises:
            ValueError: an utterance without frames, or blank among its tokens.
        """
        width = torch.arange(targets.shape[1], device=targets.device)
        targets = targets.where(width < target_lengths.unsqueeze(1), -1)  # padding of any ids
        logits = self.logits(x, targets)
        return transducer_loss(logits, targets, lengths, target_lengths, overwrite_logits=True)
