"""Language modelling: a saved model scored by what held-out texts cost it, and what it must beat."""

from collections.abc import Sequence
from pathlib import Path

from models.corpus import MICRO, corpus_figures
from models.device import loading
from models.language_model import BATCH_RULE, LanguageModel
from models.language_modeling_lesson import LanguageModelingLesson
from models.ngrams import Ngrams
from models.scoring import ScoringRequest, parity_of, read_texts, take_fingerprint
from models.task_code import Examples, Scored
from records.base import digest_of
from records.scores import Fingerprint, Parity, Scorecard
from records.text import num_bytes

MODULES = ("corpus", "device", "language_model", "language_modeling", "ngrams", "scoring")
"""Whose code can move a score."""
PER_TOKEN = "loss_per_token"


class Code:
    """What is different about language models; see models/task_code.py."""

    baselines = ("baseline:unigram",)
    judges_base = True
    training_modules = ("blanks", "language_model", "language_modeling_lesson")
    lesson = LanguageModelingLesson

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        return take_fingerprint(request.items, MODULES, BATCH_RULE)

    def score(self, request: ScoringRequest) -> Scored:
        """-log P of every held-out text, summed over its tokens."""
        texts = read_texts(Path(request.test_path), request.items)
        model = load_language_model(Path(request.model_path), request.max_length)
        losses = model.losses(texts)
        return Scored(judge_losses(request, texts, losses, is_masked=model.is_masked))

    def consumer(self, request: ScoringRequest) -> "LossConsumer":
        return LossConsumer(load_language_model(Path(request.model_path)))

    def predictor(self, path: Path) -> "LossPredictor":
        return LossPredictor(load_language_model(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """Unigrams and, for a causal model, interpolated trigrams, over the challenger's tokens."""
        texts = read_texts(Path(request.test_path), request.items)
        model = load_language_model(Path(request.model_path))
        orders = {"unigram": 1} if model.is_masked else {"unigram": 1, "trigram": 3}
        splits = [_documents(model, found) for found in (training.texts, validation.texts)]
        cards = []
        for name, order in orders.items():
            ngrams = Ngrams(*splits, size=len(model.tokenizer), order=order)
            digest = digest_of([name, ngrams.weights, request.items.test_digest])
            asked = request.model_copy(update={"role": f"baseline:{name}", "model_digest": digest})
            losses = [_ngram_loss(ngrams, model, text) for text in texts]
            cards.append(Scored(judge_losses(asked, texts, losses, is_masked=model.is_masked)))
        return cards


class LossConsumer:
    """The language model that is shipped, one text at a time."""

    num_texts = 100
    num_warm_ups = 10

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def answer(self, text: str) -> float:
        return self._model([text])[0]

    def parity(
        self,
        card: Scorecard,
        texts: Sequence[str],
        chosen: Sequence[int],
        replies: Sequence[object],
    ) -> Parity:
        """The loss per token of the texts that were timed."""
        rows = card.statistics[PER_TOKEN]
        scored = [rows[i][0] / MICRO / rows[i][1] for i in chosen]
        gaps = [abs(a - float(str(b))) for a, b in zip(scored, replies, strict=True)]
        return parity_of(gaps, len(gaps))


class LossPredictor:
    """What each text costs."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        """Loss per token, in nats."""
        found = self._model(texts)
        return [{"text": a, PER_TOKEN: b} for a, b in zip(texts, found, strict=True)]


def load_language_model(path: Path, max_length: int | None = None) -> LanguageModel:
    """A saved language model; raises UnknownBase where the folder cannot be loaded as one."""
    with loading(f"the language model in {path.name!r}"):
        return LanguageModel.load(path, max_length)


def judge_losses(
    request: ScoringRequest,
    texts: Sequence[str],
    losses: Sequence[tuple[float, int]],
    *,
    is_masked: bool,
) -> Scorecard:
    """The scorecard of N texts: nats and tokens of each; for causal models also per byte.

    Tokens are the model's own, so that models with other tokenizers compare per byte only. A masked
    model is asked for some tokens, and a loss per byte of the whole text would mean nothing.
    """
    nats = [round(total * MICRO) for total, _ in losses]
    tokens = tuple((n, count) for n, (_, count) in zip(nats, losses, strict=True))
    statistics: dict[str, tuple[tuple[int, ...], ...]] = {PER_TOKEN: tokens}
    if not is_masked:
        sizes = [num_bytes(text) for text in texts]
        statistics["loss_per_byte"] = tuple(zip(nats, sizes, strict=True))
    return Scorecard(
        role=request.role,
        model_digest=request.model_digest,
        fingerprint=Code().fingerprint(request),
        item_ids=request.items.item_ids,
        metrics=corpus_figures(statistics),
        statistics=statistics,
    )


def _documents(model: LanguageModel, texts: Sequence[str]) -> list[list[int]]:
    start, end = model.start_id, model.tokenizer.eos_token_id
    return [[start, *model.ids_of(text), end] for text in texts]


def _ngram_loss(ngrams: Ngrams, model: LanguageModel, text: str) -> tuple[float, int]:
    """Of the very tokens that the model is asked for."""
    if not model.is_masked:
        losses = ngrams.losses(_documents(model, [text])[0])
        return sum(losses), len(losses)
    asked = [i for window in model.windows(0, text) for i in window.labels if i >= 0]
    return sum(ngrams.losses([model.start_id, *asked])), len(asked)
