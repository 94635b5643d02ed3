"""The folder `training` in a model folder: all that lets the same command go on after a stop."""

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from foldformer.checkpoint import CONFIG, WEIGHTS
from foldformer.errors import InputError
from foldformer.files import complete_files, remove_incomplete, sole_process
from foldformer.train.card import CARD

STATE = "training"
"""Subfolder of the model folder with everything that only training needs."""

LAST = "last.ckpt"
"""Weights, optimiser, schedule, averages, place in the data: what a next start goes on from."""

_BEST, _LOCK = "best.json", "lock"


@contextmanager
def sole_run(state: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the system lets go of it when the process ends.

    Raises:
        InputError: another process trains into it, or it cannot be written.
    """
    busy = (
        f"{state.parent}: another process is training this model; wait for its end, or choose "
        "another `output`"
    )
    with sole_process(state, _LOCK, busy) as file, _unshared(file):
        for folder in (state, state.parent):
            remove_incomplete(folder)
        yield


_held: set[IO[str]] = set()


@contextmanager
def _unshared(file: IO[str]) -> Iterator[None]:
    """Close a file in processes that are forked off: a lock would outlive its owner in them.

    Those that prepare batches live on for seconds when the process that trains is killed.
    """
    _held.add(file)
    try:
        yield
    finally:
        _held.discard(file)


def _close_held() -> None:
    for file in _held:
        file.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_held)


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be made, before time is spent on it; nothing is made.

    Raises:
        InputError: it, or the place where it would be, is a file; or it holds what was not trained
            there and would be replaced.
    """
    if not (folder / STATE).exists():
        for name in (CARD, CONFIG, WEIGHTS):
            if (folder / name).exists():
                raise InputError(
                    f"{folder / name}: would be replaced, and was not made by training into this "
                    "folder; let `output` name a new one"
                )
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            raise InputError(f"{place}: is a file; `output` names the folder to make: {folder}")


def how_to_go_on(folder: Path) -> str:
    """The end of a message about a training into this model folder that has stopped."""
    where = "the last saved step" if (folder / STATE / LAST).exists() else "the start"
    return f"the same command goes on from {where}"


def check_checkpoint(state: Path) -> None:
    """Refuse a checkpoint that cannot be read.

    Raises:
        InputError: it is damaged, or none of ours.
    """
    path = state / LAST
    try:
        # Tensors and plain data alone: nothing in the file is run. Memory-mapped, since no tensor
        # is looked at.
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)["callbacks"]
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"{path}: is damaged or no checkpoint of foldformer ({type(error).__name__}: "
            f"{reason}); remove {state.parent} to begin anew"
        ) from None


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
        with complete_files(path.parent) as beside, (beside / path.name).open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if "unexpected pos" not in str(error):
                    raise
                # How PyTorch says that the last bytes found no room.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            file.flush()
            os.fsync(file.fileno())  # a machine that breaks down leaves a whole one, too
