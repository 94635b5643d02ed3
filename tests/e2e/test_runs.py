"""What a training run promises: the same again, on from where it was stopped, and other ways."""

import gzip
import json
import os
import pty
import re
import resource
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
from foldformer.train.curve import read_curve
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
        torch.load(tmp_path / name / "training" / "last.ckpt", weights_only=True)
        for name in ("whole", "stopped")
    ]
    assert states[0]["global_step"] == states[1]["global_step"] == 7
    places = [state["callbacks"]["DataPosition"] for state in states]
    assert places[0] == places[1]
    assert equal(states[0]["current_model_state"], states[1]["current_model_state"])
    assert equal(states[0]["state_dict"], states[1]["state_dict"])
    curves = [read_curve(tmp_path / name / "training") for name in ("whole", "stopped")]
    assert [row["step"] for row in curves[0]] == [3, 6, 7]
    for rows in curves:  # everything but the time that it took
        seconds = [row.pop("seconds") for row in rows]
        assert sorted(seconds) == seconds
        assert 0 < rows[0]["hours"] < rows[1]["hours"] < rows[2]["hours"]
        assert rows[0].keys() == {"step", "hours", "loss", "wer", "cer"}
    assert curves[0] == curves[1]


def test_a_finished_run_again_and_longer(tmp_path: Path, write_config: Write, call) -> None:
    path = write_config(tmp_path, training=SHORT, model={"heads": CTC})
    code, first, _ = call("train", path)
    assert code == 0
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert call("train", path)[:2] == (0, first)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    code, _, err = call("train", path, "--training.steps", 9)
    assert code == 2
    assert "in another way: training.steps 6 -> 9; go on all the same with --accept-changes" in err
    code, _, err = call("train", path, "--accept-changes", "--training.steps", 9)
    assert code == 0, err
    last = torch.load(tmp_path / "model" / "training" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 9
    steps = ("--training.steps", 12)
    rates = ("--training.learning_rate", 1e-30, "--training.residual_rate", 0.125)
    code, _, err = call("train", path, "--accept-changes", *steps, *rates)
    assert code == 0, err
    still = torch.load(tmp_path / "model" / "training" / "last.ckpt", weights_only=True)
    assert still["global_step"] == 12
    assert equal(still["state_dict"], last["state_dict"])
    code, _, err = call(
        "train", path, "--accept-changes", *steps, *rates, "--model.encoder.uses", 1
    )
    assert code == 2
    assert "model.encoder.uses 3 -> 1; it cannot go on with model.encoder.uses changed" in err


def test_killed_outright_it_ends_with_the_same_weights(
    tmp_path: Path, write_config: Write, call, start
) -> None:
    """With a process that prepares the batches, and outlives the one that trains for a while."""
    steps = {"steps": 24, "validate_every": 6, "save_every": 2, "warmup": 2, "ema": 0.9}
    settings = {
        "training": steps | {"accumulate": 2},
        "data": {"augmentation": {}, "num_workers": 1, "max_duration": 12, "max_utterance": 12},
        "model": {"heads": [{"kind": "ctc", "dropout": 0.1}]},
    }
    path = write_config(tmp_path, **settings)
    folder, whole = tmp_path / "model", tmp_path / "whole"
    assert call("train", path)[0] == 0
    folder.rename(whole)
    process = start("train", path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (folder / "model.safetensors").exists():  # written at step 6
        assert process.poll() is None
        time.sleep(0.02)
    code, _, err = call("train", path)  # a second one
    assert code == 2
    assert "another process is training this model; wait for its end" in err
    assert process.poll() is None
    process.kill()
    process.wait()
    at = torch.load(folder / "training" / "last.ckpt", weights_only=True)["global_step"]
    assert 6 <= at < 24
    assert api.load(folder).model.spec.vocab_size  # whole, whatever it was doing
    code, _, err = call("train", path)
    assert code == 0, err
    for name in ("model.safetensors", "config.yaml", "tokens.txt", "README.md"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


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


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
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
    state = torch.load(tmp_path / "mean" / "training" / "last.ckpt", weights_only=True)
    plain, mean = weights(tmp_path / "plain"), weights(tmp_path / "mean")
    raw = {name.removeprefix("model."): t for name, t in state["current_model_state"].items()}
    assert equal(raw, plain)
    assert equal({n.removeprefix("model."): t for n, t in state["state_dict"].items()}, mean)
    assert not equal(mean, plain)


def test_losses_that_are_no_numbers(tmp_path: Path, write_config: Write, call, foldformer) -> None:
    """The first step throws the weights so far that every loss after it overflows."""
    settings = {**SHORT, "learning_rate": 1e36, "warmup": 0, "clip": 0, "save_every": 1}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    done = foldformer("train", path, "--skip-bad-batches", 2)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if "is not finite; utterance" in line]
    assert len(said) == 3
    assert said[0].endswith("left out: 1 of 2")
    assert said[1].endswith("left out: 2 of 2")
    state = tmp_path / "model" / "training"
    error = f"foldformer: error: step 4: the loss is not finite; utterances? .*; written to {state}"
    assert re.match(error, said[2])
    assert "2 were left out before; look at these utterances, choose a lower learning" in said[2]
    files = sorted(path.name for path in state.glob("bad-batch-*"))
    assert files == [f"bad-batch-{step}.safetensors" for step in (2, 3, 4)]
    last = torch.load(state / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3
    code, _, err = call("train", path)  # it goes on, and comes to the same step
    assert code == 2
    assert "step 4: the loss is not finite" in err.splitlines()[-1]


def test_a_manifest_that_changed_while_the_run_was_stopped(
    tmp_path: Path, write_config: Write, call, start, corpus: Path
) -> None:
    """The run was killed, and had no time to notice anything."""
    manifest = tmp_path / "train.jsonl"
    with gzip.open(corpus / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        cuts = [json.loads(line) for line in lines]
    for cut in cuts:
        source = cut["recording"]["sources"][0]
        source["source"] = str(corpus / source["source"])
    manifest.write_text("".join(json.dumps(cut) + "\n" for cut in cuts))
    settings = {**SHORT, "steps": 100000, "validate_every": 2}
    data = {"train": str(manifest)}
    path = write_config(tmp_path, training=settings, model={"heads": CTC}, data=data)
    last = tmp_path / "model" / "training" / "last.ckpt"
    process = start("train", path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not last.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    step = torch.load(last, weights_only=True)["global_step"]
    manifest.write_text("".join(json.dumps(cut) + "\n" for cut in cuts[1:]))
    before = last.read_bytes()
    code, out, err = call("train", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{manifest} says something else; go on all the same with --accept-changes" in err
    assert last.read_bytes() == before
    end = ("--training.steps", step + 2)
    assert call("train", path, *end, "--accept-changes")[0] == 0
    assert torch.load(last, weights_only=True)["global_step"] == step + 2
    assert call("train", path, *end)[0] == 0  # what was accepted is what the run has now


@pytest.mark.parametrize("limit_kb", [60, 200])
def test_a_disk_that_is_full(
    tmp_path: Path, write_config: Write, call, foldformer, limit_kb: int
) -> None:
    """No file may grow beyond the limit: at first not the model's, then not the checkpoint."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_kb * 1000, limit_kb * 1000))

    settings = {**SHORT, "steps": 12, "save_every": 6}
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    short = {**settings, "steps": 6}
    assert call("train", write_config(tmp_path, training=short, model={"heads": CTC}))[0] == 0
    folder = tmp_path / "model"
    kept = {name: (folder / name).read_bytes() for name in ("model.safetensors", "README.md")}
    last = (folder / "training" / "last.ckpt").read_bytes()
    path = write_config(tmp_path, training=settings, model={"heads": CTC})
    done = foldformer("train", path, "--accept-changes", preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    final = done.stderr.splitlines()[-1]
    assert re.fullmatch(rf"foldformer: error: {folder}(/training)?: cannot be written: .*", final)
    assert (folder / "training" / "last.ckpt").read_bytes() == last
    if limit_kb < 100:
        assert {name: (folder / name).read_bytes() for name in kept} == kept
    code, _, err = call("train", path)
    assert code == 0, err
    assert torch.load(folder / "training" / "last.ckpt", weights_only=True)["global_step"] == 12


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
