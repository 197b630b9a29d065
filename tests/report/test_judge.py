"""The page says what a judge said, what it cost, and that it did not come to an end."""

import pytest

from records.document import DecisionDocument
from records.judge import Judgement, JudgePolicy
from report.page import render
from tests.report import documents
from tests.report.test_page import Page

JUDGE = JudgePolicy(url="http://judge.test/v1", model=documents.HOSTILE[:200], items=600)


def document(**changes: object) -> DecisionDocument:
    found = documents.ALL["shown_worse"]()
    record = found.file.record
    judged = Judgement(
        against="champion", challenger_digest="c", other_digest="o", policy_digest="p",
        prompt_version=1, prompt_digest="f" * 64, item_ids=("a", "b", "c", "d"), answers_digest="a",
        shown_first=("challenger", "other", "tie", "challenger"),
        shown_last=("challenger", "other", "tie", "unreadable"),
        num_calls=8, num_tokens=4321, wall_s=12.5,
    ).model_copy(update=changes)  # fmt: skip
    policy = record.policy.model_copy(update={"judge": JUDGE})
    record = record.model_copy(update={"policy": policy, "judgements": (judged,)})
    return found.model_copy(update={"file": found.file.model_copy(update={"record": record})})


def test_the_page_counts_what_the_judge_said() -> None:
    page = Page(render(document(), {}))
    assert "compared the answers to 4 test items, each pair in both orders" in page.words
    at = page.words.index("champion1111175.0%84,32112.5 s")  # one line of the table
    assert page.words.index("Both orders agree") < at
    assert "script" not in page.tags
    assert "could not be drawn" not in page.words


@pytest.mark.parametrize("without", [{"judgements": ()}, {}])
def test_the_page_says_why_there_is_no_verdict(without: dict[str, object]) -> None:
    cut = document(error="more than max_calls=8", shown_first=(), shown_last=())
    record = cut.file.record.model_copy(update=without)
    cut = cut.model_copy(update={"file": cut.file.model_copy(update={"record": record})})
    said = "was not asked" if without else "did not come to an end: more than max_calls=8"
    assert said in Page(render(cut, {})).words
    assert "could not be drawn" not in render(cut, {})


def test_a_page_without_a_judge_has_no_such_part() -> None:
    assert 'id="judge"' not in render(documents.ALL["shown_worse"](), {})
