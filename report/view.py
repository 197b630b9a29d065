"""What several parts of the page read out of a document: roles, answers, rules in words."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from records.decision import MOST_FLIPS, Comparison, Finding, GateRecord
from records.document import DecisionDocument
from records.personal import mask_all
from records.scores import Scorecard
from records.task import TASKS, TaskFacts, slice_metric
from report.figures import difference, score, span, tick

RULES = {
    "complete": "All evidence is there",
    "fingerprints": "Scored in the same way",
    "constant": "Answers vary",
    "checks": "Data checks",
    "lineage": "Test items unseen in training",
    "parity": "Saved model gives what was scored",
    "min_items": "Enough test items",
    "floor": "Minimum score",
    "champion": "Against the champion",
    "anchor": "Against the anchor",
    "judge": "The judge, against the",
    "labels": "Labels match by name",
    "slices": "Slices",
    "budgets": "Running costs",
    "wear": "Wear of the test set",
}


class Written(NamedTuple):
    """Texts for items of the page, where answers are texts and so not in the record."""

    right: Mapping[str, str] = {}
    """Item id -> right answers, one a line."""
    by_role: Mapping[str, Mapping[str, str]] = {}
    """Role -> item id -> what that model wrote."""

    def masked(self) -> "Written":
        """The same without personal data."""
        return Written(
            mask_all(self.right), {r: mask_all(said) for r, said in self.by_role.items()}
        )


NOTHING_WRITTEN = Written()
COMPARED = ("champion", "anchor", "baseline")


def facts_of(document: DecisionDocument) -> TaskFacts:
    """What the model's task is like."""
    return TASKS[document.file.record.task]


def halves(compared: Comparison, *, has_labels: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The flips that were lost, and those that were won."""
    lost = compared.num_losses if has_labels else min(compared.num_losses, MOST_FLIPS)
    return compared.flips[:lost], compared.flips[lost:]


def rule_name(rule: str) -> str:
    """A rule of the gate in words: `baseline:tfidf` -> Against the baseline tfidf."""
    root, _, rest = rule.partition(":")
    if root == "slice":
        return rest.replace("=", " = ", 1)
    if root == "baseline":
        return f"Against the baseline {rest}"
    if root == "judge":
        return f"{RULES[root]} {role_name(rest)}"
    name = RULES.get(root, root.replace("_", " ").capitalize())
    return f"{name}: {rest}" if rest else name


def role_name(role: str) -> str:
    """`baseline:tfidf` -> baseline tfidf; `judge:champion` -> champion, by the judge."""
    if role.startswith("judge:"):
        return f"{role_name(role.removeprefix('judge:'))}, by the judge"
    return role.replace(":", " ", 1)


def root_of(finding: Finding) -> str:
    """The part of a rule's name before its colon."""
    return finding.rule.partition(":")[0]


def findings_of(document: DecisionDocument, *roots: str) -> list[Finding]:
    """The findings whose rule begins with one of `roots`, in the gate's order."""
    return [f for f in document.file.decision.findings if root_of(f) in roots]


def scorecards(record: GateRecord) -> list[Scorecard]:
    """Challenger, champion, anchor and baselines, as far as they are there."""
    cards = [record.challenger, record.champion, record.anchor, *record.baselines]
    return [card for card in cards if card is not None]


def answers(card: Scorecard) -> dict[str, str]:
    """Predicted label by item id; of a list that is too short, what there is."""
    return dict(zip(card.item_ids, card.predicted, strict=False))


def truth(record: GateRecord) -> dict[str, str]:
    """True label by item id."""
    return dict(zip(record.items.item_ids, record.items.labels, strict=False))


def labels_of(document: DecisionDocument) -> list[str]:
    """Every label that occurs: the data's own in their order, then those only a model knows."""
    record = document.file.record
    answers = {*record.items.labels, *record.challenger.predicted}
    others = {name for answer in answers for name in record.items.labels_in(answer)}
    return [*document.data.labels, *sorted(others - set(document.data.labels))]


def in_words(document: DecisionDocument, answers: Mapping[str, str]) -> dict[str, str]:
    """Answers by item id as people read them: a set is its labels, or that there is none."""
    items = document.file.record.items
    if not items.has_label_sets:
        return dict(answers)
    return {item: ", ".join(items.labels_in(a)) or "(none)" for item, a in answers.items()}


def metric_of(document: DecisionDocument) -> str:
    """The metric that decides."""
    return document.file.record.policy.metric


def own_score(document: DecisionDocument) -> float | None:
    """The challenger's value of the metric that decides."""
    return document.file.record.challenger.metrics.get(metric_of(document))


def ticks(metric: str, *, signed: bool) -> Callable[[float], str]:
    """How an axis of a metric (or of differences in it) is marked."""
    return lambda value: tick(metric, value, signed=signed)


def is_signed(finding: Finding) -> bool:
    """Whether a finding's interval is a difference between two models."""
    return root_of(finding) in (*COMPARED, "slice", "judge")


def unit_of(document: DecisionDocument, finding: Finding) -> str:
    """The metric of a finding's interval: slices of labels have their own, a judge shares of items."""
    record, root = document.file.record, root_of(finding)
    if root == "judge":
        return "accuracy"
    metric = record.policy.metric
    return slice_metric(record.task, metric) if root == "slice" else metric


def card_against(record: GateRecord, against: str) -> Scorecard | None:
    """The scorecard of a comparison, which may be on a part of the items (`champion:shared`)."""
    against = against.removeprefix("judge:")
    cards = {card.role: card for card in scorecards(record)}
    return cards.get(against) or cards.get(against.partition(":")[0])


def interval_text(document: DecisionDocument, finding: Finding) -> str:
    """Estimate and bounds in words; empty where the rule has no interval."""
    if finding.interval is None:
        return ""
    metric, signed, found = unit_of(document, finding), is_signed(finding), finding.interval
    if found.estimate is None and found.lower is None:
        return "no figure"
    estimate = (difference if signed else score)(metric, found.estimate)
    return f"{estimate} ({span(metric, found.lower, found.upper, signed=signed)})"


def main_comparison(document: DecisionDocument) -> Finding | None:
    """The comparison that a manager asks for: the champion, else the hardest baseline."""
    champion = [f for f in findings_of(document, "champion") if f.interval]
    baselines = [f for f in findings_of(document, "baseline") if f.interval]
    baselines.sort(key=_estimate)
    return next(iter([*champion, *baselines]), None)


def _estimate(finding: Finding) -> float:
    value = finding.interval.estimate if finding.interval else None
    return float("inf") if value is None else value
