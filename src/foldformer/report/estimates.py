"""The figures of several trainings of the same cell, and how sure they are."""

import math
import statistics
from dataclasses import dataclass

import numpy as np

from foldformer.decode.bootstrap import Array, middle
from foldformer.decode.compare import paired
from foldformer.decode.measures import MEASURES
from foldformer.experiment.results import Counted


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure: the mean over seeds, its 95 % interval over utterances, its spread over seeds.

    Attributes:
        value: mean over seeds.
        low: lower end of the interval of the bootstrap, the seeds as they are.
        high: upper end.
        seeds: {seed: figure}.
    """

    value: float
    low: float
    high: float
    seeds: dict[int, float]

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None of one alone."""
        return statistics.stdev(self.seeds.values()) if len(self.seeds) > 1 else None


class Figures:
    """The figures of all runs on one set, on the set itself and on the same resampled sets."""

    def __init__(self, measure: str, counted: dict[str, Counted]) -> None:
        self.utterances = {run: each.utterances for run, each in counted.items()}
        self._values: dict[str, tuple[float, Array]] = {}
        for digest in dict.fromkeys(self.utterances.values()):
            runs = [run for run, each in counted.items() if each.utterances == digest]
            values, drawn = paired(MEASURES[measure], [counted[run].counts for run in runs])
            for place, run in enumerate(runs):
                self._values[run] = float(values[place]), drawn[:, place]

    def score(self, runs: dict[int, str]) -> Estimate:
        """Of the runs of some seeds."""
        found = {seed: self._values[run] for seed, run in runs.items()}
        drawn = np.mean([each for _, each in found.values()], axis=0)
        return _estimate({seed: value for seed, (value, _) in found.items()}, drawn)

    def change(self, runs: dict[int, str], others: dict[int, str]) -> Estimate | None:
        """In % of the other runs of the same seeds; None where those may be 0."""
        here = [self._values[run] for run in runs.values()]
        there = [self._values[others[seed]] for seed in runs]
        drawn, against = (np.mean([each for _, each in both], axis=0) for both in (here, there))
        known = np.isfinite(drawn) & np.isfinite(against)  # sets without a word say nothing
        drawn, against = drawn[known], against[known]
        least = min([value for value, _ in there])
        if not 0 < least < math.inf or not (against > 0).all():
            return None
        mean, other = (statistics.fmean(value for value, _ in both) for both in (here, there))
        seeds = {
            seed: 100 * (a / b - 1) for seed, (a, _), (b, _) in zip(runs, here, there, strict=True)
        }
        low, high = middle(100 * (drawn / against - 1))
        return Estimate(value=100 * (mean / other - 1), low=low, high=high, seeds=seeds)


def _estimate(seeds: dict[int, float], drawn: Array) -> Estimate:
    low, high = middle(drawn)
    return Estimate(value=statistics.fmean(seeds.values()), low=low, high=high, seeds=seeds)
