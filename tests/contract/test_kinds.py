"""What every kind of every family keeps to, whatever it computes."""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foldformer.model import Model, ModelSpec
from foldformer.nn import mixers
from foldformer.nn.encoder import Encoder, EncoderSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears import Linear
from foldformer.nn.mixers import MixerSpec
from foldformer.spec import Spec, family_of, from_dict, kind_of, kinds, to_dict

EncoderSpecs = Callable[..., EncoderSpec]
Part = tuple[str, Spec]
M = TypeVar("M", bound=nn.Module)
VOCAB = 7


def shaken(module: M) -> M:
    """The module in float64 with random parameters: none is zero, no two uses are alike."""
    torch.manual_seed(1)
    module.double()
    for parameter in module.parameters():
        if parameter.dim():
            nn.init.normal_(parameter, std=0.3)
    return module


def with_head(spec: EncoderSpec, part: Part) -> ModelSpec:
    return ModelSpec(vocab_size=VOCAB, encoder=spec, heads=(part[1],))


def batch() -> dict[str, Tensor]:
    torch.manual_seed(2)
    return {
        "features": torch.randn(3, 40, 5, dtype=torch.float64),
        "lengths": torch.tensor([40, 29, 33]),
        "targets": torch.tensor([[1, 2, 2, 5], [3, 4, 0, 0], [6, 1, 2, 0]]),
        "target_lengths": torch.tensor([4, 2, 3]),
    }


def assert_no_tied_tensors(module: nn.Module) -> None:
    tensors = module.state_dict()
    places = {t.untyped_storage().data_ptr() for t in tensors.values()}
    assert len(places) == len(tensors)


# Parts of the encoder


def built(specs: EncoderSpecs, part: Part) -> Encoder:
    return shaken(specs(**dict([part])).build()).eval()


@pytest.mark.parametrize("chunk", [None, 3])
def test_gradients_reach_every_parameter(
    encoder_spec: EncoderSpecs, part: Part, chunk: int | None
) -> None:
    encoder = built(encoder_spec, part).train()
    x, lengths = batch()["features"], batch()["lengths"]
    y, _ = encoder(x, lengths, chunk)
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
        if len(parameter) == 2:  # the two uses: each has had its share
            assert parameter.grad.flatten(1).any(1).all(), name


def test_branches_start_small_and_nothing_else_does(encoder_spec: EncoderSpecs, part: Part) -> None:
    sizes = []
    for layers in (2, 8):
        torch.manual_seed(0)
        layer = (
            encoder_spec(**dict([part]), num_layers=layers).build().get_submodule("depth.layers.0")
        )
        assert isinstance(layer, Layer)
        sizes.append(
            {
                path: [float(linear.merged(use).detach().norm()) for use in range(linear.uses)]
                for path, linear in layer.named_modules()
                if isinstance(linear, Linear)
            }
        )
        last = {id(layer.mixer.last), id(layer.feed_forward.last)}
        ends = {path for path, module in layer.named_modules() if id(module) in last}
    assert len(ends) == 2
    for path, few in sizes[0].items():
        factor = 2 if path in ends else 1  # the root of 8 layers over 2
        assert few == pytest.approx([factor * size for size in sizes[1][path]], rel=1e-5)


@pytest.mark.parametrize("chunk", [None, 3])
def test_padding_does_not_leak(encoder_spec: EncoderSpecs, part: Part, chunk: int | None) -> None:
    encoder = built(encoder_spec, part)
    x, lengths = batch()["features"], batch()["lengths"]
    y, frames = encoder(x, lengths, chunk)
    for b, length in enumerate(lengths.tolist()):
        alone, _ = encoder(x[b : b + 1, :length], lengths[b : b + 1], chunk)
        torch.testing.assert_close(y[b, : frames[b]], alone[0])
    other = x.clone()
    other[1, 29:] = 100.0
    torch.testing.assert_close(encoder(other, lengths, chunk)[0], y)


@pytest.mark.parametrize("chunk", [1, 4, 20])
@pytest.mark.parametrize("left_context", [0, 3])
def test_step_equals_forward(
    encoder_spec: EncoderSpecs, part: Part, chunk: int, left_context: int
) -> None:
    encoder = built(encoder_spec, part)
    x = batch()["features"]
    expected, _ = encoder(x, torch.full((3,), 40), chunk, left_context)
    state = encoder.init_state(3, left_context)
    kept = [(s.shape, s.dtype) for s in state]
    pieces = []
    for piece in x.split(4 * chunk, dim=1):
        y, state = encoder.step(piece, state)
        assert isinstance(state, tuple)
        assert [(s.shape, s.dtype) for s in state] == kept
        assert all(s.shape[0] == 3 for s in state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), expected)


def test_nothing_is_kept_between_calls(encoder_spec: EncoderSpecs, part: Part) -> None:
    encoder = built(encoder_spec, part)
    x, lengths = batch()["features"], batch()["lengths"]
    first = encoder(x, lengths, 2)[0]
    encoder.step(x[:, :8], encoder.init_state(3))
    encoder(x.flip(1), lengths)
    assert torch.equal(encoder(x, lengths, 2)[0], first)


def test_encoder_state_dict_saves(encoder_spec: EncoderSpecs, part: Part, tmp_path: Path) -> None:
    spec = encoder_spec(**dict([part]))
    encoder = shaken(spec.build())
    assert_no_tied_tensors(encoder)
    save_file(encoder.state_dict(), tmp_path / "a.safetensors")
    again = spec.build().double()
    again.load_state_dict(load_file(tmp_path / "a.safetensors"))
    x, lengths = batch()["features"], batch()["lengths"]
    assert torch.equal(again.eval()(x, lengths)[0], encoder.eval()(x, lengths)[0])


# Heads


def test_head_gradients_reach_every_parameter(encoder_spec: EncoderSpecs, head: Part) -> None:
    model: Model = shaken(with_head(encoder_spec(), head).build())
    model(**batch()).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_head_loss_is_that_of_each_utterance_alone(encoder_spec: EncoderSpecs, head: Part) -> None:
    model = shaken(with_head(encoder_spec(), head).build()).eval()
    data = batch()
    losses = model(**data)
    assert losses.shape == (3,)
    assert (losses > 0).all()
    for b in range(3):
        frames, tokens = int(data["lengths"][b]), int(data["target_lengths"][b])
        alone = model(
            data["features"][b : b + 1, :frames],
            data["lengths"][b : b + 1],
            data["targets"][b : b + 1, :tokens],
            data["target_lengths"][b : b + 1],
        )
        torch.testing.assert_close(losses[b], alone[0])


def test_head_ignores_targets_past_their_length(encoder_spec: EncoderSpecs, head: Part) -> None:
    model = shaken(with_head(encoder_spec(), head).build()).eval()
    data = batch()
    losses = model(**data)
    past = torch.arange(4) >= data["target_lengths"][:, None]
    for filler in (VOCAB - 1, -1, 10**6):
        model_data = {**data, "targets": data["targets"].masked_fill(past, filler)}
        torch.testing.assert_close(model(**model_data), losses)


def test_head_training_lowers_the_loss(encoder_spec: EncoderSpecs, head: Part) -> None:
    torch.manual_seed(0)
    model = with_head(encoder_spec(), head).build().double()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = float(model(**batch()).sum().detach())
    for _ in range(8):
        optimiser.zero_grad()
        model(**batch()).sum().backward()
        optimiser.step()
    assert float(model(**batch()).sum().detach()) < 0.8 * before


def test_model_state_dict_saves(encoder_spec: EncoderSpecs, head: Part, tmp_path: Path) -> None:
    spec = with_head(encoder_spec(), head)
    model = shaken(spec.build())
    assert_no_tied_tensors(model)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    again = spec.build().double()
    again.load_state_dict(load_file(tmp_path / "a.safetensors"))
    torch.testing.assert_close(again.eval()(**batch()), model.eval()(**batch()))


# Specs and the registry


def test_spec_survives_yaml(any_spec: Part) -> None:
    _, spec = any_spec
    family = family_of(type(spec))
    assert family is not None
    data = yaml.safe_load(yaml.safe_dump(to_dict(spec)))
    assert data["kind"] == kind_of(spec)
    assert from_dict(family, data) == spec


def test_whole_model_survives_yaml(encoder_spec: EncoderSpecs, any_spec: Part) -> None:
    field, spec = any_spec
    if field == "head":
        model = with_head(encoder_spec(), any_spec)
    else:
        model = ModelSpec(vocab_size=VOCAB, encoder=encoder_spec(**{field: spec}))
    assert from_dict(ModelSpec, yaml.safe_load(yaml.safe_dump(to_dict(model)))) == model


@pytest.mark.parametrize("name", ["field", "spec"])
def test_every_field_has_a_docstring(any_spec: Part, name: str) -> None:
    """It becomes the help; a class without one has dataclass's signature as its docstring."""
    cls = type(any_spec[1])
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    if name == "spec":
        assert ast.get_docstring(tree)
        return
    for field, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign):
            assert isinstance(following, ast.Expr), ast.unparse(field)


NEW_MIXER = '''
"""The mean of what may be seen."""
from dataclasses import dataclass
import torch
from foldformer.nn.mixers import Mixer, MixerSpec

class Mean(Mixer):
    def __init__(self, d_model, linear):
        super().__init__()
        self.d_model, self.value = d_model, linear("value", d_model, d_model)

    @property
    def last(self):
        return self.value

    def forward(self, x, use, mask):
        seen = mask.attention[:, 0].to(x.dtype).expand(x.shape[0], x.shape[1], -1)
        return seen @ self.value(x, use) / seen.sum(-1, keepdim=True)

    def init_state(self, batch, left_context):
        return (self.value.weight.new_zeros(batch, left_context, self.d_model),)

    def step(self, x, use, state, mask):
        values = torch.cat([state[0], self.value(x, use)], 1)
        seen = mask.attention[:, 0].to(x.dtype).expand(x.shape[0], x.shape[1], -1)
        return seen @ values / seen.sum(-1, keepdim=True), (values[:, x.shape[1]:],)

@dataclass(frozen=True, kw_only=True)
class MeanSpec(MixerSpec):
    """The mean."""
    def build(self, d_model, linear):
        return Mean(d_model, linear)
'''


@pytest.fixture
def mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder beside that of the mixers, with one more file in it."""
    (tmp_path / "mean.py").write_text(NEW_MIXER)
    monkeypatch.setattr(mixers, "__path__", [*mixers.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield
    sys.modules.pop("foldformer.nn.mixers.mean", None)
    vars(mixers).pop("mean", None)


@pytest.mark.usefixtures("mean")
def test_a_new_file_is_a_new_kind_that_streams_and_trains(encoder_spec: EncoderSpecs) -> None:
    assert "mean" in kinds(MixerSpec)
    part = ("mixer", from_dict(MixerSpec, {"kind": "mean"}))
    test_gradients_reach_every_parameter(encoder_spec, part, 3)
    test_padding_does_not_leak(encoder_spec, part, 3)
    test_step_equals_forward(encoder_spec, part, 4, 3)
    test_whole_model_survives_yaml(encoder_spec, part)


def test_and_is_gone_with_its_file() -> None:
    assert "mean" not in kinds(MixerSpec)
