"""A plan and what it rests on as one HTML page that needs nothing else."""

from collections.abc import Mapping

from foldformer.compress.planning.made import Made
from foldformer.compress.planning.pictures import Curve, Pictures
from foldformer.report._chart import Chart, chart
from foldformer.report.plan_table import error_of, layers_of, rank_of, what_of
from foldformer.report.templates import templates

_POINTS = 60  # of a spectrum


def plan_page(made: Made, drawn: Pictures, *, model: str, precision: str, calibrated: bool) -> str:
    """The page: the curve, the table, the likeness of layers, the spectra.

    Args:
        made: the plan.
        drawn: what its layers look like.
        model: its name.
        precision: of the stored weights.
        calibrated: whether errors are those of outputs.
    """
    values = {
        "title": f"Plan for {model}",
        "made": made,
        "precision": precision,
        "calibrated": calibrated,
        "curve": _curve(made),
        "layers": sum(len(layers) for layers, _ in made.chosen.groups),
        "heats": _heats(drawn),
        "spectra": {name: _spectrum(left) for name, left in drawn.left.items()},
    }
    environment = templates()
    environment.filters.update(
        layers_of=layers_of,
        rank_of=rank_of,
        what_of=what_of,
        error_of=error_of,
        mb=lambda size: f"{size / 1e6:.3f}",
        kb=lambda size: f"{size / 1e3:.1f}",
    )
    return environment.get_template("plan.html").render(values)


def _curve(made: Made) -> Chart:
    names = ("plan", "sharing", "low rank")
    series = {
        name: [(point.bytes / 1e6, point.errors[name]) for point in made.curve] for name in names
    }
    return chart(series, (made.bytes / 1e6, made.error))


def _spectrum(left: Mapping[str, Curve]) -> Chart:
    series = {}
    for name, values in left.items():
        step = max(1, len(values) // _POINTS)
        series[name] = [(rank, float(values[rank])) for rank in range(0, len(values), step)]
    return chart(series)


def _heats(drawn: Pictures) -> list[tuple[str, list[list[float]]]]:
    found = [("as they are", drawn.alike.round(2).tolist())]
    if drawn.aligned is not None:
        found.append(("aligned, each to the one before", drawn.aligned.round(2).tolist()))
    return found
