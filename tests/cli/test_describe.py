"""`foldformer describe` as a user calls it."""

import json
from pathlib import Path

import pytest
import yaml

from foldformer.cli.main import main

MODEL = {
    "encoder": {
        "d_model": 16,
        "num_layers": 4,
        "uses": [1, 3],
        "mixer": {"kind": "attention", "num_heads": 2},
        "linear": {"kind": "residual", "rank": 2},
    },
    "heads": [{"kind": "ctc"}],
}


def config(folder: Path, **data: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_table_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "paper-k3-r2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "paper-k3-r2"
    assert lines[-1] == "share of the dense encoder's weight matrices  34.02 %"
    assert any(line.endswith("6: 6 used 3 times") for line in lines)
    assert any("MB (10^6 bytes)" in line for line in lines)
    weights = next(line.split() for line in lines if line.startswith("layers: weights"))
    assert weights[2:] == ["18.874", "75.50", "37.75", "18.98", "10.62"]


def test_json_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "paper-k3-r16", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert f"{data['encoder_matrix_share']:.2f}" == "38.12"
    assert data["num_layers"] == 18
    assert data["uses"] == [3] * 6
    assert data["parts"]["weights"]["parameters"] == 6 * 3_145_728
    assert set(data["stream"]) == {"subsampling", "layers", "transducer head"}
    assert data["assumed"] == {}


def test_a_training_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, model=MODEL, tokens={"vocab_size": 77})
    assert main(["describe", str(path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["vocab_size"], data["assumed"]) == (77, {})
    assert data["parts"]["ctc head"]["parameters"] == 77 * 16 + 77


def test_a_number_that_is_assumed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", str(config(tmp_path, model=MODEL))]) == 0
    output = capsys.readouterr().out
    assert "assumed: vocab_size = 500, which the configuration does not say" in output
    assert "2: 1 used once, 1 used 3 times" in output


def test_a_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(tmp_path, model={**MODEL, "vocab_size": 9})
    assert main(["describe", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vocab_size"] == 9


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "paper-k3-r17",
            "paper-k3-r17: no such file or folder, and no preset; did you mean 'paper-k3-r16'?",
        ),
        ("none.yaml", "none.yaml: no such file"),
        ("{folder}", "config.yaml: no such file"),
        ("{folder}/empty.yaml", "expected a mapping under `model`"),
        ("{folder}/typo.yaml", "model.encoder.d_modell: unknown key; did you mean 'd_model'?"),
        (
            "{folder}/tokens.yaml",
            "/tokens.yaml: tokens.vocab_size: expected a whole number, got '99x'",
        ),
        ("{folder}/typo.yaml", "/typo.yaml: model.encoder.d_modell: "),
        ("{folder}/uses.yaml", "uses: 5 layers are not divisible by 2 uses"),
        ("{folder}/wide.yaml", "there is not enough memory; take a smaller model"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    argument: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.yaml").write_text("training: {}\n")
    (tmp_path / "tokens.yaml").write_text("model: {encoder: {}}\ntokens: {vocab_size: 99x}\n")
    (tmp_path / "typo.yaml").write_text("model: {encoder: {d_modell: 3}}\n")
    (tmp_path / "uses.yaml").write_text("model: {encoder: {num_layers: 5, uses: 2}}\n")
    (tmp_path / "wide.yaml").write_text(f"model: {{encoder: {{d_model: {4 * 10**9}}}}}\n")
    assert main(["describe", argument.format(folder=tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
