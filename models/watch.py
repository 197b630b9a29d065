"""What watches a training from inside the Trainer: validation, best weights, stops, report."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import TrainerCallback

from models.adapt import load_moved, moved_state
from models.config import TrainConfig
from models.errors import OverBudget, TrainingDiverged
from models.lesson import Lesson
from models.progress import Progress
from models.stop import Stop, StopAsked
from records.document import CurvePoint
from records.policy import HIGHER_IS_BETTER


class Watch(TrainerCallback):  # type: ignore[misc]
    """Validates every `validate_every` steps and at the end, and keeps the best weights.

    Args:
        config: the recipe's `train`.
        lesson: what is learned, and how it is validated.
        report_point, report_progress: where curve and progress go.
        report_start: told before the first step what there is to do.
        checkpoint_every_s: seconds between checkpoints, epochs' ends aside; None: there are none.
        stop: ends the training after a step, with a checkpoint.
    """

    def __init__(
        self,
        *,
        config: TrainConfig,
        lesson: Lesson,
        report_point: Callable[[CurvePoint], None],
        report_progress: Callable[[Progress], None],
        report_start: Callable[[Progress], None],
        checkpoint_every_s: float | None,
        stop: Stop,
    ) -> None:
        self.config = config
        self.lesson = lesson
        self.report_point = report_point
        self.report_progress = report_progress
        self.report_start = report_start
        self.checkpoint_every_s = checkpoint_every_s
        self.stop = stop
        self.validate_every = 1
        self.steps_per_epoch = 1
        self.tokens_per_epoch = 0
        self.batch_limit = config.batch_tokens or config.batch_size
        """Rows, or tokens, that pass through the model at once; halved when memory runs out."""
        self.is_finished = False
        self.is_cut = False
        """Whether `train.budget_s` ended it."""
        self.started = time.monotonic()
        """When the training began, the seconds before a checkpoint put in front."""
        self.fetched: deque[int] = deque()
        """Tokens of each step whose rows were fetched and not trained on yet."""
        self.num_tokens = 0
        self.train_s = 0.0
        """Seconds inside the training loop, without validation."""
        self.curve: list[CurvePoint] = []
        self.best_step = 0
        self.best_value = math.nan
        self._best: dict[str, torch.Tensor] = {}
        self._average: dict[str, torch.Tensor] = {}
        self._num_worse = 0
        self._loss = math.nan
        self._validated_step = 0
        self._since = 0.0
        self._saved_at = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = self._saved_at = time.monotonic()
        self.report_start(self._progress(state))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Average, report progress, validate when it is time, and ask for checkpoints."""
        model = kwargs["model"]
        self.num_tokens += self.fetched.popleft()
        if self.config.average_decay:
            self._update_average(model, state.global_step)
        self._report(state)
        self.validate_if_due(model, state)
        is_cut = self.stop.is_asked and not self.is_finished
        control.should_training_stop |= self.is_finished or is_cut
        control.should_save |= is_cut or self._is_checkpoint_due(state)

    def validate_if_due(self, model: torch.nn.Module, state: Any) -> None:
        """Validate unless this step is not one for it, was validated, or SIGTERM cuts it short."""
        is_last = state.global_step == state.max_steps
        is_over = self._is_over_budget()
        is_due = state.global_step % self.validate_every == 0 or is_last or is_over
        if is_due and self._validated_step < state.global_step:
            self.train_s = self._elapsed_s()
            try:
                is_stopped = self._validate(model, state)
            except StopAsked:
                return
            finally:
                self._since = time.monotonic()
            self._validated_step = state.global_step
            self.is_cut = is_over and not (is_stopped or is_last)
            self.is_finished = is_stopped or is_last or is_over

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
    ) -> None:
        """Pass the Trainer's figures on; a loss that is not finite ends the training."""
        for name in ("loss", "grad_norm", "learning_rate"):
            if name in logs:
                self._point(state, name, float(logs[name]))
        self._loss = float(logs.get("loss", self._loss))
        if "loss" in logs and not math.isfinite(self._loss):
            raise TrainingDiverged(
                f"the training loss is {self._loss} at step {state.global_step} of "
                f"{state.max_steps}; lower train.learning_rate={self.config.learning_rate:g} "
                "or raise train.warmup_ratio"
            )

    def halve_batches(self, state: Any, limit: int) -> None:
        """From now on at most `limit` rows, or tokens, at once."""
        self.batch_limit = limit
        self._point(state, "batch_limit", limit)

    def snapshot(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that a checkpoint must hold of the Watch, as tensors and plain values."""
        tensors = {f"best.{name}": tensor for name, tensor in self._best.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self._average.items()}
        return tensors, {
            "curve": [point.model_dump() for point in self.curve],
            "best": [self.best_step, self.best_value],
            "num_worse": self._num_worse,
            "validated_step": self._validated_step,
            "loss": self._loss,
            "batch_limit": self.batch_limit,
            "num_tokens": self.num_tokens,
            "train_s": self._elapsed_s(),
            "wall_s": time.monotonic() - self.started,
        }

    def restore(
        self,
        tensors: Mapping[str, torch.Tensor],
        values: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        """Become what `snapshot` saw."""
        parts: dict[str, dict[str, torch.Tensor]] = {"best": {}, "average": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor.clone().to(device)
        self._best, self._average = parts["best"], parts["average"]
        self.curve = [CurvePoint(**point) for point in values["curve"]]
        self.best_step, self.best_value = values["best"]
        self._num_worse = values["num_worse"]
        self._validated_step = values["validated_step"]
        self._loss = values["loss"]
        self.batch_limit = values["batch_limit"]
        self.num_tokens = values["num_tokens"]
        self.train_s = values["train_s"]
        self.started -= values["wall_s"]
        self._since = time.monotonic()

    def restore_best(self, model: torch.nn.Module) -> None:
        """Put the best validated weights into `model`."""
        load_moved(model, self._best)

    def _elapsed_s(self) -> float:
        return self.train_s + time.monotonic() - self._since

    def _is_over_budget(self) -> bool:
        budget_s = self.config.budget_s
        return budget_s is not None and time.monotonic() - self.started >= budget_s

    def _report(self, state: Any) -> None:
        """Tell how far it is; whoever is told may end it, and its last step is kept."""
        try:
            self.report_progress(self._progress(state))
        except OverBudget as exc:
            if self.checkpoint_every_s is None:  # nobody takes one
                raise
            self.stop.ask(exc)

    def _progress(self, state: Any) -> Progress:
        elapsed_s = self._elapsed_s()
        num_left = state.max_steps - state.global_step
        num_tokens = round(self.tokens_per_epoch * state.max_steps / self.steps_per_epoch)
        return Progress(
            step=state.global_step,
            num_steps=state.max_steps,
            loss=self._loss,
            num_tokens=self.num_tokens,
            num_tokens_left=max(0, num_tokens - self.num_tokens),
            tokens_per_s=self.num_tokens / max(elapsed_s, 1e-9),
            seconds_left=elapsed_s / max(1, state.global_step) * num_left,
        )

    def _is_checkpoint_due(self, state: Any) -> bool:
        """At the end of each epoch, and on the clock between."""
        if self.checkpoint_every_s is None or self.is_finished:
            return False
        is_late = time.monotonic() - self._saved_at >= self.checkpoint_every_s
        if is_late or state.global_step % self.steps_per_epoch == 0:
            self._saved_at = time.monotonic()
            return True
        return False

    def _validate(self, model: torch.nn.Module, state: Any) -> bool:
        """Score the validation split; returns whether to stop early."""
        trained = self._swap_in_average(model)
        model.eval()
        try:
            with self.stop.interrupting():
                scores = self._score(model)
            for name in self.lesson.figures:
                self._point(state, f"validation_{name}", scores[name])
            loss = scores[self.lesson.loss_figure]
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the validation loss is {loss} at step {state.global_step}; "
                    f"lower train.learning_rate={self.config.learning_rate:g}"
                )
            self._keep_if_better(model, scores[self.config.metric], state.global_step)
        finally:
            model.train()
            if trained:
                load_moved(model, trained)
        return 0 < self.config.early_stopping <= self._num_worse

    def _score(self, model: torch.nn.Module) -> Mapping[str, float]:
        return self.lesson.validate(model)

    def _keep_if_better(self, model: torch.nn.Module, value: float, step: int) -> None:
        sign = 1 if HIGHER_IS_BETTER[self.config.metric] else -1
        if self.best_step and sign * value <= sign * self.best_value:
            self._num_worse += 1
            return
        self.best_step, self.best_value, self._num_worse = step, value, 0
        self._best = {k: v.detach().clone() for k, v in moved_state(model).items()}

    def _update_average(self, model: torch.nn.Module, step: int) -> None:
        """Exponential moving average that forgets its random start: decay min(d, (1+t)/(10+t))."""
        if not self._average:
            self._average = {n: p.clone() for n, p in self._averaged(model).items()}
            return
        decay = min(self.config.average_decay, (1 + step) / (10 + step))
        parameters = self._averaged(model)
        averages = [self._average[name] for name in parameters]
        torch._foreach_lerp_(averages, list(parameters.values()), 1 - decay)

    @staticmethod
    def _averaged(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Parameters that training can move."""
        moved = moved_state(model)
        return {n: p.detach() for n, p in model.named_parameters() if n in moved}

    def _swap_in_average(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Put the averaged weights into `model`; returns those that were there."""
        if not self._average:
            return {}
        trained = {k: v.detach().clone() for k, v in moved_state(model).items()}
        model.load_state_dict(self._average, strict=False)
        return trained

    def _point(self, state: Any, name: str, value: float) -> None:
        point = CurvePoint(
            step=state.global_step, epoch=float(state.epoch or 0), name=name, value=value
        )
        self.curve.append(point)
        self.report_point(point)
