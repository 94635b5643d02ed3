"""`foldformer plan` through the real command: what it prints, writes, and refuses."""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from foldformer.checkpoint import ModelConfig, load_model, save_model
from foldformer.compress import calibration
from foldformer.compress.fold import fold
from foldformer.compress.planning.file import PlanFile, read_plan
from foldformer.data.tokens import Tokens
from foldformer.deploy.export.make import export
from foldformer.errors import InputError
from foldformer.model import Model, ModelSpec
from foldformer.spec import from_dict, to_dict

Call = Callable[..., tuple[int, str, str]]

SYMBOLS = ["<blk>", "<unk>", *"abcdefg"]
ENCODER = {
    "d_model": 64,
    "num_layers": 4,
    "uses": 1,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 192},
    "subsampling": {"channels": 16},
    "left_context": 8,
}


def write(folder: Path, model: Model) -> Path:
    folder.mkdir()
    save_model(folder, model, ModelConfig(model=model.spec))
    Tokens(SYMBOLS).save(folder)
    return folder


def random_model(**encoder: object) -> Model:
    torch.manual_seed(3)
    spec = {"vocab_size": len(SYMBOLS), "encoder": {**ENCODER, **encoder}}
    return from_dict(ModelSpec, spec).build().eval()


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense model of 4 layers, with random weights."""
    return write(tmp_path_factory.mktemp("dense") / "dense", random_model())


def one_line(result: tuple[int, str, str], *parts: str) -> None:
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("foldformer: error: ")
    for part in parts:
        assert part in err


def test_a_model_that_shares_already_may_be_smaller_than_its_plan(
    dense: Path, call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_model(uses=2, linear={"kind": "residual", "rank": 2})
    shared = write(tmp_path / "shared", model)
    itself = sum(4 * tensor.numel() for tensor in model.state_dict().values())
    for folder, budget, said in (
        (shared, 1.2 * itself, True),
        (shared, 0.6 * itself, False),
        (dense, 10 * itself, False),  # all is kept, and takes as much as the model
    ):
        caplog.clear()
        code, _, err = call("plan", folder, "--weights", f"{budget / 1000}kB", "--most-uses", 2)
        assert code == 0, err
        found = f"and the model as it is {itself / 1e6:.3f} MB, without an error" in caplog.text
        assert found == said, caplog.text


def test_a_model_is_heard_as_it_streams(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `compress` hears it."""
    model = random_model()
    folder = tmp_path / "streams"
    folder.mkdir()
    save_model(folder, model, ModelConfig(model=model.spec, chunks=(8, 16)))

    def heard(model: Model, manifests: object, *, chunks: object, progress: object) -> None:
        raise InputError(f"heard in chunks of {chunks}")

    monkeypatch.setattr(calibration, "calibrate", heard)
    result = call("plan", folder, "--weights", "500kB", "--calibration", "a.jsonl")
    one_line(result, "heard in chunks of (8, 16)")


def test_the_smallest_plan_that_is_printed_is_possible(dense: Path, call: Call) -> None:
    smallest = json.loads(call("plan", dense, "--weights", "10MB", "--json")[1])["smallest"]
    code, out, err = call("plan", dense, "--weights", "10MB")
    assert (code, err) == (0, "")
    said = re.search(r"smallest possible +([\d.]+) MB", out)
    assert said is not None
    assert smallest <= round(1e6 * float(said[1])) < smallest + 1000
    code, _, err = call("plan", dense, "--weights", f"{said[1]}MB")
    assert (code, err) == (0, "")


def test_a_plan_is_printed_and_written(dense: Path, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "new" / "plan.yaml"
    code, out, err = call("plan", dense, "--weights", "500kB", "-o", file)
    assert (code, err) == (0, "")
    table, _, written = out.partition("\n\nplan: ")
    assert all(len(line) <= 80 for line in table.splitlines())
    compress = f"foldformer compress {dense} --plan {file} --output FOLDER"
    assert written == f"{file}\nnext: {compress}\n"
    for part in ("becomes", "expand", "sharing alone", "low rank alone", "smallest possible"):
        assert part in out
    assert "--calibration asks for that of the outputs" in out
    said = re.search(r"([\d.]+) MB of 0.500 MB allowed; dense: ([\d.]+) MB", out)
    assert said is not None

    model, _ = load_model(dense)
    plan = read_plan(PlanFile, file, model)
    assert plan.made is not None
    assert plan.made.bytes <= plan.made.budget == 500_000
    assert float(said[1]) == pytest.approx(plan.made.bytes / 1e6, abs=6e-4)
    assert float(said[2]) == pytest.approx(
        (dense / "model.safetensors").stat().st_size / 1e6, rel=0.02
    )
    assert from_dict(PlanFile, to_dict(plan)) == plan
    assert list(file.parent.iterdir()) == [file]


def test_the_file_is_what_the_plan_says(dense: Path, call: Call, tmp_path: Path) -> None:
    """In fp32 the folder of the folded model, to 2 % for the header; in int8 its weights."""
    model = load_model(dense)[0]
    for precision, budget in (("fp32", "0.45MB"), ("int8", "0.15MB")):
        file = tmp_path / f"{precision}.yaml"
        options = ("--weights", budget, "--precision", precision, "--order", "any")
        assert call("plan", dense, *options, "-o", file)[0] == 0
        plan = read_plan(PlanFile, file, model)
        assert plan.made is not None
        folded = fold(model, plan.plan)
        if precision == "fp32":
            folder = write(tmp_path / "folded", folded)
            size = (folder / "model.safetensors").stat().st_size
        else:
            made = export(
                folded,
                Tokens(SYMBOLS),
                ModelConfig(model=folded.spec),
                tmp_path / "export",
                name="folded",
                precision="int8",
            )
            assert made.weight_bytes == plan.made.bytes
            size = made.weight_bytes
        assert size == pytest.approx(plan.made.bytes, rel=0.02)
        assert size >= plan.made.bytes


def test_json_and_report_on_recordings(
    dense: Path, corpus: Path, call: Call, tmp_path: Path
) -> None:
    page = tmp_path / "plan.html"
    calibration = ("--calibration", corpus / "train.jsonl.gz")
    code, out, _ = call(
        "plan", dense, "--weights", "150kB", "--precision", "int8", *calibration,
        "--json", "--report", page,
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found["plan"]["made"]["calibrated"] is True
    assert found["plan"]["made"]["bytes"] <= 150_000
    matrices = [choice for group in found["groups"] for choice in group["matrices"].values()]
    assert (
        found["other"] + sum(each["bytes"] for each in matrices) == found["plan"]["made"]["bytes"]
    )
    assert sum(each["error"] for each in matrices) == pytest.approx(
        found["plan"]["made"]["error"], rel=1e-3
    )
    for point in found["curve"]:
        for name in ("sharing", "low rank"):
            assert point[name] is None or point["plan"] <= point[name]
    assert found["curve"][-1]["plan"] == 0
    text = page.read_text(encoding="utf-8")
    assert "aligned, each to the one before" in text
    assert "<script" not in text
    assert text.count("<polyline") == 3 + 2 * 6 + 5  # with the signs of the legends


def test_a_plan_of_another_model_is_refused(dense: Path, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    assert call("plan", dense, "--weights", "500kB", "-o", file)[0] == 0
    model, _ = load_model(dense)
    with torch.no_grad():
        model.encoder.norm.weight[0] += 1e-3
    with pytest.raises(InputError, match="was made for another model, or for other weights"):
        read_plan(PlanFile, file, model)
    said = yaml.safe_load(file.read_text())
    del said["made"]
    file.write_text(yaml.safe_dump(said))
    assert read_plan(PlanFile, file, model).made is None


def test_a_plan_goes_into_compress(dense: Path, call: Call, tmp_path: Path) -> None:
    file, small = tmp_path / "plan.yaml", tmp_path / "small"
    assert call("plan", dense, "--weights", "500kB", "-o", file)[0] == 0
    model, _ = load_model(dense)
    made = read_plan(PlanFile, file, model).made
    assert made is not None
    code, _, err = call("compress", dense, "--plan", file, "--output", small)
    assert (code, err) == (0, "")
    assert (small / "model.safetensors").stat().st_size == pytest.approx(made.bytes, rel=0.02)
    with torch.no_grad():
        model.encoder.norm.weight[0] += 1e-3
    other = write(tmp_path / "other", model)
    result = call("compress", other, "--plan", file, "--output", tmp_path / "never")
    one_line(result, f"{file}: was made for another model, or for other weights")
    assert not (tmp_path / "never").exists()


def test_a_plan_that_keeps_everything_says_so(dense: Path, call: Call, tmp_path: Path) -> None:
    """And what it makes is not said to make more errors."""
    file, kept = tmp_path / "plan.yaml", tmp_path / "kept"
    said = "nothing: as it is the model takes no more than the budget"
    assert said not in call("plan", dense, "--weights", "500kB")[1]
    assert said in call("plan", dense, "--weights", "10MB", "-o", file)[1]
    code, out, err = call("compress", dense, "--plan", file, "--output", kept)
    assert (code, err) == (0, "")
    assert "expect several times its errors" not in out
    before, after = (load_model(folder)[0].state_dict() for folder in (dense, kept))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_budget_that_is_too_small(dense: Path, call: Call) -> None:
    options = ("plan", dense, "--precision", "int8", "--weights")
    result = call(*options, "20kB")
    one_line(result, "weights: 0.020 MB is less than the smallest plan takes in int8, ")
    smallest = re.search(r"in int8, ([\d.]+) MB", result[2])
    assert smallest is not None
    assert call(*options, f"{smallest[1]}MB")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "12"), "'12' is not a size; write it like 12MB"),
        (("--weights", "0MB"), "'0MB' is not a size"),
        (("--weights", "1" * 400 + "MB"), "MB' is not a size"),
        (("--weights=-3MB",), "'-3MB' is not a size"),
        (("--weights", "1MB", "--precision", "int2"), "invalid choice: 'int2'"),
        (("--weights", "1MB", "--order", "random"), "invalid choice: 'random'"),
        (("--weights", "1MB", "--most-uses", "0"), "--most-uses: expected 1 or more, got 0"),
        (("--weights", "1MB", "-o", "x", "--report", "x"), "name the same file"),
        (("--weights", "1MB", "-o", "."), "is a folder; --output names a file"),
        (("--weights", "1MB", "--calibration", "no.jsonl"), "no.jsonl: no such file"),
    ],
)
def test_options(dense: Path, call: Call, options: tuple[str, ...], message: str) -> None:
    code, out, err = call("plan", dense, *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_recordings_that_are_too_few(dense: Path, corpus: Path, call: Call, tmp_path: Path) -> None:
    empty, one = tmp_path / "empty.jsonl.gz", tmp_path / "one.jsonl"
    with gzip.open(empty, "wb"):
        pass
    command = ("plan", dense, "--weights", "500kB", "--calibration")
    one_line(call(*command, empty), "empty.jsonl.gz: is empty")
    with gzip.open(corpus / "dev.jsonl.gz", "rt") as lines:
        cut = json.loads(next(lines))
    cut["duration"] = cut["supervisions"][0]["duration"] = 0.5
    source = cut["recording"]["sources"][0]
    source["source"] = str(corpus / source["source"])
    one.write_text(json.dumps(cut))
    one_line(call(*command, one), "one.jsonl: ", "frames of 40 ms to calibrate with")


def test_models_that_cannot_be_planned(dense: Path, call: Call, tmp_path: Path) -> None:
    def refused(folder: Path, *parts: str) -> None:
        one_line(call("plan", folder, "--weights", "500kB"), str(folder), *parts)

    refused(tmp_path / "missing", "no such folder")
    refused(write(tmp_path / "single", random_model(num_layers=1)), "no repeated layers", "got 1")
    damaged = Path(shutil.copytree(dense, tmp_path / "damaged"))
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    refused(damaged, "is damaged or no safetensors file")
    model = random_model()
    with torch.no_grad():
        model.encoder.depth.layers[2].mixer.key.weight[3, 5] = torch.nan
    refused(write(tmp_path / "nan", model), "key: layer 2 has weights that are not finite")


def test_a_place_that_cannot_be_written(dense: Path, call: Call, tmp_path: Path) -> None:
    """A file where a folder has to be: also who may write everywhere cannot write there."""
    (tmp_path / "file").touch()
    for option in ("--output", "--report"):
        result = call("plan", dense, "--weights", "500kB", option, tmp_path / "file" / "plan")
        one_line(result, "cannot be written")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
