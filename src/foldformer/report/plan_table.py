"""A plan as text: what becomes of each matrix, and what it costs, 80 columns wide."""

from collections.abc import Sequence

from foldformer.compress.planning.made import Made, at_least
from foldformer.compress.planning.options import Choice

_WHATS = {
    "keep": "kept",
    "low_rank": "low rank",
    "residual": "shared, residual",
    "basis": "shared basis",
}


def plan_table(made: Made, precision: str, calibrated: bool) -> str:
    """The lines that `foldformer plan` prints."""
    return "\n".join(
        [*_matrices(made), "", *_curve(made), "", *_closing(made, precision, calibrated)]
    )


def rank_of(choice: Choice) -> str:
    """`8`, or `3-8` where uses have different ranks; `-` where there is none."""
    if not choice.ranks:
        return "-"
    low, high = min(choice.ranks), max(choice.ranks)
    return str(low) if low == high else f"{low}-{high}"


def layers_of(layers: Sequence[int]) -> str:
    """`3`, `3-5` for neighbours, `0,3,6` for others."""
    if len(layers) == 1:
        return str(layers[0])
    if list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}-{layers[-1]}"
    return ",".join(map(str, layers))


def what_of(choice: Choice) -> str:
    """What becomes of matrices, in words."""
    return _WHATS[choice.what]


def error_of(error: float) -> str:
    """In percent, or `-` where there is none."""
    return "-" if error == float("inf") else f"{100 * error:.3g}"


def _matrices(made: Made) -> list[str]:
    lines = [f"{'layers':10}{'matrix':25}{'becomes':18}{'rank':>9}{'kB':>9}{'error, %':>9}"]
    for layers, names in made.chosen.groups:
        shown = layers_of(layers)
        for name, choice in names.items():
            lines.append(
                f"{shown:10}{name:25}{what_of(choice):18}{rank_of(choice):>9}"
                f"{choice.bytes / 1e3:9.1f}{error_of(choice.error):>9}"
            )
            shown = ""
    return lines


def _curve(made: Made) -> list[str]:
    names = ("plan", "sharing", "low rank")
    return [
        "error, % of      the plan    sharing alone    low rank alone",
        *(
            f"{point.bytes / 1e6:9.3f} MB" + "".join(
                f"{error_of(point.errors[name]):>{width}}"
                for name, width in zip(names, (13, 17, 18), strict=True)
            )
            for point in made.curve
        ),
    ]  # fmt: skip


def _closing(made: Made, precision: str, calibrated: bool) -> list[str]:
    uses = [len(layers) for layers, _ in made.chosen.groups]
    shared = sum(use > 1 for use in uses)
    lines = {
        "layers": f"{sum(uses)} in {len(uses)} groups, {made.chosen.order} order; {shared} share",
        f"weights in {precision}": f"{made.bytes / 1e6:.3f} MB of {made.budget / 1e6:.3f} MB "
        f"allowed; dense: {made.dense / 1e6:.3f} MB",
        "not to be shared": f"{made.other / 1e6:.3f} MB of them",
        "smallest possible": f"{at_least(made.smallest)} MB",
        "error": ", ".join([
            f"{error_of(made.error)} %",
            *(f"{name} alone {error_of(error)} %" for name, error in made.alone.items()),
        ]),
        "error of": "the output, on the calibration data"
        if calibrated
        else "the weights: --calibration asks for that of the outputs",
    }  # fmt: skip
    if made.error == 0 and made.bytes == made.dense:
        lines["to do"] = "nothing: as it is the model takes no more than the budget"
    width = max(map(len, lines)) + 2
    return [f"{name:{width}}{value}" for name, value in lines.items()]
