"""The parts of a model card, README.md of a model folder, that every model has."""

import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import version

import yaml

from foldformer.checkpoint import ModelConfig
from foldformer.data.durations import shown
from foldformer.model import Model


def front_matter(about: ModelConfig, metrics: Mapping[str, float]) -> str:
    """The first lines, which the Hugging Face hub reads."""
    recognises = about.text == "text"
    data = {
        "license": "unknown",
        "language": list(about.languages),
        "library_name": "foldformer",
        "pipeline_tag": "automatic-speech-recognition" if recognises else "translation",
        "tags": ["foldformer", "speech", "recognition" if recognises else "speech-translation"],
        "metrics": [name for name in metrics if name in ("wer", "cer", "bleu", "chrf")],
    }
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---\n"


def summary(model: Model, about: ModelConfig) -> str:
    """The title and what the model is."""
    parameters = sum(p.numel() for p in model.parameters())
    encoder = about.model.encoder
    uses = encoder.uses if isinstance(encoder.uses, int) else list(encoder.uses)
    task = "Speech recognition" if about.text == "text" else f"Speech translation (`{about.text}`)"
    chunks = ", ".join(shown(chunk) for chunk in about.chunks)
    streams = f"in chunks of {chunks}" if chunks else "not trained for"
    return f"""# {task}, {", ".join(about.languages) or "language not stated"}

A foldformer model: {encoder.num_layers} layers of width \
{encoder.d_model}, each set of weights used {uses} times.

- parameters: {parameters:,}, or {4 * parameters / 1e6:.1f} MB in fp32
- heads: {", ".join(model.heads)}
- tokens: {about.model.vocab_size}
- streams: {streams}
- writes: `{about.text}` of the training data, in lower case
"""


def usage(about: ModelConfig, folder: str) -> str:
    """How to transcribe with the model of a folder."""
    command = f"foldformer transcribe {shlex.quote(folder)} RECORDING.wav"
    chunk = f"\n    {command} --chunk {shown(about.chunks[0])}" if about.chunks else ""
    return f"""## Use

    {command}{chunk}
"""


def made_with() -> str:
    """The last line: versions."""
    return (
        f"Made with foldformer {version('foldformer')}, PyTorch {version('torch')}, "
        f"Python {platform.python_version()}.\n"
    )
