"""How the challenger learned and what it gets wrong: curves, confusion, calibration, labels."""

from collections import Counter
from collections.abc import Sequence

from records.document import CurvePoint, DecisionDocument
from records.scores import Scorecard
from report.charts import Bin, Line, bar, curves, heat, reliability
from report.figures import count, counted, is_finite, metric_name, percent, score
from report.html import Html, details, el, join, note, own_text, table
from report.view import answers, labels_of, role_name, scorecards, truth

MAX_MATRIX = 12
"""Labels up to which the matrix is a table with numbers; above, a picture and a list."""
MAX_CONFUSIONS = 20
CUT = (
    "Cut by train.budget_s: the training did not come to its end. The next run with more time goes on, "
    "and this result is not taken for the finished one."
)
NUM_BINS = 10


def training(document: DecisionDocument) -> Html:
    """Loss, validation metrics, learning rate and gradient norm over the steps."""
    train = document.train
    points: dict[str, list[CurvePoint]] = {}
    for point in train.curve:
        points.setdefault(point.name, []).append(point)
    if not points:
        return note("No curve was recorded.")
    together = [name for name in points if name in ("loss", "validation_loss")]
    groups = [together] if together else []
    groups += [[name] for name in points if name not in together]
    best = f"best {metric_name(train.metric)} on validation {score(train.metric, train.best_value)}"
    return join(
        note(f"{counted(train.num_steps, 'step')}; kept: step {count(train.best_step)}, {best}."),
        note(CUT) if train.is_cut else None,
        el("div", *[_curve(group, points, train.best_step) for group in groups], class_="pair"),
    )


def _curve(names: list[str], points: dict[str, list[CurvePoint]], best: int) -> Html:
    title = " and ".join(name.replace("_", " ") for name in names).capitalize()
    lines = [Line(name.replace("_", " "), _by_step(points[name])) for name in names]
    return curves(title, lines, mark=float(best))


def _by_step(points: Sequence[CurvePoint]) -> tuple[tuple[float, float], ...]:
    return tuple((float(p.step), p.value) for p in sorted(points, key=lambda p: p.step))


def confusion(document: DecisionDocument) -> Html:
    """True against predicted labels, and F1 of each label."""
    record = document.file.record
    if record.items.has_label_sets:
        return label_counts(document)
    true, given = truth(record), answers(record.challenger)
    cells = Counter((true[i], given[i]) for i in true if i in given)
    if not cells:
        return note("The challenger was not scored: there is nothing to count.")
    labels = labels_of(document)
    missing = len(true) - sum(cells.values())
    return join(
        note(f"{counted(missing, 'item')} without an answer.") if missing else None,
        _matrix(labels, cells) if len(labels) <= MAX_MATRIX else _large_matrix(labels, cells),
        _label_scores(document, labels),
    )


def label_counts(document: DecisionDocument) -> Html:
    """Of sets, which have no square of true and given: each label's items, right, wrong and missed."""
    items, card = document.file.record.items, document.file.record.challenger
    given = answers(card)
    pairs = [
        (set(items.labels_in(label)), set(items.labels_in(given[item])))
        for item, label in zip(items.item_ids, items.labels, strict=False)
        if item in given
    ]
    if not pairs:
        return note("The challenger was not scored: there is nothing to count.")
    labels = labels_of(document)
    rows = [_count_row(label, pairs) for label in labels]
    none = (sum(not true for true, _ in pairs), sum(not said for _, said in pairs))
    wholly = sum(true == said for true, said in pairs)
    heads = ("Label", "Carried", "Given", "Right", "Given wrongly", "Missed")
    listing = table(heads, rows, numeric=frozenset(range(1, 6)))
    words = (
        f"{counted(wholly, 'item')} of {count(len(pairs))} with the whole set right. "
        f"{counted(none[0], 'item')} without a label, {count(none[1])} answered so."
    )
    return join(
        note(words),
        listing
        if len(labels) <= MAX_MATRIX
        else details(f"Counts of {counted(len(labels), 'label')}", listing),
        _label_scores(document, labels),
    )


def _count_row(label: str, pairs: Sequence[tuple[set[str], set[str]]]) -> tuple[str, ...]:
    num_true, num_given = (sum(label in pair[k] for pair in pairs) for k in (0, 1))
    right = sum(label in true and label in said for true, said in pairs)
    counts = (num_true, num_given, right, num_given - right, num_true - right)
    return (own_text(label), *map(count, counts))


def _matrix(labels: list[str], cells: Counter[tuple[str, str]]) -> Html:
    totals = {a: sum(cells[a, b] for b in labels) or 1 for a in labels}
    head = [el("th", own_text(label), scope="col") for label in labels]
    rows = [
        el(
            "tr",
            el("th", own_text(a), scope="row"),
            *[
                el("td", count(cells[a, b]), class_="right" if a == b else None,
                   style=f"--v:{cells[a, b] / totals[a]:.2f}")
                for b in labels
            ],
        )
        for a in labels
    ]  # fmt: skip
    caption = el("caption", "Rows: the true label. Columns: the challenger's answer.")
    head_row = el("tr", el("th", "true \\ answer", scope="col"), *head)
    matrix = el("table", caption, el("thead", head_row), el("tbody", *rows), class_="matrix")
    return el(
        "div", matrix, class_="scroll", tabindex=0, role="region", aria_label="Confusion matrix"
    )


def _large_matrix(labels: list[str], cells: Counter[tuple[str, str]]) -> Html:
    wrong = Counter({pair: n for pair, n in cells.items() if pair[0] != pair[1]})
    top = [(own_text(a), own_text(b), count(n)) for (a, b), n in wrong.most_common(MAX_CONFUSIONS)]
    shown = f"{counted(wrong.total(), 'wrong answer')} of {counted(cells.total(), 'item')}"
    picture = el(
        "div",
        heat(labels, dict(cells)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="Confusion matrix",
    )
    heads = ("True label", "Answered as", "Items")
    return join(
        table(heads, top, caption=f"Most frequent confusions ({shown})", numeric=frozenset({2})),
        details(f"The whole matrix of {counted(len(labels), 'label')}", picture),
    )


def _label_scores(document: DecisionDocument, labels: list[str]) -> Html | None:
    record = document.file.record
    cards = [c for c in scorecards(record) if c.role in ("challenger", "champion")]
    if not any(f"f1:{label}" in record.challenger.metrics for label in labels):
        return None
    items = record.items
    sizes = Counter(name for label in items.labels for name in items.labels_in(label))
    rows = [
        _label_row(label, sizes[label], cards)
        for label in sorted(labels, key=lambda label: _weakness(record.challenger, label))
    ]
    heads = ("Label", "Items", *(f"F1 {role_name(c.role)}" for c in cards), "F1 of the challenger")
    numeric = frozenset(range(1, 2 + len(cards)))

    def draw(part: list[tuple[str, ...]]) -> Html:
        return table(heads, part, numeric=numeric, class_="bars")

    rest = rows[MAX_MATRIX:]
    more = details(f"{counted(len(rest), 'more label')}", draw(rest)) if rest else None
    return join(el("h3", "Labels, weakest first"), draw(rows[:MAX_MATRIX]), more)


def _weakness(card: Scorecard, label: str) -> float:
    """Sorts a label without a finite F1 first."""
    value = card.metrics.get(f"f1:{label}")
    return value if value is not None and is_finite(value) else -1.0


def _label_row(label: str, size: int, cards: list[Scorecard]) -> tuple[str, ...]:
    values = [card.metrics.get(f"f1:{label}") for card in cards]
    own = values[0] if values[0] is not None else 0.0
    drawn = bar(own, f"F1 {percent(values[0])}")
    return (own_text(label), count(size), *(percent(value) for value in values), drawn)


def calibration(document: DecisionDocument) -> Html:
    """Whether the challenger is right as often as it says, in ten ranges of confidence."""
    record = document.file.record
    card, true = record.challenger, truth(record)
    scored = [
        (confidence, true.get(item) == given)
        for item, given, confidence in zip(
            card.item_ids, card.predicted, card.confidence, strict=False
        )
        if is_finite(confidence)
    ]
    if not scored:
        return note("No confidence was recorded.")
    num_broken = len(card.confidence) - len(scored)
    broken = f" {counted(num_broken, 'confidence')} not finite." if num_broken else ""
    words = (
        "On the diagonal the model is right as often as it says; below it, it is too sure. "
        "A dot's area is its number of items, a red line the gap."
    )
    bins = _bins(scored)
    heads = ("Confidence", "Items", "Mean confidence", "Right")
    rows = [_bin_row(b) for b in bins if b.num_items]
    return join(
        note(f"Calibration error {percent(card.metrics.get('ece'))}. {words}{broken}"),
        el(
            "div",
            el("figure", reliability(bins)),
            table(heads, rows, numeric=frozenset({1, 2, 3})),
            class_="pair",
        ),
    )


def _bins(scored: list[tuple[float, bool]]) -> list[Bin]:
    """Ten ranges of equal width; (confidence, whether right) per item."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for confidence, is_right in scored:
        inside = min(1.0, max(0.0, confidence))
        members[min(NUM_BINS - 1, int(inside * NUM_BINS))].append((inside, is_right))
    return [
        Bin(
            low=i / NUM_BINS,
            high=(i + 1) / NUM_BINS,
            num_items=len(items),
            mean_confidence=sum(c for c, _ in items) / max(1, len(items)),
            accuracy=sum(right for _, right in items) / max(1, len(items)),
        )
        for i, items in enumerate(members)
    ]


def _bin_row(b: Bin) -> tuple[str, ...]:
    span = f"{percent(b.low, 0)} to {percent(b.high, 0)}"
    return (span, count(b.num_items), percent(b.mean_confidence), percent(b.accuracy))
