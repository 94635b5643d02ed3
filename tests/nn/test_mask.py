"""The masks by their definition, frame by frame."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from foldformer.nn.mask import step_mask, utterance_mask


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
    st.integers(9, 11),
    st.one_of(st.none(), st.integers(1, 12)),
    st.integers(0, 12),
)
def test_utterance_mask(
    lengths: list[int], frames: int, chunk: int | None, left_context: int
) -> None:
    mask = utterance_mask(torch.tensor(lengths), frames, chunk, left_context)
    assert mask.attention.dtype == torch.bool
    attention = mask.attention.expand(len(lengths), 1, frames, frames)
    for b, length in enumerate(lengths):
        assert mask.valid[b].tolist() == [s < length for s in range(frames)]
        for t in range(frames):
            assert attention[b, 0, t].any()
            if t >= length:
                continue
            start = 0 if chunk is None else max(0, t // chunk * chunk - left_context)
            end = frames if chunk is None else (t // chunk + 1) * chunk
            seen = [start <= s < min(end, length) for s in range(frames)]
            assert attention[b, 0, t].tolist() == seen


def test_step_mask_shows_what_the_stream_has_had() -> None:
    remembered = torch.tensor([[False, False, True], [True, True, True]])
    mask = step_mask(remembered, 2)
    assert mask.valid.tolist() == [[False, False, True, True, True], [True] * 5]
    assert mask.attention.shape == (2, 1, 1, 5)
    assert mask.attention[:, 0, 0].equal(mask.valid)
