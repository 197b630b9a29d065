"""The store: bytes by key, in a local folder or in S3.

`objects` says what a store is, `payload` how whole folders travel; both are offered here.
"""

import errno
import io
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from records.base import Record
from tasks.objects import (
    TEMPORARY,
    AccessDenied,
    ConditionalWriteIgnored,
    CorruptObject,
    DiskFull,
    IncompletePayload,
    MissingBucket,
    MissingObject,
    Store,
    StoreError,
    StoreUnreachable,
    check_key,
    probe_writes,
)
from tasks.payload import open_folder, put_folder, read_manifest
from tasks.retries import patient

__all__ = [
    "AccessDenied",
    "ConditionalWriteIgnored",
    "CorruptObject",
    "DiskFull",
    "IncompletePayload",
    "LocalStore",
    "MissingBucket",
    "MissingObject",
    "S3Settings",
    "S3Store",
    "Store",
    "StoreError",
    "StoreUnreachable",
    "open_folder",
    "open_store",
    "put_folder",
    "read_manifest",
]

CONFLICT_DELAYS_S = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Waits before each try of a conditional write to S3."""
STALE_S = 86400.0
"""Nothing is being written for so long."""


class S3Settings(Record):
    """How to reach S3. What is absent is found by boto3's own chain (profile, role, variables)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    endpoint_url: str | None = Field(None, description="http(s)://host[:port]; absent: AWS.")
    region: str | None = Field(None, description="E.g. eu-central-1.")
    access_key_id: str | None = Field(None, description="Needs secret_access_key.")
    secret_access_key: SecretStr | None = Field(None, description="Needs access_key_id.")
    connect_timeout_s: float = Field(5, gt=0, le=60, description="Per attempt, seconds.")
    read_timeout_s: float = Field(30, gt=0, le=600, description="Per attempt, seconds.")
    num_attempts: int = Field(4, ge=1, le=10, description="Attempts per request, the first too.")

    @field_validator("endpoint_url")
    @classmethod
    def _is_plain_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
            raise ValueError(
                "endpoint_url is not http(s)://host[:port] without user and password;"
                " give these as access_key_id and secret_access_key"
            )
        return value

    @model_validator(mode="after")
    def _has_both_keys_or_none(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: set both or none")
        return self


def open_store(uri: str, settings: S3Settings | None = None) -> Store:
    """The store at a folder's path, `file://...` or `s3://bucket/prefix`; nothing is touched yet.

    Raises:
        StoreError: another scheme, or no bucket.
    """
    url = urlsplit(uri)
    if url.scheme == "s3":
        if not url.netloc:
            raise StoreError(f"store {uri!r} names no bucket; write s3://bucket/prefix")
        return S3Store(url.netloc, url.path.strip("/"), settings or S3Settings())
    if url.scheme == "file" and url.netloc in ("", "localhost"):
        return LocalStore(Path(unquote(url.path)))
    if "://" in uri or not uri:
        raise StoreError(f"store {uri!r} is not a folder, file:///folder or s3://bucket/prefix")
    return LocalStore(Path(uri))


@dataclass(frozen=True)
class LocalStore:
    """A folder on a file system with hard links; it appears with the first write."""

    folder: Path

    @property
    def uri(self) -> str:
        """`file:///...`"""
        return self.folder.absolute().as_uri()

    def path(self, key: str) -> Path:
        """The file that holds the key, or the folder that holds the keys below it."""
        return self.folder.joinpath(*check_key(key).split("/"))

    def read(self, key: str) -> bytes:
        """See Store."""
        with _os_errors(self.path(key)):
            return self.path(key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """See Store."""
        with _os_errors(self.path(key)):
            self._place(key, io.BytesIO(data), os.replace)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Store. A hard link is the one way to name a finished file that fails if one is there."""
        with _os_errors(self.path(key)):
            try:
                self._place(key, io.BytesIO(data), os.link)
            except FileExistsError:
                return False
            return True

    def exists(self, key: str) -> bool:
        """See Store."""
        return self.path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[str]:
        """See Store."""
        top = self.path(prefix.rstrip("/")) if prefix else self.folder
        with _os_errors(top):
            keys = [
                path.relative_to(self.folder).as_posix()
                for path in top.rglob("*")
                if path.is_file()
            ]
        yield from sorted(key for key in keys if not key.startswith(f"{TEMPORARY}/"))

    def mark(self, key: str) -> str | None:
        """See Store: size and time of the last change."""
        with suppress(FileNotFoundError):
            found = self.path(key).stat()
            if stat.S_ISREG(found.st_mode):
                return f"{found.st_size} {found.st_mtime_ns}"
        return None

    def rewritten(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """See Store. A file system keeps no versions."""
        yield from ()

    def marks(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """See Store."""
        for key in self.list(prefix):
            if (mark := self.mark(key)) is not None:
                yield key, mark

    def delete(self, key: str) -> None:
        """See Store."""
        with _os_errors(self.path(key)):
            self.path(key).unlink(missing_ok=True)

    def upload(self, key: str, path: Path) -> None:
        """See Store."""
        with _os_errors(self.path(key)), path.open("rb") as file:
            self._place(key, file, os.replace)

    def download(self, key: str, path: Path) -> None:
        """See Store."""
        with _os_errors(self.path(key)), self.path(key).open("rb") as file, _appear(path) as copy:
            shutil.copyfileobj(file, copy)

    def local_folder(self, prefix: str) -> Path | None:
        """See Store."""
        return self.path(prefix)

    def probe(self) -> None:
        """See Store. What killed writers left half written, a day ago or longer, goes."""
        probe_writes(self)
        for left in (self.folder / TEMPORARY).iterdir():
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > STALE_S:
                    left.unlink()

    def _place(self, key: str, data: BinaryIO, place: Callable[[Path, Path], None]) -> None:
        target = self.path(key)
        temporary = self.folder / TEMPORARY / uuid4().hex
        _make_folder(temporary.parent)
        _make_folder(target.parent)
        try:
            with temporary.open("xb") as file:
                shutil.copyfileobj(data, file)
                file.flush()
                os.fsync(file.fileno())
            place(temporary, target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class S3Store:
    """A bucket, or a prefix of one, on AWS or any server whose conditional PUT is atomic."""

    bucket: str
    prefix: str = ""
    settings: S3Settings = field(default_factory=S3Settings)

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`"""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @patient
    def read(self, key: str) -> bytes:
        """See Store."""
        with _s3_errors(self, key):
            data: bytes = self._client.get_object(**self._object(key))["Body"].read()
            return data

    @patient
    def write(self, key: str, data: bytes) -> None:
        """See Store."""
        with _s3_errors(self, key):
            self._client.put_object(**self._object(key), Body=data)

    @patient
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Store. One part: servers ignore the condition on the end of a multi-part upload.

        409 says that another write or a deletion of the key goes on, not how it ends: ask again.
        """
        for delay_s in CONFLICT_DELAYS_S:
            time.sleep(delay_s)
            if (status := self._put_if_absent(key, data)) != 409:
                return status != 412
        raise StoreUnreachable(f"{self.uri}/{key}: others keep writing it (409); try again")

    def _put_if_absent(self, key: str, data: bytes) -> int:
        """How the server answered: 200, 409 or 412."""
        from botocore.exceptions import ClientError

        with _s3_errors(self, key):
            try:
                self._client.put_object(**self._object(key), Body=data, IfNoneMatch="*")
            except ClientError as exc:
                if (status := _status(exc)) in (409, 412):
                    return status
                raise
        return 200

    def exists(self, key: str) -> bool:
        """See Store."""
        return self.mark(key) is not None

    @patient
    def mark(self, key: str) -> str | None:
        """See Store. By listing: the answer to HEAD cannot tell a missing key from no bucket."""
        path = self._object(key)["Key"]
        with _s3_errors(self, key):
            page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=path, MaxKeys=1)
            found = (_mark(each) for each in page.get("Contents", ()) if each["Key"] == path)
            return next(found, None)

    def list(self, prefix: str = "") -> Iterator[str]:
        """See Store."""
        yield from (key for key, _ in self.marks(prefix))

    def marks(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """See Store."""
        below = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        query = {"Bucket": self.bucket, "Prefix": self._root + below}
        while True:
            page = self._page(prefix, query)
            for found in page.get("Contents", ()):
                yield found["Key"][len(self._root) :], _mark(found)
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    @patient
    def _page(self, prefix: str, query: Mapping[str, str]) -> dict[str, Any]:
        with _s3_errors(self, prefix):
            page: dict[str, Any] = self._client.list_objects_v2(**query)
            return page

    def rewritten(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """See Store. A versioned bucket lists the versions of a key, the latest first."""
        versions: dict[str, list[str]] = {}
        with _s3_errors(self, prefix):
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(
                Bucket=self.bucket, Prefix=f"{self._root}{check_key(prefix.rstrip('/'))}/"
            ):
                for found in page.get("Versions", ()):
                    versions.setdefault(found["Key"], []).append(found["VersionId"])
                for marker in page.get("DeleteMarkers", ()):
                    versions.setdefault(marker["Key"], []).insert(0, "")
        for path, ids in versions.items():
            if len(ids) > 1 and (key := path[len(self._root) :]):
                yield from self._first_if_other(key, ids[-1])

    def _first_if_other(self, key: str, version_id: str) -> Iterator[tuple[str, bytes]]:
        with _s3_errors(self, key):
            answer = self._client.get_object(**self._object(key), VersionId=version_id)
            first: bytes = answer["Body"].read()
        if not self.exists(key) or self.read(key) != first:
            yield key, first

    @patient
    def delete(self, key: str) -> None:
        """See Store."""
        with _s3_errors(self, key):
            self._client.delete_object(**self._object(key))

    @patient
    def upload(self, key: str, path: Path) -> None:
        """See Store."""
        with _s3_errors(self, key), path.open("rb") as file:
            self._client.upload_fileobj(file, **self._object(key))

    @patient
    def download(self, key: str, path: Path) -> None:
        """See Store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with _s3_errors(self, key):
            self._client.download_file(**self._object(key), Filename=str(path))

    def local_folder(self, prefix: str) -> Path | None:
        """See Store."""
        return None

    def probe(self) -> None:
        """See Store."""
        probe_writes(self)

    def create_bucket(self) -> None:
        """Make the bucket, for private servers; nothing happens where it is already ours."""
        with _s3_errors(self):
            self._client.create_bucket(Bucket=self.bucket)

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self._root}{check_key(key)}"}

    @property
    def _root(self) -> str:
        """What stands before every key of this store."""
        return f"{self.prefix}/" if self.prefix else ""

    @cached_property
    def _client(self) -> Any:
        # Not at the top: half a second that a local store and `refit --help` need not pay.
        import boto3
        from botocore.config import Config

        given = self.settings
        secret = given.secret_access_key
        with _s3_errors(self):
            return boto3.session.Session().client(
                "s3",
                endpoint_url=given.endpoint_url,
                region_name=given.region,
                aws_access_key_id=given.access_key_id,
                aws_secret_access_key=secret.get_secret_value() if secret else None,
                config=Config(
                    connect_timeout=given.connect_timeout_s,
                    read_timeout=given.read_timeout_s,
                    retries={"mode": "standard", "total_max_attempts": given.num_attempts},
                    s3={"addressing_style": "path" if given.endpoint_url else "auto"},
                    # radosgw refuses the trailing checksums that boto3 would add over TLS.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )


@contextmanager
def _appear(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    for path in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Without this a name may be lost with the power although its file's bytes are safe."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(found: Mapping[str, Any]) -> str:
    """Of a listed object: the ETag, and the time, since a copy may have the same bytes."""
    return f"{found['ETag']} {found['LastModified']}"


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
        raise MissingObject(f"{exc.filename or path} is not there; check the key") from exc
    except PermissionError as exc:
        # A file system without hard links also says EPERM.
        raise AccessDenied(
            f"{path}: {exc.strerror}; grant this user reading and writing there, on a file system"
            " with hard links"
        ) from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{path}: {exc.strerror}; free space there, or name another REFIT_STORE"
            ) from exc
        raise StoreError(f"{path}: {exc.strerror}; mend this, then run again") from exc


@contextmanager
def _s3_errors(store: S3Store, key: str = "") -> Iterator[None]:
    from boto3.exceptions import Boto3Error, RetriesExceededError
    from botocore import exceptions as boto

    where = f"{store.uri}/{key}".rstrip("/")
    server = store.settings.endpoint_url or "AWS"
    try:
        yield
    except boto.ClientError as exc:
        raise _named(exc, where, server) from exc
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
    ) as exc:
        raise AccessDenied(
            f"{where}: no complete credentials ({type(exc).__name__}); set the access key and its"
            " secret, or a profile that boto3 finds"
        ) from exc
    except (
        boto.HTTPClientError,
        boto.ConnectionError,
        boto.IncompleteReadError,
        RetriesExceededError,
    ) as exc:
        raise StoreUnreachable(
            f"{where}: {server} does not answer ({type(exc).__name__}) after"
            f" {store.settings.num_attempts} attempts; check the endpoint and try again"
        ) from exc
    except (boto.BotoCoreError, Boto3Error) as exc:
        raise StoreError(f"{where}: {exc}") from exc


def _status(exc: Any) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _named(exc: Any, where: str, server: str) -> StoreError:
    """Our error for a server's answer. Its own text is left out: it may quote what was signed."""
    code, status = exc.response.get("Error", {}).get("Code", ""), _status(exc)
    answer = f"{server} answered {status} {code}"
    if code == "NoSuchBucket":
        return MissingBucket(f"{where}: {answer}; create the bucket or correct its name")
    if status == 404:
        return MissingObject(f"{where} is not there ({answer}); check the key")
    if status in (401, 403):
        return AccessDenied(
            f"{where}: {answer}; check the access key, its secret, its rights and this clock"
        )
    if status >= 500 or status == 429 or code in ("RequestTimeout", "SlowDown"):
        return StoreUnreachable(f"{where}: {answer}; try again")
    return StoreError(f"{where}: {answer}")
