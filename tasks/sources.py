"""Where rows come from: sample:, a file, a folder or a glob, s3:// and hf://; all of them as streams."""

import glob
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from tempfile import TemporaryDirectory

from data_checks.config import DataConfig
from data_checks.parallel import pair_of, read_pairs
from data_checks.parse import format_of, read_rows, rows_of
from data_checks.problems import SourceError
from data_checks.rows import Row
from data_checks.samples import open_sample
from records.base import canonical_json, file_sha256, sha256
from records.data import SPLITS, Split
from tasks.hub import load_hub, parse_hub_uri
from tasks.location import LocationError
from tasks.objects import split_s3
from tasks.store import S3Settings, Store, open_store

_GLOB = re.compile(r"[*?\[]")
_SCHEMES = "sample:NAME, a file, a folder, a glob, s3://bucket/key, hf://dataset@commit"


@dataclass
class Source:
    """One file, or what stands for one. `num_rows` and `sha256` are set when `rows()` has ended."""

    uri: str
    split: Split | None
    read: Callable[[], Iterator[Row | str]]
    """Yields the rows, then the sha256 of what was read."""
    num_rows: int = 0
    sha256: str = ""

    def rows(self) -> Iterator[Row]:
        """The rows, in order. Raises what the source raises: ParseError, StoreError, LocationError."""
        self.num_rows, self.sha256 = 0, ""
        for row in self.read():
            if isinstance(row, str):
                self.sha256 = row
            else:
                self.num_rows += 1
                yield row


def open_sources(config: DataConfig, *, cache: Path, s3: S3Settings | None = None) -> list[Source]:
    """Every file of the recipe's `data`, by split and then by name; no row is read yet.

    Args:
        config: The recipe's `data`.
        cache: Folder for one downloaded object at a time.
        s3: How to reach S3; absent: boto3's own chain.

    Raises:
        LocationError: URIs that name nothing, a wrong option, a file of unknown format; lists them all.
        StoreError: S3 refuses or does not answer.
    """
    opener = _Opener(config, cache, s3)
    given: list[tuple[str | None, Split | None]] = [(config.source, None)]
    given += [(getattr(config, split), split) for split in SPLITS]
    sources, problems = [], []
    for uri, split in given:
        try:
            sources += opener.open(uri, split) if uri else []
        except SourceError as exc:
            problems.append(str(exc))
    uris = [source.uri for source in sources]
    problems += [
        f"{uri} is given for more than one split; each needs its own rows"
        for uri in dict.fromkeys(uris)
        if uris.count(uri) > 1
    ]
    if problems:
        raise LocationError("\n".join(problems))
    return sources


def source_marks(config: DataConfig, s3: S3Settings | None = None) -> dict[str, str]:
    """What lies where `data` points, without reading a row: name -> what changes with its content.

    Samples and commits of the hub's datasets are pinned: their name is all. A branch that is
    followed is marked by the commit that it points to.

    Raises:
        StoreError: S3 refuses or does not answer.
        LocationError: the hub refuses or does not answer.
    """
    marks: dict[str, str] = {}
    for uri in filter(None, (config.source, config.train, config.validation, config.test)):
        if uri.startswith("s3://"):
            bucket, key = split_s3(uri)
            found = _object_marks(open_store(f"s3://{bucket}", s3), key)
            marks |= {f"s3://{bucket}/{name}": mark for name, mark in found.items()}
        elif uri.startswith("hf://"):
            place = parse_hub_uri(uri)
            marks[uri] = place.pinned().revision if place.is_followed else ""
        elif "://" in uri or uri.startswith("sample:"):
            marks[uri] = ""
        else:
            for path in map(Path, pair_of(uri) or _local_files(uri)):
                status = path.stat()
                marks[str(path)] = f"{status.st_size} {status.st_mtime_ns}"
    return marks


def _object_marks(store: Store, key: str) -> dict[str, str]:
    """The objects of a key, all below a prefix, or those of a glob (* crosses /), with their marks."""
    folder, pattern = key.strip("/"), "*"
    if _GLOB.search(key):
        folder, pattern = _GLOB.split(key, maxsplit=1)[0].rpartition("/")[0], key
    elif folder and (mark := store.mark(folder)) is not None:
        return {folder: mark}
    return {
        name: mark
        for name, mark in store.marks(folder)
        if fnmatchcase(name, pattern)
        and not name.endswith("/")
        and not _is_hidden(PurePosixPath(name[len(folder) :]))
    }


@dataclass(frozen=True)
class _Opener:
    config: DataConfig
    cache: Path
    s3: S3Settings | None

    def open(self, uri: str, split: Split | None) -> list[Source]:
        """The sources that one URI names, sorted by name."""
        if uri.startswith("sample:"):
            return [Source(uri, split, partial(self._stream, uri, split, open_sample(uri)))]
        if uri.startswith("s3://"):
            return self._objects(uri, split)
        if uri.startswith("hf://"):
            place = parse_hub_uri(uri)
            if place.is_followed:
                place = place.pinned()
                uri = place.uri
            load = partial(load_hub, place, self.config.label)
            return [Source(uri, split, partial(self._stream, uri, split, load))]
        if "://" in uri:
            raise LocationError(f"{uri}: unknown scheme; give {_SCHEMES}")
        if pair := pair_of(uri):
            return [Source(uri, split, partial(self._pair, pair, uri, split))]
        names = _local_files(uri)
        self._check_formats(uri, names)
        return [Source(name, split, partial(self._file, Path(name), name, split)) for name in names]

    def _file(self, path: Path, uri: str, split: Split | None) -> Iterator[Row | str]:
        yield from read_rows(path, self.config, name=uri, split=split)
        yield file_sha256(path)

    def _pair(self, paths: tuple[Path, Path], uri: str, split: Split | None) -> Iterator[Row | str]:
        yield from read_pairs(paths, self.config, name=uri, split=split)
        yield sha256("".join(map(file_sha256, paths)).encode())

    def _stream(
        self, uri: str, split: Split | None, load: Callable[[], Iterator[Mapping[str, object]]]
    ) -> Iterator[Row | str]:
        """Rows that are no file's; their sha256 is that of their canonical JSON, a row a line."""
        digest = hashlib.sha256()
        for row in rows_of(load(), self.config, name=uri, split=split):
            digest.update(canonical_json([row.text, row.label, dict(row.attributes)]) + b"\n")
            yield row
        yield digest.hexdigest()

    def _objects(self, uri: str, split: Split | None) -> list[Source]:
        """The objects of an s3:// URI: one, all below a prefix, or those of a glob (* crosses /)."""
        bucket, key = split_s3(uri)
        store = open_store(f"s3://{bucket}", self.s3)
        keys = sorted(_object_marks(store, key))
        self._check_formats(uri, keys)
        return [
            Source(f"s3://{bucket}/{key}", split, partial(self._object, store, bucket, key, split))
            for key in keys
        ]

    def _object(
        self, store: Store, bucket: str, key: str, split: Split | None
    ) -> Iterator[Row | str]:
        """Download, read, delete: one object at a time lies in the cache, in a folder of this call."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.cache) as folder:
            path = Path(folder) / PurePosixPath(key).name
            store.download(key, path)
            yield from self._file(path, f"s3://{bucket}/{key}", split)

    def _check_formats(self, uri: str, names: list[str]) -> None:
        if not names:
            raise LocationError(f"{uri}: no file is there; give {_SCHEMES}")
        problems = []
        for name in names:
            try:
                format_of(Path(name), self.config)
            except SourceError as exc:
                problems.append(str(exc))
        if problems:
            raise LocationError(f"{uri}: " + "; ".join(problems) + ", or name the files by a glob")


def _is_hidden(below: PurePath) -> bool:
    """Whether it, or a folder that it is in, is what tools leave beside data (.DS_Store, _SUCCESS,
    .ipynb_checkpoints/a.csv); `below` the place that was named, which may be called so."""
    return any(part.startswith((".", "_")) for part in below.parts)


def _local_files(uri: str) -> list[str]:
    """A file, the files below a folder, or those of a glob (`**` crosses folders), by name."""
    path = Path(uri)
    if path.is_file():
        return [uri]
    if path.is_dir():
        folder, found = path, [str(file) for file in path.rglob("*")]
    else:
        folder = Path(*takewhile(lambda part: not _GLOB.search(part), path.parts))
        found = glob.glob(uri, recursive=True)
    return sorted(
        name
        for name in found
        if Path(name).is_file() and not _is_hidden(Path(name).relative_to(folder))
    )
