"""The frozen base of every record, its canonical JSON, and sha256 digests."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


def is_empty(value: object) -> bool:
    """For `Field(exclude_if=is_empty)`: a field that came later leaves older digests alone."""
    return not value


class Record(BaseModel):
    """A frozen value with a canonical form: equal records have equal bytes and equal digests.

    NaN and infinities survive the round trip as strings, so that a broken score is judged, not lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    def to_json(self) -> bytes:
        """Canonical UTF-8 JSON: sorted keys, no white space."""
        return canonical_json(json.loads(self.model_dump_json()))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse and validate; raises pydantic.ValidationError on anything unknown or missing."""
        return cls.model_validate_json(data)

    @property
    def digest(self) -> str:
        """sha256 (64 hex digits) of the canonical JSON."""
        return sha256(self.to_json())


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space, the form that every digest is taken over."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def sha256(data: bytes) -> str:
    """Hex digest of `data`."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """sha256 of the canonical JSON of a plain value (dicts, lists, strings, numbers)."""
    return sha256(canonical_json(value))


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
