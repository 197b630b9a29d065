"""Classification, to be learned: texts, and a fresh head of one output per label."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from models.base import Base, check_length
from models.config import TrainConfig
from models.contrast import contrastive_loss, head_fitter
from models.depth import head_parts
from models.encode import encode, load_tokenizer, pad
from models.features import HeadInput
from models.lesson import Row, check_tokens, load_with_head
from models.loss import Loss, class_weights, classification_loss
from models.metrics import figures
from models.predict import log_probabilities
from models.task_code import Examples


class ClassificationLesson:
    """See models/lesson.py."""

    figures: tuple[str, ...] = ("accuracy", "macro_f1", "log_loss")
    loss_figure = "log_loss"
    problem_type = "single_label_classification"
    """As transformers has it; the first step would set it, and a resumed training may have none left."""

    def __init__(
        self,
        *,
        base: Base,
        config: TrainConfig,
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
    ) -> None:
        check_length(config.max_length, base.path, base.uri)
        self.tokenizer = load_tokenizer(base.path, config.max_length)
        self.model = _load_classifier(base, config, labels, self.problem_type)
        check_tokens(self.tokenizer, self.model, base.uri)
        # decoders answer at the last other token
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.fresh_parts = head_parts(self.model)
        self.labels, self.valid_labels = labels, validation.labels
        train_rows = encode(self.tokenizer, training.texts)
        valid_rows = encode(self.tokenizer, validation.texts)
        self.valid_ids = valid_rows.input_ids
        self.rows: list[Row] = [
            {"input_ids": ids, "labels": target}
            for ids, target in zip(train_rows.input_ids, self.targets(training), strict=True)
        ]
        self.loss, self._fit_head = self.objective(config, training)
        self.lengths = [len(ids) for ids in train_rows.input_ids]
        self.num_truncated = {
            "train": train_rows.num_truncated,
            "validation": valid_rows.num_truncated,
        }

    def targets(self, training: Examples) -> Sequence[Any]:
        """What each row should be answered, as the loss wants it."""
        index = {name: i for i, name in enumerate(self.labels)}
        return [index[y] for y in training.labels]

    def objective(
        self, config: TrainConfig, training: Examples
    ) -> tuple[Loss, Callable[[Any], None]]:
        """What is made small, and what a model needs before it is scored."""
        if config.strategy == "contrastive":
            seen = HeadInput(self.model)
            return contrastive_loss(seen), head_fitter(seen, self.collate, self.rows, config)
        weights = class_weights(config, training.labels, self.labels)
        return classification_loss(config.label_smoothing, weights), lambda model: None

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Ids and masks (B, T), labels (B), or what `targets` gave of each row."""
        padded = pad(self.tokenizer, [row["input_ids"] for row in rows])
        return {**padded, "labels": torch.tensor([row["labels"] for row in rows])}

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """All figures of a classifier."""
        self._fit_head(model)
        log_probs_NC = log_probabilities(model, self.tokenizer, self.valid_ids)
        index = {name: i for i, name in enumerate(self.labels)}
        best_N = log_probs_NC.argmax(axis=1)
        return figures(
            self.valid_labels,
            [self.labels[i] for i in best_N],
            [-float(log_probs_NC[i, index[y]]) for i, y in enumerate(self.valid_labels)],
            [math.exp(float(log_probs_NC[i, k])) for i, k in enumerate(best_N)],
        )

    def prompts(self, count: int) -> dict[str, Any]:
        """Nothing is written."""
        return {}

    def finish(self, model: Any) -> None:
        """Nothing is left to find out."""


def _load_classifier(
    base: Base, config: TrainConfig, labels: tuple[str, ...], problem_type: str
) -> Any:
    """The base with a fresh head of C outputs, whose names are the labels."""
    model = load_with_head(
        base,
        config,
        "a classifier",
        lambda known: AutoModelForSequenceClassification,
        num_labels=len(labels),
        problem_type=problem_type,
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
        ignore_mismatched_sizes=True,
    )
    if any("ForSequenceClassification" in name for name in model.config.architectures or ()):
        _renew_head(model)
    return model


def _renew_head(model: Any) -> None:
    """Draw everything outside the base model anew: a loaded head answers by index, not by name."""
    for name, module in model.named_children():
        if name != model.base_model_prefix:
            for parameter in module.parameters():
                parameter._is_hf_initialized = False  # transformers leaves marked ones as they are
            module.apply(model._init_weights)
