"""Two processes train together: they do what one would with all of their batches.

What they do is in together.py, which is run once.
"""

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from foldformer.data.batches import texts_of
from foldformer.data.tokens import TokensSpec
from foldformer.data.training import TrainLoader
from foldformer.train.config import TrainConfig
from foldformer.train.run import train

SCRIPT = Path(__file__).with_name("together.py")
STRATEGIES = ("ddp", "fsdp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("together")
    done = subprocess.run(
        [sys.executable, SCRIPT, into],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """What each of the two processes found."""
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("together", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def state_of(folder: Path) -> dict[str, Any]:
    """What a run goes on from, but for the time that it took."""
    state: dict[str, Any] = torch.load(folder / "training" / "last.ckpt", weights_only=True)
    curve = state["callbacks"]["Curve"]
    for times in ({"seconds": curve.pop("spent")}, *curve["rows"]):
        assert times.pop("seconds") >= 0
    return state


@contextmanager
def warnings_of(logger: str) -> Iterator[list[str]]:
    """What a logger warns of."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger(logger).addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger(logger).removeHandler(handler)


def flat(value: object, name: str = "") -> dict[str, object]:
    """Nested dicts and lists as one dict with dotted names."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, object] = {}
    for key, each in value.items():
        found |= flat(each, f"{name}.{key}")
    return found


@pytest.mark.parametrize(
    ("key", "alone"),
    [("ddp 1", 1), ("ddp 2", 2), ("fsdp 1", 1), ("fsdp 2", 2), ("cycle", "cycle")]
    + [(f"taught {n}", f"taught {n}") for n in (1, 2)],
)
def test_the_gradient_is_that_of_all_batches_in_one(
    folder: Path, found: list[dict[str, Any]], key: str, alone: object
) -> None:
    """In float64; of one batch or two a process, with a teacher or without one, and for layers that
    come again later in depth."""
    wanted = torch.load(folder / "alone.pt")[alone]
    gradient = found[0][f"gradient {key}"]
    assert gradient.keys() == wanted.keys()
    assert all(g.any() for g in wanted.values())
    for name, expected in wanted.items():
        torch.testing.assert_close(gradient[name], expected, rtol=1e-10, atol=1e-14)


def test_a_layer_is_put_together_twice_and_reduced_once_for_all_its_uses(
    found: list[dict[str, Any]],
) -> None:
    for each in found:
        counts = each["calls"]
        gathers = {key: n for key, n in counts.items() if "layers" in key}
        assert sorted(gathers.values()) == [2, 2]
        assert sum(n for key, n in counts.items() if "reduce" in key) == 3  # two layers, the rest


def test_a_head_without_a_weight_keeps_nobody_waiting(found: list[dict[str, Any]]) -> None:
    assert [each["without a weight"] for each in found] == [2, 2]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_step_that_is_not_finite_for_one_is_left_out_by_both(
    folder: Path, found: list[dict[str, Any]], strategy: str
) -> None:
    first, second = (each[f"not finite {strategy}"] for each in found)
    for each in (first, second):
        assert each["kept"] == [True]  # after the first bad step the weights of the step before
        assert each["skipped"] == 2
    bad = folder / f"bad-{strategy}"
    assert sorted(path.name for path in bad.iterdir()) == [
        "bad-batch-2-1.safetensors",
        "bad-batch-3-1.safetensors",
    ]
    # Both have ended, and one says why.
    assert f"step 3: the loss is not finite; utterance u1; written to {bad}" in first["error"]
    assert second["error"] == "SystemExit(2)"


def test_what_they_agree_on(found: list[dict[str, Any]]) -> None:
    first, second = (each["agreements"] for each in found)
    assert first.pop("error") == "InputError('no such thing')"
    assert second.pop("error") == "SystemExit(2)"
    assert first == second
    assert first == {
        "total": 7,
        "largest": 5,
        "gathered": [{"rank": 0}, {"rank": 1}],
        "first": "of 0",
    }


def test_a_folder_that_another_run_holds_is_refused_by_all(found: list[dict[str, Any]]) -> None:
    assert "another process is training this model" in found[0]["locked"]
    assert found[1]["locked"] == "SystemExit(2)"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_signal_to_one_stops_both_and_they_go_on_exactly(
    folder: Path, found: list[dict[str, Any]], strategy: str
) -> None:
    stopped = [each["trainings"][strategy] for each in found]
    assert stopped[0].startswith("Stopped('stopped ")
    assert stopped[1] == "SystemExit(143)"
    whole, again = folder / strategy, folder / f"{strategy}-stopped"
    for name in ("model.safetensors", "config.yaml", "tokens.txt", "training/best.json"):
        assert (whole / name).read_bytes() == (again / name).read_bytes(), name
    ours, theirs = flat(state_of(whole)), flat(state_of(again))
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        same = torch.equal(value, theirs[key]) if torch.is_tensor(value) else value == theirs[key]
        assert same, key


def test_shards_leave_what_copies_leave(folder: Path) -> None:
    """The same files with the same tensors; sums are rounded in another order."""
    copies, shards = (load_file(folder / name / "model.safetensors") for name in STRATEGIES)
    assert copies.keys() == shards.keys()
    for name, weight in copies.items():
        torch.testing.assert_close(shards[name], weight, rtol=1e-3, atol=1e-4)
    ours, theirs = (flat(state_of(folder / name)) for name in STRATEGIES)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        if torch.is_tensor(value):
            assert value.shape == theirs[key].shape, key
            assert value.dtype == theirs[key].dtype, key


def position_after(config: TrainConfig, batches: int) -> tuple[int, int]:
    tokens = TokensSpec().build(texts_of(config.data.train))
    plan = TrainLoader(config.data, tokens, config.seed).share()
    return [next(plan).position for _ in range(batches)][-1]


@pytest.fixture(scope="module")
def fewer(folder: Path, script: Any) -> dict[str, str]:
    """One process goes on where two have stopped; what it warned of."""
    warned = {}
    for name in STRATEGIES:
        assert state_of(folder / f"fewer-{name}")["global_step"] == 8
        with warnings_of("foldformer.train.callbacks") as said:
            train(script.config_of(folder, f"fewer-{name}", steps=11), accept_changes=True)
        warned[name] = "".join(said)
    return warned


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_process_goes_on_at_the_right_utterance(
    folder: Path, script: Any, fewer: dict[str, str], strategy: str
) -> None:
    """Two have done 8 steps with a batch each; one does 3 more."""
    assert "goes on with 1 training process in place of 2" in fewer[strategy]
    state = state_of(folder / f"fewer-{strategy}")
    assert state["global_step"] == 11
    position = position_after(script.config_of(folder, ""), 8 * 2 + 3)
    assert state["callbacks"]["DataPosition"] == {"position": position, "processes": 1}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_go_on_at_the_right_utterance(
    folder: Path, script: Any, strategy: str
) -> None:
    """One has done 8 steps with a batch each; two do 3 more."""
    state = state_of(folder / f"more-{strategy}")
    assert state["global_step"] == 11
    position = position_after(script.config_of(folder, ""), 8 + 3 * 2)
    assert state["callbacks"]["DataPosition"] == {"position": position, "processes": 2}


@pytest.mark.usefixtures("fewer")
@pytest.mark.parametrize("run", ["fewer", "more"])
def test_with_another_number_of_processes_shards_go_on_as_copies_do(folder: Path, run: str) -> None:
    """Weights, averages and the state of the optimiser are taken up by each."""
    ours, theirs = (flat(state_of(folder / f"{run}-{name}")) for name in STRATEGIES)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        if torch.is_tensor(value) and value.is_floating_point():
            torch.testing.assert_close(theirs[key], value, rtol=1e-3, atol=1e-4, msg=key)
        elif "lr" in key or "step" in key:
            assert (
                torch.equal(value, theirs[key]) if torch.is_tensor(value) else value == theirs[key]
            )


@pytest.mark.parametrize(("kind", "apart"), [("fp32", 1e-4), ("fp16", 0.02)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_half_precision_summed_gradients_and_recomputed_activations(
    folder: Path, strategy: str, kind: str, apart: float
) -> None:
    """The gradient of two batches in each of two processes is that of four in one.

    In half precision the factor of the loss was too large at first, and steps were left out until
    it fitted; the last one was taken. The one process keeps all activations.
    """
    alone, both = (state_of(folder / f"{kind}-{name}") for name in ("alone", strategy))
    assert alone["global_step"] == both["global_step"] == 9
    for state in (alone, both) if kind == "fp16" else ():
        assert 1 < state["MixedPrecision"]["scale"] < 2**16
        assert state["MixedPrecision"]["_growth_tracker"] > 0
    ours, theirs = (state["optimizer_states"][0]["state"] for state in (alone, both))
    assert ours.keys() == theirs.keys()
    for index, state in ours.items():
        wanted, found = state["exp_avg"], theirs[index]["exp_avg"]
        assert (found - wanted).norm() <= apart * wanted.norm(), index
    # The residuals begin as zeros times something, which has no gradient yet.
    assert sum(bool(state["exp_avg"].any()) for state in ours.values()) > len(ours) / 2
