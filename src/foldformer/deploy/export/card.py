"""README.md of an export: what it is, how large, how exact, and how to run it."""

from collections.abc import Mapping

from foldformer.checkpoint import ModelConfig
from foldformer.data.durations import ENCODER_FRAME_MS, shown
from foldformer.deploy.folder import MODEL_CARD, PROVIDER, TOKENS, ExportSpec


def export_card(
    spec: ExportSpec, sizes: Mapping[str, int], config: ModelConfig, has_model_card: bool = False
) -> str:
    """The card in Markdown.

    Args:
        spec: of the export.
        sizes: bytes of each ONNX file.
        config: of the model.
        has_model_card: whether the card of the model lies beside it.
    """
    return "\n".join([_summary(spec, config, has_model_card), sizes_table(sizes), _use(spec)])


def _summary(spec: ExportSpec, config: ModelConfig, has_model_card: bool) -> str:
    source, encoder = spec.source, config.model.encoder
    languages = ", ".join(source.languages) or "language not stated"
    task = (
        "Speech recognition" if source.text == "text" else f"Speech translation (`{source.text}`)"
    )
    uses = encoder.uses if isinstance(encoder.uses, int) else list(encoder.uses)
    stored = (
        "each with weights of its own"
        if uses == 1
        else f"each set of weights used {uses} times and stored once"
    )
    lines = [
        f"# {task} on the device, {languages}",
        "",
        f"`{source.name}`, exported for {spec.runtime} by foldformer {source.foldformer}: "
        f"{encoder.num_layers} layers of width {encoder.d_model}, {stored}.",
        "",
    ]
    if has_model_card:
        lines += [
            f"What it was trained on, whose licence may bind it, its scores and its limits: "
            f"[{MODEL_CARD}]({MODEL_CARD}), the card of the model.",
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
        *exactness(spec),
        "",
    ]
    return "\n".join(lines)


def exactness(spec: ExportSpec) -> list[str]:
    """Items on how weights are stored, and how far from PyTorch that is."""
    lines = [
        f"- weights: {spec.stored}, {spec.source.parameters:,} numbers in {spec.weight_bytes:,} "
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
    return lines


def sizes_table(sizes: Mapping[str, int]) -> str:
    """Bytes of each file."""
    rows = [f"| `{file}` | {size:,} |" for file, size in sizes.items()]
    return "\n".join(["| file | bytes |", "|---|---:|", *rows, ""])


def _use(spec: ExportSpec) -> str:
    """How to load it and hear a recording, as code."""
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
        "folder = '.'",
        f"recognizer = sherpa_onnx.{recognizer}.{names[spec.model_type]}(",
        *lines,
        "    num_threads=1,",
        f'    provider=f"cpu:{{folder}}/{PROVIDER}",',
        ")",
        "stream = recognizer.create_stream()",
        "samples, rate = ..., 16000  # mono, float32 in [-1, 1]; another rate is converted",
        *_hearing(spec),
        "```",
        "",
        f"`{PROVIDER}` holds options for ONNX Runtime; sherpa-onnx reads them since 1.12.39, and "
        '"cpu" alone does for older ones. ONNX Runtime before '
        f"{spec.onnxruntime} makes a copy of a shared weight for each of its uses.",
        "",
    ])  # fmt: skip


def _hearing(spec: ExportSpec) -> list[str]:
    """The lines that hear `samples`."""
    if spec.stream is None:
        return [
            "stream.accept_waveform(rate, samples)",
            "recognizer.decode_stream(stream)",
            "print(stream.result.text)",
        ]
    # A chunk, and the feature frame that has to follow one.
    silence = (spec.stream.chunk * ENCODER_FRAME_MS + 10) / 1000
    return [
        "stream.accept_waveform(rate, samples)  # as they come: any number, any times",
        "# Whole chunks alone are heard: silence completes the last one.",
        f"stream.accept_waveform(rate, [0.0] * round({silence:.2f} * rate))",
        "stream.input_finished()",
        "while recognizer.is_ready(stream):",
        "    recognizer.decode_stream(stream)",
        "print(recognizer.get_result(stream))",
    ]
