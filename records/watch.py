"""What a watcher remembers of a recipe's data between two looks."""

from records.base import Record


class Seen(Record):
    """What was there at the latest look, and the snapshot that was last announced."""

    snapshot_digest: str
    """Of the latest look that read the rows."""
    marks_digest: str = ""
    """What lay there then; while it is the same, no row is read."""
    announced_digest: str = ""
    """Empty: nothing was announced yet."""
    announced_rows: int = 0
