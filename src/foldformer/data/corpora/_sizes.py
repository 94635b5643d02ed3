"""How much speech there is, in the manifests and in the tables that are printed."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """What one split of one language came to."""

    language: str
    split: str
    utterances: int
    transcripts: int
    """Different ones."""
    minutes: float
    words: int
    """Different ones."""


def size(language: str, split: str, said: Sequence[tuple[str, float]]) -> SplitSize:
    """The size of what is said: texts, and seconds that each takes."""
    texts = {text.lower() for text, _ in said}
    return SplitSize(
        language=language,
        split=split,
        utterances=len(said),
        transcripts=len(texts),
        minutes=sum(seconds for _, seconds in said) / 60,
        words=len({word for text in texts for word in text.split()}),
    )


def table(sizes: Sequence[SplitSize]) -> str:
    """The sizes as a Markdown table."""
    lines = [
        "| language | split | utterances | different texts | minutes | different words |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {size.language} | {size.split} | {size.utterances} | {size.transcripts} "
        f"| {size.minutes:.1f} | {size.words} |"
        for size in sizes
    ]
    return "\n".join(lines)
