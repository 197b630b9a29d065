"""Models that write texts, as whoever uses them has them; digests stand for the texts in records."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from records.base import sha256
from records.scores import Parity, Scorecard

PARITY_BATCHES = 4


class Writer(Protocol):
    """A saved translator or chat model."""

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """What it writes for each text, in their order."""

    def batches(self, texts: Sequence[str], /) -> Iterable[tuple[list[int], Any]]:
        """Places of the texts that go through the model together, with what goes in."""


class WriterConsumer:
    """The model that is shipped, one text at a time."""

    num_texts = 40
    num_warm_ups = 4

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def answer(self, text: str) -> str:
        return self._writer([text])[0]

    def parity(
        self,
        card: Scorecard,
        texts: Sequence[str],
        chosen: Sequence[int],
        replies: Sequence[object],
    ) -> Parity:
        """Whole batches of the scoring, written again: alone, rounding may choose another word."""
        batches = [batch for batch, _ in self._writer.batches(texts)]
        picked = random.Random(card.model_digest).sample(batches, min(PARITY_BATCHES, len(batches)))
        compared = [place for batch in picked for place in batch]
        outputs = [out for b in picked for out in self._writer([texts[place] for place in b])]
        same = sum(
            digest_text(output) == card.predicted[place]
            for place, output in zip(compared, outputs, strict=True)
        )
        return Parity(num_compared=len(compared), num_equal_labels=same, max_abs_difference=0.0)


class WriterPredictor:
    """One written text for each text."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        """The text and what is written for it."""
        outputs = self._writer(texts)
        return [{"text": a, "output": b} for a, b in zip(texts, outputs, strict=True)]


def digest_text(text: str) -> str:
    """What stands for a text in a record, which holds none."""
    return sha256(text.encode("utf-8", "surrogatepass"))[:16]
