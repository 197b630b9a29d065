"""How the challenger compares: intervals, rules, slices, flips."""

from collections.abc import Mapping

from records.decision import Comparison, Finding
from records.document import DecisionDocument
from records.scores import Scorecard
from report.charts import ForestRow, forest, shorten
from report.figures import (
    capital,
    count,
    counted,
    difference,
    metric_name,
    p_value,
    plain,
    score,
    span,
)
from report.html import Html, details, el, join, note, own_text, table
from report.view import (
    COMPARED,
    NOTHING_WRITTEN,
    Written,
    answers,
    card_against,
    facts_of,
    findings_of,
    halves,
    in_words,
    interval_text,
    metric_of,
    role_name,
    root_of,
    rule_name,
    scorecards,
    ticks,
    truth,
    unit_of,
)

MARKS = {"passed": "✓ passed", "refused": "✕ refused", "noted": "– noted"}
MAX_SLICES = 40
MAX_LOSSES, MAX_WINS = 12, 6
"""Shown at once per comparison; more open on a click."""
MAX_FLIPS = 100
"""Per comparison and direction; the decision record names all."""
MAX_TEXT = 1_500


def comparison(document: DecisionDocument) -> Html:
    """Scores of all models, then challenger minus each other, as pictures with intervals."""
    metric = metric_of(document)
    compared = findings_of(document, *COMPARED)
    rows = [difference_row(document, f) for f in compared if f.interval]
    name = metric_name(metric)
    caption = f"{capital(name)}, challenger minus the other model, on the same test items"
    picture = forest(rows, caption=caption, write=ticks(metric, signed=True), zero=0.0)
    direction = "Above zero the challenger is better."
    absent = note("No comparison has an interval: see the rules below.")
    return join(
        note(f"{direction} It passes where its whole interval lies right of the limit."),
        picture if rows else absent,
        _score_picture(document),
        _score_table(document),
    )


def difference_row(document: DecisionDocument, finding: Finding) -> ForestRow:
    """A finding that compares two models, with its interval and its limit."""
    detail = interval_text(document, finding)
    if finding.limit is not None:
        detail += f", must exceed {difference(unit_of(document, finding), finding.limit)}"
    interval = finding.interval
    return ForestRow(
        label=rule_name(finding.rule),
        detail=detail,
        state=finding.state,
        estimate=interval.estimate if interval else None,
        lower=interval.lower if interval else None,
        upper=interval.upper if interval else None,
        limit=finding.limit,
    )


def _score_picture(document: DecisionDocument) -> Html:
    metric, record = metric_of(document), document.file.record
    floor = next((f for f in findings_of(document, "floor") if f.interval), None)
    rows = []
    for card in scorecards(record):
        interval = floor.interval if floor and card is record.challenger else None
        value = card.metrics.get(metric)
        text = (
            f" ({span(metric, interval.lower, interval.upper, signed=False)})" if interval else ""
        )
        rows.append(
            ForestRow(
                label=_role(document, card),
                detail=card.error or score(metric, value) + text,
                state=floor.state if floor and interval else "plain",
                estimate=value,
                lower=interval.lower if interval else None,
                upper=interval.upper if interval else None,
                limit=record.policy.minimum if card is record.challenger else None,
            )
        )
    caption = f"{capital(metric_name(metric))} of each model, on the same test items"
    return forest(rows, caption=caption, write=ticks(metric, signed=False))


def _role(document: DecisionDocument, card: Scorecard) -> str:
    champion = document.file.record.champion
    is_same = card.role == "anchor" and champion and champion.model_digest == card.model_digest
    return role_name(card.role) + (" (is the champion)" if is_same else "")


def _score_table(document: DecisionDocument) -> Html:
    names = facts_of(document).shown
    heads = ("Model", *(capital(metric_name(n)) for n in names), "Texts cut", "Could be scored")
    rows = [
        (
            role_name(card.role),
            *(score(n, card.metrics.get(n)) for n in names),
            count(card.num_truncated),
            card.error or "yes",
        )
        for card in scorecards(document.file.record)
    ]
    return table(heads, rows, caption="All metrics", numeric=frozenset(range(1, 6)))


def rules(document: DecisionDocument) -> Html:
    """Every rule of the gate with its result and its reason, refusals first; quiet slices below."""
    decision, record = document.file.decision, document.file.record
    order = {"refused": 0, "passed": 1, "noted": 2}
    found = sorted(
        (f for f in decision.findings if f.state == "refused" or root_of(f) != "slice"),
        key=lambda f: order[f.state],
    )
    num_quiet = len(decision.findings) - len(found)
    rows = [
        (own_text(rule_name(f.rule)), _state(f), own_text(f.reason, "div"), _evidence(document, f))
        for f in found
    ]
    uses = f"{counted(record.num_test_uses, 'earlier decision')} of {count(record.policy.max_uses)}"
    return join(
        note(
            f"Each bound holds with an error rate of {plain(decision.alpha_used)} "
            f"(recipe: {plain(record.policy.alpha)}; attempt {count(record.attempt)} on these data). "
            f"This test set has served {uses}. Gate version {decision.gate_version}."
        ),
        table(("Rule", "Result", "Reason", "Evidence"), rows, class_="stack")
        if rows
        else note("No rule was run."),
        note(f"{counted(num_quiet, 'slice')} without a refusal: see Slices.")
        if num_quiet
        else None,
    )


def _state(finding: Finding) -> Html:
    return el("span", MARKS[finding.state], class_=f"state {finding.state}")


def _evidence(document: DecisionDocument, finding: Finding) -> str:
    parts = [
        interval_text(document, finding),
        counted(finding.num_items, "item") if finding.num_items is not None else "",
        f"p {p_value(finding.p_value)}" if finding.p_value is not None else "",
        finding.interval.method if finding.interval else "",
    ]
    return ", ".join(part for part in parts if part)


def slices(document: DecisionDocument) -> Html:
    """Each declared part of the test set: held, harmed, or too small to say."""
    found = findings_of(document, "slice")
    if not found:
        why = "; ".join(f.reason for f in findings_of(document, "slices"))
        return note(f"Slices: {why}." if why else "The recipe declares no slices.")
    found = sorted(found, key=lambda f: ({"refused": 0, "passed": 1, "noted": 2}[f.state], f.rule))
    shown, rest = found[:MAX_SLICES], found[MAX_SLICES:]
    rows = [_slice_row(document, f) for f in shown]
    unit = unit_of(document, found[0])
    caption = f"{capital(metric_name(unit))}, challenger minus the champion, on each slice"
    others = [(own_text(rule_name(f.rule)), _state(f), own_text(f.reason, "div")) for f in rest]
    return join(
        note("A slice refuses where a loss beyond the margin is shown; grey ones prove nothing."),
        forest(rows, caption=caption, write=ticks(unit, signed=True), zero=0.0),
        details(f"{counted(len(rest), 'more slice')}", table(("Slice", "Result", "Reason"), others))
        if rest
        else None,
    )


def _slice_row(document: DecisionDocument, finding: Finding) -> ForestRow:
    row = difference_row(document, finding)
    size = f"{counted(finding.num_items, 'item')} · " if finding.num_items is not None else ""
    text = interval_text(document, finding) or finding.reason
    mark = MARKS[finding.state].partition(" ")[0]
    return ForestRow(
        row.label, f"{mark} {size}{text}", row.state, row.estimate, row.lower, row.upper, row.limit
    )


def flips(
    document: DecisionDocument, texts: Mapping[str, str], written: Written = NOTHING_WRITTEN
) -> Html:
    """Items that one model gets right (or writes better) and the other wrong; losses first."""
    compared = document.file.decision.comparisons
    if not compared:
        return note("No other model was compared item by item.")
    first, *others = compared
    more = [
        details(f"Against the {role_name(c.against)}", _flips_of(document, c, texts, written))
        for c in others
    ]
    return join(
        el("h3", f"Against the {role_name(first.against)}"),
        _flips_of(document, first, texts, written),
        *more,
    )


def _flips_of(
    document: DecisionDocument, compared: Comparison, texts: Mapping[str, str], written: Written
) -> Html:
    record, has_labels = document.file.record, facts_of(document).has_labels
    other = card_against(record, compared.against)
    true, new = (in_words(document, known) for known in (truth(record), answers(record.challenger)))
    old = in_words(document, answers(other)) if other else {}
    if not has_labels:
        true, new = dict(written.right), dict(written.by_role.get("challenger", {}))
        old = dict(written.by_role.get(other.role, {})) if other else {}
    lost, won = halves(compared, has_labels=has_labels)
    marked = [
        ("refused", "✕ lost", lost[:MAX_LOSSES]),
        ("passed", "✓ won", won[:MAX_WINS]),
        ("refused", "✕ lost", lost[MAX_LOSSES:MAX_FLIPS]),
        ("passed", "✓ won", won[MAX_WINS:MAX_FLIPS]),
    ]
    rows = [
        [
            (
                el("span", result, class_=f"state {state}"),
                _text(item, texts),
                *(own_text(known.get(item, "not known")) for known in (true, old, new)),
            )
            for item in items
        ]
        for state, result, items in marked
    ]
    return _flip_tables(document, compared, [*rows[0], *rows[1]], [*rows[2], *rows[3]])


def _flip_tables(
    document: DecisionDocument,
    compared: Comparison,
    first: list[tuple[str, ...]],
    more: list[tuple[str, ...]],
) -> Html:
    heads = ("Result", "Text", _right(document), capital(role_name(compared.against)), "Challenger")
    hidden = len(compared.flips) - len(first) - len(more)
    return join(
        note(_comparison_text(document, compared)),
        table(heads, first, class_="stack") if first else note("No item is answered differently."),
        details(f"{counted(len(more), 'more changed answer')}", table(heads, more, class_="stack"))
        if more
        else None,
        note(f"{count(hidden)} more in the decision record.") if hidden else None,
    )


def _right(document: DecisionDocument) -> str:
    facts = facts_of(document)
    if facts.has_label_sets:
        return "True labels"
    return "True label" if facts.has_labels else "Right answer"


def _comparison_text(document: DecisionDocument, compared: Comparison) -> str:
    metric = "accuracy" if compared.against.startswith("judge:") else metric_of(document)
    effect = difference(metric, compared.minimum_detectable_effect).lstrip("+")
    return (
        f"Of {counted(compared.num_items, 'paired item')} the challenger lost "
        f"{count(compared.num_losses)} and won {count(compared.num_wins)} "
        f"(McNemar's p {p_value(compared.mcnemar_p)}). The smallest true loss that this test "
        f"shows with 80% power is {effect}."
    )


def _text(item: str, texts: Mapping[str, str]) -> Html:
    """An item's text in its own direction, or that it is missing."""
    if item not in texts:
        return el("span", "text missing: erased or not given (item ", item, ")", class_="absent")
    text = texts[item]
    cut = f" ({count(len(text))} characters in all)" if len(text) > MAX_TEXT else None
    shown = el("div", shorten(text, MAX_TEXT), class_="text", dir="auto")
    return join(shown, el("span", cut, class_="absent") if cut else None)
