"""One optimiser step: its rows, their batches, what memory allows, its learning rate.

The rows of a step are fixed by the recipe. In how many batches they pass through the model decides
memory and time, and nothing else: the loss is divided by the targets of the whole step, and what a
lesson draws is drawn by step and row. A loss over pairs of rows (contrastive) is never split.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from models.checkpoint import ResumableTrainer
from models.config import TrainConfig
from models.device import is_out_of_memory
from models.dropout import CheapDropout
from models.encode import TokenGroupedSteps
from models.errors import SettingExceedsModel
from models.lesson import Row
from models.optimiser import build_optimiser
from models.schedule import build_schedule


class SizedRow(NamedTuple):
    """One encoded row, and its tokens."""

    row: Row
    length: int


@dataclass(frozen=True)
class StepRows:
    """The rows of one optimiser step, on their way through the Trainer, which looks at no batch."""

    rows: Sequence[SizedRow]

    def __contains__(self, key: str) -> bool:
        return False  # the Trainer asks for labels, to count them: `training_step` does


class StepTrainer(ResumableTrainer):
    """The Trainer with our optimiser, learning rates and batches.

    Attributes:
        config: the recipe's `train`.
        collate: rows to a batch.
        steps: rows of each step where `batch_tokens` says so; None: the sampler's, in turn.
    """

    config: TrainConfig
    collate: Callable[[Sequence[Row]], dict[str, torch.Tensor]]
    steps: TokenGroupedSteps | None = None
    optimizer: Any
    lr_scheduler: Any

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW over what the strategy trains, made once."""
        if self.optimizer is None:
            decayed = self.get_decay_parameter_names(self.model)
            self.optimizer = build_optimiser(self.model, decayed, self.config)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of `train.schedule`, made once."""
        if self.lr_scheduler is None:
            self.lr_scheduler = build_schedule(
                optimizer or self.optimizer, self.config, num_training_steps
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def get_train_dataloader(self) -> Any:
        """Whole steps: of rows by the sampler, of tokens by `steps`."""
        if self.steps is None:
            return super().get_train_dataloader()
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, batch_sampler=self.steps, collate_fn=self.data_collator)
        )

    def floating_point_ops(self, inputs: Any) -> int:
        """Not estimated."""
        return 0

    def training_step(
        self, model: Any, inputs: StepRows, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Gradients of one step; out of memory, again in batches of half the size.

        Raises:
            torch.OutOfMemoryError, RuntimeError: a single row does not fit.
            SettingExceedsModel: a step does not fit whose loss is over pairs of its rows.
        """
        state = _random_state()
        while True:
            try:
                return self._accumulate(model, inputs.rows)
            except RuntimeError as exc:
                limit = self.watch.batch_limit
                if not is_out_of_memory(exc) or limit <= 1:
                    raise
                if self.config.strategy == "contrastive":
                    raise SettingExceedsModel(
                        f"no memory for a step of {len(inputs.rows)} texts, and strategy 'contrastive' "
                        "compares all texts of a step, so that it is not split; lower "
                        "train.batch_size or train.max_length"
                    ) from exc
            model.zero_grad()
            _set_random_state(state)
            self.watch.halve_batches(self.state, limit // 2)

    def _accumulate(self, model: Any, rows: Sequence[SizedRow]) -> torch.Tensor:
        parts = split_rows(rows, self.watch.batch_limit, in_tokens=self.steps is not None)
        step = {"step": self.state.global_step}
        batches = [self.collate([{**item.row, **step} for item in part]) for part in parts]
        num_targets = self._get_num_items_in_batch(batches, self.args.device)
        is_cheap = self.args.device.type == "cpu"  # a mode costs each of a card's calls, too
        with CheapDropout() if is_cheap else nullcontext():
            losses = [
                super(StepTrainer, self).training_step(model, b, num_targets) for b in batches
            ]
        return torch.stack(losses).sum()


def split_rows(
    rows: Sequence[SizedRow], limit: int, *, in_tokens: bool
) -> Iterator[list[SizedRow]]:
    """Rows of a step as batches of at most `limit` rows, or of `limit` tokens with padding.

    A row that alone is over the limit is a batch of its own.
    """
    batch: list[SizedRow] = []
    longest = 0
    for row in rows:
        longest_with = max(longest, row.length)
        size = (len(batch) + 1) * (longest_with if in_tokens else 1)
        if batch and size > limit:
            yield batch
            batch, longest_with = [], row.length
        batch, longest = [*batch, row], longest_with
    yield batch


def _random_state() -> list[torch.Tensor]:
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cards]


def _set_random_state(state: Sequence[torch.Tensor]) -> None:
    torch.set_rng_state(state[0])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state[1:])
        torch.cuda.empty_cache()
