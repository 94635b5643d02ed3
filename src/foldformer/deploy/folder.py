"""An export: a folder with ONNX files, tokens, and `export.yaml`, which says what they want."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from foldformer.deploy.memory import Memory
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec, from_dict, read_yaml

FORMAT = 1
DESCRIPTION, TOKENS, CARD = "export.yaml", "tokens.txt", "README.md"

MODEL_CARD = "model.md"
"""The card of the model that was exported: data, licences, scores."""

MODEL = "model.yaml"
"""The configuration of the model that was exported, for whoever looks for its specs."""

PROVIDER, SMALL_PROVIDER = "provider.cfg", "provider-small.cfg"
"""Options for ONNX Runtime; the second, in int8 and int4 alone, where memory counts more than time:
weights that are multiplied in fp32 stay in whole numbers, and are taken to fp32 in each call."""

HEARING = "hear.py"
"""What hears recordings with the export of a Whisper, in plain ONNX Runtime."""

Kind = Literal[
    "offline-ctc", "offline-transducer", "offline-whisper", "streaming-ctc", "streaming-transducer"
]
Precision = Literal["fp32", "fp16", "int8", "int4"]
States = Literal["fp32", "int8"]
Runtime = Literal["sherpa-onnx", "onnxruntime"]
ModelType = Literal["zipformer_ctc", "transducer", "whisper", "zipformer2_ctc", "zipformer2"]

MODEL_TYPES: dict[Kind, ModelType] = {
    "offline-ctc": "zipformer_ctc",
    "offline-transducer": "transducer",
    "offline-whisper": "whisper",
    "streaming-ctc": "zipformer2_ctc",
    "streaming-transducer": "zipformer2",
}
"""The runtime's name of the layout of each kind."""

_FILES = {
    "ctc": ("model.onnx",),
    "transducer": ("encoder.onnx", "decoder.onnx", "joiner.onnx"),
    "whisper": ("encoder.onnx", "decoder.onnx"),
}
_BLOCK = 2**20


@dataclass(frozen=True, kw_only=True)
class FeatureSpec(Spec):
    """The features that the graph takes; the runtime makes them as Kaldi does, or as Whisper."""

    num_mels: int = 80
    """Log-mel energies a frame."""
    frame_length: float = 25.0
    """Milliseconds of a window."""
    frame_shift: float = 10.0
    """Milliseconds from one frame to the next."""
    window: str = "povey"
    """Shape of the window."""
    low: float = 20.0
    """Hz, lower end of the first triangle."""
    high: float = 7600.0
    """Hz, upper end of the last triangle."""
    preemphasis: float = 0.97
    """Coefficient of the pre-emphasis, after the mean of the window is removed."""
    dither: float = 0.0
    """Noise added to the samples."""
    snip_edges: bool = False
    """Whether windows that reach beyond the ends of the recording are left out, not mirrored."""


def whisper_features(num_mels: int) -> FeatureSpec:
    """Those of a Whisper with so many mel bands."""
    return FeatureSpec(num_mels=num_mels, window="hann", low=0.0, high=8000.0, preemphasis=0.0)


@dataclass(frozen=True, kw_only=True)
class StreamSpec(Spec):
    """How a stream is heard, in encoder frames (40 ms)."""

    chunk: int
    """Frames at a time; a token is at least so late as its chunk is not over."""
    left_context: int
    """Frames remembered before the chunk."""
    states: States = "fp32"
    """How what attention remembers of them is kept between chunks."""


@dataclass(frozen=True, kw_only=True)
class ProductsSpec(Spec):
    """Products with a weight; those inside of attention have none."""

    integer: int = 0
    """Computed in whole numbers."""
    stored: int = 0
    """Computed in fp32, with a weight that is stored in whole numbers."""
    total: int = 0
    """All."""


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """The model that the export was made of; `model.yaml` beside it has every spec."""

    name: str
    """Its folder, or the preset."""
    trained: bool
    """False for random weights, which are good for measuring alone."""
    text: str = "text"
    """What it writes: `text` recognises; `translation_en`, say, translates into English."""
    languages: tuple[str, ...] = ()
    """Languages of the speech that it was trained on."""
    parameters: int
    """Numbers in the files, those of other heads left out."""
    foldformer: str
    """Version of the library that made the export."""


@dataclass(frozen=True, kw_only=True)
class ExportSpec(Spec):
    """What `export.yaml` says."""

    format: int = FORMAT
    """Version of the folder's layout."""
    runtime: Runtime = "sherpa-onnx"
    """What it was exported for. The layout of inputs, outputs and metadata is that of sherpa-onnx
    in any case."""
    kind: Kind
    """Offline or streaming, and the head; a Whisper has its decoder for one."""
    precision: Precision = "fp32"
    """How weights are stored."""
    reduce_range: bool = False
    """Whether int8 weights of products go to 64 and not to 127: no processor cuts off sums then."""
    model_type: ModelType
    """The runtime's name of the layout."""
    vocab_size: int
    """Tokens, the blank (id 0) included."""
    sampling_rate: int = 16000
    """Of the samples that features are made of, in Hz; the runtime converts other rates."""
    features: FeatureSpec = field(default_factory=FeatureSpec)
    """What the graph takes."""
    frame_ms: int = 40
    """Milliseconds an output frame."""
    stream: StreamSpec | None = None
    """How a stream is heard; nothing for an offline export."""
    provider: dict[str, str] = field(default_factory=dict)
    """Options for ONNX Runtime, the lines of `provider.cfg`: provider="cpu:FOLDER/provider.cfg"."""
    onnxruntime: str = "1.21"
    """The oldest version that keeps shared weights once in memory."""
    weight_bytes: int
    """Bytes of the weights in the files; a shared weight counts once, because it is there once."""
    difference: float
    """The largest one to PyTorch with the same weights, as a share of the largest output."""
    difference_fp32: float | None = None
    """The same between the runtime, which rounds, and PyTorch with the weights in fp32."""
    products: ProductsSpec | None = None
    """What int8 and int4 made of the products."""
    checksums: dict[str, str] = field(default_factory=dict)
    """{file: its CRC-32}, of the ONNX files and the tokens; one that is not named here is taken as
    it is."""
    source: SourceSpec
    """What it was made of."""

    def __post_init__(self) -> None:
        if self.streams != (self.stream is not None):
            raise SpecError(f"stream: expected for streaming kinds alone, and kind is {self.kind}")

    @property
    def streams(self) -> bool:
        """Whether it hears a stream, chunk after chunk."""
        return self.kind.startswith("streaming")

    @property
    def stored(self) -> str:
        """How weights are stored, in words."""
        return f"{self.precision} of a reduced range" if self.reduce_range else self.precision

    @property
    def head(self) -> str:
        """ctc or transducer, or whisper."""
        return self.kind.rsplit("-", 1)[-1]

    @property
    def is_whisper(self) -> bool:
        """Whether it is that of a Whisper, and not of a model of ours."""
        return self.head == "whisper"

    @property
    def files(self) -> tuple[str, ...]:
        """The ONNX files; the encoder is in the first."""
        return _FILES[self.head]


def checksum(path: Path) -> str:
    """The CRC-32 of a file, 8 hexadecimal digits."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def provider_of(folder: Path, memory: Memory) -> Path | None:
    """The file with the options for ONNX Runtime; None if there is none, and its defaults hold."""
    names = (SMALL_PROVIDER, PROVIDER) if memory == "small" else (PROVIDER,)
    return next((folder / name for name in names if (folder / name).exists()), None)


def check_name(folder: Path) -> None:
    """Check that a runtime can be told of a folder.

    Raises:
        InputError: its name is not UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{folder}: its name is not UTF-8, and runtimes take no other; take another folder"
        ) from None


def is_export(folder: str | Path) -> bool:
    """Whether a folder means to be an export, be it a good one or not."""
    folder = Path(folder)
    return (folder / DESCRIPTION).exists() or any(folder.glob("*.onnx"))


def read_export(folder: str | Path) -> ExportSpec:
    """What the export in a folder is, after checking that its files are there.

    Raises:
        InputError: no such folder, its name is not UTF-8, it is no export, of a newer format, or a
            file is missing.
    """
    folder = Path(folder)
    check_name(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}; expected an export with {DESCRIPTION}")
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{path}: missing; is this an export? `foldformer export` makes one")
    data = read_yaml(path)
    newer = data.get("format")
    if isinstance(newer, int) and newer > FORMAT:
        raise InputError(
            f"{path}: format {newer} is newer than this version knows ({FORMAT}); update foldformer"
        )
    try:
        spec = from_dict(ExportSpec, data)
    except SpecError as error:
        raise InputError(f"{path}: {error}") from None
    options = [PROVIDER] if spec.provider else []
    for name in (*spec.files, TOKENS, *options):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: missing; export the model again")
    return spec
