"""Parity of written texts: what is written again is held against what was scored."""

from collections.abc import Iterator, Sequence

from models.writer import WriterConsumer, digest_text
from records.scores import Scorecard
from tests.models.gate_records import card_of, items_of

TEXTS = [f"text {i}" for i in range(12)]


class Shouting:
    """Writes each text in capitals, four at a time."""

    def __call__(self, texts: Sequence[str]) -> list[str]:
        return [text.upper() for text in texts]

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], None]]:
        for start in range(0, len(texts), 4):
            yield list(range(start, start + 4)), None


def scored(outputs: Sequence[str]) -> Scorecard:
    card = card_of(items_of(len(outputs)))
    return card.model_copy(update={"predicted": tuple(map(digest_text, outputs))})


def test_parity_counts_every_text_that_is_written_otherwise() -> None:
    consumer = WriterConsumer(Shouting())
    right = [text.upper() for text in TEXTS]
    same = consumer.parity(scored(right), TEXTS, (), ())
    assert (same.num_compared, same.num_equal_labels) == (12, 12)
    wrong = ["text 0", *right[1:]]
    other = consumer.parity(scored(wrong), TEXTS, (), ())
    assert (other.num_compared, other.num_equal_labels) == (12, 11)
