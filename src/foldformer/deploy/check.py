"""That a runtime can be given an export: bad files make sherpa-onnx end the whole process."""

from pathlib import Path
from typing import get_args

from foldformer.data.durations import ENCODER_FRAME_MS, SAMPLING_RATE
from foldformer.data.tokens import Tokens
from foldformer.deploy.folder import (
    DESCRIPTION,
    HEARING,
    MODEL_TYPES,
    PROVIDER,
    TOKENS,
    ExportSpec,
    FeatureSpec,
    checksum,
    provider_of,
    read_export,
    whisper_features,
)
from foldformer.deploy.memory import Memory
from foldformer.deploy.onnx_file import OnnxFile, read_onnx
from foldformer.errors import InputError

_FACTOR = 4
"""Feature frames an encoder frame, which the runtime takes for granted."""

_LAYOUT = (
    "num_encoder_layers", "encoder_dims", "query_head_dims", "value_head_dims", "num_heads",
    "cnn_module_kernels", "left_context_len",
)  # fmt: skip
"""Metadata of the layout `zipformer2`: as many numbers each as there are stacks."""

_STATES_A_LAYER, _OTHER_STATES = 6, 2

_WHISPER_FRAME_MS = 20
"""Of the output of a Whisper's encoder."""

_LARGEST = 2**31 - 1
"""Number that the runtime reads from metadata: it ends the process for a larger one."""


def check_any(folder: str | Path) -> ExportSpec:
    """What the export in a folder is, that of a Whisper too, after a look into every file.

    Raises:
        InputError: see `check_export`.
    """
    folder = Path(folder)
    spec = read_export(folder)
    if not spec.is_whisper:
        return check_export(folder)[0]
    _check_taken_for_granted(folder, spec)
    _check_providers(folder, spec)
    _check_whisper(folder, spec)
    _check_contents(folder, spec)
    return spec


def check_export(folder: str | Path) -> tuple[ExportSpec, Tokens]:
    """What the export of a model of ours is, and its tokens, after a look into every file.

    Raises:
        InputError: a file is missing, truncated, not readable, contradicts `export.yaml`, or is not
            the one that was exported; or it is the export of a Whisper.
    """
    folder = Path(folder)
    spec = read_export(folder)
    if spec.is_whisper:
        raise InputError(
            f"{folder}: is the export of a Whisper, and this command takes those of foldformer's "
            f"own models; python {folder / HEARING} RECORDING.wav hears with it"
        )
    _check_taken_for_granted(folder, spec)
    tokens = Tokens.load_symbols(folder)
    if tokens.vocab_size != spec.vocab_size:
        raise InputError(
            f"{folder / TOKENS}: has {tokens.vocab_size} tokens, but the export has "
            f"{spec.vocab_size}; it belongs to another model"
        )
    _check_providers(folder, spec)
    encoder = folder / spec.files[0]
    graph = read_onnx(encoder)
    if spec.stream is None:
        _check_calls(encoder, graph, 2, 2)
    else:
        _check_stream(encoder, graph, spec)
    if spec.head == "ctc":
        _expect(encoder, "its outputs for each frame", graph.outputs[0].shape[-1:], spec.vocab_size)
    else:
        _check_transducer(folder, spec)
    _check_contents(folder, spec)
    return spec, tokens


def _check_taken_for_granted(folder: Path, spec: ExportSpec) -> None:
    """What runtimes of this layout cannot be told otherwise."""
    frame_ms, features = ENCODER_FRAME_MS, FeatureSpec()
    if spec.is_whisper:
        frame_ms, features = _WHISPER_FRAME_MS, whisper_features(spec.features.num_mels)
    known = (
        ("model_type", spec.model_type, MODEL_TYPES[spec.kind]),
        ("sampling_rate", spec.sampling_rate, SAMPLING_RATE),
        ("frame_ms", spec.frame_ms, frame_ms),
        ("features", spec.features, features),
    )
    for key, found, expected in known:
        if found != expected:
            raise InputError(
                f"{folder / DESCRIPTION}: {key}: expected {expected} for {spec.kind}, got {found}; "
                "export the model again"
            )


def _check_stream(path: Path, graph: OnnxFile, spec: ExportSpec) -> None:
    assert spec.stream is not None
    frames = (_FACTOR * spec.stream.chunk,)
    for key in ("T", "decode_chunk_len"):
        _expect(path, f"metadata {key}", _numbers(path, graph, key), frames[0])
    _expect(path, "the frames of an input", graph.inputs[0].shape[1:2], frames[0])
    if graph.metadata.get("model_type") != "zipformer2":
        raise _contradiction(path, "metadata model_type", graph.metadata.get("model_type"))
    stacks = {key: len(_numbers(path, graph, key)) for key in _LAYOUT}
    if len(set(stacks.values())) > 1:
        raise _contradiction(path, "the number of stacks in the metadata", stacks)
    layers = sum(_numbers(path, graph, "num_encoder_layers"))
    states = _STATES_A_LAYER * layers + _OTHER_STATES
    _check_calls(path, graph, 1 + states, 1 + states)


def _check_transducer(folder: Path, spec: ExportSpec) -> None:
    decoder, joiner = (folder / name for name in spec.files[1:])
    graph = read_onnx(decoder)
    _check_calls(decoder, graph, 1, 1)
    _expect(decoder, "metadata vocab_size", _numbers(decoder, graph, "vocab_size"), spec.vocab_size)
    context = _numbers(decoder, graph, "context_size")
    _expect(decoder, "the tokens of an input", graph.inputs[0].shape[1:], context[0])
    graph = read_onnx(joiner)
    _check_calls(joiner, graph, 2, 1)
    _expect(joiner, "its outputs for each frame", graph.outputs[0].shape[-1:], spec.vocab_size)


def _check_whisper(folder: Path, spec: ExportSpec) -> None:
    encoder, decoder = (folder / name for name in spec.files)
    graph = read_onnx(encoder)
    _check_calls(encoder, graph, 1, 2)
    mels = spec.features.num_mels
    _expect(encoder, "metadata n_mels", _numbers(encoder, graph, "n_mels"), mels)
    _expect(encoder, "the bands of an input", graph.inputs[0].shape[1:2], mels)
    _expect(encoder, "metadata n_vocab", _numbers(encoder, graph, "n_vocab"), spec.vocab_size)
    graph = read_onnx(decoder)
    _check_calls(decoder, graph, 6, 3)
    _expect(decoder, "its outputs for each token", graph.outputs[0].shape[-1:], spec.vocab_size)


def _check_providers(folder: Path, spec: ExportSpec) -> None:
    """Options may be changed by hand; whoever measures with them is told so."""
    found = {memory: read_provider(folder, memory) for memory in get_args(Memory)}
    if found["quick"] != spec.provider:
        import logging  # which a stream does without

        logging.getLogger(__name__).warning(
            "%s: its options are not those in %s; they are taken as they are",
            folder / PROVIDER,
            DESCRIPTION,
        )


def _check_contents(folder: Path, spec: ExportSpec) -> None:
    """A weight that is damaged is still a number, and tokens in another order are still tokens: the
    runtime would write nonsense with them."""
    for name in (*spec.files, TOKENS):
        found, expected = checksum(folder / name), spec.checksums.get(name)
        if expected not in (None, found):
            raise InputError(
                f"{folder / name}: is damaged, or was changed after the export (its checksum is "
                f"{found}, expected {expected}); copy it again, or export the model again"
            )


def _check_calls(path: Path, graph: OnnxFile, inputs: int, outputs: int) -> None:
    """A runtime gives inputs by position; older files list weights among them."""
    given = [each for each in graph.inputs if each.name not in graph.weights]
    if (len(given), len(graph.outputs)) != (inputs, outputs):
        raise _contradiction(
            path,
            "the number of inputs and outputs",
            f"{len(given)} and {len(graph.outputs)}, expected {inputs} and {outputs}",
        )


def _numbers(path: Path, graph: OnnxFile, key: str) -> tuple[int, ...]:
    """The numbers of a key of the metadata.

    Raises:
        InputError: it is missing, or holds something else.
    """
    text = graph.metadata.get(key, "")
    numbers = text.split(",")
    digits = len(str(_LARGEST))
    if not all(
        n.isascii() and n.isdigit() and len(n) <= digits and int(n) <= _LARGEST for n in numbers
    ):
        raise _contradiction(path, f"metadata {key}", repr(text) if text else "missing")
    return tuple(map(int, numbers))


def _expect(path: Path, what: str, found: tuple[int, ...], expected: int) -> None:
    if found != (expected,):
        raise _contradiction(path, what, f"{', '.join(map(str, found))}, expected {expected}")


def _contradiction(path: Path, what: str, found: object) -> InputError:
    return InputError(f"{path}: does not fit export.yaml: {what}: {found}; export the model again")


def read_provider(folder: Path, memory: Memory = "quick") -> dict[str, str]:
    """The options for ONNX Runtime, lines of `key=value`; without the file, its defaults hold.

    Args:
        folder: of the export.
        memory: what is to be kept.

    Raises:
        InputError: a line is something else.
    """
    path = provider_of(folder, memory)
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        lines = ["?"]
    options = {}
    for number, line in enumerate(lines, start=1):
        key, equals, value = line.partition("=")
        if line and not (key and equals and value):
            raise InputError(f"{path}: line {number} is no key=value; export the model again")
        if line:
            options[key] = value
    return options
