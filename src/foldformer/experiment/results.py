"""The results of an experiment: JSON lines that are appended whole, counts of utterances beside."""

import errno
import gzip
import hashlib
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from foldformer.decode.bootstrap import Array
from foldformer.decode.measures import MEASURES
from foldformer.errors import InputError, SpecError
from foldformer.experiment.result import Result
from foldformer.experiment.spec import ExperimentSpec
from foldformer.files import complete_files
from foldformer.spec import from_dict, to_dict


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The counts of every utterance of a set, in the order of their ids.

    Attributes:
        utterances: a digest of the ids: two models are comparable if it is the same.
        counts: (N, M) as of the measure of the task.
    """

    utterances: str
    counts: Array


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a file of results holds.

    Attributes:
        path: the file.
        spec: the experiment as it was planned last; None in a file that is empty or missing.
        results: {TASK/CELL/SEED: result}; of several of the same name the last one.
        history: every result in the order of the lines, with the experiment as it was planned then;
            None where nothing says that.
    """

    path: Path
    spec: ExperimentSpec | None
    results: dict[str, Result]
    history: tuple[tuple[Result, ExperimentSpec | None], ...] = ()

    def last(self, name: str, before: int | None = None) -> int | None:
        """The place in the history of the last result of a run, before some place; None if none."""
        numbers = range(len(self.history) if before is None else before)
        return next((n for n in reversed(numbers) if self.history[n][0].name == name), None)

    def counts(self, result: Result) -> dict[str, Counted]:
        """{set: counts} of a result.

        Raises:
            InputError: the file is missing or damaged, or is that of another result.
        """
        file = self.path.parent / result.counts
        found = read_counts(file)
        here, said = (
            {name: len(each.counts) for name, each in found.items()},
            {name: each.utterances for name, each in result.scores.items()},
        )
        if here != said:
            raise InputError(
                f"{file}: has the counts of {_spoken(here)}; expected {_spoken(said)}, as the line "
                f"of {result.name} in {self.path.name} says: take both from the same place"
            )
        for name, each in found.items():
            value = _value(each.counts, result.measure)
            told = result.scores[name].by(result.measure).value
            if not math.isclose(value, math.inf if told is None else told, rel_tol=1e-6):
                raise InputError(
                    f"{file}: is of another result than the line of {result.name} in "
                    f"{self.path.name}: {result.measure.upper()} on {name} is {value:g} by the "
                    f"counts, {told} by the line; take both from the same place, or remove the "
                    "line and run the experiment again"
                )
        return found


def read_results(path: Path) -> Recorded:
    """The results in a file; one that does not exist holds none.

    A last line that was being written when the process or the machine died is none.

    Raises:
        InputError: the file is damaged; the message names the line.
    """
    spec: ExperimentSpec | None = None
    history: list[tuple[Result, ExperimentSpec | None]] = []
    try:
        *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as results: {error}") from None
    if not _is_torn(last):
        lines.append(last)
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            data = json.loads(line.decode())
        except (ValueError, RecursionError):  # a number of thousands of digits; brackets
            raise InputError(
                f"{where}: is not JSON; expected results of `foldformer experiment`"
            ) from None
        try:
            if isinstance(data, dict) and "plan" in data:
                spec = from_dict(ExperimentSpec, data["plan"], "plan")
            else:
                history.append((from_dict(Result, data), spec))
        except SpecError as error:
            raise InputError(f"{where}: {error}") from None
    results = {result.name: result for result, _ in history}
    return Recorded(path=path, spec=spec, results=results, history=tuple(history))


def _value(counts: Array, measure: Literal["wer", "bleu"]) -> float:
    """The score that counts give; none where they are those of another measure."""
    asked = MEASURES[measure]
    same = counts.shape[1] == asked.counts([""], [""]).shape[1]
    return asked.value(counts) if same else math.nan


def _spoken(utterances: Mapping[str, int]) -> str:
    """The sizes of sets, in words."""
    return ", ".join(f"{number} utterances of {name}" for name, number in utterances.items())


def append_plan(path: Path, spec: ExperimentSpec) -> None:
    """Note what is planned, unless the file says just that."""
    if read_results(path).spec != spec:
        _append(path, {"plan": to_dict(spec)})


def append_result(path: Path, result: Result, counts: Mapping[str, Counted]) -> None:
    """Write the counts beside the file, then the line: it stands for a whole result."""
    file = path.parent / result.counts
    with complete_files(file.parent) as beside:
        plain = {
            name: {"utterances": each.utterances, "counts": each.counts.astype(int).tolist()}
            for name, each in counts.items()
        }
        packed = gzip.compress(json.dumps(plain, separators=(",", ":")).encode(), mtime=0)
        (beside / file.name).write_bytes(packed)
    _append_line(path, result)


def _append_line(path: Path, result: Result) -> None:
    """Write the line of a result whose counts are there."""
    _append(path, to_dict(result))


def read_counts(path: Path) -> dict[str, Counted]:
    """{set: counts} of a file that `append_result` wrote.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
        return {
            name: Counted(
                utterances=str(each["utterances"]),
                counts=_rows(each["counts"]),
            )
            for name, each in data.items()
        }
    except (
        OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError,
        OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(
            f"{path}: is missing or damaged ({error}); it belongs to a line of the results: take "
            "both from the same place"
        ) from None


def _rows(counts: object) -> Array:
    found = np.array(counts, dtype=np.float64)
    if found.ndim != 2:
        raise ValueError("expected a row of counts for each utterance")
    return found


def mend_last_line(path: Path) -> str:
    """End a last line that lacks its newline alone; cut one that is torn, and return what it was.

    Only who holds the lock of the experiment may do that.
    """
    last = path.read_bytes().rpartition(b"\n")[2] if path.exists() else b""
    if not last:
        return ""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if not _is_torn(last):
            file.write(b"\n")
            return ""
        file.truncate(end - len(last))
    return last.decode(errors="replace")


def _is_torn(line: bytes) -> bool:
    """Whether a line was not written to its end: our lines are JSON from the last letter on."""
    try:
        json.loads(line.decode())
    except (ValueError, RecursionError):
        return True
    return False


def _append(path: Path, data: Mapping[str, object]) -> None:
    """One line in one write, on the disk before anything else happens."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    line = text.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            whole = file.tell()
            if file.write(line) < len(line):  # the next line would go on from a torn one
                file.truncate(whole)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def digest_of(ids: Iterable[str]) -> str:
    """What stands for the utterances of a set."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
