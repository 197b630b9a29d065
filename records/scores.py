"""Per-item scores of one model on one frozen test split."""

from pydantic import Field

from records.base import Record, digest_of, is_empty
from records.labels import read_labels

SCORING_VERSION = 1


class TestItems(Record):
    """The frozen test split, without its texts. All tuples have one entry per item, in one order."""

    __test__ = False  # not a pytest class

    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    """Split group of each item; the bootstrap draws whole groups."""
    labels: tuple[str, ...]
    """Empty texts where the task has no labels: what an item should answer lies in its file."""
    slices: dict[str, tuple[str, ...]] = {}
    """Declared slice columns: column name -> value per item."""
    has_label_sets: bool = Field(False, exclude_if=is_empty)
    """Whether each of `labels`, and each answer to it, is a set of labels (records/labels.py)."""

    @property
    def test_digest(self) -> str:
        """Digest over ids, groups and labels; slices may change without a new test."""
        return digest_of([list(self.item_ids), list(self.groups), list(self.labels)])

    def labels_in(self, answer: str) -> tuple[str, ...]:
        """The labels that one of `labels`, or an answer, names."""
        return read_labels(answer) if self.has_label_sets else (answer,)


class Fingerprint(Record):
    """What two scorecards must share to be comparable."""

    test_digest: str
    scoring_version: int
    code_digest: str
    libraries: dict[str, str]
    device: str
    dtype: str
    batch_rule: str
    signatures: dict[str, str] = Field({}, exclude_if=is_empty)
    """Corpus metric -> how exactly it was computed, as its library states it."""


class Scorecard(Record):
    """Scores of one model. `error` is set, and the tuples are empty, where it could not be scored."""

    role: str
    """challenger, champion, anchor, or baseline:<name>"""
    model_digest: str
    fingerprint: Fingerprint
    model_labels: tuple[str, ...] = ()
    """The labels that the model can answer, by name."""
    item_ids: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    """The label, or set of labels, of each item; of generated texts the first 16 hex digits of their sha256."""
    log_loss: tuple[float, ...] = ()
    """-ln p(true label) per item in nats; a label unknown to the model costs -ln(1e-12). Of a set the
    mean over the test's labels. Labels only."""
    confidence: tuple[float, ...] = ()
    """Probability of the predicted label, or of the whole set, in (0, 1]. Labels only."""
    num_truncated: int = 0
    metrics: dict[str, float] = {}
    """accuracy, macro_f1, log_loss, ece, and f1:<label>; or those of `statistics` and others."""
    statistics: dict[str, tuple[tuple[int, ...], ...]] = Field({}, exclude_if=is_empty)
    """Corpus metric -> integers per item, whose sums over items give the metric (models/corpus.py)."""
    error: str = ""


class Budgets(Record):
    """What the challenger costs to run, measured in a fresh process; None: not measured."""

    latency_p95_ms: float | None = None
    """95th percentile at batch 1, best of the rounds, milliseconds."""
    peak_memory_bytes: int | None = None
    artifact_bytes: int | None = None


class Parity(Record):
    """Whether the saved artifact, loaded again in a fresh process, gives what was scored."""

    num_compared: int
    num_equal_labels: int
    max_abs_difference: float
    """Largest difference of a probability."""
