"""The comparison as a picture of characters, where no picture can go: Prefect's pages.

Prefect has two pages for Markdown; one of them drops an image's `data:` address, and an image at the
registry's own address would ask for its password. Characters are shown by both; only ASCII is drawn
with, since their fonts lack the rest and take it, wider, from others.
"""

from records.document import DecisionDocument
from report.charts import Axis, ForestRow, axis, shorten
from report.figures import is_finite, metric_name
from report.html import visible
from report.scores import MARKS, difference_row
from report.view import COMPARED, findings_of, metric_of, ticks, unit_of

WIDTH = 41
"""Characters of the axis."""
MAX_SLICES = 8
MAX_LABEL = 48
LEGEND = "o estimate  [---] its bounds  : limit to clear  | no difference"


def sketch(document: DecisionDocument) -> str:
    """The challenger against each other model and on the slices that refuse; empty without intervals.

    What the data call a slice stands last in its line, so that no letter of it can shift the picture,
    and without what could end a block of code.
    """
    metric = metric_of(document)
    refused = [f for f in findings_of(document, "slice") if f.state == "refused"]
    found = [*findings_of(document, *COMPARED), *refused[:MAX_SLICES]]
    rows = [
        difference_row(document, f) for f in found if f.interval and unit_of(document, f) == metric
    ]
    if not rows:
        return ""
    scale = axis([v for r in rows for v in (r.estimate, r.lower, r.upper, r.limit, 0.0)])
    head = f"{metric_name(metric)}, challenger minus the other: better is to the right"
    return "\n".join([head, _scale(scale, metric), *(_line(r, scale) for r in rows), LEGEND])


def _scale(scale: Axis, metric: str) -> str:
    """The ticks' figures, each centred on its place; one that would touch its neighbour is left out."""
    write, line = ticks(metric, signed=True), ""
    for tick in scale.ticks:
        text = write(tick).replace("\N{MINUS SIGN}", "-")
        start = max(0, _column(scale, tick) - len(text) // 2)
        if start > len(line) or not line:
            line = line.ljust(start) + text
    return line


def _line(row: ForestRow, scale: Axis) -> str:
    cells = [" "] * WIDTH
    cells[_column(scale, 0.0)] = "|"
    if is_finite(row.lower) and is_finite(row.upper):
        low, high = _column(scale, row.lower), _column(scale, row.upper)
        cells[low : high + 1] = ["[", *"-" * (high - low - 1), "]"] if high > low else ["-"]
    if is_finite(row.limit):
        cells[_column(scale, row.limit)] = ":"
    if is_finite(row.estimate):
        cells[_column(scale, row.estimate)] = "o"
    label = " ".join(visible(row.label).replace("`", "'").split())
    return f"{''.join(cells)} {MARKS[row.state][0]} {shorten(label, MAX_LABEL)}"


def _column(scale: Axis, value: float | None) -> int:
    return round(scale.share(value or 0.0) * (WIDTH - 1))
