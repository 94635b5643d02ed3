"""`foldformer plan` and `foldformer compress` on folders of transformers' models."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertModel,
    JambaConfig,
    JambaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from foldformer.compress.foreign import load
from foldformer.compress.foreign.originals import batches_of, learning_batches, load_original
from foldformer.errors import InputError
from foldformer.train.curve import read_curve

Call = Callable[..., tuple[int, str, str]]
WORDS = ["[PAD]", "[UNK]", "[EOS]", *"abcdefghijklmnopqrstuvwxyz"]
SMALL = {"vocab_size": 32, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}


def write(folder: Path, model: Any) -> Path:
    """A model with random numbers, none of them alike, and its tokenizer."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]"
    ).save_pretrained(folder)
    return folder


def tiny_bert(**settings: Any) -> BertModel:
    return BertModel(BertConfig(**SMALL, num_hidden_layers=4, **settings))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bert"), tiny_bert(max_position_embeddings=16))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    numbers = np.random.default_rng(0)
    lines = (" ".join(numbers.choice(WORDS[3:], 8)) for _ in range(40))
    path = tmp_path_factory.mktemp("text") / "said.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@torch.no_grad()
def said(model: Any) -> Tensor:
    found = model(input_ids=torch.arange(3, 15).view(2, 6))
    return found.logits if "logits" in found else found.last_hidden_state


def stored(folder: Path) -> int:
    return sum(4 * tensor.numel() for tensor in load_file(folder / "model.safetensors").values())


def test_a_plan_is_made_and_folded(bert: Path, text: Path, call: Call, tmp_path: Path) -> None:
    plan, folded, page = tmp_path / "plan.yaml", tmp_path / "folded", tmp_path / "page.html"
    code, out, err = call(
        "plan", bert, "--weights", "32kB", "--calibration", text, "-o", plan, "--report", page
    )
    assert (code, err) == (0, "")
    assert "attention.self.query" in out
    assert re.search(r"0\.0\d\d MB of 0\.032 MB allowed", out)
    said_of = " ".join(out.split())
    tried = re.search(  # and corrected ones, if there are any: see tests/compress/foreign
        r"tried: plan [\d.]+ %, .*low rank [\d.]+ %(, corrected \d [\d.]+ %)*; the least is taken",
        said_of,
    )
    assert tried is not None
    made = yaml.safe_load(plan.read_text())["made"]
    assert made["calibrated"]
    assert page.read_text().startswith("<!")
    code, out, err = call(
        "compress", bert, "--plan", plan, "--calibration", text, "--output", folded
    )
    assert (code, err) == (0, "")
    assert "it has not learnt from the original yet" in out
    model = load(folded)
    assert stored(folded) == made["bytes"] <= 32_000 < stored(bert)
    assert stored(folded) == sum(4 * parameter.numel() for parameter in model.parameters())
    assert (folded / "tokenizer.json").is_file()
    original = BertModel.from_pretrained(bert)
    error = (said(model) - said(original)).norm() / said(original).norm()
    assert 0.001 < error < 0.5
    # With its weights unfolded as many bytes as the model has, nothing is lost.
    whole = f"{stored(bert) / 1000 + 1}kB"
    assert call("plan", bert, "--weights", whole, "-o", plan)[0] == 0
    assert call("compress", bert, "--plan", plan, "--output", tmp_path / "same")[0] == 0
    assert torch.allclose(said(load(tmp_path / "same")), said(original), atol=1e-5)


def is_bar(err: str) -> bool:
    """Whether nothing was said but how far the learning is."""
    return all("steps" in line for line in re.split(r"[\r\n]", err) if line.strip())


def test_what_is_learnt_is_kept_and_gone_on_with(
    bert: Path, text: Path, call: Call, tmp_path: Path
) -> None:
    command = ("compress", bert, "--uses", 2, "--rank", 1, "--data", text, "--steps", 80)
    code, out, err = call(*command, "--output", tmp_path / "a")
    assert (code, is_bar(err)) == (0, True), err
    assert re.search(r"\b80/80 \[.*, loss [\d.]+, validation [\d.]+\]\s*$", err), err
    losses = re.search(r"learnt: loss ([\d.]+) -> ([\d.]+)", out)
    assert losses is not None
    assert float(losses[2]) < float(losses[1])
    # Two of the 40 lines are kept apart.
    assert re.search(r"best validation: loss ([\d.]+), distillation \1, after step 80\n", out)
    assert f"curve: {tmp_path / 'a' / 'training' / 'curve.json'}\n" in out
    rows = read_curve(tmp_path / "a" / "training")
    assert [row["step"] for row in rows] == [0, 80]
    assert rows[1]["loss"] < rows[0]["loss"]
    first = (tmp_path / "a" / "model.safetensors").read_bytes()
    code, out, err = call(*command, "--output", tmp_path / "a")
    assert code == 0, err
    assert "folded before: 0.0" in out
    assert "learnt:" not in out  # all steps were done
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == first
    code, _, err = call(*command, "--rank", 2, "--output", tmp_path / "a")
    assert code == 2
    assert "holds a model that was made in another way: plan differs" in err
    more = ("--valid", text, "--training.warmup", 3)
    code, out, err = call(*command, *more, "--output", tmp_path / "a")
    assert (code, out) == (2, "")  # before anything is folded
    assert (
        "recovery.pt: holds a learning that began in another way: warmup null -> 3; other data to "
        "learn from; other data to measure on; choose another folder, or remove it"
    ) in err
    for again in (("--uses", 2, "--rank", 1), ("--uses", 4)):
        code, out, err = call("compress", bert, *again, "--output", tmp_path / "a")
        assert (code, out) == (2, "")
        assert err == (
            f"foldformer: error: {tmp_path / 'a'}: holds a model that has learnt, which a fold "
            "alone would replace; give its --data again, or choose another --output\n"
        )
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize("least", [1, 10_000])
def test_what_is_kept_apart_is_not_calibrated_with(bert: Path, text: Path, least: int) -> None:
    model = load_original(bert)
    share = {"valid_share": 0.25}

    def lines(batches: list[dict[str, Tensor]]) -> list[tuple[int, ...]]:
        return sorted(tuple(row.tolist()) for batch in batches for row in batch["input_ids"])

    learning = learning_batches(bert, model, [str(text)], **share)
    heard = lines(batches_of(bert, model, [str(text)], least=least, **share))
    assert heard == lines(learning.learnt)
    every = lines(batches_of(bert, model, [str(text)], least=least))
    assert sorted(heard + lines(learning.valid)) == every
    assert len(lines(learning.valid)) == 10


def test_a_line_twice_is_not_on_both_sides(bert: Path, text: Path, tmp_path: Path) -> None:
    """Nor is the sign of UTF-8 that some editors put first a part of a line."""
    model, twice = load_original(bert), tmp_path / "twice.txt"

    def lines(batches: list[dict[str, Tensor]]) -> set[tuple[int, ...]]:
        return {tuple(row.tolist()) for batch in batches for row in batch["input_ids"]}

    twice.write_text("\ufeff" + text.read_text() * 2)
    learnt, kept = map(lines, learning_batches(bert, model, [str(twice)], valid_share=0.25))
    assert not learnt & kept
    assert learnt | kept == lines(batches_of(bert, model, [str(text)], least=10_000))
    twice.write_text("a b c d\n" * 8)
    with pytest.raises(InputError, match=r"twice\.txt: no line is left beside those that are kept"):
        learning_batches(bert, model, [str(twice)], valid_share=0.25)


def test_llama_and_a_list_by_name(text: Path, call: Call, tmp_path: Path) -> None:
    config = LlamaConfig(**SMALL, num_hidden_layers=4, num_key_value_heads=1)
    llama = write(tmp_path / "llama", LlamaForCausalLM(config))
    plan = tmp_path / "plan.yaml"
    options = ("--weights", "26kB", "--calibration", text, "--layers", "model.layers", "--json")
    code, out, err = call("plan", llama, *options, "-o", plan)
    assert (code, err) == (0, "")
    assert list(json.loads(out)["plan"]["stacks"]) == ["model.layers"]
    output = tmp_path / "folded"
    config = tmp_path / "recovery.yaml"
    config.write_text("training: {validate_every: 1, distillation: {data: 0.5}}\n")
    options = ("--plan", plan, "--data", text, "--valid", text, "--steps", 2, "--output", output)
    code, out, err = call("compress", llama, *options, "--config", config, "--seed", 3)
    assert (code, is_bar(err)) == (0, True), err
    assert [row["step"] for row in read_curve(output / "training")] == [0, 1, 2]
    found = re.search(r"data of the original there: ([\d.]+)\n", out)
    assert found is not None
    lines = [[WORDS.index(word) for word in line.split()] for line in text.read_text().splitlines()]
    with torch.no_grad():
        tokens = torch.tensor(lines)
        loss = LlamaForCausalLM.from_pretrained(llama)(tokens, labels=tokens).loss
    assert float(found[1]) == pytest.approx(float(loss), rel=1e-3)
    assert load(output).generate(torch.tensor([[3, 4]]), max_new_tokens=3).shape == (1, 5)


SPECIAL = ["<|translate|>", "<|transcribe|>", "<|notimestamps|>", "<|nospeech|>"]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = WhisperConfig(
        vocab_size=40, num_mel_bins=4, d_model=16, encoder_layers=4, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, max_source_positions=1500, max_target_positions=448,
        decoder_start_token_id=2, bos_token_id=2, eos_token_id=2, pad_token_id=0,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    folder = write(tmp_path_factory.mktemp("whisper"), WhisperForConditionalGeneration(config))
    WhisperFeatureExtractor(feature_size=4).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_tokens("\u0120")
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuts")
    cuts = []
    for name in "ab":
        noise = 0.1 * np.random.default_rng(0).standard_normal(16000 * 20)
        soundfile.write(folder / f"{name}.wav", noise, 16000)
        words = " ".join(WORDS[3:])
        part = SupervisionSegment(name, name, 0, 20, text=words)
        whole = Recording.from_file(folder / f"{name}.wav", recording_id=name)
        cuts.append(MonoCut(name, 0, 20, 0, supervisions=[part], recording=whole))
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


def test_whisper_in_one_budget(whisper: Path, manifest: Path, call: Call, tmp_path: Path) -> None:
    plan, folded = tmp_path / "plan.yaml", tmp_path / "folded"
    budget = f"{(stored(whisper) - 20_000) / 1000}kB"
    code, out, err = call(
        "plan", whisper, "--weights", budget, "--calibration", manifest, "-o", plan
    )
    assert (code, err) == (0, "")
    assert "layers 0-3: model.encoder.layers\nlayers 4-5: model.decoder.layers\n" in out
    stacks = yaml.safe_load(plan.read_text())["stacks"]
    assert [sum(part["uses"]) for part in stacks.values()] == [4, 2]
    options = ("--plan", plan, "--data", manifest, "--steps", 1, "--output", folded)
    settings = ("--training.distillation.data", 1, "--data.valid_share", 0.5)
    code, out, err = call("compress", whisper, *options, *settings)
    assert (code, is_bar(err)) == (0, True), err
    assert f"next: foldformer export {folded} --to onnxruntime\n" in out
    rows = read_curve(folded / "training")
    assert [set(row) for row in rows] == [
        {"step", "hours", "seconds", "loss", "distillation", "data"}
    ] * 2
    assert [row["hours"] for row in rows] == [0, pytest.approx(30 / 3600, abs=1e-6)]
    one = ("--uses", 2, "--layers", "model.encoder.layers", "--output", tmp_path / "encoder")
    code, out, err = call("compress", whisper, *one)
    assert code == 0, err
    assert "stays as it is: model.decoder.layers: it is not among those that are" in out
    model = load(folded)
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    assert stored(folded) <= stored(whisper) - 20_000
    code, _, err = call("plan", whisper, "--weights", budget, "--order", "cycle")
    assert "order: cycle is for one list of layers" in err
    code, _, err = call("plan", whisper, "--weights", budget, "--report", tmp_path / "page.html")
    assert "--report: draws one list of layers" in err


def test_a_folded_whisper_is_exported_and_measured(
    whisper: Path, call: Call, tmp_path: Path
) -> None:
    folded, exported = tmp_path / "folded", tmp_path / "export"
    assert call("compress", whisper, "--uses", 2, "--rank", 1, "--output", folded)[0] == 0
    code, out, err = call("export", folded, "--to", "onnxruntime", "--output", exported)
    assert (code, err) == (0, "")
    assert f"weights: {stored(folded) // 4:,} numbers, each stored once, in " in out
    assert f"next: python {exported / 'hear.py'} RECORDING.wav\n" in out
    code, out, err = call("describe", exported)
    assert (code, err) == (0, "")
    assert "export: offline-whisper for onnxruntime, fp32; ONNX files 0." in out
    settings = ("--runs", 1, "--seconds", 20, "--runtime", "onnxruntime", "--json")
    code, out, err = call("measure", exported, *settings)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert "a Whisper's encoder hears 30 s in each call" in " ".join(found["warnings"])
    (measured,) = found["exports"]
    sizes = {name: (exported / name).stat().st_size for name in ("encoder.onnx", "decoder.onnx")}
    assert measured["files"] == sizes
    assert sum(sizes.values()) > measured["weight_bytes"] >= stored(folded)
    assert measured["figures"]["onnxruntime"]["peak_rss"]["median"] > 1e6
    for verb, *others in (("transcribe", "x.wav"), ("evaluate", "x.jsonl")):
        code, out, err = call(verb, exported, *others)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert f"{exported}: is the export of a Whisper, and this command takes those of" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--streaming"], "--streaming: is for foldformer's own models, and"),
        (["--left-context", "1s"], "--left-context: is for foldformer's own models, and"),
        (["--precision", "int4"], "precision: int4 is for foldformer's own models; a Whisper has"),
        (["--output", "FULL"], "is not empty; choose a new folder with --output"),
    ],
)
def test_a_whisper_that_cannot_be_exported(
    options: list[str], message: str, whisper: Path, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").touch()
    words = (tmp_path if option == "FULL" else option for option in options)
    code, out, err = call("export", whisper, "--output", tmp_path / "new", *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def deepen(folder: Path, layers: int) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))


KEY = "encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: change(f, lambda w: w[KEY].fill_(torch.nan)), f"{KEY} holds NaN"),
        (
            lambda f: BertModel.from_pretrained(f).half().save_pretrained(f),
            "is of type torch.float16, expected float32; save it with model.float()",
        ),
        (lambda f: change(f, lambda w: w.pop(KEY)), f"weight {KEY} is missing"),
        (lambda f: change(f, lambda w: w.update({KEY: w[KEY][:3]})), "is damaged or does not fit"),
        (lambda f: (f / "model.safetensors").write_bytes(b"12345678"), "is damaged or no safet"),
        (lambda f: deepen(f, 10**9), "num_hidden_layers: says 1,000,000,000 layers, and the"),
        (lambda f: deepen(f, 5), "weight encoder.layer.4."),
        (lambda f: (f / "model.safetensors").unlink(), "has no safetensors file; save the model"),
        (lambda f: (f / "config.json").write_text("{}"), "config.json: is missing or no config"),
        (lambda f: (f / "foldformer.yaml").write_text("stacks: {}"), "is folded already"),
    ],
)
def test_a_folder_that_cannot_be_folded(
    damage: Callable[[Path], object], message: str, bert: Path, call: Call, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(bert, folder)
    damage(folder)
    output = tmp_path / "plan.yaml"
    for command in (
        ("plan", folder, "--weights", "35kB", "-o", output),
        ("compress", folder, "--uses", 2, "--output", tmp_path / "folded"),
    ):
        code, out, err = call(*command)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "5kB"], "less than the smallest plan takes in fp32, 0.0"),
        (["--weights", "35kB", "--layers", "encoder.layers"], "has no list 'encoder.layers'"),
        (["--weights", "35kB", "--precision", "int8"], "a folded model of transformers is stored"),
        (["--weights", "35kB", "--calibration", "EMPTY"], "is empty; expected one sentence a line"),
        (["--weights", "35kB", "--calibration", "SHORT"], "calibrate with more data"),
        (["--weights", "35kB", "--calibration", "none.txt"], "cannot be read: No such file"),
    ],
)
def test_a_plan_that_cannot_be(
    options: list[str], message: str, bert: Path, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("a b c\n")
    places = {"EMPTY": tmp_path / "empty.txt", "SHORT": tmp_path / "short.txt"}
    code, out, err = call("plan", bert, *(places.get(option, option) for option in options))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--plan or --uses: one of them is needed"),
        (["--uses", "3"], "--uses: 4 layers are not divisible by 3; possible: 2, 4"),
        (["--uses", "2", "--rank", "17"], "rank"),
        (["--uses", "2", "--steps", "3"], "--valid, --steps, --config and keys: for learning; gi"),
        (["--uses", "2", "--valid", "x"], "--valid, --steps, --config and keys: for learning; gi"),
        (["--uses", "2", "--nodes", "2"], "--nodes: is for foldformer's own models"),
        (["--uses", "2", "--strategy", "fsdp"], "--strategy: is for foldformer's own models"),
        (["--uses", "2", "--accept-changes"], "--accept-changes: is for foldformer's own models"),
        (["--uses", "2", "--skip-bad-batches", "1"], "--skip-bad-batches: is for foldformer's own"),
        (["--uses", "2", "--training.seed", "1"], "recovery: training.seed: unknown key; one of"),
        (["--uses", "2", "--training.ema", "1"], "recovery: training.ema: unknown key; one of"),
        (["--uses", "2", "--steps", "0"], "recovery: training: steps: expected 1 or more, got 0"),
        (["--uses", "2", "--data.valid_share", "1"], "recovery: data: valid_share: expected 0 to"),
        (["--plan", "PLAN"], "are 3 layers together, and the model has 4"),
        (["--plan", "PLAN", "--rank", "0"], "--rank: stands in the plan"),
        (["--plan", "PLAN", "--layers", "encoder.layer"], "--layers: stands in the plan"),
    ],
)  # fmt: skip
def test_a_fold_that_cannot_be(
    options: list[str], message: str, bert: Path, call: Call, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"stacks": {"encoder.layer": {"uses": [2, 1]}}}))
    own = (plan if option == "PLAN" else option for option in options)
    code, out, err = call("compress", bert, *own, "--output", tmp_path / "folded")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not (tmp_path / "folded").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"architectures": [3]}, "architectures: expected a name, got 3"),
        ({"hidden_size": "a"}, "Field 'hidden_size' expected int"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "x.Y"}}, "custom code"),
    ],
)
def test_a_configuration_with_odd_keys(
    bert: Path, call: Call, tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    """Nobody is asked whether to run code that lies in the folder."""
    folder = tmp_path / "odd"
    shutil.copytree(bert, folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    code, out, err = call("plan", folder, "--weights", "35kB")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert f"{path}: is missing or no configuration" in err
    assert message in err


def test_a_fold_never_replaces_another_model(bert: Path, call: Call, tmp_path: Path) -> None:
    original, other = tmp_path / "original", tmp_path / "other"
    for folder in (original, other):
        shutil.copytree(bert, folder)
    before = {path: path.read_bytes() for path in (*original.iterdir(), *other.iterdir())}
    for output, message in (
        (original, "is the model to be folded; name another folder"),
        (other, "holds another model, which was not made by this command"),
    ):
        code, out, err = call("compress", original, "--uses", 2, "--output", output)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err
    after = {path: path.read_bytes() for path in (*original.iterdir(), *other.iterdir())}
    assert after == before


def test_a_fold_never_replaces_another_fold(bert: Path, call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bert, other)
    change(other, lambda w: w[KEY].add_(1))
    output = tmp_path / "folded"
    assert call("compress", bert, "--uses", 2, "--rank", 1, "--output", output)[0] == 0
    assert call("compress", bert, "--uses", 2, "--rank", 1, "--output", output)[0] == 0
    before = {path: path.read_bytes() for path in output.iterdir()}
    for options, message in (
        ((other, "--uses", 2, "--rank", 1), "made in another way: model, weights differ"),
        ((bert, "--uses", 4), "made in another way: plan differs"),
    ):
        code, out, err = call("compress", *options, "--output", output)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err
    assert {path: path.read_bytes() for path in output.iterdir()} == before
    elsewhere = bert / ".." / bert.name
    assert call("compress", elsewhere, "--uses", 2, "--rank", 1, "--output", output)[0] == 0


def test_a_fold_never_replaces_files_of_others(bert: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("mine")
    code, out, err = call("compress", bert, "--uses", 2, "--output", tmp_path)
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'tokenizer.json'}: would be replaced, and was not made by" in err
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
    assert (tmp_path / "tokenizer.json").read_text() == "mine"


def test_a_plan_names_lists_that_are_not_found(text: Path, call: Call, tmp_path: Path) -> None:
    """Layers of two kinds, of which the attention's maps and the feed-forward's are folded."""
    config = JambaConfig(
        **SMALL, num_key_value_heads=2, num_hidden_layers=4, attn_layer_period=2,
        attn_layer_offset=1, num_experts=1, num_experts_per_tok=1, mamba_d_state=4, mamba_dt_rank=4,
    )  # fmt: skip
    jamba = write(tmp_path / "jamba", JambaForCausalLM(config))
    plan = tmp_path / "plan.yaml"
    budget = f"{0.8 * stored(jamba) / 1000}kB"
    options = ("--weights", budget, "--calibration", text)
    code, _, err = call("plan", jamba, *options, "-o", plan)
    assert code == 2
    assert "no list of repeated layers with linear maps in common; name one of its lists" in err
    code, planned, err = call("plan", jamba, *options, "--layers", "model.layers", "-o", plan)
    assert (code, err) == (0, "")
    output = tmp_path / "folded"
    code, out, err = call(
        "compress", jamba, "--plan", plan, "--calibration", text, "--output", output
    )
    assert (code, err) == (0, "")
    assert stored(output) <= 0.8 * stored(jamba)
    for said in (planned, out):
        assert "stays as it is: all outside of model.layers; norms and biases\n" in said
        words = " ".join(said.split())
        assert (
            "stays as it is: in model.layers, mamba.in_proj, mamba.x_proj, mamba.dt_proj and "
            "5 more: only 2 of 4 layers have it"
        ) in words
        assert "mamba.conv1d: Conv1d is no linear map" in words


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            T5ForConditionalGeneration(
                T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
            ),
            "T5ForConditionalGeneration cannot be called with lines of text alone (",
        ),
        (
            BertForQuestionAnswering(BertConfig(**SMALL, num_hidden_layers=2)),
            "BertForQuestionAnswering: gives neither logits nor last_hidden_state to learn from",
        ),
    ],
)
def test_models_that_cannot_learn_from_text(
    model: Any, message: str, text: Path, call: Call, tmp_path: Path
) -> None:
    """Nothing is written."""
    folder, output = write(tmp_path / "model", model), tmp_path / "folded"
    options = ("--uses", 2, "--rank", 1, "--data", text, "--steps", 1, "--output", output)
    code, out, err = call("compress", folder, *options)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not output.exists()


def test_a_sentence_encoder_has_no_loss_on_the_data(
    bert: Path, text: Path, call: Call, tmp_path: Path
) -> None:
    output = tmp_path / "folded"
    options = ("--uses", 2, "--rank", 1, "--data", text, "--output", output)
    code, out, err = call("compress", bert, *options, "--training.distillation.data", 1)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "BertModel: has no loss on the data, since it writes no text to be compared" in err
    assert not output.exists()


def test_text_is_cut_and_padded_as_the_model_needs_it(
    bert: Path, call: Call, tmp_path: Path
) -> None:
    """A tokenizer that knows neither a length nor a token to pad with; 16 positions."""
    folder = tmp_path / "bare"
    shutil.copytree(bert, folder)
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    text = tmp_path / "long.txt"
    text.write_text("a b c d\n" + f"{' '.join(WORDS[3:])}\n" * 20)
    options = ("--uses", 2, "--rank", 1, "--calibration", text, "--output", tmp_path / "folded")
    code, _, err = call("compress", folder, *options)
    assert (code, err) == (0, "")


def test_other_verbs_say_what_such_a_folder_is(bert: Path, call: Call, tmp_path: Path) -> None:
    folded = tmp_path / "folded"
    assert call("compress", bert, "--uses", 2, "--rank", 1, "--output", folded)[0] == 0
    for verb, *others in (
        ("describe",), ("measure",), ("evaluate", "x.jsonl"), ("transcribe", "x.wav"),
    ):  # fmt: skip
        for folder, message in (
            (bert, f"{bert}: is a model of transformers; foldformer plan and compress take"),
            (folded, f"foldformer.compress.foreign.load({str(folded)!r}) gives it, and"),
        ):
            code, out, err = call(verb, folder, *others)
            assert (code, out, err.count("\n")) == (2, "", 1), err
            assert message in err
    for folder in (bert, folded):
        code, out, err = call("export", folder)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert f"{folder}: is a BertModel; of the models of transformers, Whisper alone is" in err


def test_a_killed_fold_goes_on_to_the_same_weights(
    bert: Path, text: Path, call: Call, start: Callable[..., Any], tmp_path: Path
) -> None:
    command = ("compress", bert, "--uses", 2, "--rank", 1, "--data", text, "--steps", 220)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert call(*command, "--output", whole)[0] == 0
    process = start(*command, "--output", killed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (killed / "training" / "recovery.pt").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "model.safetensors").exists()
    code, out, err = call(*command, "--output", killed)
    assert (code, is_bar(err)) == (0, True), err
    assert re.search(r"\b220/220 \[", err), err
    assert "learnt: loss" in out
    weights = [(each / "model.safetensors").read_bytes() for each in (whole, killed)]
    assert weights[0] == weights[1]


def test_the_file_is_as_large_as_planned(call: Call, tmp_path: Path) -> None:
    """Within 2 %, the file's header among them."""
    sizes = {"hidden_size": 96, "intermediate_size": 256, "num_attention_heads": 2}
    config = BertConfig(vocab_size=500, num_hidden_layers=4, max_position_embeddings=64, **sizes)
    model, plan = write(tmp_path / "bert", BertModel(config)), tmp_path / "plan.yaml"
    code, _, err = call("plan", model, "--weights", "1.2MB", "--most-uses", 2, "-o", plan)
    assert (code, err) == (0, "")
    assert call("compress", model, "--plan", plan, "--output", tmp_path / "small")[0] == 0
    planned = yaml.safe_load(plan.read_text())["made"]["bytes"]
    assert 1_000_000 < planned <= 1_200_000
    size = (tmp_path / "small" / "model.safetensors").stat().st_size
    assert planned <= size <= 1.02 * planned


def test_a_model_without_repeated_layers(call: Call, tmp_path: Path) -> None:
    config = BertConfig(**SMALL, num_hidden_layers=1, max_position_embeddings=16)
    one = write(tmp_path / "one", BertModel(config))
    code, _, err = call("plan", one, "--weights", "35kB")
    assert code == 2
    assert f"{one}: BertModel: no list of repeated layers" in err


def test_layers_are_for_models_of_transformers(call: Call, tmp_path: Path) -> None:
    code, _, err = call("plan", tmp_path, "--weights", "35kB", "--layers", "depth")
    assert code == 2
    assert "--layers: is for models of transformers" in err


def test_a_plan_of_another_model(bert: Path, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert call("plan", bert, "--weights", "35kB", "-o", plan)[0] == 0
    other = tmp_path / "other"
    shutil.copytree(bert, other)
    change(other, lambda w: w[KEY].add_(1))
    code, _, err = call("compress", other, "--plan", plan, "--output", tmp_path / "folded")
    assert code == 2
    assert "was made for another model, or for other weights" in err
