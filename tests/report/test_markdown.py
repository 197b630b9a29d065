"""Summaries and cards show data as text, whatever it holds; rendered by a real CommonMark parser."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from records.search import SearchResult, Trial
from report.card import MAX_CHARACTERS, model_card
from report.markdown import NBSP, escape_markdown, summary_markdown, summary_rows
from tests.report import documents

OWN = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "ul", "li", "pre"}


def html_of(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table"]).render(markdown))


def tags_of(html: str) -> set[str]:
    return set(re.findall(r"<(\w+)", html))


@pytest.mark.parametrize(
    "text",
    [
        documents.HOSTILE,
        "**bold** _em_ `code` [a](b) ![i](j) ~~s~~ | # &lt; \\ <b>",
        "1. one", "12) twelve", "- item", "+ item", "=== title", "# head", "> quote", "<https://a.b>",
        "0.912 > 0.85", "a|b", "me@example.com", "a@b+c@d", "`www.a_b.c`", "--- ", "[x]: https://a.b",
    ],
)  # fmt: skip
def test_escape_markdown_shows_exactly_the_text(text: str) -> None:
    html = html_of(escape_markdown(text))
    assert tags_of(html) <= {"p", "code"}
    entities = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
    shown = re.sub(r"</?code>", "", html)
    shown = re.sub(r"&\w+;", lambda m: entities[m.group()], shown)
    assert shown.strip() == f"<p>{text.strip()}</p>"


def test_escape_markdown_keeps_a_text_in_its_cell() -> None:
    html = html_of(f"| a |\n| --- |\n| {escape_markdown('x | y `|` z')} |")
    assert "<td>x | y `|` z</td>" in html


def test_escape_markdown_shows_addresses_as_code_or_they_would_be_links() -> None:
    escaped = escape_markdown("see https://evil.example/a_b, WWW.evil.example and me@evil.example")
    assert escaped == "see `https://evil.example/a_b`, `WWW.evil.example` and `me@evil.example`"


def test_escape_markdown_leaves_no_second_line_and_no_hidden_character() -> None:
    escaped = escape_markdown("one\n# head\x00")
    assert "\n" not in escaped
    assert "\\[U+0000\\]" in escaped


@pytest.mark.parametrize("name", documents.ALL)
def test_summary_and_card_hold_only_their_own_markup(name: str) -> None:
    document = documents.ALL[name]()
    summary = html_of(summary_markdown(document, {"Whole report": "store/report.html"}))
    card = html_of(model_card(document))
    assert tags_of(summary) <= OWN
    assert tags_of(card) <= OWN
    for html in (summary, card):
        rows = re.findall(r"<tr>.*?</tr>", html, re.S)
        assert all(len(re.findall(r"<t[hd]", row)) in {2, 3, 5} for row in rows)
    assert len(model_card(document)) <= MAX_CHARACTERS


def test_summary_says_verdict_rules_and_place() -> None:
    text = summary_markdown(
        documents.shown_worse(), {"Whole report": "https://mlflow.example/r?a=1"}
    )
    assert text.startswith("# Refused: shown to be worse\n")
    assert "a loss is shown that chance does not explain" in text
    assert f"| Against the champion | ✕{NBSP}refused |" in text
    assert "[Whole report](https://mlflow.example/r?a=1)" in text


def test_summary_links_only_plain_web_addresses() -> None:
    text = summary_markdown(documents.hostile(), {"Whole report": "javascript:alert(1)>"})
    assert not re.search(r"(?<!\\)\]\(javascript", text)


def test_summary_rows_put_refusals_first_and_escape() -> None:
    rows = summary_rows(documents.shown_worse())
    results = [row["result"] for row in rows]
    assert results[0] == "✕ refused"
    assert results == sorted(results, key=["✕ refused", "✓ passed", "– noted"].index)
    assert all("<" not in v for row in summary_rows(documents.hostile()) for v in row.values())


def test_model_card_says_how_good_from_what_and_how_to_load() -> None:
    card = model_card(documents.promoted_first())
    assert 'mlflow.transformers.load_model("models:/reviews@champion", truncation=True)' in card
    assert "| Minimum score | 93.5% (91.5% to 95.5%) |" in card
    assert "minilm\\-l6" in card or "minilm-l6" in card
    assert "its biases and licence carry over" in card
    assert "6,031 rows, 6,000 kept" in card


def test_model_card_says_what_the_recipe_says_that_the_model_is_for() -> None:
    document = documents.promoted_first()
    text = "For routing of *reviews*.\n\nNot for <b>spam</b>.\n"
    recipe = {**document.recipe, "description": text}
    html = html_of(model_card(document.model_copy(update={"recipe": recipe})))
    assert "<p>For routing of *reviews*.</p>\n<p>Not for &lt;b&gt;spam&lt;/b&gt;.</p>" in html
    longest = document.model_copy(update={"recipe": {**recipe, "description": "*" * 2000}})
    card = model_card(longest)
    assert len(card) <= MAX_CHARACTERS
    assert "## Digests" in card


def test_model_card_says_what_a_time_limit_ended() -> None:
    document = documents.promoted_first()
    assert "time limit" not in model_card(document)
    trial = Trial(
        number=0, seed=1, settings={}, state="finished", points=(), best_value=1.0, wall_s=1.0
    )
    cut = SearchResult(search_key="s", metric="accuracy", trials=(trial,), best=0, is_cut=True)
    train = document.train.model_copy(update={"is_cut": True})
    for update, what in (
        ({"choice": cut}, "the choice of the base"),
        ({"search": cut}, "the search for settings"),
        ({"train": train}, "the training"),
    ):
        card = model_card(document.model_copy(update=update))
        assert f"The time limit ended {what}." in card
        assert card.count("The time limit ended") == 1


def test_model_card_stays_short_with_long_labels_and_says_what_it_leaves_out() -> None:
    labels = tuple(f"{'long ' * 20}{i}" for i in range(77))
    card = model_card(documents.build(replace(documents.MANY, labels=labels)))
    assert len(card) <= MAX_CHARACTERS
    assert re.search(r"Labels: .*\b\d+ more\.", card)
