"""The figures of the paper, to stand beside ours."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from foldformer.spec import Spec, from_dict


@dataclass(frozen=True, kw_only=True)
class PaperRow(Spec):
    """An encoder of the paper; None where the paper gives no figure."""

    share: float
    """Of the dense encoder's weight matrices, in %."""
    wer: float | None = None
    """Word error rate in %."""
    bleu: float | None = None
    """BLEU."""
    wer_change: float | None = None
    """Against the dense encoder, in %."""
    bleu_change: float | None = None
    """The same of BLEU."""

    def score(self, measure: str) -> float | None:
        """The figure of that measure."""
        found: float | None = getattr(self, measure)
        return found

    def change(self, measure: str) -> float | None:
        """The relative change of that measure, in %."""
        found: float | None = getattr(self, f"{measure}_change")
        return found


@dataclass(frozen=True, kw_only=True)
class Paper(Spec):
    """The paper's table."""

    source: str
    """Where the figures are from."""
    speech: str
    """What they were measured on."""
    rows: dict[str, PaperRow]
    """By the names that an experiment's cells refer to."""


@cache
def paper() -> Paper:
    """The paper's table, as it stands in `paper.yaml`."""
    text = files("foldformer.report").joinpath("paper.yaml").read_text(encoding="utf-8")
    return from_dict(Paper, yaml.safe_load(text))
