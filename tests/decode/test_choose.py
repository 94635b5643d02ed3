"""Which search a head gets."""

import pytest

from foldformer.decode.choose import choose_search
from foldformer.decode.ctc import CtcBeamSearch, CtcGreedySearch
from foldformer.decode.transducer import TransducerBeamSearch, TransducerGreedySearch
from foldformer.errors import SpecError
from foldformer.model import Model


@pytest.mark.parametrize(
    ("head", "beam", "expected"),
    [
        (None, 1, CtcGreedySearch),
        ("ctc", 1, CtcGreedySearch),
        ("ctc", 2, CtcBeamSearch),
        ("transducer", 1, TransducerGreedySearch),
        ("transducer", 5, TransducerBeamSearch),
    ],
)
def test_head_and_beam_decide(
    talkative: Model, head: str | None, beam: int, expected: type
) -> None:
    search = choose_search(talkative, head, beam)
    assert type(search) is expected
    assert search.head is talkative.heads[head or "ctc"]
    assert getattr(search, "beam_size", 1) == beam


@pytest.mark.parametrize("beam", [0, -1])
def test_beams_that_are_too_small(talkative: Model, beam: int) -> None:
    with pytest.raises(SpecError, match=f"beam: expected 1 or more, got {beam}"):
        choose_search(talkative, None, beam)


def test_a_head_that_is_not_there(talkative: Model) -> None:
    with pytest.raises(SpecError, match="the model has no 'atention' head, only ctc, transducer"):
        choose_search(talkative, "atention")
