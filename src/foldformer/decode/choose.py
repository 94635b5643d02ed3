"""Which search a head of a model is decoded with."""

from typing import Any

from foldformer.data.tokens import UNKNOWN_ID
from foldformer.decode.ctc import CtcBeamSearch, CtcGreedySearch
from foldformer.decode.search import Search
from foldformer.decode.transducer import TransducerBeamSearch, TransducerGreedySearch
from foldformer.errors import SpecError
from foldformer.model import Model
from foldformer.nn.heads.ctc import CtcHead
from foldformer.nn.heads.transducer import TransducerHead


def choose_search(model: Model, head: str | None = None, beam: int = 1) -> Search[Any]:
    """The search for a head of a model.

    What it finds is what sherpa-onnx finds: for a transducer, `<unk>` counts as a blank.

    Args:
        model: with the head.
        head: its kind; the first of the model unless given.
        beam: hypotheses kept on the way; 1 is greedy.

    Raises:
        SpecError: the model has no such head, or `beam` is less than 1.
    """
    if beam < 1:
        raise SpecError(f"beam: expected 1 or more, got {beam}")
    module = model.head(head or next(iter(model.heads)))
    if isinstance(module, CtcHead):
        return CtcGreedySearch(module) if beam == 1 else CtcBeamSearch(module, beam)
    if isinstance(module, TransducerHead):
        if beam == 1:
            return TransducerGreedySearch(module, unk=UNKNOWN_ID)
        return TransducerBeamSearch(module, beam, unk=UNKNOWN_ID)
    raise SpecError(f"head: no search is known for {head!r}")
