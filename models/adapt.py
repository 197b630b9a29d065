"""Which weights are trained: `train.strategy`.

full: all of them. head: what lies above the body. gradual: the head first, then block by block from
the top down. lora: low-rank adapters beside the linear layers, merged before the model is saved.
qlora: the same beside layers in four bits (models/four_bit.py), merged into the full ones.
"""

import difflib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModel, TrainerCallback

from models.base import Base
from models.config import TrainConfig
from models.depth import linear_layers, parameter_depths
from models.errors import AdapterDiffers, SettingExceedsModel
from models.four_bit import check_four_bit, in_full

ALL_TRAIN_AT = 0.5
"""Share of the steps after which gradual unfreezing has reached the embeddings."""

TOLERANCE = 1e-4
"""Largest difference of logits that merging an adapter may make. Of qlora the adapter is taken beside
the base's own weights, as it is merged: beside four bits it answered a little otherwise, and no bound
on that is promised. What is judged is always the merged model."""


ADVICE = "lower train.lora.alpha or train.learning_rate, or use train.strategy: full"
NUM_WRITTEN = 16
"""Tokens of each text that is compared."""
ADAPTED = ("lora", "qlora")
"""Strategies that train adapters."""
ADAPTER_PARTS = (".lora_", ".modules_to_save.")
"""What stands in the names of all that training moves in an adapted model."""


def check_strategy(config: TrainConfig) -> None:
    """Raises SettingExceedsModel where this machine cannot train in that way."""
    if config.strategy == "qlora":
        check_four_bit()


def check_targets(config: TrainConfig, base: Base) -> None:
    """Raises SettingExceedsModel where a LoRA target is no layer of `base`; loads no weight."""
    if config.strategy in ADAPTED and config.lora.targets:
        known = AutoConfig.from_pretrained(base.path, trust_remote_code=False)
        with torch.device("meta"):
            lora_targets(AutoModel.from_config(known), config, base.uri)


def adapt(model: Any, config: TrainConfig, base: str, fresh_parts: Sequence[str]) -> Any:
    """The model with only those weights trainable that the strategy trains.

    Args:
        model: loaded base with a head.
        config: the recipe's `train`.
        base: name of the base, for errors.
        fresh_parts: modules whose weights the base did not bring; they are trained whole.

    Raises:
        SettingExceedsModel: a LoRA target matches no layer, there is no fresh head, or this machine
            cannot do it.
    """
    check_strategy(config)
    if config.strategy == "head":
        if not fresh_parts:
            raise SettingExceedsModel(
                f"train.strategy='head' trains a new head, and {base!r} keeps its own; "
                "use lora or gradual"
            )
        depths = parameter_depths(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(depths[name] == max(depths.values()))
    if config.strategy in ADAPTED:
        return _with_adapters(model, config, base, fresh_parts)
    return model


def onto_full_base(model: Any, config: TrainConfig, base: Base, fresh_parts: Sequence[str]) -> Any:
    """The adapters that were trained beside four bits, beside the base's own weights; others as they are."""
    if config.strategy != "qlora":
        return model
    adapted = _with_adapters(in_full(model, base.path), config, base.uri, fresh_parts)
    load_moved(adapted, moved_state(model))
    return adapted


def _with_adapters(model: Any, config: TrainConfig, base: str, fresh_parts: Sequence[str]) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    targets = lora_targets(model, config, base)
    adapters = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets,
        modules_to_save=list(fresh_parts) or None,
        fan_in_fan_out=isinstance(model.get_submodule(targets[0]), Conv1D),
    )
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5 by an old name
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        return get_peft_model(model, adapters)


def lora_targets(model: Any, config: TrainConfig, base: str) -> list[str]:
    """Full names of the layers that get an adapter: those of `lora.targets`, or all in the blocks.

    Raises:
        SettingExceedsModel: naming every target that matches nothing, with close names.
    """
    layers = linear_layers(model)
    if not config.lora.targets:
        return layers
    known = sorted({name.rpartition(".")[2] for name in layers})
    problems = []
    for target in config.lora.targets:
        if not any(_is_meant(target, name) for name in layers):
            close = difflib.get_close_matches(target, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            problems.append(
                f"train.lora.targets: {target!r} is no linear layer of {base!r}; {hint}"
            )
    if problems:
        raise SettingExceedsModel("\n".join(problems))
    return [name for name in layers if any(_is_meant(t, name) for t in config.lora.targets)]


def _is_meant(target: str, name: str) -> bool:
    return f".{name}".endswith(f".{target}")


class Unfreezing(TrainerCallback):  # type: ignore[misc]
    """Gradual unfreezing, as a function of the step alone, so that a resumed training agrees.

    Source: Howard and Ruder 2018, Universal Language Model Fine-tuning for Text Classification.
    """

    def __init__(self, model: Any) -> None:
        depths = parameter_depths(model)
        self.parameters = [(p, depths[n]) for n, p in model.named_parameters() if p.requires_grad]
        self.top = max(depths.values())

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open what this step trains."""
        lowest = lowest_trained_depth(state.global_step, state.max_steps, self.top)
        for parameter, depth in self.parameters:
            parameter.requires_grad_(depth >= lowest)


def lowest_trained_depth(step: int, num_steps: int, top: int) -> int:
    """The depth down to which step `step` (from 0) trains: `top`, the head, at first, 0 in the end."""
    share = step / (ALL_TRAIN_AT * num_steps)
    return max(0, top - math.floor(share * (top + 1)))


def is_adapted(model: Any) -> bool:
    """Whether the model carries adapters."""
    return hasattr(model, "merge_and_unload")


def moved_state(model: Any) -> dict[str, torch.Tensor]:
    """The part of a model's state that training can move: of an adapted one, what is not its base."""
    state: dict[str, torch.Tensor] = model.state_dict()
    if not is_adapted(model):
        return state
    return {n: t for n, t in state.items() if any(part in n for part in ADAPTER_PARTS)}


def load_moved(model: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Put what `moved_state` gave into a model of the same shape; raises RuntimeError where it is another."""
    if not is_adapted(model):
        model.load_state_dict(state)
        return
    if unlike := set(state) ^ set(moved_state(model)):
        raise RuntimeError(f"the adapters are of another shape: {sorted(unlike)[:3]}")
    model.load_state_dict(state, strict=False)


def merge(model: Any) -> Any:
    """The plain model, adapters added into its weights; a model without any as it is."""
    return model.merge_and_unload(safe_merge=True) if is_adapted(model) else model


class Probe(NamedTuple):
    """What a model gave: logits of a batch, and B texts of at most T tokens, written greedily."""

    logits: torch.Tensor
    ids_BT: torch.Tensor
    scores_BTV: torch.Tensor


@torch.inference_mode()
def probe(model: Any, batch: Mapping[str, torch.Tensor], asked: Mapping[str, Any]) -> Probe:
    """Logits of a batch and what is written to prompts, fp32, in evaluation; of nothing, nothing."""
    nothing = torch.empty(0)
    if not batch:
        return Probe(nothing, nothing, nothing)
    model.eval()
    logits = model(**_on_device(model, batch)).logits.float().cpu()
    return Probe(logits, *(_write(model, asked) if asked else (nothing, nothing)))


def _on_device(model: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    device = next(model.parameters()).device
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "labels"
    }


def _write(model: Any, asked: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and scores of the likeliest next tokens, whatever search the model is saved with."""
    found = model.generate(
        **_on_device(model, asked),
        num_beams=1,
        early_stopping=False,
        length_penalty=1.0,
        do_sample=False,
        max_new_tokens=min(NUM_WRITTEN, model.generation_config.max_new_tokens),
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores_BTV = torch.stack(found.scores, dim=1).float().cpu()
    return found.sequences[:, -scores_BTV.shape[1] :].cpu(), scores_BTV


def check_same(adapted: Probe, others: Mapping[str, Probe], folder: Path) -> None:
    """Prove that the merged and the reloaded model answer as the adapted one did.

    Raises:
        AdapterDiffers: a logit moved by more than TOLERANCE, or is not finite; or a text is another
            one, from a token on that was no tie: two logits that may move so far may change places
            where they are no further apart than twice that.
    """
    for what, other in others.items():
        gap = float((adapted.logits - other.logits).abs().max())
        if not gap <= TOLERANCE:
            raise AdapterDiffers(
                f"the {what} model in {folder.name!r} answers unlike its adapter: logits differ by "
                f"{gap:.2g}, allowed {TOLERANCE:g}; {ADVICE}"
            )
        for row, place, gap in _changes(adapted, other):
            if not gap <= 2 * TOLERANCE:
                raise AdapterDiffers(
                    f"the {what} model in {folder.name!r} writes unlike its adapter: token "
                    f"{place + 1} of answer {row + 1} is another, which the adapter liked less by "
                    f"{gap:.2g}, allowed {2 * TOLERANCE:g}; {ADVICE}"
                )


def _changes(adapted: Probe, other: Probe) -> Iterator[tuple[int, int, float]]:
    """Of each text that is another: its number, the first such token, and how much less it scored."""
    for row, (ours, theirs) in enumerate(zip(adapted.ids_BT, other.ids_BT, strict=True)):
        pairs = zip(
            ours.tolist(), theirs.tolist(), strict=False
        )  # all have ended where one is short
        for place, (left, right) in enumerate(pairs):
            if left != right:
                scores_V = adapted.scores_BTV[row, place]
                yield row, place, float(scores_V[left] - scores_V[right])
                break
