"""Exports in sherpa-onnx: how they are opened, and what it refuses."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from foldformer.data.durations import LONGEST
from foldformer.data.tokens import Tokens
from foldformer.deploy.first_chunk import hear_first_chunk
from foldformer.deploy.folder import TOKENS, ExportSpec, provider_of
from foldformer.deploy.hotwords import Hotwords
from foldformer.deploy.memory import Loading, Memory, give_back
from foldformer.deploy.pieces import find_vocabulary
from foldformer.deploy.processor import inexact
from foldformer.errors import InputError, MissingExtraError, SpecError

_MOST = 1000
"""Hypotheses, or threads: far more than are of any use, and few enough to be made."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How an export is searched, and when a stream has come to the end of a segment.

    Attributes:
        beam: hypotheses kept; 1 is greedy. More want a transducer.
        hotwords: phrases to prefer; they want a beam of 2 or more.
        endpoint: seconds of silence after words that end a segment of a stream; twice as many end
            one without words. None: nothing does.
        longest: seconds after which a segment ends in any case, where there are endpoints.
        threads: of the runtime.
        memory: what is kept of what loading took, and from chunk to chunk; of the whole process,
            see `foldformer.deploy.memory.Memory`.
    """

    beam: int = 1
    hotwords: Hotwords | None = None
    endpoint: float | None = None
    longest: float = LONGEST
    threads: int = 1
    memory: Memory = "quick"

    def check(self, spec: ExportSpec) -> None:
        """Compare with what an export can do.

        Raises:
            SpecError: it cannot do that.
        """
        for name, number in (("beam", self.beam), ("threads", self.threads)):
            if number < 1:
                raise SpecError(f"{name}: expected 1 or more, got {number}")
            if number > _MOST:
                raise SpecError(f"{name}: expected {_MOST} at most, got {number}")
        if self.memory not in get_args(Memory):
            known = ", ".join(get_args(Memory))
            raise SpecError(f"memory: expected one of {known}, got {self.memory!r}")
        if self.hotwords is not None and not isinstance(self.hotwords, Hotwords):
            raise SpecError(
                f"hotwords: expected Hotwords(phrases), got {type(self.hotwords).__name__}"
            )
        if self.hotwords is not None and not math.isfinite(self.hotwords.score):
            raise SpecError(f"hotwords: expected a finite score, got {self.hotwords.score}")
        if self.beam > 1 and spec.head != "transducer":
            raise SpecError(
                f"beam: sherpa-onnx searches a {spec.head} export greedily; leave it out, or "
                "export a transducer head"
            )
        if self.hotwords is not None and spec.head != "transducer":
            raise SpecError(
                f"hotwords: sherpa-onnx takes them for a transducer, and this export has a "
                f"{spec.head} head; export a transducer head"
            )
        if self.hotwords is not None and self.beam < 2:
            raise SpecError("hotwords: they need several hypotheses; add --beam 4 (beam=4)")
        if self.endpoint is not None and not spec.streams:
            raise SpecError(
                "endpoint: only a stream has one, and this export hears whole recordings; export "
                "with --streaming"
            )
        for name, seconds in (("endpoint", self.endpoint), ("longest", self.longest)):
            if seconds is None:
                continue
            if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
                raise SpecError(f"{name}: expected more than 0 seconds, got {seconds!r}")


@dataclass(frozen=True)
class Opening:
    """How sherpa-onnx opens an export: `getattr(sherpa_onnx.KIND, MAKER)(**options)`."""

    kind: str
    maker: str
    options: dict[str, Any]


def opening(folder: Path, spec: ExportSpec, decoding: Decoding) -> Opening:
    """How to open an export, all but the hotwords.

    Raises:
        SpecError: the export cannot do what `decoding` says.
    """
    decoding.check(spec)
    options: dict[str, Any] = {
        "tokens": str(folder / TOKENS),
        "num_threads": decoding.threads,
        "provider": _provider(folder, decoding.memory),
        **{name.removesuffix(".onnx"): str(folder / name) for name in spec.files},
    }
    if decoding.endpoint is not None:
        options |= {
            "enable_endpoint_detection": True,
            "rule1_min_trailing_silence": 2 * decoding.endpoint,
            "rule2_min_trailing_silence": decoding.endpoint,
            "rule3_min_utterance_length": decoding.longest,
        }
    if decoding.beam > 1:
        options |= {"decoding_method": "modified_beam_search", "max_active_paths": decoding.beam}
    kind = "OnlineRecognizer" if spec.streams else "OfflineRecognizer"
    if spec.is_whisper:
        return Opening(kind, "from_whisper", options)
    if spec.head == "ctc":
        return Opening(kind, _ctc(spec), options)
    # Without the type, sherpa-onnx loads the encoder twice to find it out.
    return Opening(kind, "from_transducer", options | {"model_type": spec.model_type})


def open_runtime(folder: Path, spec: ExportSpec, tokens: Tokens, decoding: Decoding) -> Any:
    """sherpa-onnx's recogniser of an export that `check_export` has found good.

    Raises:
        SpecError: the export cannot do what `decoding` says.
        InputError: ONNX Runtime refuses the files.
        MissingExtraError: sherpa-onnx is not installed.
    """
    how = opening(folder, spec, decoding)
    give_back(decoding.memory)
    try:
        import sherpa_onnx
    except ModuleNotFoundError as error:
        if error.name != "sherpa_onnx":
            raise
        raise MissingExtraError("sherpa-onnx", "device") from None
    if not set(spec.files) <= set(spec.checksums):
        try_apart(folder, how)
    make = getattr(getattr(sherpa_onnx, how.kind), how.maker)
    loading = Loading(decoding.memory)
    with _hotwords(folder, tokens, decoding.hotwords) as hotwords, refusals(folder):
        runtime = make(**how.options, **hotwords)
        if spec.stream is not None:
            hear_first_chunk(runtime, spec.stream.chunk)
    loading.end()
    if warning := inexact(spec):
        import logging  # which a stream does without

        logging.getLogger(__name__).warning("%s: %s", folder, warning)
    return runtime


@contextmanager
def _hotwords(folder: Path, tokens: Tokens, hotwords: Hotwords | None) -> Iterator[dict[str, Any]]:
    """The runtime's options for phrases, whose file is there for as long as it loads."""
    if hotwords is None:
        yield {}
        return
    import tempfile  # 0.7 MB that few streams need

    with tempfile.TemporaryDirectory() as beside:
        yield {
            "hotwords_file": str(hotwords.write(Path(beside), tokens)),
            "hotwords_score": hotwords.score,
            "modeling_unit": "bpe",
            "bpe_vocab": str(find_vocabulary(folder, tokens)),
        }


_TRIAL = """
import json, sys
import sherpa_onnx
kind, maker, options = json.loads(sys.argv[1])
getattr(getattr(sherpa_onnx, kind), maker)(**options)
"""


def try_apart(folder: Path, how: Opening) -> None:
    """Open an export in a process of its own: what nobody vouches for may make sherpa-onnx end it.

    Raises:
        InputError: it cannot be opened.
    """
    import subprocess  # 0.5 MB that exports with checksums do not need

    words = json.dumps([how.kind, how.maker, how.options])
    ran = subprocess.run(
        [sys.executable, "-c", _TRIAL, words], capture_output=True, text=True, errors="replace"
    )
    if ran.returncode:
        said = ran.stderr.strip() or f"its process ended with {ran.returncode}"
        reason = said.splitlines()[-1]
        raise InputError(f"{folder}: sherpa-onnx cannot open it ({reason}); export the model again")


@contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """What ONNX Runtime says against the files of an export is one line.

    Raises:
        InputError: it has said something.
    """
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder}: ONNX Runtime refuses it ({reason}); export the model again"
        ) from None


def _ctc(spec: ExportSpec) -> str:
    return "from_zipformer2_ctc" if spec.streams else "from_zipformer_ctc"


def _provider(folder: Path, memory: Memory) -> str:
    """The CPU, with the export's options for ONNX Runtime."""
    path = provider_of(folder, memory)
    return "cpu" if path is None else f"cpu:{path}"
