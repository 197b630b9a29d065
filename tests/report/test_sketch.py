"""The picture of characters says what the figures say, and the data cannot bend it."""

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from records.decision import Finding
from records.document import DecisionDocument
from report.markdown import summary_markdown
from report.sketch import LEGEND, MAX_LABEL, WIDTH, sketch
from report.view import COMPARED, findings_of
from tests.report import documents


def lines_of(document: DecisionDocument) -> list[str]:
    return sketch(document).splitlines()[2:-1]


@pytest.mark.parametrize("name", documents.ALL)
def test_each_mark_lies_as_its_figure_does(name: str) -> None:
    """Left of, right of: for every pair of figures that are not drawn in one place."""
    document = documents.ALL[name]()
    drawn = lines_of(document)
    found = [f for f in findings_of(document, *COMPARED) if f.interval]
    assert len(drawn) >= len(found)
    for line, finding in zip(drawn, found, strict=False):
        picture, told = line[:WIDTH], line[WIDTH:]
        assert told.split()[0] == {"passed": "✓", "refused": "✕", "noted": "–"}[finding.state]
        marks = {mark: picture.find(mark) for mark in "[o]:|" if mark in picture}
        figures = figures_of(finding)
        for one, place in marks.items():
            for other, elsewhere in marks.items():
                if place < elsewhere:
                    assert figures[one] < figures[other], (one, other)


def figures_of(finding: Finding) -> dict[str, float]:
    interval = finding.interval
    assert interval is not None
    limit = finding.limit if finding.limit is not None else 0.0
    return {"[": interval.lower, "o": interval.estimate, "]": interval.upper, ":": limit, "|": 0.0}


def with_findings(document: DecisionDocument, changes: dict[str, object]) -> DecisionDocument:
    """The same with each finding changed."""
    decision = document.file.decision
    findings = tuple(f.model_copy(update=changes) for f in decision.findings)
    changed = decision.model_copy(update={"findings": findings})
    file = document.file.model_copy(update={"decision": changed})
    return document.model_copy(update={"file": file})


def test_a_slice_called_anything_stays_in_its_line() -> None:
    """It stands behind the picture; no backtick of it ends the block, no letter turns a direction."""
    wide = f"slice:x=\n```\u202e# 中文{documents.HOSTILE}{'w' * 200}"
    text = sketch(with_findings(documents.hostile(), {"rule": wide, "state": "refused"}))
    *pictures, legend = text.splitlines()[2:]
    assert legend == LEGEND
    assert pictures
    for line in pictures:
        assert set(line[:WIDTH]) <= set(" [-o]:|")
        assert "`" not in line
        assert "\u202e" not in line
        assert len(line) <= WIDTH + 3 + MAX_LABEL


def test_without_an_interval_there_is_no_picture() -> None:
    assert sketch(with_findings(documents.promoted_first(), {"interval": None})) == ""


@pytest.mark.parametrize("name", ["promoted_first", "shown_worse", "hostile"])
def test_it_stands_whole_on_the_page_of_the_decision(name: str) -> None:
    document = documents.ALL[name]()
    html = MarkdownIt("commonmark").render(summary_markdown(document, {}))
    (shown,) = re.findall('<pre><code class="language-text">(.*?)\n</code></pre>', html, re.S)
    assert unescape(shown) == sketch(document) != ""
