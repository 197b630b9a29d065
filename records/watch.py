"""What a watcher remembers of a recipe's data between two looks."""

from records.base import Record


class Seen(Record):
    """The latest snapshot, and the one that was last announced."""

    snapshot_digest: str
    """Of the latest look."""
    announced_digest: str = ""
    """Empty: nothing was announced yet."""
    announced_rows: int = 0
