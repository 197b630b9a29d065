"""Which words led the challenger to mistakes that the other model did not make."""

from collections.abc import Mapping
from types import MappingProxyType

from records.attribution import Attribution
from records.document import DecisionDocument
from report.figures import count, plain, score
from report.html import Html, el, join, note, own_text, table
from report.view import in_words, truth

MAX_TEXT = 600
"""Characters shown of each text."""
NUM_SHADES = 4

NO_REASONS: Mapping[str, Attribution] = MappingProxyType({})


def reasons(
    document: DecisionDocument, texts: Mapping[str, str], found: Mapping[str, Attribution]
) -> Html:
    """The surest new mistakes, each place of the text shaded by what it added to the answer."""
    true = in_words(document, truth(document.file.record))
    is_set = document.file.record.items.has_label_sets
    shown = [(item, a) for item, a in found.items() if item in texts]
    rows = [
        (
            own_text(a.label),
            _shaded(texts[item], a),
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


def _shaded(text: str, found: Attribution) -> Html:
    """The text, each piece in the shade of its value; what no piece covers is plain."""
    largest = max((abs(p.value) for p in found.pieces), default=0.0) or 1.0
    parts: list[str] = []
    at = 0
    for piece in found.pieces:
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
