"""The verdict in words: a headline, and one sentence that a manager understands."""

from records.decision import Finding
from records.document import DecisionDocument
from report.figures import count, counted, difference, is_finite, metric_name, score
from report.view import main_comparison, metric_of, own_score, role_name

HEADLINES = {
    "unchanged": "Unchanged: there was nothing new to decide",
    "held": "Held: it would be promoted, but promotions are on hold",
    "waiting": "Waiting for approval: the gate agrees, a person has the last word",
    "declined": "Refused: the gate agreed, but it was not approved",
    "would_promote": "Would promote: a dry run, so production was left alone",
    "data_refused": "Refused: the data did not pass its checks",
}
WHY = {
    "shown worse": "shown to be worse",
    "not shown": "not shown to be good enough",
    "not comparable": "the models cannot be compared",
    "broken": "evidence is missing or broken",
    "promote": "the gate agreed, but the promotion did not happen",
}
THEREFORE = {
    "shown worse": "a loss is shown that chance does not explain",
    "not shown": "this test is too small to show that it is good enough",
    "not comparable": "the models cannot be compared fairly",
    "broken": "evidence is missing or broken",
    "promote": "it passed, but the promotion did not happen",
}


def headline(document: DecisionDocument) -> str:
    """The verdict and its why in a few words, for the page's first line and for titles."""
    decision, name = document.file.decision, document.file.record.name
    if document.outcome == "promoted":
        version = f" version {document.model_version}" if document.model_version else ""
        overridden = "went live by override, against the gate"
        is_live = overridden if decision.verdict == "refuse" else "is the new champion"
        return f"Promoted: {name}{version} {is_live}"
    return HEADLINES.get(document.outcome, f"Refused: {WHY[decision.kind]}")


def sentence(document: DecisionDocument) -> str:
    """What was reached, against whom, and what follows, in one sentence."""
    if document.outcome == "data_refused":
        failed = sum(r.blocking and not r.passed for r in document.data.report.results)
        return f"{counted(failed, 'check')} failed on the data, so {_stays(document)}."
    if document.outcome == "unchanged":
        return f"These data and this recipe were decided before, so {_stays(document)}."
    reached = _reached(document)
    return f"{reached}{_compared(document)}; {_follows(document)}."


def _reached(document: DecisionDocument) -> str:
    metric, value = metric_of(document), own_score(document)
    items = counted(len(document.file.record.items.item_ids), "test item")
    if not is_finite(value):
        return "The new model cannot be judged, for its score is missing or not a number"
    if metric == "accuracy":
        wholly = "wholly " if document.file.record.items.has_label_sets else ""
        return f"The new model is {wholly}right on {score(metric, value)} of {items}"
    return f"The new model has a {metric_name(metric)} of {score(metric, value)} on {items}"


def _compared(document: DecisionDocument) -> str:
    found = main_comparison(document)
    estimate = found.interval.estimate if found and found.interval else None
    if found is None or estimate is None or not is_finite(estimate):
        return ""
    if estimate == 0:
        return f", exactly as {_other(found)}"
    size = difference(metric_of(document), abs(estimate)).lstrip("+")
    return f", {size} {'better' if estimate > 0 else 'worse'} than {_other(found)}"


def _other(finding: Finding) -> str:
    return f"the {role_name(finding.rule)}"


def _follows(document: DecisionDocument) -> str:
    decision, record = document.file.decision, document.file.record
    if document.outcome == "held":
        return f"promotions are on hold, so {_stays(document)}"
    if document.outcome == "waiting":
        return f"it goes live once somebody approves; until then {_stays(document)}"
    if document.outcome == "declined":
        return f"it was not approved, so {_stays(document)}"
    if document.outcome == "would_promote":
        return f"it would go live, but this was a dry run, so {_stays(document)}"
    if document.outcome == "refused":
        return f"{THEREFORE[decision.kind]}, so {_stays(document)}"
    if decision.verdict == "refuse":
        return f"the gate refused it, and {document.actor or 'somebody'} put it live all the same"
    if record.champion is None:
        number = counted(len(record.baselines), "baseline")
        return f"it is shown better than {number} and goes live as the first champion"
    shown = "better" if record.policy.rule == "superior" else "no worse than allowed"
    return f"it is shown to be {shown}, so it goes live"


def _stays(document: DecisionDocument) -> str:
    record = document.file.record
    if record.champion is None and not record.ledger_sequence:
        return "nothing goes live"
    return f"the model in place stays (ledger entry {count(record.ledger_sequence)})"
