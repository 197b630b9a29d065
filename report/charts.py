"""Charts as inline SVG, drawn by hand: a page needs four kinds, and text in them must stay text.

matplotlib was rejected: it fixes colours (no dark mode), turns text to outlines or foreign fonts,
and costs half a second to import. Forest rows use percent coordinates and so fit any width.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from report.figures import count, is_finite, percent, plain
from report.html import Html, el, join, own_text

MAX_POINTS = 400
"""Points drawn per line; longer curves are thinned evenly, their last point kept."""


@dataclass(frozen=True)
class Axis:
    """A linear scale with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where `value` lies between low (0) and high (1), kept inside."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def at(self, value: float) -> str:
        """The same as a percentage for SVG."""
        return f"{100 * self.share(value):.2f}%"


def axis(values: Sequence[float | None], num_ticks: int = 5) -> Axis:
    """An axis around all finite values, with some air."""
    finite = [v for v in values if v is not None and math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = 0.06 * (high - low) or abs(low) * 0.05 or 0.5
    low, high = low - air, high + air
    step = _round_step((high - low) / num_ticks)
    first = math.ceil(low / step)
    return Axis(low, high, tuple(n * step for n in range(first, math.floor(high / step) + 1)))


def _round_step(raw: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


@dataclass(frozen=True)
class ForestRow:
    """An estimate with bounds and the limit that it had to clear; any of them may be missing."""

    label: str
    detail: str
    state: str
    """passed, refused, noted, or plain"""
    estimate: float | None
    lower: float | None = None
    upper: float | None = None
    limit: float | None = None


def forest(
    rows: Sequence[ForestRow],
    *,
    caption: str,
    write: Callable[[float], str],
    zero: float | None = None,
) -> Html:
    """Estimates with intervals on one axis, as a table: the numbers are text, the plot a picture.

    Args:
        rows: drawn from top to bottom.
        write: a tick as text.
        zero: where "no difference" lies; None draws no such line.
    """
    values = [v for r in rows for v in (r.estimate, r.lower, r.upper, r.limit)]
    scale = axis([*values, zero])
    body = [_forest_row(row, scale, zero) for row in rows]
    hidden = {"scope": "col", "class_": "unseen"}
    head = el("tr", el("th", "Compared", **hidden), el("th", "Picture", **hidden))
    foot = el("tr", el("td"), el("td", el("div", _ticks(scale, write), class_="plot")))
    content = join(el("caption", caption), el("thead", head), el("tbody", *body), el("tfoot", foot))
    return el("figure", el("table", content, class_="forest"), _legend(rows, zero))


def _forest_row(row: ForestRow, scale: Axis, zero: float | None) -> Html:
    label = el("th", own_text(row.label), el("small", row.detail), scope="row")
    marks: list[Html] = [_stroke(scale.at(tick), "grid") for tick in scale.ticks]
    if zero is not None:
        marks.append(_stroke(scale.at(zero), "zero"))
    if is_finite(row.limit):
        marks.append(_stroke(scale.at(row.limit or 0.0), "limit"))
    # The inner picture hangs at half height, so that marks stay centred in a row of any height.
    marks.append(el("svg", _whisker(row, scale), _dot(row, scale), y="50%"))
    title = el("title", f"{row.label}: {row.detail}")
    picture = el("svg", title, *marks, width="100%", height="100%", role="img")
    return el("tr", label, el("td", el("div", picture, class_="plot")))


def _dot(row: ForestRow, scale: Axis) -> Html:
    if row.estimate is None or not math.isfinite(row.estimate):
        return el("text", "no figure", x="50%", y=4, text_anchor="middle", class_="none")
    return el("circle", cx=scale.at(row.estimate), cy=0, r=5.5, class_=f"dot mark-{row.state}")


def _stroke(x: str, class_: str) -> Html:
    return el("line", x1=x, x2=x, y1=0, y2="100%", class_=class_)


def _whisker(row: ForestRow, scale: Axis) -> Html:
    if row.lower is None or row.upper is None or not (is_finite(row.lower + row.upper)):
        return Html("")
    left, right, class_ = scale.at(row.lower), scale.at(row.upper), f"whisker mark-{row.state}"
    caps = [el("line", x1=x, x2=x, y1=-6, y2=6, class_=class_) for x in (left, right)]
    return join(el("line", x1=left, x2=right, y1=0, y2=0, class_=class_), *caps)


def _ticks(scale: Axis, write: Callable[[float], str]) -> Html:
    labels = [
        el("text", write(tick), x=scale.at(tick), y=12, text_anchor="middle")
        for tick in scale.ticks
    ]
    return el("svg", *labels, width="100%", height=16, aria_hidden="true")


def _legend(rows: Sequence[ForestRow], zero: float | None) -> Html:
    def entry(mark: Html, text: str) -> Html:
        return el("span", el("svg", mark, width=24, height=12, aria_hidden="true"), text)

    line = {"y1": 0, "y2": 12, "x1": 12, "x2": 12}
    bar = el("line", x1=2, x2=22, y1=6, y2=6, class_="whisker mark-plain")
    has_bounds = any(row.lower is not None for row in rows)
    has_limit = any(row.limit is not None for row in rows)
    return el(
        "div",
        entry(el("circle", cx=12, cy=6, r=5, class_="dot mark-plain"), "estimate"),
        entry(bar, "between its one-sided bounds") if has_bounds else None,
        entry(el("line", class_="limit", **line), "what the lower bound must clear")
        if has_limit
        else None,
        entry(el("line", class_="zero", **line), "no difference") if zero is not None else None,
        class_="legend",
    )


@dataclass(frozen=True)
class Line:
    """One curve: (x, y) in drawing order."""

    name: str
    points: tuple[tuple[float, float], ...]


LEFT, TOP, WIDTH, HEIGHT = 46.0, 10.0, 300.0, 150.0


def curves(title: str, lines: Sequence[Line], *, mark: float | None = None) -> Html:
    """Up to two curves over steps; values that are not finite break the line and are counted.

    Args:
        mark: an x to point out (the best step).
    """
    finite = [p for line in lines for p in line.points if math.isfinite(p[1])]
    num_broken = sum(len(line.points) for line in lines) - len(finite)
    across, up = axis([p[0] for p in finite], 5), axis([p[1] for p in finite])
    drawn = [_polyline(line, across, up, i) for i, line in enumerate(lines)]
    names = [
        join(" ", el("span", "━ ", class_=f"swatch-{i}"), line.name) for i, line in enumerate(lines)
    ]
    caption = el("figcaption", el("b", title), *(names if len(lines) > 1 else []))
    picture = el(
        "svg",
        el("title", f"{title} over training steps"),
        el("desc", f"{count(len(finite))} points{_extent(finite)}"),
        _frame(across, up),
        _mark(mark, across),
        *drawn,
        viewBox="0 0 360 188",
        width="100%",
        role="img",
    )
    broken = f"{count(num_broken)} of the values are not finite." if num_broken else ""
    return el("figure", caption, picture, el("p", broken, class_="note") if broken else None)


def _extent(points: list[tuple[float, float]]) -> str:
    if not points:
        return ""
    values = [y for _, y in points]
    return f", from {plain(values[0])} to {plain(values[-1])}, lowest {plain(min(values))}, highest {plain(max(values))}"


def _place(x: float, y: float, across: Axis, up: Axis) -> str:
    return f"{LEFT + WIDTH * across.share(x):.1f},{TOP + HEIGHT * (1 - up.share(y)):.1f}"


def _polyline(line: Line, across: Axis, up: Axis, index: int) -> Html:
    stride = max(1, math.ceil(len(line.points) / MAX_POINTS))
    kept = [p for i, p in enumerate(reversed(line.points)) if i % stride == 0][::-1]
    pieces: list[list[str]] = [[]]
    for x, y in kept:
        if math.isfinite(y):
            pieces[-1].append(_place(x, y, across, up))
        else:
            pieces.append([])
    # A piece of one point is drawn too: a round cap on a line of no length is a dot.
    return join(
        *[
            el("polyline", points=" ".join(p if len(p) > 1 else p * 2), class_=f"line line-{index}")
            for p in pieces
            if p
        ]
    )


def _frame(across: Axis, up: Axis) -> Html:
    rows = [(TOP + HEIGHT * (1 - up.share(tick)), plain(tick)) for tick in up.ticks]
    columns = [(LEFT + WIDTH * across.share(tick), tick) for tick in across.ticks if tick >= 0]
    return join(
        *[el("line", x1=LEFT, x2=LEFT + WIDTH, y1=y, y2=y, class_="grid") for y, _ in rows],
        *[el("text", text, x=LEFT - 6, y=y + 4, text_anchor="end") for y, text in rows],
        *[el("text", plain(v), x=x, y=178, text_anchor="middle") for x, v in columns],
    )


def _mark(x: float | None, across: Axis) -> Html | None:
    if x is None or not across.low <= x <= across.high:
        return None
    at = LEFT + WIDTH * across.share(x)
    line = el("line", x1=at, x2=at, y1=TOP, y2=TOP + HEIGHT, class_="best")
    end = "end" if across.share(x) > 0.5 else "start"
    side = -4 if end == "end" else 4
    return join(line, el("text", "kept", x=at + side, y=TOP + 9, text_anchor=end))


@dataclass(frozen=True)
class Bin:
    """Items of one range of confidence."""

    low: float
    high: float
    num_items: int
    mean_confidence: float
    accuracy: float


def reliability(bins: Sequence[Bin]) -> Html:
    """Confidence against accuracy: a dot per bin (its area is the number of items), gap in red."""
    total = sum(b.num_items for b in bins) or 1
    side, top, left = 220.0, 10.0, 46.0
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)

    def x(value: float) -> float:
        return left + side * value

    def y(value: float) -> float:
        return top + side * (1 - value)

    grid = [
        join(
            el("line", x1=left, x2=left + side, y1=y(t), y2=y(t), class_="grid"),
            el("text", percent(t, 0), x=left - 6, y=y(t) + 4, text_anchor="end"),
            el("text", percent(t, 0), x=x(t), y=top + side + 18, text_anchor="middle"),
        )
        for t in ticks
    ]
    marks = [
        join(
            el("line", x1=x(b.mean_confidence), x2=x(b.mean_confidence), y1=y(b.mean_confidence),
               y2=y(b.accuracy), class_="gap"),
            el("circle", el("title", _bin_text(b)), cx=x(b.mean_confidence), cy=y(b.accuracy),
               r=round(3 + 9 * math.sqrt(b.num_items / total), 1), class_="point"),
        )
        for b in bins
        if b.num_items
    ]  # fmt: skip
    return el(
        "svg",
        el("title", "Reliability: accuracy against confidence"),
        el("desc", "; ".join(_bin_text(b) for b in bins if b.num_items)),
        *grid,
        el("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="diagonal"),
        *marks,
        el("text", "confidence", x=x(0.5), y=top + side + 36, text_anchor="middle"),
        viewBox="0 0 300 272",
        width="100%",
        style="max-width:22rem",
        role="img",
    )


def _bin_text(b: Bin) -> str:
    return (
        f"confidence {percent(b.low, 0)} to {percent(b.high, 0)}: {percent(b.accuracy)} right "
        f"of {count(b.num_items)} items, mean confidence {percent(b.mean_confidence)}"
    )


def bar(share: float, title: str) -> Html:
    """A horizontal bar that fills `share` (0 to 1) of its cell."""
    width = f"{100 * min(1.0, max(0.0, share)):.2f}%" if math.isfinite(share) else "0%"
    return el(
        "svg",
        el("title", title),
        el("rect", width="100%", height=10, rx=3, class_="track"),
        el("rect", width=width, height=10, rx=3, class_="bar"),
        width="100%",
        height=10,
        role="img",
    )


def heat(labels: Sequence[str], cells: dict[tuple[str, str], int]) -> Html:
    """A confusion matrix of many labels: rows are true, columns predicted, both in one order.

    Only cells that are not empty are drawn; each says its labels and number on hover.
    """
    cell, gutter = 9, 170
    place = {label: i for i, label in enumerate(labels)}
    by_row: dict[str, int] = {}
    for (true, _), number in cells.items():
        by_row[true] = by_row.get(true, 0) + number
    drawn = [
        el(
            "rect",
            el("title", f"{true} answered as {given}: {count(number)}"),
            x=gutter + cell * place[given],
            y=cell * place[true],
            width=cell - 1,
            height=cell - 1,
            fill_opacity=round(0.25 + 0.75 * number / by_row[true], 2),
            class_="heat-right" if true == given else "heat",
        )
        for (true, given), number in cells.items()
    ]
    names = [
        el("text", shorten(label, 28), x=gutter - 6, y=cell * i + 8, text_anchor="end",
           style="font-size:8px")
        for label, i in place.items()
    ]  # fmt: skip
    size = cell * len(labels)
    return el(
        "svg",
        el("title", f"Confusion matrix of {count(len(labels))} labels"),
        el("rect", x=gutter, width=size, height=size, class_="track"),
        *drawn,
        *names,
        viewBox=f"0 0 {gutter + size} {size}",
        width=gutter + size,
        height=size,
        role="img",
        style="max-width:none",
    )


def shorten(text: str, length: int) -> str:
    """At most `length` characters, an ellipsis for the rest."""
    return text if len(text) <= length else text[: length - 1] + "…"
