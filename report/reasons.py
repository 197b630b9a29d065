"""Which words led the challenger to mistakes that the other model did not make."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from records.attribution import Attribution, Omission, Piece, Reason
from records.document import DecisionDocument
from report.figures import count, plain, score
from report.html import Html, el, join, note, own_text, table
from report.view import NOTHING_WRITTEN, Written, in_words, truth

MAX_TEXT = 600
"""Characters shown of each text."""
NUM_SHADES = 4

NO_REASONS: Mapping[str, Reason] = MappingProxyType({})


def reasons(
    document: DecisionDocument,
    texts: Mapping[str, str],
    found: Mapping[str, Reason],
    written: Written = NOTHING_WRITTEN,
) -> Html:
    """The worst new mistakes, each place of the text shaded by what it added to the answer."""
    omissions = {item: one for item, one in found.items() if isinstance(one, Omission)}
    if omissions:
        return _of_answers(omissions, texts, written)
    of_labels = {item: one for item, one in found.items() if isinstance(one, Attribution)}
    return _of_labels(document, texts, of_labels)


def _of_answers(found: Mapping[str, Omission], texts: Mapping[str, str], written: Written) -> Html:
    """Where answers are texts: what each costs more without each word of what was asked."""
    said = written.by_role.get("challenger", {})
    rows = [
        (
            own_text(said.get(item, "not known")),
            _shaded(texts[item], one.pieces),
            own_text(written.right.get(item, "not known")),
            f"{plain(one.nats)} nats",
        )
        for item, one in found.items()
        if item in texts
    ]
    return join(
        note(
            f"The {count(len(rows))} answers by which the challenger lost most. ",
            el("mark", "Without this word", class_="for-4"),
            " its answer would cost more, ",
            el("mark", "without this one", class_="against-4"),
            " less, as when each is left out alone; point at a word for the nats. These need not add "
            "up, since words can say the same twice; in a dialogue they are the last user's.",
        ),
        table(("Answer", "Text", "Right answer", "Costs"), rows, class_="stack"),
    )


def _of_labels(
    document: DecisionDocument, texts: Mapping[str, str], found: Mapping[str, Attribution]
) -> Html:
    true = in_words(document, truth(document.file.record))
    is_set = document.file.record.items.has_label_sets
    shown = [(item, a) for item, a in found.items() if item in texts]
    rows = [
        (
            own_text(a.label),
            _shaded(texts[item], a.pieces),
            own_text(true.get(item, "not known")),
            score("accuracy", a.probability),
            _check(a),
        )
        for item, a in sorted(shown, key=lambda pair: -pair[1].probability)
    ]
    return join(
        note(
            f"The challenger's {count(len(rows))} surest mistakes that the other model did not make. ",
            el("mark", "Shaded like this", class_="for-4"),
            " speaks for its answer, ",
            el("mark", "like this", class_="against-4"),
            " against it, by integrated gradients of the answer's log-odds; point at a place for its "
            "value. The values add up to the difference between this text and a blank one.",
        ),
        note("Of a wrong set, the label is one that was given wrongly, else one that was missed.")
        if is_set
        else None,
        table(
            (
                "Label" if is_set else "Answer",
                "Text",
                "True labels" if is_set else "True label",
                "Probability",
                "Adds up",
            ),
            rows,
            class_="stack",
        ),
    )


def _shaded(text: str, pieces: Sequence[Piece]) -> Html:
    """The text, each piece in the shade of its value; what no piece covers is plain."""
    largest = max((abs(p.value) for p in pieces), default=0.0) or 1.0
    parts: list[str] = []
    at = 0
    for piece in pieces:
        if piece.end > MAX_TEXT or piece.start < at:
            continue
        parts.append(text[at : piece.start])
        shade = round(NUM_SHADES * abs(piece.value) / largest)
        words = text[piece.start : piece.end]
        side = "for" if piece.value > 0 else "against"
        parts.append(
            el("mark", words, class_=f"{side}-{shade}", title=f"{piece.value:+.2f}")
            if shade
            else words
        )
        at = piece.end
    rest = text[at:MAX_TEXT]
    more = " ..." if len(text) > MAX_TEXT else ""
    return el("div", *parts, rest, more, class_="text", dir="auto")


def _check(found: Attribution) -> str:
    total = plain(found.score - found.blank_score)
    if found.is_complete:
        return f"{total}, within {plain(found.tolerance)}"
    return f"no: {plain(found.gap)} of {total} is missing, so do not read it as a reason"
