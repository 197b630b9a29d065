"""Look inside the champion: features and reasons, through the command line."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli import app
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXT = "the thing7 number 7 is lovely"


def ask(world: World, *arguments: str) -> tuple[int, str, BaseException | None]:
    environment = {"REFIT_HOME": str(world.home), "COLUMNS": "150", "TERM": "dumb"}
    done = CliRunner().invoke(app, list(arguments), env=environment)
    return done.exit_code, done.stdout, done.exception


def ask_json(world: World, *arguments: str) -> Any:
    code, said, _ = ask(world, *arguments, "--json")
    assert code == 0
    return json.loads(said)


def test_features_gives_hidden_states_and_vectors(promoted_world: World) -> None:
    found = ask_json(promoted_world, "features", NAME, TEXT)
    num_tokens = len(found["tokens"])
    assert [len(row) for row in found["last_hidden_state"]] == [32] * num_tokens
    assert len(found["pooled"]["mean"]) == len(found["pooled"]["head"]) == 32
    mean = [sum(column) / num_tokens for column in zip(*found["last_hidden_state"], strict=True)]
    assert found["pooled"]["mean"] == pytest.approx(mean, abs=1e-5)
    code, said, _ = ask(promoted_world, "features", NAME, TEXT)
    assert code == 0
    assert f"Last hidden states: {num_tokens} tokens of 32 numbers" in said


def test_why_gives_parts_that_add_up(promoted_world: World) -> None:
    found = ask_json(promoted_world, "why", NAME, TEXT)
    assert found["label"] == "positive"
    assert found["is_complete"]
    total = sum(piece["value"] for piece in found["pieces"])
    difference = found["score"] - found["blank_score"]
    assert total == pytest.approx(difference, abs=found["tolerance"] + 1e-6)
    assert "".join(piece["text"] for piece in found["pieces"]) == TEXT.replace(" ", "")
    code, said, _ = ask(promoted_world, "why", NAME, TEXT, "--label", "negative")
    assert code == 0
    assert "negative" in said
    assert "off by" in said


def test_a_label_that_is_not_there_is_refused(promoted_world: World) -> None:
    _, _, error = ask(promoted_world, "why", NAME, TEXT, "--label", "great")
    assert "--label 'great' is none of tiny's: negative, positive" in str(error)
