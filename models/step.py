"""One optimiser step: its loss, its learning rate."""

from typing import Any

from models.checkpoint import ResumableTrainer
from models.config import TrainConfig
from models.schedule import build_schedule


class StepTrainer(ResumableTrainer):
    """The Trainer with our learning rates."""

    config: TrainConfig
    lr_scheduler: Any

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of `train.schedule`, made once."""
        if self.lr_scheduler is None:
            self.lr_scheduler = build_schedule(
                optimizer or self.optimizer, self.config, num_training_steps
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler
