"""One entry of the append-only, hash-chained history of champions."""

import json
from typing import Literal

from records.base import Record, canonical_json

Action = Literal["promote", "rollback", "retire", "override", "adopt", "rebase", "hold", "release"]
LEDGER_ACTIONS: tuple[Action, ...] = (
    "promote", "rollback", "retire", "override", "adopt", "rebase", "hold", "release",
)  # fmt: skip


class LedgerEntry(Record):
    """`digest` of this record is its hash; the next entry names it as `previous_hash`."""

    sequence: int
    """1 for the first entry."""
    previous_hash: str
    """Empty for the first entry."""
    action: Action
    version: str
    """MLflow model version that is champion after this entry; empty after retire."""
    model_digest: str
    model_uri: str
    """Key of the model's folder in the store; empty after retire."""
    decision_digest: str
    """Empty where no decision was taken (rollback, retire, hold, ...)."""
    replaces: str = ""
    """model_digest of the champion before; empty for none."""
    is_anchor: bool = False
    """Whether this entry proved superior to the anchor before it (or is the first, or a rebase)."""
    train_key: str = ""
    actor: str
    approver: str = ""
    reason: str = ""
    time: str
    """RFC 3339, UTC."""

    def to_json(self) -> bytes:
        """Canonical JSON without defaults, so that a field added later leaves old hashes alone."""
        return canonical_json(json.loads(self.model_dump_json(exclude_defaults=True)))
