"""What of a head an export's files hold."""

from functools import singledispatch

import onnx_ir as ir
import torch
from torch import Tensor

from foldformer.deploy.export.parity import Run, call_difference
from foldformer.deploy.export.part import Part
from foldformer.deploy.export.trace import trace
from foldformer.errors import SpecError
from foldformer.model import Model
from foldformer.nn.heads import Head
from foldformer.nn.heads.ctc import CtcHead
from foldformer.nn.heads.transducer import TransducerHead

_BATCHES = (1, 4)
"""Hypotheses at once: beam search calls predictor and joiner with as many as it follows."""


@singledispatch
def encoder_output(head: Head, x: Tensor) -> Tensor:
    """What the encoder's file gives for encoder outputs (N, T, D): (N, T, V) or (N, T, J)."""
    raise TypeError(f"no layout holds {head}")


def check_head(head: Head) -> None:
    """Find out whether a layout of the runtime holds such a head.

    Raises:
        SpecError: none does.
    """
    if encoder_output.dispatch(type(head)) is encoder_output.dispatch(Head):
        raise SpecError(
            f"head: sherpa-onnx has no place for a {type(head).__name__}; choose a ctc or "
            "transducer head with --head"
        )


@encoder_output.register
def _(head: CtcHead, x: Tensor) -> Tensor:
    return head.log_probs(x)


@encoder_output.register
def _(head: TransducerHead, x: Tensor) -> Tensor:
    return head.project(x)


def further_parts(model: Model, head: str) -> dict[str, Part]:
    """{file: part} of what runs once a token and not once a frame."""
    if isinstance(model.head(head), TransducerHead):
        return {"decoder.onnx": Decoder(model, head), "joiner.onnx": JoinerPart(model, head)}
    return {}


class Decoder(Part):
    """The predictor: the last tokens (N, context) -> (N, J)."""

    @property
    def head(self) -> TransducerHead:
        """The transducer."""
        head = super().head
        assert isinstance(head, TransducerHead)
        return head

    def forward(self, y: Tensor) -> Tensor:
        """See Predictor."""
        decoder_out: Tensor = self.head.predictor(y)
        return decoder_out

    def graph(self) -> ir.Model:
        """See Part."""
        predictor = self.head.predictor
        context = len(predictor.weight)
        inputs = {"y": torch.zeros(2, context, dtype=torch.int64)}
        graph = trace(self, inputs, ["decoder_out"], {"y": {0: torch.export.Dim("N")}})
        graph.metadata_props["vocab_size"] = str(predictor.embedding.num_embeddings)
        graph.metadata_props["context_size"] = str(context)
        return graph

    def difference(self, run: Run) -> float:
        """See Part; tokens below 0, which stand for nothing, are among them."""
        predictor = self.head.predictor
        tokens, context = predictor.embedding.num_embeddings, len(predictor.weight)
        batches = [torch.randint(-1, tokens, (batch, context)) for batch in _BATCHES]
        batches.append(torch.tensor([predictor.start_context()]))
        return max(call_difference(self, run, [batch]) for batch in batches)


class JoinerPart(Part):
    """The joiner: projected encoder and predictor outputs, both (N, J) -> logits (N, V)."""

    @property
    def head(self) -> TransducerHead:
        """The transducer."""
        head = super().head
        assert isinstance(head, TransducerHead)
        return head

    def forward(self, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:
        """See Joiner."""
        logit: Tensor = self.head.joiner(encoder_out, decoder_out)
        return logit

    def graph(self) -> ir.Model:
        """See Part."""
        batch = torch.export.Dim("N")
        inputs = dict(zip(("encoder_out", "decoder_out"), self._random(2), strict=True))
        graph = trace(self, inputs, ["logit"], {name: {0: batch} for name in inputs})
        graph.metadata_props["joiner_dim"] = str(self.head.joiner.output.in_features)
        return graph

    def difference(self, run: Run) -> float:
        """See Part."""
        return max(call_difference(self, run, self._random(batch)) for batch in _BATCHES)

    def _random(self, batch: int) -> list[Tensor]:
        return [torch.randn(batch, self.head.joiner.output.in_features) for _ in range(2)]
