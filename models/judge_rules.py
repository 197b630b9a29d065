"""The gate's rules about a judge: what it said is counted, nothing is asked here.

An item is won or lost where both orders say so, a tie where both say that. All else is an abstention:
a judge that contradicts itself, or whose reply was no verdict. Abstentions count as losses.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from models.intervals import Paired, compare, gain
from models.judging import entries_at, judged_places
from models.rulings import Case, Ruling, bounded, compared, refused
from models.statistics import mcnemar_p, rounded
from records.decision import MOST_FLIPS, Comparison, Interval
from records.judge import Choice, Judgement, JudgePolicy, agree, digest_answers
from records.scores import Scorecard

RIGHT, WRONG = "right", "wrong"


def judge_rules(case: Case) -> Iterator[Ruling]:
    """One rule per other model, where the policy names a judge; a missing judgement refuses."""
    policy = case.policy.judge
    if policy is None:
        return
    said = {found.against: found for found in case.record.judgements}
    for name, card in case.opponents:
        rule = f"judge:{name}"
        if name not in said:
            yield refused(rule, f"the judge was not asked about the {name}; run again")
        elif problems := judgement_problems(case, policy, said[name], card):
            yield refused(rule, "; ".join(problems))
        else:
            yield _ruling(case, policy, rule, said[name])


def judgement_problems(
    case: Case, policy: JudgePolicy, said: Judgement, card: Scorecard
) -> list[str]:
    """Why a judgement is none of these models, these answers and these items; empty: it is."""
    if said.error:
        return [f"the judge did not come to an end: {said.error}"]
    items, ours = case.record.items, case.record.challenger
    places = judged_places(items, policy.items)
    problems = []
    if (said.challenger_digest, said.other_digest) != (ours.model_digest, card.model_digest):
        problems.append("it judged other models; run again")
    if said.policy_digest != policy.digest:
        problems.append("it was asked by other settings than gate.judge; run again")
    if said.item_ids != entries_at(items.item_ids, places):
        problems.append("it judged other items than those that are drawn; run again")
    elif said.answers_digest != digest_answers(
        entries_at(ours.predicted, places), entries_at(card.predicted, places)
    ):
        problems.append("it was shown other answers than were scored; run again")
    for order in (said.shown_first, said.shown_last):
        if len(order) != len(said.item_ids):
            problems.append(f"{len(order)} verdicts on {len(said.item_ids)} items; run again")
    num_groups = len({items.groups[place] for place in places})
    if num_groups < case.policy.min_items:
        problems.append(
            f"it judged {num_groups} groups, {case.policy.min_items} are needed; raise "
            "gate.judge.items"
        )
    return problems


def tally(said: Judgement) -> Counter[str]:
    """How many items were won, lost, tied and left open."""
    names = {"challenger": "won", "other": "lost", "tie": "tied", None: "abstained"}
    return Counter(names[found] for found in _agreed(said))


def _agreed(said: Judgement) -> list[Choice | None]:
    """What both orders say of each item; None: it is left open."""
    return [agree(*pair) for pair in zip(said.shown_first, said.shown_last, strict=True)]


def _ruling(case: Case, policy: JudgePolicy, rule: str, said: Judgement) -> Ruling:
    """The bound on won minus lost exceeds the limit, abstentions lost."""
    is_tolerant = case.policy.rule == "non_inferior" and not rule.startswith("judge:baseline")
    limit = 0.0 - (policy.margin if is_tolerant else 0.0)
    against = _paired(case, policy, said, abstained=False)
    interval = gain(against, "accuracy", case.alpha)
    holds = interval.lower is not None and interval.lower > limit
    # An abstention is no proof of harm, so that for this question it counts the other way.
    best = gain(_paired(case, policy, said, abstained=True), "accuracy", case.alpha)
    is_worse = best.upper is not None and best.upper < 0
    reason = f"{_counts(said)}; won less lost and left open "
    reason += f"{bounded(interval.estimate, 'at least', interval.lower)}, must exceed {limit:g}"
    if is_worse and not holds:
        reason += "; its answers are shown worse: read them, and train on such rows"
    elif not holds:
        reason += "; ask about more items, or another judge where this one contradicts itself"
    comparison = _comparison(against, rule, said, interval, case.alpha)
    return compared(rule, reason, interval, limit, comparison, holds=holds, is_worse=is_worse)


def _counts(said: Judgement) -> str:
    found, num_items = tally(said), len(said.item_ids)
    text = ", ".join(f"{found[name]} {name}" for name in ("won", "lost", "tied", "abstained"))
    unreadable = sum(
        "unreadable" in pair for pair in zip(said.shown_first, said.shown_last, strict=True)
    )
    more = f" ({unreadable} for replies without a verdict)" if unreadable else ""
    share = 1 - found["abstained"] / max(1, num_items)
    return f"of {num_items} items {text}{more}; both orders agree on {share:.1%}"


def _paired(case: Case, policy: JudgePolicy, said: Judgement, *, abstained: bool) -> Paired:
    """The verdicts as two models' right and wrong answers, for the interval of shares.

    Args:
        abstained: whether items that were left open count as won; else as lost.
    """
    items = case.record.items
    places = judged_places(items, policy.items)
    both = _agreed(said)
    ours = [a in ("challenger", "tie") or (a is None and abstained) for a in both]
    theirs = [a in ("other", "tie") or (a is None and not abstained) for a in both]
    groups = [items.groups[place] for place in places]
    cards = [_card(case.record.challenger, said, answers) for answers in (ours, theirs)]
    rows, labels = np.arange(len(places)), [RIGHT] * len(places)
    return Paired(groups, labels, cards[0], cards[1], rows, items.labels_in)


def _card(blank: Scorecard, said: Judgement, answers: Sequence[bool]) -> Scorecard:
    predicted = tuple(RIGHT if is_right else WRONG for is_right in answers)
    return blank.model_copy(update={"predicted": predicted, "item_ids": said.item_ids})


def _comparison(
    paired: Paired, rule: str, said: Judgement, interval: Interval, alpha: float
) -> Comparison:
    """With the items that were lost, then those that were won; those left open are not among them."""
    found = compare(paired, rule, "accuracy", interval, alpha)
    both = _agreed(said)
    lost, won = (_items(said, both, name) for name in ("other", "challenger"))
    return found.model_copy(
        update={
            "num_losses": len(lost),
            "num_wins": len(won),
            "mcnemar_p": rounded(mcnemar_p(len(won), len(lost))),
            "flips": (*lost[:MOST_FLIPS], *won[:MOST_FLIPS]),
        }
    )


def _items(said: Judgement, both: Sequence[Choice | None], choice: Choice) -> list[str]:
    return [item for item, found in zip(said.item_ids, both, strict=True) if found == choice]
