"""Dialogues as rows: messages or two columns, grouped by how they begin, and real ones."""

import json
from pathlib import Path

import pandas as pd
import pytest

from data_checks.checks import CheckOutcome, check_snapshot
from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.items import as_items, slice_column
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from data_checks.rows import Row
from data_checks.sample_dialogues import COLUMNS, DialogueOptions, generate
from records.dialogue import first_question, turns_of
from records.text import normalise
from tests.conftest import shared_data

MESSAGES = DataConfig(source="x.jsonl", messages="messages")


def check(rows: list[Row], folder: Path, **checks: object) -> CheckOutcome:
    frame = pd.DataFrame([row._asdict() for row in rows]).drop(columns="attributes")
    frame.to_parquet(folder / "rows.parquet", index=False)
    return check_snapshot(
        folder / "rows.parquet", snapshot_digest="5" * 64, data=MESSAGES,
        checks=ChecksConfig.model_validate(checks), split=SplitConfig(), docs_dir=None, task="chat",
    )  # fmt: skip


def write(path: Path, *talks: object) -> Path:
    path.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks), "utf-8")
    return path


def read(path: Path, config: DataConfig = MESSAGES) -> list[Row]:
    return list(read_rows(path, config, name=path.name, split=None))


def talk(question: str, answer: str, *more: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * (1 + len(more) // 2)
    return [
        {"role": role, "content": content}
        for role, content in zip(roles, (question, answer, *more), strict=True)
    ]


def test_the_last_answer_is_the_label_and_the_turns_before_it_the_text(tmp_path: Path) -> None:
    one, two = read(write(tmp_path / "a.jsonl", talk("A?", "b"), talk("A?", "b", "C?", "d")))
    assert (one.text, one.label) == ("A?", "b")
    assert two.label == "d"
    assert [tuple(turn) for turn in turns_of(two.text or "")] == [
        ("user", "A?"), ("assistant", "b"), ("user", "C?"),
    ]  # fmt: skip


def test_every_wrong_turn_is_told_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", talk("A?", "b"), [{"content": "A?"}], "text", talk("A?", ""))
    with pytest.raises(ParseError) as caught:
        read(path)
    said = str(caught.value)
    assert "line 2, row 2: turn 1 has no role" in said
    assert "line 3, row 3: not JSON; write a list of {role, content}" in said
    assert "line 4, row 4: turn 2 (assistant) has no content" in said


def test_talks_that_begin_alike_share_a_split_and_several_answers_one_item(tmp_path: Path) -> None:
    talks = [talk(f"Question {i}?", f"answer {k}") for i in range(60) for k in range(2)]
    talks += [talk(f"question  {i}?", "answer 0", "And then?", "more") for i in range(60)]
    outcome = check(read(write(tmp_path / "a.jsonl", *talks)), tmp_path, min_rows=1,
                    max_duplicate_share=1)  # fmt: skip
    kept = outcome.kept
    assert len(kept) == 180
    assert (kept.groupby("group")["split"].nunique() == 1).all()
    assert kept["group"].nunique() == 60
    items = as_items(kept, "chat")
    assert len(items) == 120, "two answers to one prompt are one item; a longer talk is another"
    assert {len(found) for found in items["references"]} == {1, 2}
    assert set(slice_column(items, "turns")) == {"1 before", "3 before"}
    assert items["item_id"].is_unique


def test_sample_dialogues_have_one_right_answer_that_may_need_the_first_turn() -> None:
    rows = list(generate())
    assert all(tuple(row) == COLUMNS for row in rows)
    talks = [json.loads(row["messages"]) for row in rows]
    assert len({normalise(first_question(t[0]["content"])) for t in talks}) == len(rows) == 2000
    by_last: dict[str, set[str]] = {}
    for turns in talks:
        by_last.setdefault(turns[-2]["content"], set()).add(turns[-1]["content"])
    needing = [asked for asked, answers in by_last.items() if len(answers) > 5]
    assert all(" it" in asked for asked in needing)
    assert len(needing) >= 8
    wrong = list(generate(DialogueOptions(wrong=0.5)))
    differ = [a["messages"] != b["messages"] for a, b in zip(rows, wrong, strict=True)]
    assert 0.45 < sum(differ) / 2000 < 0.55


def test_dolly_keeps_other_answers_to_one_instruction_together(tmp_path: Path) -> None:
    path = next(shared_data("dolly_6400").glob("*.jsonl"))
    data = DataConfig(source=str(path), text="instruction", label="text")
    outcome = check(read(path, data), tmp_path, max_dropped_share=0.2)
    assert outcome.report.passed, [r for r in outcome.report.results if not r.passed]
    assert outcome.report.num_in == 6400
    kept = outcome.kept
    assert (kept.groupby("group")["split"].nunique() == 1).all()
    assert any("several answers" in warning for warning in outcome.report.warnings)


def test_gsm8k_is_read_whole(tmp_path: Path) -> None:
    path = shared_data("gsm8k") / "test.jsonl"
    data = DataConfig(source=str(path), text="question", label="answer")
    outcome = check(read(path, data), tmp_path)
    assert outcome.report.passed
    assert outcome.report.num_kept == 1319
    assert outcome.kept["label"].str.contains("####").all()
