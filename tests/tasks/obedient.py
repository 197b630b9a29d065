"""A process that ends as it is told: answers, fails, or dies of a signal."""

import os
import sys
from pathlib import Path

from records.base import Record


class Ask(Record):
    """How to end."""

    signal: int = 0
    code: int = 0
    answer: str = ""
    words: str = ""
    """Last ones before it exits with `code`."""


def main(ask: Ask, answered: Path) -> int:
    """Do as told."""
    if ask.signal:
        os.kill(os.getpid(), ask.signal)
    if ask.code:
        print(ask.words or f"told to exit with {ask.code}", file=sys.stderr)
        return ask.code
    answered.write_text(ask.answer, "utf-8")
    return 0


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:])
    sys.exit(main(Ask.from_json(asked.read_bytes()), answered))
