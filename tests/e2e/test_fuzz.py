"""Whatever bytes stand in its files, the command ends soon, with one clear line or a result."""

import gzip
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Call = Callable[..., tuple[int, str, str]]

CASES = 125  # a test, of four
SECONDS = 30  # far more than any case takes
fuzzed = settings(
    max_examples=CASES,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Edits = list[tuple[str, float, bytes]]
KINDS = ["replace", "insert", "delete", "truncate", "repeat"]


def edits(max_size: int = 4) -> st.SearchStrategy[Edits]:
    """What is done to a file, and where, as a share of its length."""
    place = st.floats(0, 1)
    return st.lists(
        st.tuples(st.sampled_from(KINDS), place, st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=max_size,
    )


def edited(data: bytes, changes: Edits) -> bytes:
    for kind, where, new in changes:
        at = int(where * len(data))
        rest = data[at:]
        if kind == "replace":
            data = data[:at] + new + rest[len(new) :]
        elif kind == "insert":
            data = data[:at] + new + rest
        elif kind == "delete":
            data = data[:at] + rest[len(new) :]
        elif kind == "truncate":
            data = data[:at]
        else:
            data = data[:at] + rest[: 16 * len(new)] + rest
    return data


def text_edits() -> st.SearchStrategy[Edits]:
    """Beside arbitrary bytes, those that mean something to a parser."""
    meaning = st.sampled_from(
        [b"-", b"0", b"9", b".", b"e9", b": ", b"\n", b"null", b"{", b"}", b"[", b"]", b'"', b"'",
         b"~", b"*", b"&", b"!", b"#", b",", b"\t", b"nan", b"inf", b"true", b"\xc3\xa9"]
    )  # fmt: skip
    new = st.one_of(meaning, st.binary(min_size=1, max_size=4))
    return st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 1), new), min_size=1, max_size=4)


@contextmanager
def soon() -> Iterator[None]:
    """Fail where the command hangs."""

    def hang(number: int, frame: object) -> None:
        raise AssertionError(f"still running after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def clear(result: tuple[int, str, str]) -> None:
    """A result, or one line that says what is wrong; a check lists all that is."""
    code, out, err = result
    assert code in (0, 2), err
    assert "Traceback" not in out + err
    if code == 2 and "training cannot start" not in out:
        errors = [line for line in err.splitlines() if line.startswith("foldformer: error: ")]
        assert len(errors) == 1, err


@pytest.fixture(scope="module")
def sources(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One short recording in three formats: {suffix: bytes}."""
    folder = tmp_path_factory.mktemp("sources")
    samples, rate = soundfile.read(recordings[0])
    found = {}
    for suffix in ("wav", "flac", "ogg"):
        path = folder / f"a.{suffix}"
        soundfile.write(path, samples[: 2 * rate], rate)
        found[suffix] = path.read_bytes()
    return found


@fuzzed
@given(
    suffix=st.sampled_from(["wav", "flac", "ogg"]), changes=edits(), other=st.binary(max_size=99)
)
def test_audio(
    sources: dict[str, bytes],
    model: Path,
    tmp_path: Path,
    call: Call,
    suffix: str,
    changes: Edits,
    other: bytes,
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(other if len(changes) == 4 else edited(sources[suffix], changes))
    with soon():
        clear(call("transcribe", model, path))


@pytest.fixture(scope="module")
def one_cut(corpus: Path) -> bytes:
    """The first line of the test manifest; its recording is found from the corpus's folder."""
    with gzip.open(corpus / "test.jsonl.gz", "rb") as lines:
        return next(lines)


@fuzzed
@given(changes=text_edits(), lines=st.integers(1, 2), packed=st.booleans())
def test_manifest(
    one_cut: bytes,
    corpus: Path,
    model: Path,
    call: Call,
    changes: Edits,
    lines: int,
    packed: bool,
) -> None:
    data = edited(one_cut * lines, changes)
    path = corpus / ("fuzzed.jsonl.gz" if packed else "fuzzed.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    try:
        with soon():
            clear(call("evaluate", model, path))
    finally:
        path.unlink()


@fuzzed
@given(changes=text_edits())
def test_configuration(
    write_config: Callable[..., Path], tmp_path: Path, call: Call, changes: Edits
) -> None:
    path = write_config(tmp_path)
    path.write_bytes(edited(path.read_bytes(), changes))
    with soon():
        clear(call("train", path, "--check"))
    assert not (tmp_path / "model").exists()


@fuzzed
@given(file=st.sampled_from(["config.yaml", "model.safetensors", "tokens.txt"]), changes=edits())
def test_model_folder(
    model: Path, recordings: list[Path], tmp_path: Path, call: Call, file: str, changes: Edits
) -> None:
    folder = tmp_path / "model"
    if not folder.exists():
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("training"))
    (folder / file).write_bytes(edited((model / file).read_bytes(), changes))
    try:
        with soon():
            clear(call("transcribe", folder, recordings[0]))
    finally:
        shutil.copy(model / file, folder / file)
