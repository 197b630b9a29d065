"""Several labels per text, to be learned: a classifier that decides on each label by itself.

Shapes: N rows, C labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from models.classification_lesson import ClassificationLesson
from models.config import TrainConfig
from models.encode import pad
from models.lesson import Row
from models.loss import Loss, label_set_loss, set_weights
from models.predict import SEVERAL, log_probabilities
from models.set_scores import carried, tune_thresholds, validation_figures
from models.tagger import THRESHOLDS
from models.task_code import Examples
from records.labels import read_labels


class MultilabelLesson(ClassificationLesson):
    """See models/lesson.py: texts, head and batches are those of a classifier."""

    figures = ("micro_f1", "macro_f1", "accuracy", "log_loss")
    problem_type = SEVERAL

    def targets(self, training: Examples) -> Sequence[list[int]]:
        """Places of the row's labels among the model's outputs."""
        index = {name: i for i, name in enumerate(self.labels)}
        return [[index[name] for name in read_labels(answer)] for answer in training.labels]

    def objective(
        self, config: TrainConfig, training: Examples
    ) -> tuple[Loss, Callable[[Any], None]]:
        """Binary cross-entropy; nothing is fitted before a model is scored."""
        counts = carried(training.labels, self.labels).sum(axis=0).tolist()
        weights = set_weights(config, counts, len(training.labels))
        return label_set_loss(config.label_smoothing, weights), lambda model: None

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Ids and masks (B, T), labels (B, C): 1 where the row carries the label."""
        labels_BC = torch.zeros(len(rows), len(self.labels))
        for i, row in enumerate(rows):
            labels_BC[i, row["labels"]] = 1
        return {**pad(self.tokenizer, [row["input_ids"] for row in rows]), "labels": labels_BC}

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """All figures of sets, by the thresholds that fit these weights best."""
        return validation_figures(self._probabilities(model), self.labels, self.valid_labels)

    def finish(self, model: Any) -> None:
        """Put the threshold of each label into the model's configuration."""
        probabilities_NC = self._probabilities(model)
        found = tune_thresholds(probabilities_NC, carried(self.valid_labels, self.labels))
        setattr(model.config, THRESHOLDS, dict(zip(self.labels, found, strict=True)))

    def _probabilities(self, model: Any) -> np.ndarray:
        log_probs_NC = log_probabilities(model, self.tokenizer, self.valid_ids, several=True)
        return np.asarray(np.exp(log_probs_NC))
