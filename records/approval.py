"""What is asked of a person after the gate has agreed, and what they answered."""

from records.base import Record


class Ask(Record):
    """A promotion that waits for a person."""

    name: str
    """Registered model."""
    decision_digest: str
    flow_run_id: str
    """The Prefect run that waits; empty: none does, an answer counts for the next run."""
    asked: str
    """RFC 3339, UTC."""
    expires: str
    """RFC 3339, UTC; without an answer it is refused from then on."""


class Answer(Record):
    """A person's answer, or the clock's."""

    decision_digest: str
    is_approved: bool
    approver: str
    """Empty where nobody answered in time."""
    reason: str
    time: str
    """RFC 3339, UTC."""
