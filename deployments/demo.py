"""The whole story on the bundled data: `make demo TASK=translation`. Every line is a command to type."""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deployments import screen
from deployments.cli import app
from deployments.exits import Exit, explain_exception
from flows.settings import load_place, prepare_environment, use_home

HOME = Path(".refit/demo")


class Scene(NamedTuple):
    """One command of the story and the exit code that it must end with."""

    title: str
    command: str
    code: Exit


class Story(NamedTuple):
    """What differs between the tasks."""

    recipe: str
    name: str
    few: str
    more: str
    wrong: str
    opponent: str
    mistake: str
    question: str


STORIES = {
    "classification": Story(
        recipe="deployments/recipes/reviews.yaml",
        name="reviews",
        few="sample:reviews?num=500",
        more="sample:reviews?num=1200",
        wrong="sample:reviews?num=500&mislabel=0.4",
        opponent="a bag of words",
        mistake="learned from data with 40 % wrong labels",
        question="I would not say that the battery is bad.",
    ),
    "translation": Story(
        recipe="deployments/recipes/translation.yaml",
        name="translation",
        few="sample:phrases?num=900",
        more="sample:phrases?num=2400",
        wrong="sample:phrases?num=900&mispair=0.4",
        opponent="the copy of its source",
        mistake="learned from pairs of which 40 % do not belong together",
        question="The old baker sells a red lamp at the station.",
    ),
    "chat": Story(
        recipe="deployments/recipes/chat.yaml",
        name="chat",
        few="sample:dialogues?num=200",
        more="sample:dialogues?num=1000",
        wrong="sample:dialogues?num=200&wrong=0.5",
        opponent="the answer to the most similar question",
        mistake="learned from talks of which half end with a wrong answer",
        question="Hello. I am Tom. How much is the mirror?",
    ),
}
"""`make demo TASK=...`; the name is the task's."""


def scenes(story: Story) -> tuple[Scene, ...]:
    """The same plot for every task."""

    def run(train: str) -> str:
        return f"refit run {story.recipe} --set 'data.train={train}'"

    name = story.name
    return (
        Scene(f"A first champion must beat {story.opponent}", run(story.few), Exit.DONE),
        Scene("The same again: nothing to do", run(story.few), Exit.DONE),
        Scene(f"A successor {story.mistake}: it must not pass", run(story.wrong), Exit.REFUSED),
        Scene("More data makes a better model", run(story.more), Exit.DONE),
        Scene("Ask it", f"refit predict {name} '{story.question}'", Exit.DONE),
        Scene(
            "Somebody is unhappy in production: back to the one before",
            f"refit rollback {name} --reason 'complaints from the shop'",
            Exit.DONE,
        ),
        Scene("Who is live, and why?", f"refit lookup {name}", Exit.DONE),
        Scene("Every decision, refusals too", f"refit decisions {name}", Exit.DONE),
        Scene(
            "The first one, replayed from its record alone", f"refit explain {name}:1", Exit.DONE
        ),
        Scene("The promoted successor, replayed", f"refit explain {name}:2", Exit.DONE),
        Scene("The refusal, replayed", "refit explain {refusal}", Exit.DONE),
        Scene("The ledger, verified", f"refit history {name} --verify", Exit.DONE),
    )


def main(arguments: Sequence[str]) -> int:
    """Tell the story of a task; exit code 1 where a scene ended otherwise than it must, 2 for no task."""
    task = arguments[0] if arguments else "classification"
    if task not in STORIES:
        screen.print_error(f"TASK={task!r} has no demo; there are: {', '.join(STORIES)}")
        return Exit.USAGE
    story = STORIES[task]
    shutil.rmtree(HOME, ignore_errors=True)
    use_home(HOME)
    prepare_environment(load_place(), console_level="CRITICAL")
    started = time.monotonic()
    for number, scene in enumerate(scenes(story), 1):
        command = scene.command.replace("{refusal}", _refusal(story.name))
        screen.out.rule(f"[bold]{number}. {scene.title}[/]", align="left")
        screen.out.print(f"[bold cyan]$ {command}[/]\n", markup=True)
        scene_started = time.monotonic()
        code = run_command(command)
        screen.out.print(f"[dim]{time.monotonic() - scene_started:.0f} s[/]\n", markup=True)
        if code != scene.code:
            screen.print_error(f"ended with exit code {code}, expected {scene.code}")
            return 1
    _end(story, time.monotonic() - started)
    return 0


def run_command(command: str) -> int:
    """Run one `refit` command line in this process; returns its exit code."""
    try:
        code = app(shlex.split(command)[1:], standalone_mode=False)
    except Exception as exc:
        message, code = explain_exception(exc)
        screen.print_error(message)
    return int(code or 0)


def _refusal(name: str) -> str:
    """The digest of the refused decision; empty as long as there is none."""
    from tasks.decide import read_index

    index = read_index(load_place().open(), name)
    return next((e.decision_digest[:12] for e in index if e.verdict == "refuse"), "")


def _end(story: Story, seconds: float) -> None:
    reports = sorted((HOME / "reports" / story.name).glob("*/report.html"))
    screen.out.rule(f"[bold green]done in {seconds:.0f} s[/]", align="left")
    screen.out.print("Reports, one page a decision:")
    for path in reports:
        screen.out.print(f"  {path}")
    screen.out.print(
        "\nTry next:\n"
        f"  export REFIT_HOME={HOME}; source .venv/bin/activate\n"
        f"  refit predict {story.name} '{story.question}'\n"
        f"  refit check {story.recipe}\n"
        "  refit init your.csv > recipe.yaml && refit run recipe.yaml"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
