"""Whisper in ONNX: the text is PyTorch's, and each number is there once."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from transformers import WhisperConfig, WhisperForConditionalGeneration

from foldformer.compress.foreign import ForeignPlan, fold
from foldformer.compress.plan import Plan
from foldformer.deploy.export.whisper import export_whisper
from foldformer.nn.linears.residual import ResidualSpec


@pytest.fixture(scope="module")
def folded() -> Any:
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=40,
        num_mel_bins=4,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=10,
        max_target_positions=16,
        decoder_start_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=2,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    plan = Plan(uses=(2,), linear=ResidualSpec(rank=2))
    sides = ("encoder", "decoder")
    fold(model, ForeignPlan(stacks={f"model.{side}.layers": plan for side in sides}))
    return model


class Tokenizer:
    """What is asked of a Whisper tokenizer."""

    def __init__(self) -> None:
        added = ("<|translate|>", "<|transcribe|>", "<|notimestamps|>", "<|nocaptions|>")
        self.added = {name: 36 + place for place, name in enumerate(added)}

    def get_added_vocab(self) -> dict[str, int]:
        return self.added

    def get_vocab(self) -> dict[str, int]:
        return self.added | {"\u0120": 3, "\u0120caf\u00c3\u00a9": 0, "a": 1, "\u010a": 2}

    def convert_tokens_to_ids(self, token: str) -> int:
        return self.get_vocab()[token]


@pytest.fixture(scope="module")
def exported(folded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    assert export_whisper(folded, Tokenizer(), folder) < 1e-4
    return folder


def test_each_number_is_there_once(folded: Any, exported: Path) -> None:
    stored = 0
    for path in exported.glob("*.onnx"):
        for tensor in onnx.load(path).graph.initializer:
            numbers = numpy_helper.to_array(tensor)
            stored += numbers.size * (numbers.dtype == np.float32)
    numbers = sum(parameter.numel() for parameter in folded.parameters())
    assert numbers <= stored < numbers + 50  # a few constants


def test_says_what_pytorch_says(folded: Any, exported: Path) -> None:
    mel = torch.randn(1, 4, 20)
    expected = folded.generate(mel, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0]
    encoder, decoder = (
        onnxruntime.InferenceSession(exported / f"{side}.onnx", providers=["CPUExecutionProvider"])
        for side in ("encoder", "decoder")
    )
    cross = encoder.run(None, {"mel": mel.numpy()})
    caches = [np.zeros((2, 1, 16, 16), dtype=np.float32)] * 2
    names = [each.name for each in decoder.get_inputs()]
    said, fresh = [1], [1]
    while len(said) < 9:
        offset = np.array([len(said) - len(fresh)])
        values = [np.array([fresh]), *caches, *cross, offset]
        logits, *caches = decoder.run(None, dict(zip(names, values, strict=True)))
        logits[..., 2] = -np.inf
        fresh = [int(logits[0, -1].argmax())]
        said += fresh
    assert said[1:] == expected[-8:].tolist()


def test_tokens_are_bytes_in_base_64(exported: Path) -> None:
    lines = (exported / "tokens.txt").read_text().split("\n")
    said = [line.split(" ") for line in lines if line]
    assert [number for _, number in said] == ["0", "1", "2", "3"]
    assert b"".join(base64.b64decode(text) for text, _ in said).decode() == " caf\u00e9a\n "
