"""README.md of an exported Whisper: what it is, how large, how exact, and how to run it."""

from collections.abc import Mapping
from typing import Any

from foldformer.deploy.export.card import exactness, sizes_table
from foldformer.deploy.folder import HEARING, MODEL_CARD, PROVIDER, TOKENS, ExportSpec

_MOST_LANGUAGES = 10
"""That are named one by one."""


def whisper_card(
    spec: ExportSpec, sizes: Mapping[str, int], config: Any, has_model_card: bool
) -> str:
    """The card in Markdown.

    Args:
        spec: of the export.
        sizes: bytes of each ONNX file.
        config: of the model, as `transformers` has it.
        has_model_card: whether the card of the model lies beside it.
    """
    parts = [_summary(spec, config, has_model_card), sizes_table(sizes), _use(config)]
    return "\n".join(parts)


def _summary(spec: ExportSpec, config: Any, has_model_card: bool) -> str:
    source = spec.source
    languages = ", ".join(source.languages)
    if len(source.languages) > _MOST_LANGUAGES:
        languages = f"{len(source.languages)} languages"
    lines = [
        f"# Whisper on the device, {languages}",
        "",
        f"`{source.name}`, exported for ONNX Runtime by foldformer {source.foldformer}, in the "
        f"layout of sherpa-onnx: {config.encoder_layers} layers in the encoder and "
        f"{config.decoder_layers} in the decoder, of width {config.d_model}; a weight that several "
        "of them share is stored once.",
        "",
    ]
    if has_model_card:
        lines += [
            f"What it was trained on, whose licence may bind it: [{MODEL_CARD}]({MODEL_CARD}), the "
            "card of the model.",
            "",
        ]
    lines += [
        f"- hears: up to {config.max_source_positions // 50} s at a time, at {spec.sampling_rate} "
        f"Hz, in {spec.features.num_mels} mel bands",
        f"- tokens: {spec.vocab_size}",
        *exactness(spec),
        "",
    ]
    return "\n".join(lines)


def _use(config: Any) -> str:
    """How to hear a recording, as code."""
    return "\n".join(
        [
            "## Use",
            "",
            f"`{HEARING}` needs NumPy and ONNX Runtime, and nothing else:",
            "",
            f"    python {HEARING} RECORDING.wav ...",
            "",
            "```python",
            "from hear import Whisper, read_wav",
            "",
            'samples = read_wav("RECORDING.wav")  # or float32 in [-1, 1], 16 kHz, mono',
            'print(Whisper(".", threads=1).hear(samples))',
            "```",
            "",
            "The encoder is called once for a recording, and gives keys and values for each layer "
            "of the decoder. The decoder is called for each token; what it knows of those before "
            "is in "
            f"two arrays of {config.max_target_positions} places, which it takes and gives back.",
            "",
            "In sherpa-onnx, which makes features of its own:",
            "",
            "```python",
            "import sherpa_onnx",
            "",
            "recognizer = sherpa_onnx.OfflineRecognizer.from_whisper(",
            '    encoder="encoder.onnx",',
            '    decoder="decoder.onnx",',
            f'    tokens="{TOKENS}",',
            f'    provider="cpu:{PROVIDER}",  # "cpu" alone before sherpa-onnx 1.12.39',
            ")",
            "```",
            "",
        ]
    )
