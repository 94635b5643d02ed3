"""Moments from recordings, against the frames themselves."""

import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, Recording
from torch import Tensor, nn

from foldformer.compress import calibration
from foldformer.compress.calibration import calibrate, evenly_cut
from foldformer.compress.fold import fold
from foldformer.compress.matrices import output_error
from foldformer.compress.moments import MomentSums
from foldformer.compress.plan import Plan
from foldformer.compress.planning import importance
from foldformer.data.features import fbank
from foldformer.errors import InputError
from foldformer.model import Model, ModelSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears import Linear, LinearSpec
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec

LENGTHS = (1.0, 1.5, 0.7, 2.0)


def noises() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [0.1 * rng.standard_normal(int(16000 * seconds)) for seconds in LENGTHS]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four recordings without texts."""
    folder = tmp_path_factory.mktemp("noises")
    cuts = []
    for number, samples in enumerate(noises()):
        path = folder / f"{number}.wav"
        soundfile.write(path, samples, 16000, subtype="FLOAT")
        recording = Recording.from_file(path, recording_id=f"{number}")
        cuts.append(MonoCut(f"{number}", 0, recording.duration, channel=0, recording=recording))
    CutSet(cuts).to_file(folder / "cuts.jsonl.gz")
    return str(folder / "cuts.jsonl.gz")


def built(**encoder: Any) -> Model:
    torch.manual_seed(1)
    spec = EncoderSpec(
        **{
            "d_model": 16,
            "num_layers": 4,
            "mixer": AttentionSpec(num_heads=2),
            "feed_forward": DenseFeedForwardSpec(d_ff=24, dropout=0.5),
            "left_context": 8,
        }
        | encoder
    )
    model = ModelSpec(vocab_size=5, encoder=spec).build()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def heard(model: Model, chunks: tuple[int | None, ...]) -> dict[str, Tensor]:
    """All frames that each map is given, caught with hooks."""
    frames: dict[str, list[Tensor]] = defaultdict(list)
    places = {pair: place for place, pair in enumerate(model.encoder.depth.order)}
    hooks = []
    for index, layer in enumerate(model.encoder.depth.layers):
        for path, linear in layer.named_modules():
            if isinstance(linear, Linear):
                name = path.split(".")[-1]

                def catch(_: Any, args: Any, index: int = index, name: str = name) -> None:
                    x, use, *_ = args
                    frames[f"{places[index, use]}.{name}"].append(x.flatten(0, 1))

                hooks.append(linear.register_forward_pre_hook(catch))
    with torch.no_grad():
        for samples in noises():
            features = torch.from_numpy(fbank(samples.astype(np.float32)))[None]
            for chunk in chunks:
                model.encoder(features, torch.tensor([features.shape[1]]), chunk)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(found) for name, found in frames.items()}


SHARED: list[dict[str, Any]] = [
    {},
    {"uses": 2, "depth": SequentialSpec(order="cycle"), "linear": ResidualSpec(rank=2)},
]


@pytest.mark.parametrize("encoder", SHARED, ids=["dense", "shared"])
@pytest.mark.parametrize("chunks", [(), (3, 5)])
def test_moments_are_means_over_all_frames(
    encoder: dict[str, Any], chunks: tuple[int, ...], manifest: str
) -> None:
    model = built(**encoder).eval()
    moments = calibrate(model, manifest, chunks=chunks)
    expected = heard(model, (None, *chunks))
    assert moments.keys() == expected.keys()
    assert len(moments) == 4 * 6
    for name, frames in expected.items():
        products = frames.double().t() @ frames.double() / len(frames)
        assert moments[name].dtype == torch.float32
        torch.testing.assert_close(moments[name].double(), products, rtol=1e-3, atol=1e-3)
    for place in range(4):
        assert torch.equal(moments[f"{place}.query"], moments[f"{place}.value"])


def test_the_model_is_left_alone(manifest: str) -> None:
    """In training mode, with dropout, it is heard in evaluation mode, and stays what it was."""
    model = built().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules = list(model.named_modules())
    first = calibrate(model, manifest)
    assert torch.equal(first["2.contract"], calibrate(model.eval(), manifest)["2.contract"])
    model.train()
    assert [name for name, _ in model.named_modules()] == [name for name, _ in modules]
    assert all(a is b for (_, a), (_, b) in zip(model.named_modules(), modules, strict=True))
    for _, module in modules:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(not parameter.grad_fn for parameter in model.parameters())


def test_long_recordings_are_heard_in_pieces(
    manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built().eval()
    whole = calibrate(model, manifest)
    monkeypatch.setattr(calibration, "_PIECE", 40)
    pieces = calibrate(model, manifest)
    assert not torch.equal(whole["3.query"], pieces["3.query"])
    torch.testing.assert_close(whole["3.query"], pieces["3.query"], rtol=0.3, atol=0.3)


def test_progress_and_how_much_is_heard(manifest: str) -> None:
    model, steps = built().eval(), []
    calibrate(model, manifest, progress=lambda done, all_: steps.append((done, all_)))
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    whole = calibrate(model, manifest)
    some = calibrate(model, manifest, seconds=3)  # two recordings
    assert not torch.equal(some["3.query"], whole["3.query"])


def test_one_long_recording_is_not_heard_whole(tmp_path: Path) -> None:
    path, long = tmp_path / "long.wav", tmp_path / "long.jsonl.gz"
    samples = 0.1 * np.random.default_rng(4).standard_normal(16000 * 100)
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    recording = Recording.from_file(path, recording_id="long")
    CutSet([MonoCut("long", 0, 100.0, channel=0, recording=recording)]).to_file(long)
    parts = evenly_cut(str(long), 61.0)
    assert [(part.start, part.duration) for part in parts] == [(0.0, 30.0), (90.0, 10.0)]
    calibrate(built().eval(), str(long), seconds=61.0)
    assert [part.duration for part in evenly_cut(str(long), 1000.0)] == [30.0] * 3 + [10.0]


@pytest.mark.parametrize("seconds", [2.0, 7.0, 40.0, 61.0, 100.0, 125.0])
def test_no_more_is_heard_than_so_many_seconds(tmp_path: Path, seconds: float) -> None:
    """However unlike recordings are in length: here the first and the last are long."""
    manifest, cuts = tmp_path / "unlike.jsonl.gz", []
    samples = 0.1 * np.random.default_rng(4).standard_normal(16000 * 30)
    for number, length in enumerate((30, 1, 1, 29, 1, 1, 2, 30, 1, 30)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, samples[: 16000 * length], 16000)
        recording = Recording.from_file(path, recording_id=f"{number}")
        cuts.append(MonoCut(f"{number}", 0, length, channel=0, recording=recording))
    CutSet(cuts).to_file(manifest)
    heard = sum(cut.duration for cut in evenly_cut(str(manifest), seconds))
    assert min(seconds, 30) * 0.5 <= heard <= seconds
    frames = [len(features) for features in importance.heard(str(manifest), seconds)]
    assert 0 < sum(frames) <= 100 * heard


def test_too_little_speech_is_refused(manifest: str, tmp_path: Path) -> None:
    model = built(feed_forward=DenseFeedForwardSpec(d_ff=200)).eval()
    message = (
        r"129 frames of 40 ms to calibrate with, and a matrix of the model has 200 inputs; "
        r"expected at least 8 s of speech"
    )
    with pytest.raises(InputError, match=message):
        calibrate(model, manifest)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(InputError, match="is empty"):
        calibrate(model, str(empty))
    with pytest.raises(InputError, match="no such file"):
        calibrate(model, str(tmp_path / "missing.jsonl"))


def test_a_wide_matrix_is_given_the_frames_that_it_needs(manifest: str) -> None:
    """However few seconds are asked for."""
    model = built(feed_forward=DenseFeedForwardSpec(d_ff=100)).eval()
    found, every = calibrate(model, manifest, seconds=2.0), calibrate(model, manifest)
    assert all(torch.equal(found[key], moment) for key, moment in every.items())


def test_a_fold_by_moments_loses_less_where_they_were_taken(manifest: str) -> None:
    model = built().eval()
    moments = calibrate(model, manifest)
    plan = Plan(uses=(2, 2), linear=ResidualSpec(rank=3))
    lost = []
    for known in (None, moments):
        folded = fold(model, plan, moments=known, align=False)
        errors = [
            output_error(
                model.encoder.depth.layers[place].mixer.value.merged(0),
                folded.encoder.depth.layers[place // 2].mixer.value.merged(place % 2),
                moments[f"{place}.value"],
            )
            for place in range(4)
        ]
        lost.append(sum(errors))
    assert lost[1] < 0.7 * lost[0]


def test_the_moments_of_one_layer_are_in_memory_at_once(
    manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is summed for a place is on disk before the next one begins."""
    alive: weakref.WeakSet[MomentSums] = weakref.WeakSet()
    most = []

    def counted(*, on_disk: bool) -> MomentSums:
        sums = MomentSums(on_disk=on_disk)
        alive.add(sums)
        most.append(len(alive))
        return sums

    monkeypatch.setattr(calibration, "MomentSums", counted)
    moments = calibrate(built().eval(), manifest)
    assert most == [1, 1, 1, 1]
    assert not alive
    assert moments["0.query"].data_ptr() != moments["0.query"].data_ptr()


class Watched(Mapping[str, Tensor]):
    """Moments that say how many of them are in memory."""

    def __init__(self, width: dict[str, int]) -> None:
        self.width = width
        self.alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.most = 0

    def __getitem__(self, key: str) -> Tensor:
        found = torch.eye(self.width[key])
        self.alive.add(found)
        self.most = max(self.most, len(self.alive))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.width)

    def __len__(self) -> int:
        return len(self.width)


@pytest.mark.parametrize("linear", [ResidualSpec(rank=2), LowRankSpec(rank=2), BasisSpec(rank=2)])
def test_a_fold_holds_the_moments_of_few_matrices_at_once(linear: LinearSpec) -> None:
    """Whatever the number of uses, and of layers."""
    names = ("query", "key", "value", "output", "expand", "contract")
    width = {f"{p}.{name}": 24 if name == "contract" else 16 for p in range(4) for name in names}
    moments = Watched(width)
    fold(built().eval(), Plan(uses=(4,), linear=linear), moments=moments)
    assert 1 <= moments.most <= 2
