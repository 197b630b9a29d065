"""The whole story on the bundled data: `make demo`. Every line is a command that you can type."""

import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

from deployments import screen
from deployments.cli import app
from deployments.exits import Exit, explain_exception
from flows.settings import load_place, prepare_environment, use_home

HOME = Path(".refit/demo")
RECIPE = "deployments/recipes/reviews.yaml"
FEW = "--set 'data.train=sample:reviews?num=500'"
MORE = "--set 'data.train=sample:reviews?num=1200'"
WRONG = "--set 'data.train=sample:reviews?num=500&mislabel=0.4'"


class Scene(NamedTuple):
    """One command of the story and the exit code that it must end with."""

    title: str
    command: str
    code: Exit


STORY = (
    Scene(
        "A first champion must beat a bag of words",
        f"refit run {RECIPE} {FEW}",
        Exit.DONE,
    ),
    Scene("The same again: nothing to do", f"refit run {RECIPE} {FEW}", Exit.DONE),
    Scene(
        "A successor learned from data with 40 % wrong labels: it must not pass",
        f"refit run {RECIPE} {WRONG}",
        Exit.REFUSED,
    ),
    Scene("More data makes a better model", f"refit run {RECIPE} {MORE}", Exit.DONE),
    Scene(
        "Somebody is unhappy in production: back to the one before",
        "refit rollback reviews --reason 'complaints from the shop'",
        Exit.DONE,
    ),
    Scene("Who is live, and why?", "refit lookup reviews", Exit.DONE),
    Scene("Every decision, refusals too", "refit decisions reviews", Exit.DONE),
    Scene("The first one, replayed from its record alone", "refit explain reviews:1", Exit.DONE),
    Scene("The promoted successor, replayed", "refit explain reviews:2", Exit.DONE),
    Scene("The refusal, replayed", "refit explain {refusal}", Exit.DONE),
    Scene("The ledger, verified", "refit history reviews --verify", Exit.DONE),
)


def main() -> int:
    """Tell the story; exit code 1 where a scene ended otherwise than it must."""
    shutil.rmtree(HOME, ignore_errors=True)
    use_home(HOME)
    prepare_environment(load_place(), console_level="CRITICAL")
    started = time.monotonic()
    for number, scene in enumerate(STORY, 1):
        command = scene.command.format(refusal=_refusal())
        screen.out.rule(f"[bold]{number}. {scene.title}[/]", align="left")
        screen.out.print(f"[bold cyan]$ {command}[/]\n", markup=True)
        scene_started = time.monotonic()
        code = run_command(command)
        screen.out.print(f"[dim]{time.monotonic() - scene_started:.0f} s[/]\n", markup=True)
        if code != scene.code:
            screen.print_error(f"ended with exit code {code}, expected {scene.code}")
            return 1
    _end(time.monotonic() - started)
    return 0


def run_command(command: str) -> int:
    """Run one `refit` command line in this process; returns its exit code."""
    try:
        code = app(shlex.split(command)[1:], standalone_mode=False)
    except Exception as exc:
        message, code = explain_exception(exc)
        screen.print_error(message)
    return int(code or 0)


def _refusal() -> str:
    """The digest of the refused decision; empty as long as there is none."""
    from tasks.decide import read_index

    index = read_index(load_place().open(), "reviews")
    return next((e.decision_digest[:12] for e in index if e.verdict == "refuse"), "")


def _end(seconds: float) -> None:
    reports = sorted((HOME / "reports" / "reviews").glob("*/report.html"))
    screen.out.rule(f"[bold green]done in {seconds:.0f} s[/]", align="left")
    screen.out.print("Reports, one page a decision:")
    for path in reports:
        screen.out.print(f"  {path}")
    screen.out.print(
        "\nTry next:\n"
        f"  export REFIT_HOME={HOME}; source .venv/bin/activate\n"
        "  refit predict reviews 'I would not say that the battery is bad.'\n"
        "  refit check deployments/recipes/reviews.yaml\n"
        "  refit init your.csv > recipe.yaml && refit run recipe.yaml"
    )


if __name__ == "__main__":
    sys.exit(main())
