"""Text files, packed or not, and where their bytes are not of the encoding that was said."""

import codecs
import gzip
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NoReturn

from data_checks.problems import MAX_PROBLEMS, ParseError, Problems

MAX_FIELD_CHARS = 64 * 2**20
"""A longer line or field is no text, or a quote that nobody closed; it bounds one row's memory."""
MAX_EXPANSION = 200
"""Text packs to a third or a twentieth; only what was made to fill a disk unpacks beyond this."""
FREE_BYTES = 256 * 2**20
"""Unpacked bytes from which on that is looked at."""
_C1 = re.compile(rb"[\x80-\x9f]")


class UnfitText(ParseError):
    """What is read is no text that rows could come from; the file's reader names it."""


def open_text(path: Path, encoding: str, *, newline: str | None) -> IO[str]:
    """A text file, unpacked where it ends in .gz; a byte order mark is dropped.

    Raises:
        ParseError: Python knows no encoding of that name.
    """
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise ParseError(
            f"{path.name}: data.encoding={encoding!r} is unknown; try utf-8, latin-1 or utf-16"
        ) from None
    return _Text(open_bytes(path), "utf-8-sig" if codec == "utf-8" else codec, newline=newline)


def open_bytes(path: Path) -> io.BufferedReader:
    """A binary file, unpacked where it ends in .gz; reading an archive bomb raises UnfitText."""
    if path.suffix == ".gz":
        return io.BufferedReader(_Unpacked(path))
    return path.open("rb")


class _Text(io.TextIOWrapper):
    """A text file whose lines have an end."""

    def __next__(self) -> str:  # type: ignore[override]
        line = self.readline(MAX_FIELD_CHARS + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_FIELD_CHARS:
            raise UnfitText(
                f"a line is longer than {MAX_FIELD_CHARS:,} characters: this is no text, or another "
                "format; set data.format, or break its lines"
            )
        return line


class _Unpacked(io.RawIOBase):
    """A .gz file that stops where it unpacks to much more than text would."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)
        self._num_packed = path.stat().st_size
        self._most = max(FREE_BYTES, MAX_EXPANSION * self._num_packed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        num_read = self._file.readinto(buffer)
        if self._file.tell() > self._most:
            raise UnfitText(
                f"its {self._num_packed:,} bytes unpack to over {self._most:,}, {MAX_EXPANSION} times "
                "as much, which no text does; unpack it, look at it, and give the unpacked file"
            )
        return num_read

    def close(self) -> None:
        self._file.close()
        super().close()


def find_encoding(path: Path) -> tuple[str, tuple[str, ...]]:
    """The encoding that a text file seems to have, by Python's name, and warnings about it.

    utf-8 is certain when the whole file decodes; cp1252 and latin-1 are what is left.
    """
    with open_bytes(path) as file:
        head = file.read(4096)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", ()
        if head.startswith(b"PAR1"):
            return "utf-8", ()
        file.seek(0)
        if not (bad := next(_bad_bytes(file, "utf-8"), "")):
            return "utf-8", ()
        for encoding in ("cp1252", "latin-1"):
            file.seek(0)
            if encoding == "latin-1" or not next(_bad_bytes(file, encoding), ""):
                break
        file.seek(0)
        is_cp1252 = encoding == "cp1252" and any(_C1.search(chunk) for chunk in _chunks(file))
    name = "cp1252" if is_cp1252 else "latin-1"  # they differ only in the bytes 80 to 9f
    return name, (f"not utf-8 ({bad}); read as {name}, which never fails: look at its accents",)


def _chunks(file: io.BufferedReader) -> Iterator[bytes]:
    while chunk := file.read(2**20):
        yield chunk


def report_bad_bytes(path: Path, encoding: str, problems: Problems) -> NoReturn:
    """Read the file again, name the first bytes that do not decode, and raise ParseError."""
    with open_bytes(path) as file:
        found = list(islice(_bad_bytes(file, encoding), MAX_PROBLEMS))
        file.seek(0)
        head = file.read(2)
    other = "utf-8" if codecs.lookup(encoding).name != "utf-8" else "latin-1 or cp1252"
    if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        other = "utf-16, whose mark the file begins with"
    problems.fail(
        f"not {encoding}: {'; '.join(found)}. Set data.encoding to what the file was written in "
        f"({other}?)"
    )


def _bad_bytes(file: io.BufferedReader, encoding: str) -> Iterator[str]:
    """Line, byte offset (from 0) and value of each byte that does not decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line, is_last = 0, 1, False
    while not is_last:
        chunk = file.read(2**20)
        is_last = not chunk
        try:
            decoder.decode(chunk, final=is_last)
        except UnicodeDecodeError as exc:
            bad = offset - (len(exc.object) - len(chunk)) + exc.start  # some were kept back before
            line += exc.object[: exc.start].count(b"\n")
            yield f"line {line}, byte offset {bad}: byte 0x{exc.object[exc.start]:02x} ({exc.reason})"
            offset, is_last = bad + 1, False
            file.seek(offset)
            decoder.reset()
        else:
            line += chunk.count(b"\n")
            offset += len(chunk)
