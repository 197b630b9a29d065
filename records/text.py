"""`normalise` v1: the one meaning of "the same text" for splits, duplicates and leakage."""

import unicodedata

from records.base import sha256

NORMALISE_VERSION = 1


def normalise(text: str) -> str:
    """NFKC, casefold, runs of white space collapsed to one space, ends stripped."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def group_of(text: str) -> str:
    """The split group of a text: 16 hex digits of the sha256 of its normalised form."""
    return sha256(normalise(text).encode("utf-8", "surrogatepass"))[:16]


def num_bytes(text: str) -> int:
    """Of UTF-8; what no encoding takes counts as it would be written."""
    return len(text.encode("utf-8", "surrogatepass"))
