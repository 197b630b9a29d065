"""What is wrong with a source, gathered into one error.

Errors of sources, all of them `ValueError` (a bad input, never worth a retry unless said):

    SourceError
    |-- ParseError         a file that cannot become rows
    |-- SampleError        a `sample:` URI that names no sample or no option (samples)
    `-- LocationError      a URI that names no data (tasks.location)
        `-- UnreachableError   a service that does not answer; the one that may be tried again
"""

from typing import NoReturn

from records.personal import mask

MAX_PROBLEMS = 10


class SourceError(ValueError):
    """Data that cannot be read; see the tree above."""


class ParseError(SourceError):
    """A file that cannot become rows. The message lists up to ten problems of the file."""


class Problems:
    """Gathers what is wrong with one file, so that one error lists it; personal data is masked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[str] = []

    def add(self, problem: str) -> None:
        """Note a problem; the tenth raises."""
        self._found.append(mask(problem))
        if len(self._found) == MAX_PROBLEMS:
            self._raise("; perhaps there are more")

    def close(self) -> None:
        """Raises ParseError when anything was noted."""
        if self._found:
            self._raise("")

    def fail(self, problem: str) -> NoReturn:
        """Note a problem behind which nothing can be read, and raise."""
        self._found.append(mask(problem))
        self._raise("")

    def _raise(self, end: str) -> NoReturn:
        if len(self._found) == 1:
            raise ParseError(f"{self._name}: {self._found[0]}")
        lines = "".join(f"\n  - {problem}" for problem in self._found)
        raise ParseError(f"{self._name}: {len(self._found)} problems{end}:{lines}")
