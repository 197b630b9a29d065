"""The top of the page: what was decided and why, in words, and four figures."""

from records.document import DecisionDocument
from records.policy import HIGHER_IS_BETTER
from report.figures import (
    capital,
    count,
    counted,
    difference,
    metric_name,
    moment,
    plain,
    score,
    seconds,
    size,
)
from report.html import Html, el, join, own_text
from report.sentence import headline, sentence
from report.view import findings_of, main_comparison, metric_of, own_score, role_name, rule_name

MAX_REASONS = 3


def verdict(document: DecisionDocument) -> Html:
    """Headline, sentence, reasons of a refusal, and key figures."""
    tone = {"promoted": "good", "refused": "bad", "data_refused": "bad"}.get(
        document.outcome, "calm"
    )
    record, summary = document.file.record, document.file.decision.summary.strip()
    who = f", by {document.actor}" if document.actor else ""
    kicker = join("Model ", own_text(record.name), f" · {moment(document.time)}{who}")
    said = el(
        "div",
        el("h1", headline(document), dir="auto"),
        el("p", sentence(document), dir="auto"),
        el("p", "The gate: ", own_text(summary), class_="gate") if summary else None,
        _reasons(document),
        el("p", f"Note: {document.reason}", dir="auto") if document.reason else None,
        class_=f"verdict {tone}",
    )
    return el("header", el("p", kicker, class_="kicker"), said, _tiles(document), class_="top")


def _reasons(document: DecisionDocument) -> Html | None:
    """The first rules that refused, unless the gate's summary has said the very same."""
    summary = document.file.decision.summary
    by_reason = {f.reason: f.rule for f in reversed(document.file.decision.refusals)}
    new = [(rule, why) for why, rule in reversed(by_reason.items()) if why and why not in summary]
    if not new:
        return None
    shown = [el("li", f"{rule_name(rule)}: {why}", dir="auto") for rule, why in new[:MAX_REASONS]]
    rest = len(new) - len(shown)
    more = el("li", f"and {counted(rest, 'more reason')} in the table of rules") if rest else None
    return el("ul", *shown, more)


def _tiles(document: DecisionDocument) -> Html:
    return el("dl", *_score_tiles(document), *_effort_tiles(document), class_="tiles")


def _tile(name: str, value: str, small: str) -> Html:
    return el("div", el("dt", name), el("dd", value, el("small", small)))


def _score_tiles(document: DecisionDocument) -> list[Html]:
    metric, policy = metric_of(document), document.file.record.policy
    floor = next((f for f in findings_of(document, "floor") if f.interval), None)
    is_higher_better = HIGHER_IS_BETTER[metric]
    side, needs = ("lower", "more than") if is_higher_better else ("upper", "less than")
    small = f"needs {needs} {score(metric, policy.minimum)}"
    if floor and floor.interval:
        bound = floor.interval.lower if is_higher_better else floor.interval.upper
        small = f"{side} bound {score(metric, bound)}; {small}"
    tiles = [_tile(capital(metric_name(metric)), score(metric, own_score(document)), small)]
    found = main_comparison(document)
    if found and found.interval:
        title = f"Against the {role_name(found.rule)}"
        limit = (
            f"; must exceed {difference(metric, found.limit)}" if found.limit is not None else ""
        )
        lower = f"lower bound {difference(metric, found.interval.lower)}{limit}"
        tiles.append(_tile(title, difference(metric, found.interval.estimate), lower))
    return tiles


def _effort_tiles(document: DecisionDocument) -> list[Html]:
    record = document.file.record
    alpha = f"attempt {count(record.attempt)}, alpha {plain(document.file.decision.alpha_used)}"
    items = _tile("Test items", count(len(record.items.item_ids)), alpha)
    if not document.costs:
        return [items]
    peak = size(max(cost.peak_memory_bytes for cost in document.costs))
    total = seconds(sum(cost.wall_s for cost in document.costs))
    return [items, _tile("Time, all steps", total, f"peak memory {peak}")]
