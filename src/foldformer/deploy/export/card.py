"""README.md of an export: what it is, how large, how exact, and how to run it."""

import shlex
from collections.abc import Mapping

from foldformer.checkpoint import ModelConfig
from foldformer.data.durations import shown
from foldformer.deploy.folder import PROVIDER, TOKENS, ExportSpec


def export_card(spec: ExportSpec, sizes: Mapping[str, int], config: ModelConfig) -> str:
    """The card in Markdown.

    Args:
        spec: of the export.
        sizes: bytes of each ONNX file.
        config: of the model.
    """
    return "\n".join([_summary(spec, config), _sizes(spec, sizes), _use(spec)])


def _summary(spec: ExportSpec, config: ModelConfig) -> str:
    source, encoder = spec.source, config.model.encoder
    languages = ", ".join(source.languages) or "language not stated"
    task = (
        "Speech recognition" if source.text == "text" else f"Speech translation (`{source.text}`)"
    )
    uses = encoder.uses if isinstance(encoder.uses, int) else list(encoder.uses)
    lines = [
        f"# {task} on the device, {languages}",
        "",
        f"`{source.name}`, exported for {spec.runtime} by foldformer {source.foldformer}: "
        f"{encoder.num_layers} layers of width {encoder.d_model}, each set of weights used {uses} "
        "times and stored once.",
        "",
    ]
    if not source.trained:
        lines += ["**The weights are random**: good for measuring size and time, not for text.", ""]
    heard = "whole recordings"
    if spec.stream is not None:
        heard = (
            f"a stream in chunks of {shown(spec.stream.chunk)}, remembering "
            f"{shown(spec.stream.left_context)} in {spec.stream.states}"
        )
    lines += [
        f"- head: {spec.head}, {spec.vocab_size} tokens",
        f"- hears: {heard}, at {spec.sampling_rate} Hz",
        f"- weights: {spec.precision}, {source.parameters:,} numbers in {spec.weight_bytes:,} "
        "bytes",
        f"- largest difference to PyTorch with the same weights: {spec.difference:.1e} of the "
        "largest output",
    ]
    if spec.difference_fp32 is not None:
        lines.append(f"- in the runtime, to PyTorch in fp32: {spec.difference_fp32:.1e}")
    if spec.products is not None:
        lines.append(
            f"- products: {spec.products.integer} of {spec.products.total} in whole numbers, "
            f"{spec.products.stored} in fp32 with weights stored in int8"
        )
    lines.append("")
    return "\n".join(lines)


def _sizes(spec: ExportSpec, sizes: Mapping[str, int]) -> str:
    rows = [f"| `{file}` | {size:,} |" for file, size in sizes.items()]
    return "\n".join(["| file | bytes |", "|---|---:|", *rows, ""])


def _use(spec: ExportSpec) -> str:
    """How to load it, as code."""
    recognizer = "OnlineRecognizer" if spec.streams else "OfflineRecognizer"
    names = {
        "zipformer_ctc": "from_zipformer_ctc",
        "transducer": "from_transducer",
        "zipformer2_ctc": "from_zipformer2_ctc",
        "zipformer2": "from_transducer",
    }
    arguments = {file.removesuffix(".onnx"): file for file in spec.files} | {"tokens": TOKENS}
    lines = [f'    {key}=f"{{folder}}/{file}",' for key, file in arguments.items()]
    if spec.head == "transducer":
        lines.append(f'    model_type="{spec.model_type}",')
    return "\n".join([
        "## Use",
        "",
        "```python",
        "import sherpa_onnx",
        "",
        f"folder = {shlex.quote('.')!r}".replace('"', ""),
        f"recognizer = sherpa_onnx.{recognizer}.{names[spec.model_type]}(",
        *lines,
        "    num_threads=1,",
        f'    provider=f"cpu:{{folder}}/{PROVIDER}",',
        ")",
        "```",
        "",
        f"`{PROVIDER}` holds options for ONNX Runtime; sherpa-onnx reads them since 1.12.39, and "
        '"cpu" alone does for older ones. ONNX Runtime before '
        f"{spec.onnxruntime} makes a copy of a shared weight for each of its uses.",
        "",
    ])  # fmt: skip
