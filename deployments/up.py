"""`refit up`: the whole stack on this machine, with every recipe of a folder deployed on it."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployments import screen
from deployments.exits import Exit, UsageError
from deployments.local.processes import Child, Processes, StartError
from deployments.local.stack import Stack, missing_programs, start
from flows.recipe import Recipe, RecipeError, load_recipe
from flows.settings import clean_environment, use_stack
from tasks.orchestrator import SeenRun, recent_runs

POOL = "refit"
ENVIRONMENT = "local"
LOOK_S = 1.0
WORKER_GRACE_S = 20.0
PORTS = (4200, 5000)


def load_recipes(paths: Sequence[Path]) -> list[Recipe]:
    """The recipes of files and folders.

    Raises:
        UsageError: a folder without recipes, two of one name, or recipes with mistakes: all told.
    """
    files = [file for path in paths for file in _files(path)]
    recipes: dict[str, Recipe] = {}
    problems = []
    for file in files:
        try:
            recipe = load_recipe(file)
        except RecipeError as exc:
            problems.append(str(exc))
            continue
        if recipe.name in recipes:
            problems.append(f"{file}: there is another recipe {recipe.name!r}; rename one")
        recipes[recipe.name] = recipe
    if problems:
        raise UsageError("\n".join(problems))
    return list(recipes.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not found:
        raise UsageError(f"{path} holds no recipe (*.yaml); write one with `refit init DATA`")
    return found


def deploy_all(
    recipes: Sequence[Recipe],
    pool: str,
    environment: str,
    kind: str = "process",
    image: str = "",
    limit: int | None = None,
) -> list[str]:
    """Deploy recipes, and what keeps a server in order; returns the deployments' names.

    At most `limit` trainings go on at once; none: as the pool says, one in a new pool.
    """
    from flows.deploy import deploy, deploy_services
    from flows.pools import ensure_pool

    ensure_pool(pool, kind, limit)
    names = [
        name
        for recipe in recipes
        for name in deploy(recipe, pool=pool, environment=environment, image=image)
    ]
    return [*names, *deploy_services(pool=pool, environment=environment, image=image)]


def up(home: Path, folder: Path, *, is_real: bool, ports: tuple[int, int], limit: int) -> Exit:
    """Start everything, deploy, and show what runs until Ctrl-C."""
    recipes = load_recipes([folder])
    if missing := missing_programs(is_real=is_real):
        raise UsageError(f"missing {', '.join(missing)}: run deployments/local/install.sh")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen.say("starting Prefect, MLflow" + (", PostgreSQL and S3" if is_real else ""))
    try:
        with running(home, is_real=is_real, ports=ports) as (stack, processes):
            deployed = deploy_all(recipes, POOL, ENVIRONMENT, limit=limit)
            worker = start_worker(processes, stack)
            _introduce(stack, deployed)
            return _watch(processes, worker)
    except StartError as exc:
        screen.print_error(str(exc))
        return Exit.FAULT
    except KeyboardInterrupt:
        return Exit.DONE


@contextmanager
def running(
    home: Path, *, is_real: bool, ports: tuple[int, int] = PORTS
) -> Iterator[tuple[Stack, Processes]]:
    """A stack to which this process is connected; real ones keep nothing."""
    with ExitStack() as exits:
        if is_real:
            home = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="refit-")))
        home.mkdir(parents=True, exist_ok=True)
        processes = exits.enter_context(Processes(home))
        environment = clean_environment()
        stack = start(
            home, processes, environment, is_real=is_real, prefect_port=ports[0],
            mlflow_port=ports[1],
        )  # fmt: skip
        exits.enter_context(use_stack(stack.environment()))
        yield stack, processes


def start_worker(processes: Processes, stack: Stack, poll_s: float = 2.0) -> Child:
    """A process worker of the pool; runs what its queues let through.

    It fetches nothing before it is due: of a dense schedule, what waits fetched while the run before
    goes on would be cancelled, two of three times. Its runs are asked to end before it: a training
    saves itself.
    """
    environment = {
        **clean_environment(),
        **stack.environment(),
        "PREFECT_HOME": str(stack.home / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": str(poll_s),
        "PREFECT_WORKER_PREFETCH_SECONDS": "0",
    }
    command = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    return processes.start(
        "worker",
        [sys.executable, *command, "--name", "local"],
        environment=environment,
        grace_s=WORKER_GRACE_S,
        is_for_all=True,
    )


def _introduce(stack: Stack, deployed: Sequence[str]) -> None:
    screen.print_pairs(
        {
            "Prefect": f"{stack.prefect_ui}/v2/deployments",
            "MLflow": f"{stack.mlflow_url}/#/models",
            "store": stack.store_uri,
        }
    )
    screen.say(f"deployed {', '.join(deployed)}")
    hidden = ("SECRET", "PASSWORD", "AUTH")
    variables = [
        f"{name}={value}"
        for name, value in stack.environment().items()
        if not any(word in name for word in hidden)
    ]
    screen.say(f"another terminal reaches it with: export {' '.join(variables)}")
    screen.say("Ctrl-C ends all of it")


def _watch(processes: Processes, worker: Child) -> Exit:
    """Show what runs until Ctrl-C, or until a program ends by itself."""
    told: dict[str, str] = {}
    is_terminal = screen.out.is_terminal
    with (
        Live(_table(()), console=screen.out, transient=True) if is_terminal else ExitStack() as live
    ):
        while all(child.is_running for child in processes.children):
            try:
                runs = recent_runs()
            except Exception as exc:  # the server may be busy; its end is seen above
                screen.say(f"Prefect does not answer: {type(exc).__name__}")
                runs = ()
            if isinstance(live, Live):
                live.update(_table(runs))
            else:
                _tell(runs, told)
            with suppress(subprocess.TimeoutExpired):
                worker.leash.wait(LOOK_S)
    ended = next(child for child in processes.children if not child.is_running)
    screen.print_error(f"{ended.name} ended by itself: {ended.log_tail()}")
    return Exit.FAULT


def _tell(runs: Sequence[SeenRun], told: dict[str, str]) -> None:
    """A line for each change."""
    for run in runs:
        if told.get(run.run_id) != run.state:
            told[run.run_id] = run.state
            screen.say(f"{run.name}: {run.state}{': ' if run.message else ''}{run.message}")


def _table(runs: Sequence[SeenRun]) -> Table:
    """The latest runs, those that go on last."""
    table = Table(box=None, header_style="bold", expand=True)
    for name in ("run", "state", "started", "now"):
        table.add_column(name, overflow="fold", ratio=3 if name == "now" else 1)
    if not runs:
        table.add_row("nothing has run yet", "", "", "start one in Prefect: Deployments, Run")
    for run in runs:
        colour = screen.COLOURS.get(run.state.lower().replace(" ", "_"), "cyan")
        said = run.message if run.is_over else ", ".join(run.doing)
        started = f"{run.started.astimezone():%H:%M:%S}" if run.started else ""
        table.add_row(
            Text(screen.visible(run.name)), Text(run.state, colour), started,
            Text(screen.visible(said, keep="")),
        )  # fmt: skip
    return table
