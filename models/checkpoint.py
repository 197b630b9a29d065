"""Checkpoints: all that a training needs to go on bit for bit, in safetensors and JSON, no pickle.

A folder of three files: `tensors.safetensors` (weights that training moves, optimiser, what the Watch
keeps, random generators), `numbers.json` (all else), `trainer_state.json` (the Trainer's own, by which it finds
its place in the data). The Trainer's own checkpoints are pickles, and neither atomic nor complete.
"""

import json
import logging
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import Trainer
from transformers.trainer_callback import TrainerState

from models.adapt import load_moved, moved_state
from models.encode import LengthGroupedSampler
from models.watch import Watch

log = logging.getLogger("refit")

TENSORS, NUMBERS, TRAINER_STATE = "tensors.safetensors", "numbers.json", "trainer_state.json"

Tensors = dict[str, torch.Tensor]
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory. Names of tensors begin with the part that they belong to."""

    folder: Path
    tensors: Tensors
    numbers: Numbers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `ResumableTrainer` wrote, whose digests somebody has verified."""
        numbers = json.loads((folder / NUMBERS).read_text("utf-8"))
        tensors = load_file(folder / TENSORS)
        return cls(folder, {n: tensors[at] for n, at in numbers["places"].items()}, numbers)

    def part(self, name: str) -> Tensors:
        """The tensors of one part, without its name."""
        prefix = f"{name}."
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    @property
    def state(self) -> TrainerState:
        """Step, epoch and number of steps, as the Trainer holds them."""
        return TrainerState.load_from_json(str(self.folder / TRAINER_STATE))


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """The Trainer with our sampler and our checkpoints, for which it has no arguments.

    Attributes:
        sampler: order of the rows.
        watch: saved and restored with the weights.
        hand_over: takes over the folder of each finished checkpoint.
        start: checkpoint that the training goes on from.
    """

    sampler: LengthGroupedSampler
    watch: Watch
    hand_over: Callable[[Path], None]
    start: Checkpoint | None = None

    def run(self, folder: Path | None = None) -> None:
        """Train to the end, or to SIGTERM, from the beginning or from a checkpoint's folder."""
        if folder is None:
            self.train()
            return
        self.start = Checkpoint.load(folder)
        load_moved(self.model, self.start.part("model"))
        self.watch.restore(self.start.part("watch"), self.start.numbers["watch"], self.model.device)
        self.state = self.start.state
        self.watch.validate_if_due(self.model, self.state)  # which SIGTERM may have cut short
        if not self.watch.is_finished and not self.watch.stop.is_asked:
            self.train(resume_from_checkpoint=str(folder))

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        return self.sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        watch_tensors, watch_numbers = self.watch.snapshot()
        optimiser_tensors, optimiser_numbers = _split_optimiser(self.optimizer.state_dict())
        random_tensors, random_numbers = _random_state()
        tensors = {
            **_named("model", moved_state(self.model)),
            **_named("watch", watch_tensors),
            **_named("optimiser", optimiser_tensors),
            **_named("random", random_tensors),
            "loss": self._tr_loss,  # summed since the last point of the curve
        }
        numbers = {
            "watch": watch_numbers,
            "optimiser": optimiser_numbers,
            "schedule": self.lr_scheduler.state_dict(),
            "random": random_numbers,
            "last_logged_step": self._globalstep_last_logged,
        }
        try:
            _write(folder, tensors, numbers, self.state)
        except (OSError, SafetensorError) as exc:
            if isinstance(exc, SafetensorError) and "I/O error" not in str(exc):
                raise
            shutil.rmtree(folder, ignore_errors=True)  # it only saves work, and its room is needed
            log.warning("the checkpoint could not be written, training goes on: %s", exc)
            return
        self.hand_over(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: `go_on_from` did it."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.start is not None:
            state = _join_optimiser(self.start.part("optimiser"), self.start.numbers["optimiser"])
            self.optimizer.load_state_dict(state)
            self.lr_scheduler.load_state_dict(self.start.numbers["schedule"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called by the Trainer when it stands at the right row, before the first step."""
        if self.start is not None:
            _set_random_state(self.start.part("random"), self.start.numbers["random"])
            self._tr_loss.copy_(self.start.tensors["loss"])
            self._globalstep_last_logged = self.start.numbers["last_logged_step"]


def _named(part: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    return {f"{part}.{name}": tensor for name, tensor in tensors.items()}


def _write(folder: Path, tensors: Tensors, numbers: Numbers, state: TrainerState) -> None:
    """Write the three files; tensors that share memory (tied weights) once."""
    places: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        memory = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        places[name] = first.setdefault(memory, name) if tensor.numel() else name
    folder.mkdir(parents=True, exist_ok=True)
    distinct = {n: tensors[n].detach().cpu().contiguous() for n in sorted(set(places.values()))}
    save_file(distinct, folder / TENSORS)
    (folder / NUMBERS).write_text(json.dumps({**numbers, "places": places}), "utf-8")
    state.save_to_json(str(folder / TRAINER_STATE))


def _split_optimiser(state: Mapping[str, Any]) -> tuple[Tensors, Numbers]:
    """An optimiser's state as tensors by `<parameter>.<name>`, and the rest."""
    tensors: Tensors = {}
    others: dict[str, dict[str, Any]] = {}
    for parameter, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{parameter}.{name}"] = value
            else:
                others.setdefault(str(parameter), {})[name] = value
    return tensors, {"groups": state["param_groups"], "others": others}


def _join_optimiser(tensors: Tensors, numbers: Numbers) -> dict[str, Any]:
    state = {int(parameter): dict(values) for parameter, values in numbers["others"].items()}
    for key, tensor in tensors.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = tensor.clone()
    return {"state": state, "param_groups": numbers["groups"]}


def _random_state() -> tuple[Tensors, Numbers]:
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda.{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    numpy_state = [kind, [int(key) for key in keys], position, has_gauss, gauss]
    return tensors, {"python": random.getstate(), "numpy": numpy_state}


def _set_random_state(tensors: Tensors, numbers: Numbers) -> None:
    version, internal, gauss = numbers["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *others = numbers["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *others))
    torch.set_rng_state(tensors["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[f"cuda.{i}"] for i in range(len(tensors) - 1)])
