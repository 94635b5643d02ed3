"""A small model that was never trained but writes something, and its exports, each made once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foldformer.checkpoint import ModelConfig
from foldformer.data.features import fbank
from foldformer.data.tokens import Tokens
from foldformer.deploy.export.make import export
from foldformer.deploy.folder import Precision, States, StreamSpec
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcHead, CtcSpec
from foldformer.nn.heads.transducer import TransducerHead, TransducerSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec

SYMBOLS = ["<blk>", "<unk>", "▁", "a", "ß", "д", "ñ", "▁ab"]

Export = Callable[..., Path]


def noises(*lengths: int) -> list[NDArray[np.float32]]:
    """Noise of changing colour and loudness, so many samples each."""
    rng = np.random.default_rng(1)
    waves = []
    for length in lengths:
        t = np.arange(length) / 16000
        pitch = 150 * 2 ** rng.uniform(0, 4, 40)
        tone = np.sin(2 * np.pi * pitch[(t * 8).astype(int) % 40] * t)
        noise = rng.standard_normal(length) * (0.5 + 0.5 * np.sin(5 * t))
        waves.append((0.2 * tone + 0.1 * noise).astype(np.float32))
    return waves


@pytest.fixture(scope="session")
def sounds() -> Callable[..., list[NDArray[np.float32]]]:
    """Make recordings: `sounds(16000, 5000)`."""
    return noises


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    return Tokens(SYMBOLS)


@pytest.fixture(scope="session")
def stream() -> StreamSpec:
    return StreamSpec(chunk=4, left_context=10)


@pytest.fixture(scope="session")
def model() -> Model:
    torch.manual_seed(5)
    spec = ModelSpec(
        vocab_size=len(SYMBOLS),
        encoder=EncoderSpec(
            d_model=16,
            num_layers=2,
            uses=2,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=24),
            linear=ResidualSpec(rank=2),
            left_context=10,
        ),
        heads=(CtcSpec(), TransducerSpec(predictor_dim=8, joiner_dim=12)),
    )
    model = spec.build().eval()
    (wave,) = noises(80000)
    features = torch.from_numpy(fbank(wave))
    model.encoder.subsampling.set_statistics(features.mean(0), float(features.std()))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        make_talkative(model, features)
    return model


def make_talkative(model: Model, features: Tensor) -> None:
    """Let every token win about as often as every other, by the output's biases."""
    x = model.encoder(features[None], torch.tensor([len(features)]))[0][0]
    ctc, transducer = model.head("ctc"), model.head("transducer")
    assert isinstance(ctc, CtcHead)
    assert isinstance(transducer, TransducerHead)
    context = torch.randint(2, len(SYMBOLS), (len(x), 2))
    inputs = transducer.project(x) + transducer.predictor(context)
    for output, rows in ((ctc.output, x), (transducer.joiner.output, inputs.tanh())):
        logits = output(rows)
        output.weight.mul_(4 / logits.std(0)[:, None])
        output.bias.sub_(output(rows).mean(0))
        output.bias[1] -= 2  # <unk>
        output.bias[0] += 2  # the blank


@pytest.fixture(scope="session")
def exported(
    model: Model, tokens: Tokens, stream: StreamSpec, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    """Export the model: `exported(head="ctc", streaming=True, precision="fp16")`."""

    @cache
    def make(
        head: str = "ctc",
        streaming: bool = False,
        precision: Precision = "fp32",
        states: States = "fp32",
    ) -> Path:
        folder = tmp_path_factory.mktemp("exports") / f"{head}-{streaming}-{precision}-{states}"
        heard = replace(stream, states=states)
        export(
            model,
            tokens,
            ModelConfig(model=model.spec, chunks=(stream.chunk,), languages=("xx",)),
            folder,
            name="small",
            head=head,
            stream=heard if streaming else None,
            precision=precision,
        )
        return folder

    return make


ABSENT = (
    "torch", "onnx", "onnx_ir", "onnxscript", "lhotse", "lightning", "safetensors",
    "sentencepiece", "tqdm",
)  # fmt: skip
"""What a device does not have."""

_DEVICE = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_on_device(
    code: str, words: tuple[object, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _DEVICE + code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        preexec_fn=_hear_signals,
    )


def _hear_signals() -> None:
    """Also where the tests themselves run in the background, where some are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`foldformer WORDS...` as a device runs it, in a process of its own."""

    def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        code = "from foldformer.cli.main import main\nsys.exit(main(sys.argv[1:]))"
        return run_on_device(code, words, environment)

    return run


@pytest.fixture(scope="session")
def script() -> Callable[..., Any]:
    """What a script prints as JSON, run as on a device."""

    def run(code: str, *words: object) -> Any:
        ran = run_on_device(code, words, {})
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run
