"""The page over decisions of the real gate: its rules have words and its verdicts agree."""

import pytest

from models.gate import decide
from records.document import DecisionDocument, DecisionFile
from report.card import model_card
from report.markdown import summary_markdown, summary_rows
from report.page import render
from tests.report import documents


def judged(name: str) -> DecisionDocument:
    """The document with the gate's own decision in place of the one made by hand."""
    document = documents.ALL[name]()
    record = document.file.record
    decision = decide(record)
    outcome = "promoted" if decision.verdict == "promote" else "refused"
    file = DecisionFile(record=record, decision=decision)
    return document.model_copy(update={"file": file, "outcome": outcome})


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("promoted_first", "Promoted: reviews version 5 is the new champion"),
        ("shown_worse", "Refused: shown to be worse"),
        ("not_shown", "Refused: not shown to be good enough"),
        ("many_labels", "Promoted: banking version 5 is the new champion"),
        ("broken", "Refused: evidence is missing or broken"),
    ],
)
def test_page_agrees_with_the_gate(name: str, headline: str) -> None:
    document = judged(name)
    page = render(document, documents.texts_of(document))
    assert f">{headline}</h1>" in page
    assert "could not be drawn" not in page
    assert summary_markdown(document, {}).startswith(f"# {headline}\n")
    assert model_card(document)


def test_rules_of_the_gate_read_as_words() -> None:
    for name in documents.ALL:
        document = judged(name)
        if document.file.record.name == "reviews":
            assert not [row["rule"] for row in summary_rows(document) if "_" in row["rule"]]
