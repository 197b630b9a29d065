"""The stories of `make demo` are commands and recipes that are there; telling them takes minutes each."""

import shlex
from pathlib import Path

import pytest
import typer

from deployments.cli import app
from deployments.demo import STORIES, Scene, scenes
from flows.recipe import load_recipe
from records.task import TASKS
from tasks.sources import open_sources

ROOT = Path(__file__).resolve().parents[2]
ALL = [(task, scene) for task, story in STORIES.items() for scene in scenes(story)]


@pytest.mark.parametrize(("task", "scene"), ALL, ids=lambda part: getattr(part, "title", part))
def test_every_scene_is_a_command_with_arguments_that_it_takes(
    task: str, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    program, name, *arguments = shlex.split(scene.command.replace("{refusal}", "0123456789ab"))
    assert program == "refit"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    given = command.make_context(name, arguments).params
    if name != "run":
        return
    recipe = load_recipe(given["recipe"], given["set_"])
    assert recipe.task == task
    assert recipe.name == STORIES[task].name
    for source in open_sources(recipe.data, cache=tmp_path, s3=None):
        rows = source.rows()
        assert next(rows).text, "the sample knows its options"
        rows.close()


def test_every_story_is_told_of_a_task_and_ends_with_the_ledger() -> None:
    assert set(STORIES) <= set(TASKS)
    for story in STORIES.values():
        codes = [scene.code for scene in scenes(story)]
        assert codes.count(3) == 1, "one successor is refused"
