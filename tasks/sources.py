"""Where rows come from: sample:, a file, a folder or a glob, s3:// and hf://; all of them as streams."""

import glob
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from data_checks.config import DataConfig
from data_checks.parallel import pair_of, read_pairs
from data_checks.parse import format_of, read_rows, rows_of
from data_checks.problems import SourceError
from data_checks.rows import Row
from data_checks.samples import open_sample
from records.base import canonical_json, file_sha256, sha256
from records.data import SPLITS, Split
from tasks.objects import split_s3
from tasks.store import S3Settings, Store, open_store

HUB_TIMEOUT_S = 10.0
_GLOB = re.compile(r"[*?\[]")
_SCHEMES = "sample:NAME, a file, a folder, a glob, s3://bucket/key, hf://dataset@revision"


class LocationError(SourceError):
    """A URI that names no data; the message lists every such URI of the recipe."""


class UnreachableError(LocationError):
    """A service that does not answer. A fault, not a bad recipe: trying again is safe."""


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


def open_sources(
    config: DataConfig, *, cache: Path, s3: S3Settings | None = None, hub_token: str | None = None
) -> list[Source]:
    """Every file of the recipe's `data`, by split and then by name; no row is read yet.

    Args:
        config: The recipe's `data`.
        cache: Folder for one downloaded object at a time.
        s3: How to reach S3; absent: boto3's own chain.
        hub_token: For private datasets of the hub.

    Raises:
        LocationError: URIs that name nothing, a wrong option, a file of unknown format; lists them all.
        StoreError: S3 refuses or does not answer.
    """
    opener = _Opener(config, cache, s3, hub_token)
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

    Samples and datasets of the hub are pinned: their name is all.

    Raises:
        StoreError: S3 refuses or does not answer.
    """
    marks: dict[str, str] = {}
    for uri in filter(None, (config.source, config.train, config.validation, config.test)):
        if uri.startswith("s3://"):
            bucket, key = split_s3(uri)
            found = _object_marks(open_store(f"s3://{bucket}", s3), key)
            marks |= {f"s3://{bucket}/{name}": mark for name, mark in found.items()}
        elif "://" in uri or uri.startswith("sample:"):
            marks[uri] = ""
        else:
            for path in map(Path, pair_of(uri) or _local_files(uri)):
                status = path.stat()
                marks[str(path)] = f"{status.st_size} {status.st_mtime_ns}"
    return marks


def _object_marks(store: Store, key: str) -> dict[str, str]:
    """The objects of a key, all below a prefix, or those of a glob (* crosses /), with their marks."""
    if _GLOB.search(key):
        folder = _GLOB.split(key, maxsplit=1)[0].rpartition("/")[0]
        return {name: mark for name, mark in store.marks(folder) if fnmatchcase(name, key)}
    key = key.strip("/")
    if key and (mark := store.mark(key)) is not None:
        return {key: mark}
    return dict(store.marks(key))


@dataclass(frozen=True)
class _Opener:
    config: DataConfig
    cache: Path
    s3: S3Settings | None
    hub_token: str | None

    def open(self, uri: str, split: Split | None) -> list[Source]:
        """The sources that one URI names, sorted by name."""
        if uri.startswith("sample:"):
            return [Source(uri, split, partial(self._stream, uri, split, open_sample(uri)))]
        if uri.startswith("s3://"):
            return self._objects(uri, split)
        if uri.startswith("hf://"):
            place = parse_hub_uri(uri)
            load = partial(_load_hub, place, self.config.label, self.hub_token)
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
        found = _object_marks(store, key)
        keys = sorted(key for key in found if not _is_hidden(key) and not key.endswith("/"))
        self._check_formats(uri, keys)
        return [
            Source(f"s3://{bucket}/{key}", split, partial(self._object, store, bucket, key, split))
            for key in keys
        ]

    def _object(
        self, store: Store, bucket: str, key: str, split: Split | None
    ) -> Iterator[Row | str]:
        """Download, read, delete: one object at a time lies in the cache."""
        uri = f"s3://{bucket}/{key}"
        path = self.cache / "sources" / sha256(uri.encode())[:16] / PurePosixPath(key).name
        try:
            store.download(key, path)
            yield from self._file(path, uri, split)
        finally:
            path.unlink(missing_ok=True)

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


def _is_hidden(name: str) -> bool:
    """Whether it is a marker that tools leave beside data (.DS_Store, _SUCCESS)."""
    return PurePosixPath(name).name.startswith((".", "_"))


def _local_files(uri: str) -> list[str]:
    """A file, the files below a folder, or those of a glob (`**` crosses folders), by name."""
    path = Path(uri)
    if path.is_file():
        return [uri]
    if path.is_dir():
        found = [str(file) for file in path.rglob("*")]
    else:
        found = glob.glob(uri, recursive=True)
    return sorted(name for name in found if Path(name).is_file() and not _is_hidden(name))


@dataclass(frozen=True)
class HubPlace:
    """One split of a dataset on the hub, at one commit."""

    dataset: str
    revision: str
    config: str | None = None
    split: str = "train"


def parse_hub_uri(uri: str) -> HubPlace:
    """`hf://owner/name@commit?config=NAME&split=test` (split: train where none is given).

    Raises:
        LocationError: no dataset, a revision that can move (not 40 hex digits), an unknown option.
    """
    url = urlsplit(uri)
    dataset, _, revision = f"{url.netloc}{url.path}".partition("@")
    pairs = parse_qsl(url.query, keep_blank_values=True)
    options = dict(pairs)
    problems = [f"option {key!r} does not exist; there are config and split" for key in options
                if key not in ("config", "split")]  # fmt: skip
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", dataset):
        problems.append(f"{dataset!r} is not a dataset's name; write hf://owner/name@commit")
    if not re.fullmatch("[0-9a-f]{40}", revision):
        problems.append(
            f"the revision {revision!r} is not pinned and may change under you; append @ and the 40 "
            f"digits of a commit from https://huggingface.co/datasets/{dataset}/commits/main"
        )
    if problems:
        raise LocationError(f"{uri}: " + "; ".join(problems))
    return HubPlace(dataset, revision, options.get("config"), options.get("split", "train"))


def _load_hub(place: HubPlace, label: str, token: str | None) -> Iterator[Mapping[str, object]]:
    """Stream one split."""
    _ask_hub(place, token)
    import datasets

    try:
        stream: Any = datasets.load_dataset(
            place.dataset, place.config, revision=place.revision, split=place.split,
            streaming=True, token=token,
        )  # fmt: skip
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as exc:
        raise LocationError(
            f"hf://{place.dataset}: {exc}; check ?config= and &split= (now "
            f"{place.config!r} and {place.split!r})"
        ) from exc
    yield from with_label_names(stream, label)


def with_label_names(stream: Any, label: str) -> Iterator[dict[str, object]]:
    """Rows of a `datasets.IterableDataset`; a label stored as a class number comes as its name."""
    names = getattr((stream.features or {}).get(label), "names", None)
    for row in stream:
        number = row.get(label)
        if names and isinstance(number, int):  # -1 is the hub's mark of a hidden label
            row[label] = names[number] if number >= 0 else None
        yield row


def _ask_hub(place: HubPlace, token: str | None) -> None:
    """One short request first: `datasets` alone retries for minutes where there is no network."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    where = f"hf://{place.dataset}@{place.revision}"
    try:
        HfApi(token=token).dataset_info(
            place.dataset, revision=place.revision, timeout=HUB_TIMEOUT_S
        )
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        if status in (401, 403, 404):
            raise LocationError(
                f"{where}: the hub answered {status}; check dataset and revision, or give a token "
                f"that may read it"
            ) from exc
        raise UnreachableError(f"{where}: the hub answered {status}; try again later") from exc
    except (httpx2.HTTPError, OSError, OfflineModeIsEnabled) as exc:
        raise UnreachableError(
            f"{where}: the hub cannot be reached ({type(exc).__name__}); connect, or download the "
            f"dataset's files elsewhere and give their folder as data.source"
        ) from exc
