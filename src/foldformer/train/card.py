"""The model card: README.md of a model folder."""

from foldformer.checkpoint import ModelConfig
from foldformer.data.durations import shown
from foldformer.model import Model
from foldformer.train.config import TrainConfig


def model_card(
    model: Model, about: ModelConfig, config: TrainConfig, metrics: dict[str, float]
) -> str:
    """The card in Markdown: what the model does, its size, its data, how it scored and is used."""
    parameters = sum(p.numel() for p in model.parameters())
    encoder = about.model.encoder
    uses = encoder.uses if isinstance(encoder.uses, int) else list(encoder.uses)
    task = "Speech recognition" if about.text == "text" else f"Speech translation (`{about.text}`)"
    streams = ", ".join(shown(chunk) for chunk in about.chunks) or "not trained for streaming"
    scores = "\n".join(f"| {name} | {value:.4g} |" for name, value in metrics.items())
    train, valid = config.data.train, config.data.valid
    return f"""# {task}, {", ".join(about.languages) or "language not stated"}

A foldformer model: {encoder.num_layers} layers of width \
{encoder.d_model}, each set of weights used {uses} times; {parameters:,} parameters; heads: \
{", ".join(model.heads)}. Chunks for streams: {streams}.

| validation | |
|---|---|
{scores}

Trained on `{train}`, validated on `{valid}`; the configuration is in `training/config.yaml`.
The licence of the recordings is stated with them and may bind the weights too.

    foldformer transcribe {config.output} RECORDING.wav
"""
