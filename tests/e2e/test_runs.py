"""What a training run promises: the same again, on from where it was stopped, and other ways."""

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import foldformer as api
from foldformer.train.state import sole_run

Write = Callable[..., Path]
SHORT = {"steps": 6, "validate_every": 4, "warmup": 2}
CTC = [{"kind": "ctc"}]
TRANSDUCER = [{"kind": "transducer", "predictor_dim": 16, "joiner_dim": 16}]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_seed_decides_the_weights(tmp_path: Path, write_config: Write, call) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path = write_config(tmp_path, name, training=SHORT, model={"heads": CTC})
        code, _, err = call("train", path, "--seed", seed)
        assert code == 0, err
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, write_config: Write, call, start
) -> None:
    """With averaged weights, summed gradients and augmentation; Ctrl-C comes at step 3."""
    settings = {
        "training": {"steps": 7, "validate_every": 3, "ema": 0.8, "accumulate": 2, "warmup": 2},
        "data": {"augmentation": {}, "max_duration": 12, "max_utterance": 12},
    }
    whole = write_config(tmp_path, "whole", **settings)
    assert call("train", whole)[0] == 0
    path = write_config(tmp_path, "stopped", **settings)
    stopped = tmp_path / "stopped"
    process = start("train", path, stderr=subprocess.PIPE)
    while not (stopped / "training" / "last.ckpt").exists():  # written at step 3
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert re.fullmatch(
        r"foldformer: stopped (after step \d|in a validation); the same command goes on from .*",
        last,
    )
    assert not [path for path in (stopped / "training").iterdir() if "partial" in path.name]
    code, _, err = call("train", path)
    assert code == 0, err
    states = [
        torch.load(tmp_path / name / "training" / "last.ckpt", weights_only=False)
        for name in ("whole", "stopped")
    ]
    assert states[0]["global_step"] == states[1]["global_step"] == 7
    places = [state["callbacks"]["DataPosition"] for state in states]
    assert places[0] == places[1]
    assert equal(states[0]["current_model_state"], states[1]["current_model_state"])
    assert equal(states[0]["state_dict"], states[1]["state_dict"])


def test_a_finished_run_again_and_longer(tmp_path: Path, write_config: Write, call) -> None:
    path = write_config(tmp_path, training=SHORT, model={"heads": CTC})
    code, first, _ = call("train", path)
    assert code == 0
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert call("train", path)[:2] == (0, first)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    code, _, err = call("train", path, "--training.steps", 9)
    assert code == 0, err
    last = torch.load(tmp_path / "model" / "training" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 9
    code, _, err = call("train", path, "--model.encoder.uses", 1)
    assert code == 2
    assert "holds a run with model.encoder.uses = 3, not 1; choose another `output`" in err


def test_killed_outright_the_last_checkpoint_is_whole(
    tmp_path: Path, write_config: Write, call, start
) -> None:
    settings = {"steps": 100000, "validate_every": 1}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    process = start("train", path, stderr=subprocess.DEVNULL)
    best = tmp_path / "model" / "training" / "best.json"
    while not best.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert api.load(tmp_path / "model").model.spec.vocab_size
    done = torch.load(tmp_path / "model" / "training" / "last.ckpt", weights_only=False)
    steps = done["global_step"] + 1
    assert call("train", path, "--training.steps", steps)[0] == 0


def test_sigterm_ends_a_step_and_says_how_to_go_on(
    tmp_path: Path, write_config: Write, start
) -> None:
    settings = {"steps": 100000, "validate_every": 1}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    process = start("train", path, stderr=subprocess.PIPE)
    while not (tmp_path / "model" / "training" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert "stopping after this step; once more: stop at once" in err
    assert "the same command goes on from" in err.splitlines()[-1]


def test_one_folder_is_trained_by_one_process(tmp_path: Path, write_config: Write, call) -> None:
    path = write_config(tmp_path, training=SHORT, model={"heads": CTC})
    with sole_run(tmp_path / "model" / "training"):
        code, out, err = call("train", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "another process is training this model; wait for its end" in err


@pytest.mark.parametrize("precision", ["bf16-mixed", "32"])
@pytest.mark.parametrize("heads", [TRANSDUCER, [*TRANSDUCER, {"kind": "ctc", "weight": 0.3}]])
def test_translation_with_a_transducer(
    tmp_path: Path, write_config: Write, call, corpus: Path, precision: str, heads: list
) -> None:
    path = write_config(
        tmp_path,
        data={"text": "translation_es"},
        model={"heads": heads},
        training={**SHORT, "precision": precision, "chunks": []},
    )
    code, out, err = call("train", path)
    assert code == 0, err
    assert "bleu" in out.splitlines()[0]
    folder = tmp_path / "model"
    assert yaml.safe_load((folder / "config.yaml").read_text())["text"] == "translation_es"
    symbols = (folder / "tokens.txt").read_text(encoding="utf-8")
    with gzip.open(corpus / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        cuts = [json.loads(line) for line in lines]
    learned = "".join(cut["supervisions"][0]["custom"]["translation_es"] for cut in cuts)
    assert set(re.findall(r"^(\w) \d+$", symbols, re.MULTILINE)) == set(learned) - {" "}
    code, out, err = call("evaluate", folder, corpus / "test.jsonl.gz", "--json")
    assert code == 0, err
    assert json.loads(out)["scores"]["all"]["utterances"] == 4


def test_initialise_from_another_model(
    tmp_path: Path, write_config: Write, call, model: Path
) -> None:
    """A learning rate of 0 leaves what was taken over as it is."""
    settings = {**SHORT, "steps": 1, "learning_rate": 0, "initialise_from": str(model)}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    code, _, err = call("train", path)
    assert code == 0, err
    ours, theirs = weights(tmp_path / "model"), weights(model)
    assert ours.keys() < theirs.keys()
    assert equal(ours, {name: theirs[name] for name in ours})
    other = write_config(tmp_path, "other", training=settings, model={"heads": CTC})
    code, _, err = call("train", other, "--model.encoder.left_context", 16)
    assert code == 2
    assert "its encoder differs from model.encoder in left_context" in err
    code, _, err = call("train", other, "--training.initialise_from", tmp_path / "none")
    assert code == 2
    assert "none: no such folder; expected a model folder" in err
    assert not (tmp_path / "other").exists()


def test_averaging_is_what_is_saved(tmp_path: Path, write_config: Write, call) -> None:
    for name, ema in (("plain", 0), ("mean", 0.9)):
        settings = {**SHORT, "steps": 4, "ema": ema}
        path = write_config(tmp_path, name, training=settings, model={"heads": CTC})
        assert call("train", path)[0] == 0
    state = torch.load(tmp_path / "mean" / "training" / "last.ckpt", weights_only=False)
    plain, mean = weights(tmp_path / "plain"), weights(tmp_path / "mean")
    raw = {name.removeprefix("model."): t for name, t in state["current_model_state"].items()}
    assert equal(raw, plain)
    assert equal({n.removeprefix("model."): t for n, t in state["state_dict"].items()}, mean)
    assert not equal(mean, plain)


def test_a_loss_that_is_no_number(tmp_path: Path, write_config: Write, call) -> None:
    settings = {**SHORT, "learning_rate": 1e36, "warmup": 0, "clip": 0}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    code, _, err = call("train", path)
    assert code == 2
    assert "the loss is no number any more after step" in err.splitlines()[-1]
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_the_bar_fits_a_terminal(tmp_path: Path, write_config: Write, start) -> None:
    """What a user sees at 80 columns: steps, time left, loss, speed, scores; it never wraps."""
    path = write_config(tmp_path, training=SHORT, model={"heads": CTC})
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 80))
    process = start("train", path, stderr=secondary, stdout=subprocess.DEVNULL)
    os.close(secondary)
    seen = b""
    while process.poll() is None or select.select([primary], [], [], 0)[0]:
        if select.select([primary], [], [], 0.1)[0]:
            try:
                seen += os.read(primary, 65536)
            except OSError:  # the other end is closed
                break
    os.close(primary)
    assert process.wait() == 0
    shown = [line for line in re.split(r"[\r\n]+", seen.decode()) if line.strip()]
    assert max(map(len, shown)) <= 80
    final = shown[-1]
    assert re.search(r"^100%\|.*\| 6/6 \[\d\d:\d\d<00:00, loss [\d.]+, [\d.e-]+ h/s, wer ", final)
    assert "cer" in final
