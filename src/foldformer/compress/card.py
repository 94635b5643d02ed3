"""What the card of a folded model says."""

from typing import TYPE_CHECKING

import yaml

from foldformer.card import front_matter, made_with, summary, usage
from foldformer.checkpoint import ModelConfig
from foldformer.model import Model
from foldformer.spec import to_dict

if TYPE_CHECKING:
    from foldformer.compress.folder import Origin


def origin_section(origin: "Origin", before: Model, after: Model, command: str) -> str:
    """The section on what a model was folded from, how, and by how much it is smaller."""
    rows = {
        "layers in depth": (before.spec.encoder.num_layers, after.spec.encoder.num_layers),
        "of them with weights of their own": tuple(
            len(model.spec.encoder.uses_of_layers) for model in (before, after)
        ),
        "parameters": (_parameters(before), _parameters(after)),
        "bytes in fp32": (4 * _parameters(before), 4 * _parameters(after)),
    }
    table = "\n".join(f"| {name} | {old:,} | {new:,} |" for name, (old, new) in rows.items())
    plan = yaml.safe_dump(to_dict(origin.plan), sort_keys=False, allow_unicode=True)
    fitted = f", fitted to {', '.join(origin.calibration)}" if origin.calibration else ""
    return f"""## Origin

Compressed from the model in `{origin.model}`, whose weights have the SHA-256
`{origin.weights}`, by

    {command}

| | original | this model |
|---|---:|---:|
{table}

The plan, with shared weights by `{origin.start}`{fitted}:

```yaml
{plan}```
"""


def fold_card(model: Model, about: ModelConfig, section: str, folder: str) -> str:
    """The card in Markdown of a model that was folded, and not trained since."""
    limits = """## Limits

- It was folded and not trained since: it makes more errors than the original, often many more.
- Whatever the original's card says of data, licence and limits holds for this model too.
"""
    parts = [front_matter(about, {}), summary(model, about), section, usage(about, folder), limits]
    return "\n".join([*parts, made_with()])


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
