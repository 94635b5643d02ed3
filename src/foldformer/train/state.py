"""The folder `training` in a model folder: all that lets the same command go on after a stop."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from foldformer.checkpoint import complete_files
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, read_yaml, to_dict
from foldformer.train.config import TrainConfig

STATE = "training"
"""Subfolder of the model folder with everything that only training needs."""

LAST = "last.ckpt"
"""Weights, optimiser, schedule and position in the data; a pickle: for our own use alone."""

_CONFIG, _BEST, _LOCK = "config.yaml", "best.json", "lock"
_FIXED = ("data.text", "tokens", "model", "training.ema", "seed")  # what a checkpoint depends on


@contextmanager
def sole_run(state: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the system lets go of it when the process ends.

    Raises:
        InputError: another process trains into it, or it cannot be written.
    """
    with complete_files(state):  # makes the folder, or says why not
        pass
    with (state / _LOCK).open("w") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{state.parent}: another process is training this model; wait for its end, "
                    "or choose another `output`"
                ) from None
        yield


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be made, before time is spent on it; nothing is made.

    Raises:
        InputError: it, or the place where it would be, is a file.
    """
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            raise InputError(f"{place}: is a file; `output` names the folder to make: {folder}")


def check_same(state: Path, config: TrainConfig) -> None:
    """Refuse to go on with an earlier run that trains something else.

    Steps, learning rate, data and the like may change; what the checkpoint depends on may not.

    Raises:
        InputError: it does; the message names the keys.
    """
    path = state / _CONFIG
    try:
        earlier = to_dict(from_dict(TrainConfig, read_yaml(path)))
    except SpecError as error:
        raise InputError(f"{path}: {error}; remove {state} to begin anew") from None
    now = to_dict(config)
    changed = [d for key in _FIXED for d in _differences(_at(earlier, key), _at(now, key), key)]
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise InputError(
            f"{state}: holds a run with {changed[0]}{more}; choose another `output`, or remove "
            "this folder to begin anew"
        )


def _at(data: object, key: str) -> object:
    for part in key.split("."):
        assert isinstance(data, Mapping)
        data = data[part]
    return data


def _differences(earlier: object, now: object, where: str) -> list[str]:
    if earlier == now:
        return []
    if isinstance(earlier, Mapping) and isinstance(now, Mapping) and earlier.keys() == now.keys():
        return [d for key in now for d in _differences(earlier[key], now[key], f"{where}.{key}")]
    if isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        pairs = enumerate(zip(earlier, now, strict=True))
        return [d for i, (old, new) in pairs for d in _differences(old, new, f"{where}.{i}")]
    return [f"{where} = {_shown(earlier)}, not {_shown(now)}"]


def _shown(value: object) -> str:
    return "another value" if isinstance(value, (Mapping, list)) else json.dumps(value)


def check_checkpoint(state: Path) -> None:
    """Refuse a checkpoint that cannot be read.

    Raises:
        InputError: it is damaged, or none of ours.
    """
    path = state / LAST
    try:
        # Our own file. Memory-mapped, since no tensor is looked at.
        torch.load(path, map_location="cpu", weights_only=False, mmap=True)["callbacks"]
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"{path}: is damaged or no checkpoint of foldformer ({type(error).__name__}: "
            f"{reason}); remove {state} to begin anew"
        ) from None


def read_best(state: Path) -> dict[str, float] | None:
    """The scores of the weights that stand in the model folder; None before the first."""
    try:
        best = json.loads((state / _BEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {name: float(value) for name, value in best.items()}


def write_best(state: Path, metrics: dict[str, float]) -> None:
    """Note the scores of the weights that stand in the model folder."""
    with complete_files(state) as beside:
        (beside / _BEST).write_text(json.dumps(metrics), encoding="utf-8")


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside the last one, then renames it: whatever happens, one is whole.

    Lightning's own way writes into the system's temporary folder, and the copy from there to
    another disk can be interrupted.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save to a local file."""
        path = Path(path)
        with complete_files(path.parent) as beside:
            torch.save(checkpoint, beside / path.name)
