"""The decision in Markdown: a summary and a table of rules, for the run's page in Prefect."""

import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from records.document import DecisionDocument
from records.evaluation import Evaluation
from records.scores import Scorecard
from report.figures import capital, count, counted, metric_name, moment, score
from report.html import visible
from report.scores import MARKS
from report.sentence import headline, sentence
from report.sketch import sketch
from report.view import facts_of, interval_text, role_name, rule_name, scorecards

SPECIAL = re.compile(r"[\\`*_\[\]#|~$]|^[-+=]")
"""What begins markup anywhere, and a list at the start."""
ADDRESS = re.compile(
    r"(?:https?://|ftps?://|www(?=\.))[\w.:/%?=&+~-]*|[\w.+-]+@[\w.+-]+", re.ASCII | re.IGNORECASE
)
"""What becomes a link by itself. Prefect's pages look for these when the escapes are read already,
so that no backslash stops them; they do not look in code.

Source: mdast-util-gfm-autolink-literal 2.0, transformGfmAutolinkLiterals."""
NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
NBSP = "\N{NO-BREAK SPACE}"
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    """`text` as one line of Markdown that shows exactly its characters: no markup, HTML or link.

    An address is shown as code, or it would become a link.

    Source: CommonMark 0.31, "Backslash escapes"; angle brackets as entities, since some renderers
    pass HTML through.
    """
    line = " ".join(visible(text).split())
    texts = [_escape_piece(piece) for piece in ADDRESS.split(line)]
    addresses = [f"`{address}`" for address in ADDRESS.findall(line)]
    return "".join(map("".join, zip_longest(texts, addresses, fillvalue="")))


def _escape_piece(text: str) -> str:
    escaped = NUMBERED.sub(r"\1\\\2", SPECIAL.sub(r"\\\g<0>", text))
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


def summary_markdown(document: DecisionDocument, links: Mapping[str, str]) -> str:
    """Verdict, scores, rules and where to read on, as Markdown.

    Args:
        document: the decision with its circumstances.
        links: title -> address; an empty address is left out.
    """
    record, report = document.file.record, document.data.report
    dropped = report.num_in - report.num_kept
    rules = markdown_table(
        [
            {"rule": row["rule"], "": row["result"].replace(" ", NBSP), "reason": row["reason"]}
            for row in summary_rows(document)
        ]
    )
    parts = [
        f"# {escape_markdown(headline(document))}",
        escape_markdown(sentence(document)),
        links_markdown(links),
        fenced(sketch(document)),
        markdown_table(score_rows(document)),
        rules,
        f"Data: {counted(report.num_in, 'row')} in, {count(dropped)} dropped; "
        f"{counted(len(record.items.item_ids), 'test item')}. "
        f"Decision `{digest(document.decision_digest)}`, {escape_markdown(moment(document.time))}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def fenced(drawing: str) -> str:
    """A block of code; nothing for nothing."""
    return f"```text\n{drawing}\n```" if drawing else ""


def question_markdown(document: DecisionDocument, links: Mapping[str, str]) -> str:
    """What somebody reads above the form of an approval: short, or the form would be out of sight."""
    parts = [f"**{escape_markdown(headline(document))}**", escape_markdown(sentence(document))]
    return "\n\n".join([*parts, links_markdown(links)]) + "\n"


def digest(text: str) -> str:
    """A digest for a code span; anything else loses what could end the span."""
    return re.sub(r"[^0-9A-Za-z:._/-]", "?", text) or "none"


def links_markdown(links: Mapping[str, str]) -> str:
    """Plain web addresses as links, anything else as text."""
    lines = [
        f"- [{title}]({uri})"
        if re.fullmatch(r"https?://[\w.:/%#?=&+~-]+", uri)
        else f"- {title}: {escape_markdown(uri)}"
        for title, uri in links.items()
        if uri
    ]
    return "\n".join(lines)


def evaluation_sentence(card: Scorecard, metric: str) -> str:
    """What a model reached on today's items, or why it could not be scored."""
    if card.error:
        return f"it could not be scored: {card.error}"
    reached = f"{metric_name(metric)} {score(metric, card.metrics.get(metric))}"
    return f"{reached} on {counted(len(card.item_ids), 'test item')} of today"


def evaluation_markdown(
    name: str, evaluation: Evaluation, said: str, metrics: Iterable[str]
) -> str:
    """Scores of the models in production, as Markdown."""
    lineage = evaluation.lineage
    parts = [
        f"# {escape_markdown(name)}: {escape_markdown(said)}",
        "Nothing was trained, decided or promoted.",
        markdown_table(_score_rows(evaluation.cards, metrics)),
        f"{counted(lineage.num_dropped_total, 'test group')} of {count(lineage.num_test_groups)} "
        "left out, since a model was trained on them.",
    ]
    return "\n\n".join(parts) + "\n"


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Rows with equal keys as a Markdown table; empty for no rows."""
    if not rows:
        return ""
    heads = [capital(key) for key in rows[0]]
    lines = [heads, ["---"] * len(heads), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_rows(document: DecisionDocument) -> list[dict[str, str]]:
    """All metrics of all models, as rows of a table."""
    return _score_rows(scorecards(document.file.record), facts_of(document).shown)


def _score_rows(cards: Iterable[Scorecard], names: Iterable[str]) -> list[dict[str, str]]:
    return [
        {
            "model": escape_markdown(role_name(card.role)),
            **{metric_name(n): score(n, card.metrics.get(n)) for n in names},
        }
        for card in cards
    ]
