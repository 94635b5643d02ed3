"""The model card: README.md of a model folder, with front matter as the hub reads it."""

import re
import shlex
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foldformer.card import front_matter, made_with, summary, usage
from foldformer.checkpoint import ModelConfig, complete_files
from foldformer.data.batches import manifests_of
from foldformer.errors import InputError
from foldformer.model import Model
from foldformer.train.config import TrainConfig
from foldformer.train.source import Source, source_of

CARD = "README.md"
_HEADING = "## Evaluation"


def model_card(
    model: Model,
    about: ModelConfig,
    config: TrainConfig,
    metrics: dict[str, float],
    origin: str = "",
) -> str:
    """The card in Markdown: what the model does, its size, its data, how it scored and is used.

    Args:
        model: what was trained.
        about: what its folder says.
        config: how it was trained.
        metrics: scores of its validation.
        origin: a section on what it was made of, if it was not trained from nothing.
    """
    sources = {
        "training": [source_of(path) for path in manifests_of(config.data.train)],
        "validation": [source_of(path) for path in manifests_of(config.data.valid)],
    }
    parts = [
        front_matter(about, metrics),
        summary(model, about),
        *([origin] if origin else []),
        _data(sources),
        _validation(config, metrics),
        usage(about, config.output),
        _limits(about, sources["training"]),
        made_with(),
    ]
    return "\n".join(parts)


def _data(sources: Mapping[str, Sequence[Source]]) -> str:
    lines = [
        "## Data",
        "",
        "| | manifest | utterances | hours | licence of the recordings |",
        "|---|---|---:|---:|---|",
    ]
    for use, found in sources.items():
        for each in found:
            cells = [use, _code(each.manifest), f"{each.utterances:,}", f"{each.hours:.2f}"]
            lines.append(f"| {' | '.join(cells)} | {_cell(each.licence)} |")
    lines += [
        "",
        "The licence of the recordings may bind the weights too. Whoever publishes this model "
        "states its licence as `license` in the first lines of this file.",
        "",
    ]
    return "\n".join(lines)


def _validation(config: TrainConfig, metrics: Mapping[str, float]) -> str:
    command = ["foldformer", "evaluate", config.output, *manifests_of(config.data.valid)]
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in metrics.items())
    return f"""## Validation

The weights are those of the best validation of the run in `training/config.yaml`. Rates are in %,
without case and punctuation; the loss is in nats a token.

| | |
|---|---:|
{rows}

    {shlex.join(command)}
"""


def _limits(about: ModelConfig, sources: Sequence[Source]) -> str:
    languages = ", ".join(about.languages)
    lines = ["## Limits", ""]
    if any(each.composed for each in sources):
        lines.append(
            "- The training speech is composed of recorded words, one speaker a language. Figures "
            "on such speech are none of free speech, and should be called what they are."
        )
    if languages:
        lines.append(f"- Other languages than {languages} come out as nonsense.")
    lines += [
        "- Voices, rooms, microphones and subjects unlike those of the training data are "
        "recognised worse than the figures say, and nothing here says by how much.",
        "- Silence and noise may be written as words; there is no measure of confidence.",
        "",
    ]
    return "\n".join(lines)


def add_to_card(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the scores of an evaluation into the card of a model folder, with their command.

    They replace those of an earlier evaluation by the same command. Training writes the card anew
    when it finds better weights: scores of the weights before go with them.

    Raises:
        InputError: the card is not text, or the folder cannot be written.
    """
    path = folder / CARD
    try:
        card = path.read_text(encoding="utf-8") if path.exists() else ""
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{path}: is not text in UTF-8; no scores can be added to it") from None
    command = results["measured"]["command"]
    key = f"{zlib.crc32(command.encode()):08x}"
    begin, end = f"<!-- evaluation {key} -->\n", f"<!-- end of evaluation {key} -->\n"
    block = f"{begin}\n{_evaluation(results)}\n{end}"
    if begin in card and end in card:
        before, rest = card.split(begin, 1)
        card = before + block + rest.split(end, 1)[1]
    else:
        heading = "" if f"\n{_HEADING}\n" in card else f"{_HEADING}\n\n"
        card = f"{card.rstrip()}\n\n{heading}{block}".lstrip()
    with complete_files(folder) as beside:
        (beside / CARD).write_text(card, encoding="utf-8")


def _evaluation(results: Mapping[str, Any]) -> str:
    measured = results["measured"]
    titles = {"wer": "WER %", "cer": "CER %", "raw_wer": "raw WER %", "bleu": "BLEU"}
    lines = [
        f"    {measured['command']}",
        "",
        f"{measured['date']}, foldformer {measured['foldformer']}; in brackets: 95 % bootstrap "
        "intervals.",
        "",
        f"| | utterances | {' | '.join(titles.values())} |",
        f"|---|---:|{'---:|' * len(titles)}",
    ]
    for group, scores in results["scores"].items():
        cells = [group, str(scores["utterances"]), *(_interval(scores[key]) for key in titles)]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    for each in results["latency"]:
        lines += [
            "",
            f"{each['name']}: p50 {each['p50']:.0f} ms, p90 {each['p90']:.0f} ms, "
            f"p99 {each['p99']:.0f} ms",
        ]
    return "\n".join([*lines, ""])


def _interval(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return "not defined"
    low, high = ("?" if end is None else f"{end:.2f}" for end in (score["low"], score["high"]))
    return f"{score['value']:.2f} [{low}, {high}]"


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|")
