"""Chat: a saved chat model scored by its answers and what right ones cost it, and what it must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.chat_lesson import ChatLesson
from models.chatbot import BATCH_RULE, Chatbot
from models.corpus import MICRO, corpus_figures
from models.device import loading
from models.final_answer import SIGNATURE as FINAL_SIGNATURE
from models.final_answer import final_number
from models.ngrams import Ngrams
from models.reference_scores import score_texts, signatures_of
from models.rouge import SIGNATURE, rouge_l
from models.scoring import ScoringRequest, read_column, read_texts, take_fingerprint
from models.task_code import Examples, Scored
from models.writer import WriterConsumer, WriterPredictor, digest_text
from records.base import digest_of
from records.scores import Fingerprint, Scorecard
from records.text import NORMALISE_VERSION, normalise, num_bytes

MODULES = (
    "chat", "chatbot", "corpus", "device", "final_answer", "ngrams", "reference_scores", "rouge",
    "scoring", "writer",
)  # fmt: skip
"""Whose code can move a score."""


class Code:
    """What is different about chat; see models/task_code.py."""

    baselines = ("baseline:nearest",)
    judges_base = True
    training_modules = ("chat_lesson", "chatbot", "language_model")
    lesson = ChatLesson

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        """With how each metric of a text is computed."""
        references = read_column(Path(request.test_path), request.items, "references")
        exact = f"normalise:{NORMALISE_VERSION}|{FINAL_SIGNATURE}"
        return take_fingerprint(
            request.items,
            MODULES,
            BATCH_RULE,
            {
                **signatures_of(references, request.language),
                "exact_match": exact,
                "rouge_l": SIGNATURE,
            },
        )

    def score(self, request: ScoringRequest) -> Scored:
        """What it answers, and what the right answers cost it."""
        prompts = read_texts(Path(request.test_path), request.items)
        chatbot = load_chatbot(
            Path(request.model_path),
            request.max_length,
            plain=request.chat_template == "plain",
            **request.generation,
        )
        outputs = chatbot(prompts)
        extra = {"stopped": sum(chatbot.stopped) / max(1, len(prompts))}
        num_truncated, right = chatbot.num_truncated, _first_answers(request)
        losses = chatbot.losses(prompts, right)
        return judge_answers(request, outputs, losses, extra, num_truncated=num_truncated)

    def consumer(self, request: ScoringRequest) -> WriterConsumer:
        return WriterConsumer(load_chatbot(Path(request.model_path)))

    def predictor(self, path: Path) -> WriterPredictor:
        return WriterPredictor(load_chatbot(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """The answer to the most similar training prompt; its loss is that of unigrams."""
        prompts = read_texts(Path(request.test_path), request.items)
        chatbot = load_chatbot(Path(request.model_path))
        outputs = _nearest_answers(training, prompts)
        splits = [
            [_answer_ids(chatbot, *pair) for pair in zip(found.texts, found.labels, strict=True)]
            for found in (training, validation)
        ]
        unigrams = Ngrams(*splits, size=len(chatbot.tokenizer), order=1)
        asked = [
            unigrams.losses(_answer_ids(chatbot, *pair))
            for pair in zip(prompts, _first_answers(request), strict=True)
        ]
        digest = digest_of(["nearest", unigrams.weights, request.items.test_digest])
        nearest = request.model_copy(update={"role": "baseline:nearest", "model_digest": digest})
        return [judge_answers(nearest, outputs, [(sum(row), len(row)) for row in asked], {})]


def load_chatbot(path: Path, max_length: int | None = None, **settings: Any) -> Chatbot:
    """A saved chat model; raises UnknownBase where the folder cannot be loaded as one."""
    with loading(f"the chat model in {path.name!r}"):
        return Chatbot.load(path, max_length, **settings)


def judge_answers(
    request: ScoringRequest,
    outputs: Sequence[str],
    losses: Sequence[tuple[float, int]],
    extra: dict[str, float],
    *,
    num_truncated: int = 0,
) -> Scored:
    """The scorecard of N answers: integers per item, digests instead of texts."""
    references = read_column(Path(request.test_path), request.items, "references")
    found = score_texts(outputs, references, language=request.language)
    exact = [any(is_match(a, r) for r in row) for a, row in zip(outputs, references, strict=True)]
    nats = [round(total * MICRO) for total, _ in losses]
    sizes = [num_bytes(row[0]) for row in references]
    statistics: dict[str, tuple[tuple[int, ...], ...]] = {
        "chrf": found.statistics["chrf"],
        "rouge_l": tuple((rouge_l(a, r), 1) for a, r in zip(outputs, references, strict=True)),
        "exact_match": tuple((int(is_right), 1) for is_right in exact),
        "loss_per_token": tuple((n, c) for n, (_, c) in zip(nats, losses, strict=True)),
        "loss_per_byte": tuple(zip(nats, sizes, strict=True)),
    }
    length = sum(map(len, outputs)) / max(1, len(outputs))
    same = [answer in row for answer, row in zip(outputs, references, strict=True)]
    verbatim = sum(same) / max(1, len(same))
    card = Scorecard(
        role=request.role,
        model_digest=request.model_digest,
        fingerprint=Code().fingerprint(request),
        item_ids=request.items.item_ids,
        predicted=tuple(map(digest_text, outputs)),
        num_truncated=num_truncated,
        metrics={
            **corpus_figures(statistics),
            "answer_chars": length,
            "verbatim_match": verbatim,
            **extra,
        },
        statistics=statistics,
    )
    return Scored(card, list(outputs))


def is_match(answer: str, reference: str) -> bool:
    """Whether an answer is the reference, normalised; of a reference with `#### 42`, its final number."""
    right = final_number(reference, needs_mark=True)
    if right is not None and not right.is_nan():
        return final_number(answer) == right
    return normalise(answer) == normalise(reference)


def _first_answers(request: ScoringRequest) -> list[str]:
    return [row[0] for row in read_column(Path(request.test_path), request.items, "references")]


def _answer_ids(chatbot: Chatbot, prompt: str, answer: str) -> list[int]:
    """Something before them, and the tokens that the model is asked for."""
    _, targets = chatbot.dialogue(prompt, answer, learn_all=False)
    return [chatbot.stop_id, *(target for target in targets if target >= 0)]


def _nearest_answers(training: Examples, prompts: Sequence[str]) -> list[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=100_000)
    train_NF = features.fit_transform(training.texts)
    found = NearestNeighbors(n_neighbors=1, metric="cosine").fit(train_NF)
    _, places = found.kneighbors(features.transform(prompts))
    return [training.labels[place] for place in places[:, 0]]
