"""What a person sees in the terminal: log lines, tables, verdicts."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

COLOURS = {
    "passed": "bold green",
    "promoted": "bold green",
    "unchanged": "bold cyan",
    "refused": "bold red",
    "data_refused": "bold red",
    "held": "bold yellow",
    "already_running": "bold yellow",
    "waiting": "bold yellow",
    "declined": "bold red",
    "would_promote": "bold green",
    "evaluated": "bold cyan",
}


class _Lines(logging.Handler):
    """One dim time and one plain sentence per record, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        colour = {logging.WARNING: "yellow", logging.ERROR: "red"}.get(record.levelno, "")
        time = logging.Formatter().formatTime(record, "%H:%M:%S")
        line = Text.assemble((f"{time}  ", "dim"), (visible(record.getMessage()), colour))
        err.print(line)


def show_log() -> None:
    """Let the rooms' log reach the terminal."""
    logger = logging.getLogger("refit")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines())


def say(message: str) -> None:
    """One line of progress, on stderr like the rooms' own."""
    show_log()
    logging.getLogger("refit").info("%s", message)


def visible(text: str, *, keep: str = "\n\t") -> str:
    """Control characters but those to `keep` as escapes, so that data cannot command a terminal."""
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout; what a terminal might obey is escaped as JSON does."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, to: Console = out
) -> None:
    """A plain table; every cell is data, never markup."""
    table = Table(title=escape(title), title_justify="left", header_style="bold", box=None)
    for name in columns:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(str(cell))) for cell in row))
    to.print(table)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Names and values, aligned."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        out.print(Text.assemble((f"{name:<{width}}  ", "dim"), visible(str(value))))


def print_outcome(outcome: str, summary: str) -> None:
    """The verdict, first and in colour."""
    word = outcome.replace("_", " ")
    said = visible(summary).removeprefix(f"{word.capitalize()}, ")
    out.print(Text.assemble((word.upper(), COLOURS.get(outcome, "bold")), "  ", said))


def print_warning(message: str) -> None:
    """Something to look at, on stderr."""
    err.print(Text.assemble(("warning: ", "yellow"), visible(message)))


def print_error(message: str) -> None:
    """One clear error on stderr."""
    err.print(Text.assemble(("error: ", "bold red"), visible(message)))
