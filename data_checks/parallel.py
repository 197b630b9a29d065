"""Line-parallel files: `train.{en,de}.gz` is two files whose n-th lines are one pair."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from data_checks.config import DataConfig
from data_checks.problems import ParseError, Problems
from data_checks.rows import Row
from data_checks.text_files import UnfitText, open_text, report_bad_bytes
from records.data import Split

_BRACES = re.compile(r"\{([^{},/]+),([^{},/]+)\}")


def pair_of(uri: str) -> tuple[Path, Path] | None:
    """Both files that `name.{source,target}` names, the source first; None without braces.

    Raises:
        ParseError: more than one pair of braces, or a file that is not there.
    """
    if not (found := _BRACES.findall(uri)):
        return None
    if len(found) > 1 or uri.count("{") > 1:
        raise ParseError(f"{uri}: give one pair of braces, e.g. train.{{en,de}}.gz")
    first, second = (Path(_BRACES.sub(part.replace("\\", r"\\"), uri)) for part in found[0])
    if missing := [str(path) for path in (first, second) if not path.is_file()]:
        raise ParseError(f"{uri}: {' and '.join(missing)}: no such file")
    return first, second


def read_pairs(
    paths: tuple[Path, Path], config: DataConfig, *, name: str, split: Split | None
) -> Iterator[Row]:
    """One row per line of both files; a blank line is a missing text.

    Good rows are yielded before anything wrong is found: they count once the iterator has ended.

    Raises:
        ParseError: attributes are asked for, wrong encoding, other numbers of lines, no lines.
    """
    problems = Problems(name)
    if config.attributes:
        problems.fail(
            f"two files of lines have no columns {', '.join(config.attributes)}; use a csv"
        )
    number = 0
    lines = (_lines(path, config, problems) for path in paths)
    for number, pair in enumerate(zip_longest(*lines), start=1):
        if None in pair:
            _fail_on_length(paths, number, 0 if pair[0] is None else 1, problems)
        source, target = (line.strip() or None for line in pair)
        yield Row(source, target, split, name, number, number)
    if not number:
        problems.fail("no lines in either file; give files with data")


def _lines(path: Path, config: DataConfig, problems: Problems) -> Iterator[str]:
    with open_text(path, config.encoding, newline="\n") as file:
        try:
            for line in file:
                if "\0" in line:
                    problems.fail(f"{path.name} has a NUL character; is it text (data.encoding)?")
                yield line
        except UnicodeDecodeError:
            report_bad_bytes(path, config.encoding, problems)
        except UnfitText as exc:
            problems.fail(f"{path.name}: {exc}")


def _fail_on_length(paths: tuple[Path, Path], number: int, longer: int, problems: Problems) -> None:
    short, long = (paths[0], paths[1]) if longer == 0 else (paths[1], paths[0])
    problems.fail(
        f"{short.name} ends after {number - 1:,} lines and {long.name} does not: the files are not "
        "parallel from somewhere on; make them again"
    )
