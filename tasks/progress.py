"""How far a training is: a bar on a terminal; elsewhere ten lines of log and a progress artifact."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from models.progress import Progress as TrainingProgress

log = logging.getLogger("refit")

UPDATE_S = 2.0
"""Least time between two updates of the artifact."""


@contextmanager
def shown_progress() -> Iterator[Callable[[TrainingProgress], None]]:
    """A function that shows how far a training is, wherever somebody may look."""
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
        return
    artifact = _Artifact() if TaskRunContext.get() else None

    def show_line(now: TrainingProgress) -> None:
        if now.step % max(1, now.num_steps // 10) == 0:
            log.info("%s", _line(now))
        if artifact is not None:
            artifact.show(now)

    yield show_line


class _Artifact:
    """A bar on the run's page in Prefect. The training does not depend on it."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._is_well = True
        with self._unharmed():
            self._id = create_progress_artifact(0.0, description="starting to train")

    def show(self, now: TrainingProgress) -> None:
        is_due = time.monotonic() - self._last_s >= UPDATE_S or now.step >= now.num_steps
        if self._is_well and is_due:
            self._last_s = time.monotonic()
            with self._unharmed():
                share = 100.0 * now.step / max(1, now.num_steps)
                update_progress_artifact(self._id, share, description=_line(now))  # type: ignore[arg-type]

    @contextmanager
    def _unharmed(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            self._is_well = False
            log.warning("the progress is no longer shown in Prefect: %s", exc)


def _line(now: TrainingProgress) -> str:
    return (
        f"step {now.step} of {now.num_steps}: loss {now.loss:.3f}, "
        f"{now.tokens_per_s:,.0f} tokens/s, {now.seconds_left:.0f} s left"
    )


@contextmanager
def _bar() -> Iterator[Callable[[TrainingProgress], None]]:
    columns = (
        TextColumn("  training"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[speed]:,.0f} tokens/s  {task.fields[left]:.0f} s left"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("train", total=None, loss=float("nan"), speed=0.0, left=0.0)

        def show(now: TrainingProgress) -> None:
            bar.update(
                line,
                completed=now.step,
                total=now.num_steps,
                loss=now.loss,
                speed=now.tokens_per_s,
                left=now.seconds_left,
            )

        yield show
