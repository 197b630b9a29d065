"""What a language model must beat: unigrams, and interpolated trigrams, over its own tokens."""

import math
from collections import Counter
from collections.abc import Sequence

Document = Sequence[int]
"""Token ids between start and end."""

MOST_TOKENS = 5_000_000
"""Training tokens that are counted; more would take memory and tell little more."""
NUM_ROUNDS = 10


class Ngrams:
    """Jelinek-Mercer interpolation of trigram, bigram, unigram and uniform, weighted by validation.

    Args:
        training: N documents of token ids, each with its start and its end.
        validation: documents that the weights are fitted to, by expectation maximisation.
        size: of the vocabulary, V.
        order: 3, or 1 for unigrams alone.

    Source: Jelinek and Mercer (1980); Chen and Goodman (1999), section 2.3.
    """

    def __init__(
        self, training: Sequence[Document], validation: Sequence[Document], *, size: int, order: int
    ) -> None:
        self.size, self.order = size, order
        self._counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        self._contexts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        num_tokens = 0
        for document in training:
            num_tokens += len(document)
            if num_tokens > MOST_TOKENS:
                break
            self._count(document)
        self.weights = [1 / (order + 1)] * (order + 1)
        """Of the uniform distribution, then of orders 1 to `order`; they sum to one."""
        for _ in range(NUM_ROUNDS):
            self._fit(validation)

    def losses(self, document: Document) -> list[float]:
        """-log P of each token but the first, given those before it, in nats."""
        return [-math.log(self._mixed(document, t)) for t in range(1, len(document))]

    def _count(self, document: Document) -> None:
        for t in range(1, len(document)):
            for n in range(min(self.order, t + 1)):
                self._counts[n][tuple(document[t - n : t + 1])] += 1
                self._contexts[n][tuple(document[t - n : t])] += 1

    def _parts(self, document: Document, t: int) -> list[float]:
        """P of token t by each order; a context that was never seen says nothing: 0."""
        parts = [1 / self.size]
        for n in range(self.order):
            seen = self._contexts[n][tuple(document[t - n : t])] if n <= t else 0
            parts.append(self._counts[n][tuple(document[t - n : t + 1])] / seen if seen else 0.0)
        return parts

    def _mixed(self, document: Document, t: int) -> float:
        return sum(w * p for w, p in zip(self.weights, self._parts(document, t), strict=True))

    def _fit(self, validation: Sequence[Document]) -> None:
        """One round: each order's share in the validation tokens; none falls to zero."""
        shares = [1.0] * len(self.weights)
        for document in validation:
            for t in range(1, len(document)):
                parts = [w * p for w, p in zip(self.weights, self._parts(document, t), strict=True)]
                total = sum(parts)
                shares = [s + part / total for s, part in zip(shares, parts, strict=True)]
        self.weights = [share / sum(shares) for share in shares]
