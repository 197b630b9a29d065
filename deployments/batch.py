"""`refit predict NAME --input FILE --output FILE`: an answer for every row, however many there are."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deployments import screen
from deployments.exits import Exit
from deployments.model_commands import find_entry
from models.task_code import Predictor, task_code
from tasks.batch import Counted, Job, check_job, predict_file
from tasks.lease import AlreadyRunning
from tasks.ledger import claimed_task
from tasks.place import Place

SAY_EVERY_S = 10.0


def predict_rows(place: Place, name: str, job: Job, as_json: bool) -> Exit:
    """Answer the rows of a file by the champion; run again after a kill, it goes on."""
    check_job(job)
    entry = find_entry(place, name, "champion")

    def load() -> Predictor:
        from tasks.train import model_folder

        code = task_code(claimed_task(place.open(), name))
        return code.predictor(model_folder(place, entry.model_uri))

    try:
        with _shown() as show:
            done = predict_file(place, job, entry, load, show)
    except AlreadyRunning as exc:
        screen.print_error(str(exc))
        return Exit.ALREADY_RUNNING
    facts = {
        "output": job.target,
        "rows": done.num_done,
        "of an earlier run": done.num_found,
        "version": entry.version,
        "model_digest": entry.model_digest,
    }
    if as_json:
        screen.print_json(facts)
    else:
        screen.print_pairs({key: value for key, value in facts.items() if value})
    return Exit.DONE


@contextmanager
def _shown() -> Iterator[Callable[[Counted], None]]:
    """A bar on a terminal, elsewhere a line every ten seconds."""
    began = time.monotonic()
    if screen.err.is_terminal:
        columns = (
            TextColumn("answering"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=screen.err, transient=True) as bar:
            task = bar.add_task("rows", total=None)
            yield lambda now: bar.update(task, completed=now.num_done, total=now.num_rows)
        return
    said_s = began

    def say(now: Counted) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_EVERY_S or now.num_done == now.num_rows:
            said_s = time.monotonic()
            speed = (now.num_done - now.num_found) / max(said_s - began, 1e-9)
            screen.say(f"{now.num_done:,} of {now.num_rows:,} rows answered, {speed:,.0f}/s")

    yield say
