"""How figures are written in tables: alike in pages, in Markdown and in running text."""

from collections.abc import Sequence


def figure(value: float | None, sign: str = "") -> str:
    """Three digits or so; `?` for what is not known. `sign="+"` shows that of positive ones too."""
    if value is None:
        return "?"
    return f"{value:{sign}.{1 if abs(value) >= 10 else 2}f}"


def with_interval(value: float, low: float | None, high: float | None, sign: str = "") -> str:
    """VALUE [LOW, HIGH], all with as many decimals as the value; `?` for an end not known."""
    digits = 1 if abs(value) >= 10 else 2
    ends = ("?" if end is None else f"{end:{sign}.{digits}f}" for end in (low, high))
    return f"{value:{sign}.{digits}f} [{', '.join(ends)}]"


def percent(value: float) -> str:
    """A relative change in %: one decimal, and always a sign."""
    return f"{value:+.1f}"


def megabytes(size: float) -> str:
    """10^6 bytes."""
    return f"{size / 1e6:.2f}"


def spoken_seeds(seeds: Sequence[int]) -> str:
    """seed 1; seeds 1, 2."""
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
