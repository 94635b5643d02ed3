"""The model: features -> encoder -> heads, and the sum of their losses."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads import Head, HeadSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.spec import Spec, kind_of


class Model(nn.Module):
    """An encoder with one head or several.

    Attributes:
        spec: what the model was built from; enough to build it again.
        encoder: see Encoder.
        heads: {kind: head}, in the order of the spec; the first one is decoded by default.
    """

    def __init__(self, spec: "ModelSpec") -> None:
        super().__init__()
        self.spec = spec
        if spec.vocab_size is None:
            raise SpecError("vocab_size: missing; give the number of tokens, the blank included")
        self.encoder = spec.encoder.build()
        width, tokens = spec.encoder.d_model, spec.vocab_size
        self.heads = nn.ModuleDict({kind_of(h): h.build(width, tokens) for h in spec.heads})

    def head(self, kind: str) -> Head:
        """The head of that kind.

        Raises:
            SpecError: the model has no such head.
        """
        if kind not in self.heads:
            raise SpecError(f"head: the model has no {kind!r} head, only {', '.join(self.heads)}")
        head = self.heads[kind]
        assert isinstance(head, Head)
        return head

    def losses(
        self,
        features: Tensor,
        lengths: Tensor,
        targets: Tensor,
        target_lengths: Tensor,
        chunk: int | None = None,
    ) -> dict[str, Tensor]:
        """The unweighted loss of each head, {kind: (B,)}, in nats an utterance.

        Args:
            features: log-mel features (B, T, F).
            lengths: feature frames (B,).
            targets: token ids (B, U).
            target_lengths: (B,).
            chunk: encoder frames a chunk, or None for the full context.
        """
        x, lengths = self.encoder(features, lengths, chunk)
        return self.head_losses(x, lengths, targets, target_lengths)

    def head_losses(
        self, x: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> dict[str, Tensor]:
        """`losses` of encoder outputs x (B, T, D) and their lengths (B,)."""
        return {
            kind_of(spec): self.head(kind_of(spec)).loss(x, lengths, targets, target_lengths)
            for spec in self.spec.heads
            if spec.weight
        }

    def forward(
        self,
        features: Tensor,
        lengths: Tensor,
        targets: Tensor,
        target_lengths: Tensor,
        chunk: int | None = None,
    ) -> Tensor:
        """The weighted sum of the heads' losses, (B,). Arguments as for `losses`."""
        losses = self.losses(features, lengths, targets, target_lengths, chunk)
        weighted = [s.weight * losses[kind_of(s)] for s in self.spec.heads if s.weight]
        return torch.stack(weighted).sum(dim=0)


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """An encoder and its heads."""

    vocab_size: int | None = None
    """Tokens, the blank (id 0) included; training fills it in from its tokens."""
    encoder: EncoderSpec = field(default_factory=EncoderSpec)
    """The encoder."""
    heads: tuple[HeadSpec, ...] = field(default_factory=lambda: (CtcSpec(),))
    """One head or several; the first one is decoded unless another is asked for."""

    def __post_init__(self) -> None:
        if self.vocab_size is not None and self.vocab_size < 2:
            raise SpecError(f"vocab_size: expected 2 tokens or more, got {self.vocab_size}")
        names = [kind_of(head) for head in self.heads]
        if not names or len(set(names)) < len(names):
            raise SpecError(f"heads: expected different kinds, at least one, got {names}")
        if not any(head.weight for head in self.heads):
            raise SpecError("heads: all weights are 0, so nothing would be trained")

    def build(self) -> Model:
        """The model, initialised from torch's random state.

        Raises:
            SpecError: parts that do not fit together, or no vocabulary size.
        """
        return Model(self)

    def check(self) -> None:
        """Build the model without memory or time, for the errors that only building finds."""
        with torch.device("meta"):
            self.build()
