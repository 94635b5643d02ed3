"""A plan to make pages of, with a name that must not get into their markup."""

import numpy as np
import pytest

from foldformer.compress.planning.made import Made, Point
from foldformer.compress.planning.options import Choice
from foldformer.compress.planning.pictures import Pictures
from foldformer.compress.planning.planner import Chosen


@pytest.fixture(scope="session")
def evil() -> str:
    return "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def made(evil: str) -> Made:
    return Made(
        chosen=Chosen(
            "cycle",
            (
                ((0, 2), {evil: Choice("residual", (3, 5), 4000, 0.01)}),
                ((1,), {evil: Choice("keep", (), 6000, 0.0)}),
            ),
        ),
        budget=12000,
        bytes=11000,
        other=1000,
        dense=19000,
        smallest=2000,
        error=0.01,
        alone={"sharing": float("inf"), "low rank": 0.02},
        curve=(
            Point(2000, {"plan": 1.0, "sharing": float("inf"), "low rank": float("inf")}),
            Point(11000, {"plan": 0.01, "sharing": float("inf"), "low rank": 0.02}),
            Point(19000, {"plan": 0.0, "sharing": 0.0, "low rank": 0.0}),
        ),
    )


@pytest.fixture(scope="session")
def drawn(evil: str) -> Pictures:
    """Of twelve layers, aligned."""
    left = {"alone": np.array([1, 0.5, 0.0]), "shared": np.array([0.5, 0.01, 0.0])}
    return Pictures(np.eye(12) - 0.1, np.eye(12) - 0.1, {evil: left})
