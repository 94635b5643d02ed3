"""Whisper in ONNX: the text is PyTorch's, and each number is there once."""

import base64
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, numpy_helper
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from foldformer.compress.foreign import ForeignPlan, fold
from foldformer.compress.plan import Plan
from foldformer.deploy.check import check_any, check_export
from foldformer.deploy.export import whisper as exporting
from foldformer.deploy.export.trace import trace
from foldformer.deploy.export.whisper import export_whisper
from foldformer.deploy.hear import Whisper, log_mel
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears.residual import ResidualSpec

FRAMES = 20
SAMPLES = 160 * FRAMES


NEVER = list(range(28, 44))
"""Tokens that are no text."""


def made(**generation: Any) -> Any:
    """A folded Whisper whose window is 0.2 s."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=44,
        num_mel_bins=4,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=FRAMES // 2,
        max_target_positions=16,
        decoder_start_token_id=35,
        bos_token_id=34,
        eos_token_id=34,
        pad_token_id=34,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    plan = Plan(uses=(2,), linear=ResidualSpec(rank=2))
    sides = ("encoder", "decoder")
    fold(model, ForeignPlan(stacks={f"model.{side}.layers": plan for side in sides}))
    settings = {"no_timestamps_token_id": 38, "suppress_tokens": None} | generation
    for name, value in settings.items():
        setattr(model.generation_config, name, value)
    return model


class Tokenizer:
    """What is asked of a Whisper tokenizer: 26 letters, a space, a letter of two bytes."""

    def __init__(self, **more: int) -> None:
        added = ("<|translate|>", "<|transcribe|>", "<|notimestamps|>", "<|nocaptions|>")
        self.added = {name: 36 + place for place, name in enumerate(added)} | more

    def get_added_vocab(self) -> dict[str, int]:
        return self.added

    def get_vocab(self) -> dict[str, int]:
        letters = {chr(97 + number): number for number in range(26)}
        return self.added | letters | {"\u0120": 26, "\u00c3\u00a9": 27}


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """The weights of all models here are the same, and tracing one takes seconds."""
    found: dict[Sequence[str], Any] = {}

    def once(module: Any, inputs: Any, outputs: Sequence[str], dynamic: Any) -> Any:
        if outputs not in found:
            found[outputs] = trace(module, inputs, outputs, dynamic)
        copied = ir.from_proto(ir.to_proto(found[outputs]))
        for name, value in found[outputs].graph.initializers.items():
            copied.graph.initializers[name].meta.update(value.meta)
        return copied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "trace", once)
        yield


@pytest.fixture(scope="module")
def folded() -> Any:
    return made()


@pytest.fixture(scope="module")
def exported(folded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    assert export_whisper(folded, Tokenizer(), folder, card="Licence: none.").difference < 1e-4
    return folder


def mel() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 4, FRAMES)


def generated(model: Any, features: torch.Tensor, **options: Any) -> list[int]:
    """The ten tokens that PyTorch writes, or fewer, without what it is told before."""
    settings = {"max_new_tokens": 10, "do_sample": False, "num_beams": 1} | options
    tokens: list[int] = model.generate(features, **settings)[0].tolist()
    return tokens


def test_each_number_is_there_once(folded: Any, exported: Path) -> None:
    stored = 0
    for path in exported.glob("*.onnx"):
        for tensor in onnx.load(path).graph.initializer:
            numbers = numpy_helper.to_array(tensor)
            stored += numbers.size * (numbers.dtype == np.float32)
    numbers = sum(parameter.numel() for parameter in folded.parameters())
    assert numbers <= stored < numbers + 50  # a few constants
    spec = check_any(exported)
    assert spec.source.parameters == numbers
    assert spec.weight_bytes == 4 * numbers


NEVER = list(range(28, 44))


@pytest.mark.parametrize(
    "generation",
    [
        {},
        {"suppress_tokens": NEVER},
        {"suppress_tokens": [*NEVER, 3, 4, 5, 23], "begin_suppress_tokens": [*range(14), 220]},
    ],
)
def test_says_what_pytorch_says(generation: dict[str, Any], tmp_path: Path) -> None:
    model = made(**generation)
    export_whisper(model, Tokenizer(), tmp_path)
    found, expected = Whisper(tmp_path).tokens(mel().numpy()), generated(model, mel())
    assert len(set(expected)) > 1
    assert found[: len(expected)] == expected


MANY = {
    "is_multilingual": True,
    "lang_to_id": {"<|en|>": 40, "<|de|>": 41, "<|it|>": 42},
    "task_to_id": {"translate": 36, "transcribe": 37},
    "suppress_tokens": NEVER,
}


def test_several_languages(tmp_path: Path) -> None:
    model = made(**MANY)
    spec = export_whisper(model, Tokenizer(), tmp_path)
    assert spec.source.languages == ("en", "de", "it")
    whisper, features = Whisper(tmp_path), mel().numpy()
    texts = set()
    for language in (None, "de", "it"):
        for task in ("transcribe", "translate"):
            expected = generated(model, mel(), language=language, task=task)
            found = whisper.tokens(features, language, translate=task == "translate")
            assert found[: len(expected)] == expected
            texts.add(tuple(expected))
    assert len(texts) > 1
    with pytest.raises(ValueError, match="language: expected one of en, de, it, got 'fr'"):
        whisper.tokens(features, "fr")


@pytest.mark.parametrize("num_mels", [80, 128])
def test_features_are_those_of_transformers(num_mels: int) -> None:
    numbers = np.random.default_rng(0)
    samples = np.zeros(480000, np.float32)
    samples[:100000] = 0.1 * numbers.standard_normal(100000) * np.linspace(0, 1, 100000)
    extractor = WhisperFeatureExtractor(feature_size=num_mels)
    expected = extractor(samples, sampling_rate=16000, return_tensors="np").input_features[0]
    np.testing.assert_allclose(log_mel(samples, num_mels), expected, atol=1e-4)


def write_wav(path: Path, rate: int = 16000, seconds: float = 0.19) -> Path:
    numbers = np.random.default_rng(0).standard_normal(round(seconds * rate))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((3000 * numbers).astype("<i2").tobytes())
    return path


def test_the_code_of_the_card_writes_what_pytorch_says(
    folded: Any, exported: Path, tmp_path: Path
) -> None:
    """In a process that knows nothing of foldformer."""
    folder = Path(shutil.copytree(exported, tmp_path / "export"))
    path = write_wav(folder / "RECORDING.wav")
    whisper = Whisper(folder)
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(SAMPLES), "<i2") / np.float32(2**15)
    features = whisper.features(samples)
    tokens = generated(folded, torch.from_numpy(features))
    symbols = {number: base64.b64decode(text) for text, number in table(folder)}
    expected = b"".join(symbols.get(n, b"") for n in tokens).decode(errors="replace").strip()
    card = (folder / "README.md").read_text()
    (code, _) = re.findall("```python\n(.*?)```", card, re.DOTALL)
    for words in (["-c", code], ["hear.py", path.name]):
        ran = subprocess.run(
            [sys.executable, *words], cwd=folder, env={}, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.strip().startswith(expected)
    assert "[model.md](model.md)" in card
    assert (folder / "model.md").read_text() == "Licence: none."


def test_bad_recordings_do_not_stop_the_rest(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(Path("good.wav"))
    write_wav(Path("low.wav"), rate=8000)
    write_wav(Path("long.wav"), seconds=1)
    Path("sound.flac").write_bytes(b"fLaC" + bytes(100))
    Path("empty.wav").touch()

    def hear(*names: str) -> tuple[int, str, list[str]]:
        words = [sys.executable, exported / "hear.py", *names]
        ran = subprocess.run(words, capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr.splitlines()

    code, text, said = hear("good.wav")
    assert (code, said) == (0, [])
    cut = Path("good.wav").read_bytes()
    Path("cut.wav").write_bytes(cut[:12] + b"LIST" + b"\xff\xff\x00\x00" + cut[12:])
    bad = ["low.wav", "sound.flac", "none.wav", "empty.wav", "cut.wav", "long.wav"]
    code, printed, said = hear(*bad, "good.wav", "good.wav")
    assert (code, printed) == (2, 2 * f"good.wav\t{text}")
    messages = [
        "expected 16000 Hz, 1 channel, 16 bits, got 8000 Hz",
        "is no WAV file of whole numbers",
        "No such file or directory",
        "is no WAV file of whole numbers",
        "is no WAV file of whole numbers",
        "samples: last 1.0 s; expected 0.2 s at most",
    ]
    for line, name, message in zip(said, bad, messages, strict=True):
        assert line.startswith(f"{name}: {message}")
    code, printed, said = hear()
    assert (code, printed, len(said)) == (2, "", 1)
    assert said[0].startswith("usage: python ")


def table(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "tokens.txt").read_text().splitlines()
    return [(text, int(number)) for text, number in (line.split(" ") for line in lines)]


def test_tokens_are_bytes_in_base_64(exported: Path) -> None:
    said = table(exported)
    assert [number for _, number in said] == list(range(28))
    text = b"".join(base64.b64decode(text) for text, _ in said).decode()
    assert text == "abcdefghijklmnopqrstuvwxyz \u00e9"


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.75), ("int8", 0.65)])
def test_smaller_numbers(
    precision: Any, share: float, folded: Any, exported: Path, tmp_path: Path
) -> None:
    spec = export_whisper(folded, Tokenizer(), tmp_path, precision=precision)
    assert check_any(tmp_path) == spec
    assert spec.difference < 1e-4
    assert spec.difference_fp32 is not None
    assert spec.difference < spec.difference_fp32 < 0.1
    assert spec.weight_bytes < share * check_any(exported).weight_bytes
    held = {each.name: each for each in onnx.load(tmp_path / "decoder.onnx").graph.initializer}
    name = "decoder.embed_tokens.weight"
    kinds = {"fp16": TensorProto.FLOAT16, "int8": TensorProto.INT8}
    assert held[name].data_type == kinds[precision]
    table = numpy_helper.to_array(held[name]).astype(np.float32)
    if precision == "int8":  # the table of the embeddings is the output layer too: rows have scales
        table *= numpy_helper.to_array(held[f"{name}.scales"])[:, None]
    weights = folded.model.decoder.embed_tokens.weight.detach().numpy()
    step = np.abs(weights).max(axis=1, keepdims=True) / (127 if precision == "int8" else 1024)
    assert (np.abs(table - weights) <= 0.51 * step).all()
    assert Whisper(tmp_path).tokens(mel().numpy())


def test_a_reduced_range(folded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 weights of products end at 64."""
    monkeypatch.setattr("foldformer.deploy.export.integers.THIN", 8)  # the model is small
    spec = export_whisper(folded, Tokenizer(), tmp_path, precision="int8", reduce_range=True)
    assert spec.reduce_range
    assert spec.difference < 1e-4
    graph = onnx.load(tmp_path / "encoder.onnx").graph
    factors = {node.input[1] for node in graph.node if node.op_type == "MatMulIntegerToFloat"}
    held = [numpy_helper.to_array(each) for each in graph.initializer if each.name in factors]
    assert held
    assert {np.abs(each.astype(int)).max() for each in held} == {64}


def test_bad_input(exported: Path, tmp_path: Path) -> None:
    whisper = Whisper(exported)
    with pytest.raises(ValueError, match=r"samples: last 1\.0 s; expected 0\.2 s at most"):
        whisper.hear(np.zeros(16000, np.float32))
    with pytest.raises(ValueError, match="language: this model writes English alone"):
        whisper.tokens(mel().numpy(), "de")
    with pytest.raises(InputError, match=r"is not empty; choose a new folder with --output"):
        export_whisper(made(), Tokenizer(), exported)
    with pytest.raises(SpecError, match="precision: int4 is for foldformer's own models"):
        export_whisper(made(), Tokenizer(), tmp_path / "new", precision="int4")
    with pytest.raises(SpecError, match="reduce-range: is for weights in int8, and in fp32 there"):
        export_whisper(made(), Tokenizer(), tmp_path / "new", reduce_range=True)
    with pytest.raises(InputError, match=r"tokenizer: 'Ā日' does not stand for bytes"):
        export_whisper(made(), Other({"Ā日": 1}), tmp_path / "new")
    with pytest.raises(InputError, match=r"tokenizer: has no Ġ, so it is not that of a Whisper"):
        export_whisper(made(), Other({"a": 1}), tmp_path / "new")
    damaged = made()
    with torch.no_grad():
        damaged.model.decoder.layer_norm.weight[0] = torch.nan
    with pytest.raises(InputError, match=r"decoder\.layer_norm\.weight: has numbers that are not"):
        export_whisper(damaged, Tokenizer(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


class Other(Tokenizer):
    """Of another kind of model."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self.vocabulary = vocabulary

    def get_added_vocab(self) -> dict[str, int]:
        return {}

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def swap(folder: Path) -> None:
    """The lines of two tokens."""
    lines = (folder / "tokens.txt").read_text().splitlines(keepends=True)
    (folder / "tokens.txt").write_text("".join([lines[1], lines[0], *lines[2:]]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (swap, r"tokens\.txt: is damaged, or was changed after the export"),
        (lambda f: (f / "decoder.onnx").unlink(), r"decoder\.onnx: missing; export"),
        (lambda f: (f / "encoder.onnx").write_bytes(b"\x08\x09"), r"encoder\.onnx: is damaged"),
        (
            lambda f: shutil.copy(f / "encoder.onnx", f / "decoder.onnx"),
            r"decoder\.onnx: does not fit export\.yaml: the number of inputs and outputs: 1 and 2",
        ),
    ],
)
def test_damaged_exports(
    damage: Callable[[Path], object], message: str, exported: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "export"))
    damage(folder)
    with pytest.raises(InputError, match=message):
        check_any(folder)


def test_it_is_none_of_our_models(exported: Path) -> None:
    with pytest.raises(InputError, match=r"is the export of a Whisper, and .*hear\.py RECORDING"):
        check_export(exported)
