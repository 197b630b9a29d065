"""`refit init` for pairs, dialogues and raw text: the task is told, and the recipe reads every row."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from data_checks.columns import text_roles
from data_checks.first_recipe import write_recipe_text
from data_checks.parse import read_rows
from data_checks.sample_dialogues import DialogueOptions
from data_checks.sample_dialogues import generate as dialogues
from data_checks.sample_phrases import PhraseOptions
from data_checks.sample_phrases import generate as phrases
from data_checks.sniff import Sniffed, sniff
from flows.recipe import Recipe, load_recipe
from tests.conftest import shared_data

PAIRS = [(row["source"], row["target"]) for row in phrases(PhraseOptions(pair="en-zh", num=80))]


def written(path: Path, folder: Path) -> tuple[Sniffed, Recipe, int]:
    """What was found, the recipe that was written, and the rows that it reads."""
    sniffed, file = sniff(path), folder / "recipe.yaml"
    file.write_text(write_recipe_text(path, sniffed, "first-try"), "utf-8")
    recipe = load_recipe(file)
    assert recipe.task == sniffed.task
    assert recipe.base.scratch is not None
    num_rows = sum(1 for _ in read_rows(path, recipe.data, name="x", split=None))
    assert num_rows == sniffed.num_rows
    return sniffed, recipe, num_rows


@pytest.mark.parametrize(
    ("names", "languages"),
    [("source,target", None), ("src,tgt", None), ("en,zh", ("en", "zh"))],
)
def test_pairs_are_told_by_their_columns(
    names: str, languages: tuple[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    lines = ["\t".join([*names.split(","), "size"])]
    lines += ["\t".join([*pair, "short" if i % 2 else "long"]) for i, pair in enumerate(PAIRS)]
    path.write_text("\n".join(lines), "utf-8")
    sniffed, recipe, num_rows = written(path, tmp_path)
    assert (sniffed.task, num_rows) == ("translation", 80)
    assert (recipe.data.text, recipe.data.label) == tuple(names.split(","))
    assert recipe.data.attributes == ("size",)
    assert sniffed.warnings == ()
    said = (recipe.data.source_language, recipe.data.target_language)
    assert said == (languages or (None, None))


def test_dialogues_are_told_by_their_turns_and_questions_by_their_columns(tmp_path: Path) -> None:
    talks = list(dialogues(DialogueOptions(num=60)))
    lines, table, flat = tmp_path / "a.jsonl", tmp_path / "b.parquet", tmp_path / "c.csv"
    lines.write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(talks), table)
    for path in (lines, table):
        sniffed, recipe, num_rows = written(path, tmp_path)
        assert (sniffed.task, recipe.data.messages, num_rows) == ("chat", "messages", 60)
        assert "topic" in recipe.data.attributes
    answers = [f"It costs {i} euros." for i in range(60)]
    flat.write_text("question,answer\n" + "".join(f"How much is {a}?,{a}\n" for a in answers))
    _, recipe, _ = written(flat, tmp_path)
    assert (recipe.task, recipe.data.text, recipe.data.label) == ("chat", "question", "answer")


def test_a_question_with_few_answers_is_a_text_with_its_label() -> None:
    questions = [f"Is {i} even?" for i in range(60)]
    assert text_roles({"question": questions, "answer": ["yes", "no"] * 30}) is None
    assert text_roles({"source": ["web", "mail"] * 30, "target": ["good", "bad"] * 30}) is None
    assert text_roles({"text": questions, "label": questions}) is None


def test_raw_text_is_documents(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("\n\n".join(f"{source}, he said." for source, _ in PAIRS), "utf-8")
    sniffed, recipe, num_rows = written(path, tmp_path)
    assert (sniffed.task, num_rows, recipe.data.format) == ("language_modeling", 80, "text")
    assert "documents" in write_recipe_text(path, sniffed, "x")


@pytest.mark.parametrize(
    ("name", "task", "num_rows"),
    [
        ("gsm8k/train.jsonl", "chat", 7473),
        ("tinyshakespeare/input.txt", "language_modeling", 7222),
    ],
)
def test_real_files_are_told(name: str, task: str, num_rows: int, tmp_path: Path) -> None:
    path = shared_data(name.split("/")[0]) / name.partition("/")[2]
    sniffed, _, found = written(path, tmp_path)
    assert (sniffed.task, found) == (task, num_rows)
