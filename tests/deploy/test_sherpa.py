"""Exports in sherpa-onnx hear what the PyTorch model hears: the same tokens at the same times."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.data.features import OnlineFbank, fbank
from foldformer.data.tokens import SPACE, UNKNOWN_ID, Tokens
from foldformer.decode.ctc import CtcGreedySearch
from foldformer.decode.search import Hypothesis, Search
from foldformer.decode.transducer import (
    TransducerBeamSearch,
    TransducerGreedySearch,
    TransducerState,
)
from foldformer.deploy.folder import States, StreamSpec
from foldformer.model import Model

Waves = list[NDArray[np.float32]]
Sounds = Callable[..., Waves]
Export = Callable[..., Path]
Results = list[dict[str, Any]]

METHODS = [
    ("ctc", "greedy_search"),
    ("transducer", "greedy_search"),
    ("transducer", "modified_beam_search"),
]
FRAME = 0.04


@pytest.fixture
def sherpa(tmp_path: Path) -> Callable[..., Any]:
    """Run an export in a process of its own: `sherpa(folder, "greedy_search", waves)`."""

    def run(folder: Path, method: str, waves: Waves, *seconds: float) -> Any:
        np.savez(tmp_path / "waves.npz", **{f"{i:03}": wave for i, wave in enumerate(waves)})
        script = Path(__file__).with_name("run_sherpa.py")
        words = [str(folder), method, str(tmp_path / "waves.npz"), *map(str, seconds)]
        done = subprocess.run(
            [sys.executable, str(script), *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def search(model: Model, head: str, method: str) -> Search[Any]:
    """The search of sherpa-onnx, with our own code."""
    module: Any = model.head(head)
    if head == "ctc":
        return CtcGreedySearch(module)
    if method == "greedy_search":
        return TransducerGreedySearch(module, unk=UNKNOWN_ID)
    return TransducerBeamSearch(module, 4, unk=UNKNOWN_ID)


def features(wave: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(fbank(wave))[None]


def chunks(model: Model, x: Tensor, stream: StreamSpec) -> Iterable[Tensor]:
    """Encoder outputs of the chunks that the runtime decodes: one frame has to come after each."""
    size = 4 * stream.chunk
    state = model.encoder.init_state(1, stream.left_context)
    for start in range(0, x.shape[1] - size, size):
        y, state = model.encoder.step(x[:, start : start + size], state)
        if stream.states == "int8":
            state = tuple(rounded(s) if s.shape[1] == stream.left_context else s for s in state)
        yield y[0]


def rounded(frames: Tensor) -> Tensor:
    """To 127 steps of the largest number of each frame."""
    if frames.dtype == torch.bool:  # which of them there are
        return frames
    steps = (frames.abs().amax(dim=-1, keepdim=True) / 127).clamp(min=1e-30)
    return (frames / steps).round() * steps


def assert_heard(tokens: Tokens, found: Results, expected: Sequence[Hypothesis]) -> None:
    for result, hypothesis in zip(found, expected, strict=True):
        symbols = [tokens.symbols[i].replace(SPACE, " ") for i in hypothesis.tokens]
        assert result["tokens"] == symbols
        assert " ".join(result["text"].split()) == tokens.decode(hypothesis.tokens)
        times = np.array(result["times"])
        assert np.abs(times - FRAME * np.array(hypothesis.frames)).max(initial=0) < FRAME + 1e-4


def assert_telling(hypotheses: Sequence[Hypothesis]) -> None:
    """That agreeing means something: several tokens, not only one after the other."""
    found = {token for hypothesis in hypotheses for token in hypothesis.tokens}
    assert len(found) >= 3
    assert sum(len(hypothesis.tokens) for hypothesis in hypotheses) >= 10


@torch.inference_mode()
@pytest.mark.parametrize(("head", "method"), METHODS)
def test_offline(
    exported: Export,
    sounds: Sounds,
    sherpa: Any,
    model: Model,
    tokens: Tokens,
    head: str,
    method: str,
) -> None:
    waves = sounds(40000, 16000, 31234, 57000)
    decoder = search(model, head, method)
    expected = []
    for wave in waves:
        y, lengths = model.encoder(features(wave), torch.tensor([len(fbank(wave))]))
        expected.append(decoder.decode(y, lengths)[0][0])
    assert_telling(expected)
    # What is shorter than one frame is empty, and does no harm to the batch that it is in.
    short = sounds(300)
    found = sherpa(exported(head), method, [*waves, *short])
    assert_heard(tokens, found, [*expected, Hypothesis()])


@torch.inference_mode()
@pytest.mark.parametrize("states", ["fp32", "int8"])
@pytest.mark.parametrize(("head", "method"), METHODS)
def test_streaming(
    exported: Export,
    sounds: Sounds,
    sherpa: Any,
    model: Model,
    tokens: Tokens,
    stream: StreamSpec,
    head: str,
    method: str,
    states: States,
) -> None:
    waves = sounds(48000, 16000, 31234)
    decoder = search(model, head, method)
    expected = []
    for wave in waves:
        state = decoder.init_state()
        for y in chunks(model, features(wave), replace(stream, states=states)):
            state = decoder.advance(state, y)
        expected.append(decoder.hypotheses(state)[0])
    assert_telling(expected)
    folder = exported(head, streaming=True, states=states)
    assert_heard(tokens, sherpa(folder, method, waves), expected)


@torch.inference_mode()
@pytest.mark.parametrize(("head", "method"), METHODS)
def test_after_a_reset(
    exported: Export,
    sounds: Sounds,
    sherpa: Any,
    model: Model,
    tokens: Tokens,
    stream: StreamSpec,
    head: str,
    method: str,
) -> None:
    """What an endpoint does: with CTC all begins anew.

    With a transducer the encoder goes on; the predictor remembers the last tokens in greedy
    search, and in beam search it does not.
    """
    waves = sounds(48000, 40000)
    decoder = search(model, head, method)
    size = 4 * stream.chunk
    for wave, found in zip(
        waves, sherpa(exported(head, streaming=True), method, waves, 1.3), strict=True
    ):
        x = features(wave)
        ready = len(OnlineFbank().accept(wave[: round(1.3 * 16000)]))
        first = (ready - 1) // size * size
        state = model.encoder.init_state(1, stream.left_context)
        expected: list[Hypothesis] = []
        for start, end in ((0, first), (first, x.shape[1] - 1)):
            heard, before = decoder.init_state(), 0
            if head == "ctc":
                state = model.encoder.init_state(1, stream.left_context)
            elif expected and method == "greedy_search":
                context = model.head("transducer").predictor.start_context()
                last = expected[0].tokens[-len(context) :]
                before = len(last)
                heard = TransducerState((Hypothesis(last, 0.0, (0,) * before, (0.0,) * before),))
            for at in range(start, end - size + 1, size):
                y, state = model.encoder.step(x[:, at : at + size], state)
                heard = decoder.advance(heard, y[0])
            best = decoder.hypotheses(heard)[0]
            expected.append(replace(best, tokens=best.tokens[before:], frames=best.frames[before:]))
        assert_telling(expected)
        assert_heard(tokens, found, expected)
