"""The decision page: one HTML file that loads nothing, runs nothing and never fails."""

from collections.abc import Callable, Mapping

from records.attribution import Reason
from records.dialogue import last_question
from records.document import DecisionDocument
from records.personal import mask_all, mask_pieces
from report import origin, scores, training
from report.cost import cost
from report.html import Html, el, join, note, trusted
from report.judge import judge
from report.reasons import NO_REASONS
from report.reasons import reasons as reasons_part
from report.search import choice, search
from report.sentence import headline
from report.style import STYLE
from report.verdict import verdict
from report.view import NOTHING_WRITTEN, Written, facts_of

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy: should a text ever break out of its element, it still runs nothing."""

OF_LABELS = ("confusion", "calibration")
"""Parts that only labels have."""
Part = Callable[[DecisionDocument], Html]


def render(
    document: DecisionDocument,
    texts: Mapping[str, str],
    written: Written = NOTHING_WRITTEN,
    reasons: Mapping[str, Reason] = NO_REASONS,
) -> str:
    """The whole page of one decision, as self-contained HTML.

    Args:
        document: everything that the run left behind; missing or NaN parts are said, not raised.
        texts: item id -> text, for the flips that may be shown; missing ones are said to be missing.
            Personal data in them, and in `written`, is masked here.
        written: right and given answers, where they are texts.
        reasons: item id -> what each place of its text, or last question, added to the challenger's answer.

    Returns:
        HTML that encodes to UTF-8 whatever the texts hold.
    """
    asked = {i: last_question(texts[i]) for i in reasons if i in texts}
    reasons = {
        i: reasons[i].model_copy(update={"pieces": mask_pieces(asked[i], reasons[i].pieces)})
        for i in asked
    }
    texts, asked, written = mask_all(texts), mask_all(asked), written.masked()
    parts: list[tuple[str, str, Part]] = [
        ("comparison", "Comparison", scores.comparison),
        ("judge", "Judge", judge),
        ("rules", "Rules", scores.rules),
        ("choice", "Choice of the base", choice),
        ("search", "Search", search),
        ("training", "Training", training.training),
        ("confusion", _of_answers(document), training.confusion),
        ("calibration", "Calibration", training.calibration),
        ("slices", "Slices", scores.slices),
        ("flips", "Changed answers", lambda d: scores.flips(d, texts, written)),
        ("reasons", "Reasons", lambda d: reasons_part(d, asked, reasons, written)),
        ("data", "Data", origin.data),
        ("power", "Power", origin.power),
        ("cost", "Cost", cost),
        ("lineage", "Lineage", origin.lineage),
        ("recipe", "Recipe", origin.recipe),
    ]
    absent = {
        *(() if document.choice else ("choice",)),
        *(() if document.search else ("search",)),
        *(() if document.file.record.policy.judge else ("judge",)),
        *(() if reasons else ("reasons",)),
        *(() if facts_of(document).has_labels else OF_LABELS),
    }
    parts = [part for part in parts if part[0] not in absent]
    links = [el("a", title, href=f"#{name}") for name, title, _ in parts]
    body = el(
        "body",
        _drawn(verdict, document),
        el("main", el("nav", *links, aria_label="Parts of this page"), *_sections(document, parts)),
        _footer(document),
    )
    return f"<!doctype html>\n{el('html', _head(document), body, lang='en')}\n"


def _of_answers(document: DecisionDocument) -> str:
    return "Labels" if facts_of(document).has_label_sets else "Confusion"


def _head(document: DecisionDocument) -> Html:
    title = f"{document.file.record.name} · {headline(document)}"
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", trusted(STYLE)),
    )


def _sections(document: DecisionDocument, parts: list[tuple[str, str, Part]]) -> list[Html]:
    return [
        el("section", el("h2", title, id=f"{name}-title"), _drawn(part, document), id=name,
           aria_labelledby=f"{name}-title")
        for name, title, part in parts
    ]  # fmt: skip


def _drawn(part: Part, document: DecisionDocument) -> Html:
    """The part, or why it could not be drawn.

    The report refuses never: no picture is worth a lost decision, so that here, and only here,
    every error becomes a sentence.
    """
    try:
        return part(document)
    except Exception as error:
        return note(f"This part could not be drawn: {type(error).__name__}: {error}")


def _footer(document: DecisionDocument) -> Html:
    how = el("code", f"refit explain {document.decision_digest[:12]}")
    return el("footer", join("Written by refit. Replay this decision offline: ", how))
