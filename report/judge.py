"""What a judge said of the written answers: counts, agreement, cost, and how it was asked."""

from collections import Counter

from records.document import DecisionDocument
from records.judge import Judgement, agree
from report.figures import count, counted, percent, seconds
from report.html import Html, join, note, own_text, table
from report.view import role_name

HEADS = ("Against", "Won", "Lost", "Tied", "Left open", "No verdict", "Both orders agree",
         "Calls", "Tokens", "Time")  # fmt: skip


def judge(document: DecisionDocument) -> Html:
    """One line per model that the challenger was compared with."""
    record = document.file.record
    policy = record.policy.judge
    if policy is None:
        return note("The recipe names no judge.")
    if not record.judgements:
        return note("The judge was not asked: other evidence is missing or broken.")
    first = record.judgements[0]
    right = "with" if policy.show_reference else "without"
    return join(
        note(
            f"{policy.model} at {policy.url} compared the answers to "
            f"{counted(len(first.item_ids), 'test item')}, each pair in both orders, at temperature "
            f"0, {right} a right answer to look at."
        ),
        table(HEADS, [_row(one) for one in record.judgements], numeric=frozenset(range(1, 10))),
        *(
            note(f"It did not come to an end: {e}.")
            for one in record.judgements
            if (e := one.error)
        ),
        note(
            "An item is won, lost or tied where both orders say so. All others are left open, and "
            f"count as lost. Prompt version {first.prompt_version}, sha256 {first.prompt_digest[:12]}."
        ),
    )


def _row(said: Judgement) -> tuple[str, ...]:
    pairs = list(zip(said.shown_first, said.shown_last, strict=False))
    found = Counter(agree(*pair) for pair in pairs)
    unreadable = sum("unreadable" in pair for pair in pairs)
    share = 1 - found[None] / len(pairs) if pairs else None
    return (
        own_text(role_name(said.against)),
        *(count(found[choice]) for choice in ("challenger", "other", "tie", None)),
        count(unreadable),
        percent(share),
        count(said.num_calls),
        count(said.num_tokens),
        seconds(said.wall_s),
    )
