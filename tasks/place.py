"""Where things are kept: the small value that every task takes instead of a client."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field, field_validator

from records.address import holds_userinfo
from records.base import Record
from tasks.objects import Store
from tasks.retries import MAX_OUTAGE_S, OUTAGE_S
from tasks.store import S3Settings, open_store


class Place(Record):
    """Addresses only, never a credential: boto3 and MLflow find those by themselves."""

    model_config = ConfigDict(hide_input_in_errors=True)

    home: str
    """Local folder for caches and the embedded services."""
    store_uri: str
    s3_endpoint_url: str | None = None
    tracking_uri: str
    is_tracking_embedded: bool = True
    outage_s: float = Field(OUTAGE_S, ge=0, le=MAX_OUTAGE_S)
    """How long a run waits for a service that is away."""

    @field_validator("store_uri", "s3_endpoint_url", "tracking_uri")
    @classmethod
    def _is_no_secret(cls, value: str | None) -> str | None:
        if value is not None and holds_userinfo(value):
            raise ValueError("holds a name or password; a place travels through logs and pages")
        return value

    @property
    def cache(self) -> Path:
        """Downloaded copies; safe to delete."""
        return Path(self.home) / "cache"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder beside the cache's copies, gone at the end; those of dead processes go now.

        A process holds a lock beside its folder, which the kernel takes from it however it dies.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        for left in self.cache.glob("scratch-*.lock"):
            with suppress(Timeout), FileLock(left, blocking=False):
                shutil.rmtree(left.with_suffix(""), ignore_errors=True)
                left.unlink(missing_ok=True)
        folder = self.cache / f"scratch-{uuid4().hex}"
        lock = folder.with_suffix(".lock")
        with FileLock(lock):
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    @property
    def s3(self) -> S3Settings:
        """How S3 is reached."""
        return S3Settings(endpoint_url=self.s3_endpoint_url)

    def open(self) -> Store:
        """The store of snapshots, models, decisions and the ledger."""
        return open_store(self.store_uri, self.s3)
