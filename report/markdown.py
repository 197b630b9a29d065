"""The decision in Markdown: a summary and a table of rules, for the run's page in Prefect."""

import re

from records.document import DecisionDocument
from report.figures import capital, count, counted, metric_name, moment, score
from report.html import visible
from report.scores import MARKS
from report.sentence import headline, sentence
from report.view import facts_of, interval_text, role_name, rule_name, scorecards

SPECIAL = re.compile(r"[\\`*_\[\]#|~$@]|(?<=www)\.|:(?=//)|^[-+=]", re.IGNORECASE)
"""What begins markup or a link anywhere, and a list at the start."""
NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    """`text` as one line of Markdown that shows exactly its characters: no markup, HTML or link.

    Source: CommonMark 0.31, "Backslash escapes"; angle brackets as entities, since some renderers
    pass HTML through.
    """
    line = " ".join(visible(text).split())
    escaped = SPECIAL.sub(r"\\\g<0>", line)
    escaped = NUMBERED.sub(r"\1\\\2", escaped)
    return re.sub(r"[&<>]", lambda match: ENTITIES[match.group()], escaped)


def summary_rows(document: DecisionDocument) -> list[dict[str, str]]:
    """The rules as rows of a table, refusals first; every value is escaped Markdown."""
    order = {"refused": 0, "passed": 1, "noted": 2}
    found = sorted(document.file.decision.findings, key=lambda f: order[f.state])
    return [
        {
            "rule": escape_markdown(rule_name(f.rule)),
            "result": MARKS[f.state],
            "reason": escape_markdown(f.reason),
            "figures": interval_text(document, f),
        }
        for f in found
    ]


def summary_markdown(document: DecisionDocument, *, report_uri: str) -> str:
    """Verdict, scores, rules and where the whole report lies, as Markdown."""
    record, report = document.file.record, document.data.report
    dropped = report.num_in - report.num_kept
    rules = markdown_table(
        [{k: row[k] for k in ("rule", "result", "reason")} for row in summary_rows(document)]
    )
    parts = [
        f"# {escape_markdown(headline(document))}",
        escape_markdown(sentence(document)),
        escape_markdown(document.file.decision.summary),
        markdown_table(score_rows(document)),
        rules,
        f"Data: {counted(report.num_in, 'row')} in, {count(dropped)} dropped; "
        f"{counted(len(record.items.item_ids), 'test item')}. "
        f"Decision `{digest(document.decision_digest)}`, {escape_markdown(moment(document.time))}.",
        f"Whole report: {_linked(report_uri)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def digest(text: str) -> str:
    """A digest for a code span; anything else loses what could end the span."""
    return re.sub(r"[^0-9A-Za-z:._/-]", "?", text) or "none"


def _linked(uri: str) -> str:
    """A plain web address as a link, anything else as text."""
    is_plain = re.fullmatch(r"https?://[\w.:/%#?=&+~-]+", uri)
    return f"<{uri}>" if is_plain else escape_markdown(uri)


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Rows with equal keys as a Markdown table; empty for no rows."""
    if not rows:
        return ""
    heads = [capital(key) for key in rows[0]]
    lines = [heads, ["---"] * len(heads), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_rows(document: DecisionDocument) -> list[dict[str, str]]:
    """All metrics of all models, as rows of a table."""
    names = facts_of(document).shown
    return [
        {
            "model": escape_markdown(role_name(card.role)),
            **{metric_name(n): score(n, card.metrics.get(n)) for n in names},
        }
        for card in scorecards(document.file.record)
    ]
