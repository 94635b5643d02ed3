"""A plan and what it rests on as one HTML page that needs nothing else."""

from collections.abc import Mapping

from markupsafe import Markup

from foldformer.compress.planning.made import Made
from foldformer.compress.planning.pictures import Curve, Pictures
from foldformer.report.charts import Line, curves, heat, key
from foldformer.report.plan_table import error_of, layers_of, rank_of, what_of
from foldformer.report.templates import templates

_POINTS = 60  # of a spectrum
_HERE = Markup(
    '<svg class="key" viewBox="0 0 28 14" aria-hidden="true">'
    '<circle class="here" cx="14" cy="7" r="5"/></svg>'
)


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
        "signs": [
            (key(0), "the best plan"),
            (key(1), "sharing with residuals alone"),
            (key(2), "low rank alone"),
            (_HERE, "this plan"),
        ],
        "layers": sum(len(layers) for layers, _ in made.chosen.groups),
        "heats": _heats(drawn),
        "spectra": {name: _spectrum(name, left) for name, left in drawn.left.items()},
        "spectrum_signs": [(key(0), "residual of a pair"), (key(1), "matrix by itself")],
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


def _curve(made: Made) -> Markup:
    lines = [
        Line(
            name,
            tuple((point.bytes / 1e6, 100 * point.errors[name]) for point in made.curve),
            number,
        )
        for number, name in enumerate(("plan", "sharing", "low rank"))
    ]
    here = made.bytes / 1e6, 100 * made.error
    return curves(lines, "MB of weights", "error, %", from_zero=False, log=True, here=here)


def _spectrum(name: str, left: Mapping[str, Curve]) -> Markup:
    lines = []
    for number, kind in enumerate(("shared", "alone")):
        values = left[kind]
        step = max(1, len(values) // _POINTS)
        points = ((rank, 100 * float(values[rank])) for rank in range(0, len(values), step))
        lines.append(Line(f"{name}, {kind}", tuple(points), number))
    return curves(lines, "rank", "left over, %", log=True)


def _heats(drawn: Pictures) -> list[tuple[str, Markup]]:
    found = [("as they are", drawn.alike)]
    if drawn.aligned is not None:
        found.append(("aligned, each to the one before", drawn.aligned))
    return [
        (title, heat(cosines.tolist(), f"Likeness of layers, {title}")) for title, cosines in found
    ]
