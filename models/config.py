"""The `base` and `train` parts of a recipe."""

from itertools import product
from typing import Any, Literal, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from records.base import Record, is_empty
from records.policy import Metric

TRAIN_VERSION = 4
"""Part of every train key: raise it when the same configuration would train otherwise."""


SCRATCH = "scratch"
"""What `base.model` says where `base.scratch` describes the model."""
AUTO = "auto"
"""What `base.model` says where one of several is chosen: `base.candidates`, or what suits the data."""

Architecture = Literal["bert", "gpt2", "llama", "xlnet", "t5", "marian"]

FEWEST_ASKED = 8
"""Tokens that an answer must leave to the dialogue before it (models/chatbot.py keeps as many)."""
FEWEST_TOKENS = {"bpe": 300, "unigram": 300, "wordpiece": 600}
"""Every byte and the special tokens, and some left to learn; WordPiece writes each byte twice."""


class ScratchConfig(Record):
    """A model from nothing: its shape, and a tokenizer that is trained on the training split."""

    architecture: Architecture = Field(
        ...,
        description="bert, xlnet (encoders), gpt2, llama (decoders), t5, marian (encoder-decoders).",
    )
    layers: int = Field(
        4, ge=1, le=200, description="Layers; an encoder-decoder has as many in each half."
    )
    width: int = Field(128, ge=8, le=65_536, description="Numbers per token; a multiple of heads.")
    heads: int = Field(4, ge=1, le=1024, description="Attention heads in each layer.")
    feed_forward: int | None = Field(
        None, ge=1, le=1_000_000, description="Inner width; none: 4 * width."
    )
    positions: int = Field(
        512,
        ge=8,
        le=1_000_000,
        description="Longest text, tokens; without meaning for xlnet and t5, whose positions are "
        "relative.",
    )
    vocabulary: int = Field(
        8000, ge=300, le=1_000_000, description="Most tokens; little data may give fewer."
    )
    tokenizer: Literal["bpe", "unigram", "wordpiece"] = Field(
        "bpe", description="How the tokens are learnt; all work on bytes, so that no text is lost."
    )
    seed: int = Field(1, ge=0, lt=2**31, description="Of the first weights.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := self.problems():
            raise ValueError("; ".join(problems))
        return self

    @property
    def has_fixed_positions(self) -> bool:
        """Whether a text may not be longer than `positions`."""
        return self.architecture not in ("xlnet", "t5")

    @property
    def fills_blanks(self) -> bool:
        """Whether it is a masked language model, where it is one; the others are causal."""
        return self.architecture == "bert"

    def problems(self) -> list[str]:
        """What the fields together cannot be, each with the next step."""
        found = []
        if self.width % self.heads:
            below, above = self.width // self.heads * self.heads, -self.width % self.heads
            near = " or ".join(str(n) for n in (below, self.width + above) if n >= 8)
            found.append(
                f"width={self.width} is not divisible by heads={self.heads}; give width {near}"
            )
        elif self.architecture == "llama" and self.width // self.heads % 2:
            found.append(
                f"width={self.width} / heads={self.heads} is odd, and llama turns pairs; "
                f"give width {self.width + self.heads}"
            )
        elif self.width % 2 and self.architecture in ("xlnet", "marian"):
            found.append(
                f"width={self.width} is odd, and sinusoidal positions of {self.architecture} come "
                "in pairs; give an even width"
            )
        if self.vocabulary < FEWEST_TOKENS[self.tokenizer]:
            found.append(
                f"vocabulary={self.vocabulary} is under the {FEWEST_TOKENS[self.tokenizer]} that "
                f"{self.tokenizer} needs for every byte; raise it"
            )
        return found


class BaseConfig(Record):
    """The general model that the custom one is made from. A text stands for `model`, so that
    `base: auto` and `candidates: [package:all-minilm-l6-v2]` can be written."""

    model: str = Field(
        "package:all-minilm-l6-v2",
        min_length=1,
        description="package:all-minilm-l6-v2 (ships as a Python package, no hub), a hub id, "
        "a local folder, models:/name@alias from the registry, or auto: the best of `candidates`, or "
        "of what suits the data.",
    )
    revision: str | None = Field(
        None, description="Commit of a hub model (40 hex digits); hub ids need one."
    )
    scratch: ScratchConfig | None = Field(
        None, description="Instead of `model`: one built here, untrained."
    )
    candidates: tuple["BaseConfig", ...] = Field(
        (),
        max_length=64,
        exclude_if=is_empty,
        description="Bases to choose from, by short trainings judged on validation; model: auto "
        "without any tries what suits the task and the training texts. The first of equal ones is "
        "taken: cheap ones first.",
    )
    probe_rows: int | None = Field(
        None,
        ge=8,
        le=10_000_000,
        exclude_if=is_empty,
        description="Training rows that each candidate sees in the first round, doubled in each "
        "further one, and most validation rows; none: 1,000.",
    )
    budget_s: float | None = Field(
        None,
        gt=0,
        exclude_if=is_empty,
        description="Seconds of trying candidates after which no further round begins; model: auto "
        "without any: what they may cost, by rows times weights and not by the clock.",
    )
    max_parameters: int | None = Field(
        None,
        ge=1,
        exclude_if=is_empty,
        description="Most weights of a base that model: auto tries.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_model(cls, values: Any) -> Any:
        if isinstance(values, str):
            return {"model": values}
        if isinstance(values, dict) and values.get("scratch") is not None:
            return {"model": SCRATCH, **values}
        if isinstance(values, dict) and values.get("candidates"):
            return {"model": AUTO, **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := self.problems():
            raise ValueError("; ".join(problems))
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """An editor must accept the short form as well."""
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}

    @property
    def options(self) -> tuple["BaseConfig", ...]:
        """The bases that the recipe names: the candidates, or this one; none where the data decide."""
        return self.candidates or (() if self.is_auto else (self,))

    @property
    def is_auto(self) -> bool:
        """Whether one of several is chosen."""
        return self.model == AUTO

    @property
    def name(self) -> str:
        """In a few words, for people."""
        if self.candidates:
            return f"the best of {', '.join(option.name for option in self.candidates)}"
        if self.scratch is None:
            return self.model
        shape = self.scratch
        return f"{SCRATCH}:{shape.architecture} {shape.layers}x{shape.width}"

    def problems(self) -> list[str]:
        """What the fields together cannot be, each with the next step."""
        found = []
        if (self.model == SCRATCH) != (self.scratch is not None):
            found.append(
                f"model={self.model!r} and scratch exclude each other; leave one out"
                if self.scratch
                else "model='scratch' needs base.scratch.architecture (bert, gpt2, llama, ...)"
            )
        if self.candidates and not self.is_auto:
            found.append(f"model={self.model!r} and candidates exclude each other; leave one out")
        if len(self.candidates) == 1:
            found.append("candidates holds one base, so there is nothing to choose; name it itself")
        if any(option.is_auto for option in self.candidates):
            found.append("candidates of candidates have no meaning; list them all in one")
        if len({option.digest for option in self.candidates}) < len(self.candidates):
            found.append("candidates holds one base twice; leave it out")
        if not self.is_auto and (self.probe_rows or self.budget_s):
            found.append("probe_rows and budget_s are for candidates; leave them out")
        if self.max_parameters and (self.candidates or not self.is_auto):
            found.append("max_parameters is for model: auto without candidates; leave it out")
        return found


class GenerationConfig(Record):
    """How the model writes its texts; saved with it, so that every consumer writes alike."""

    beams: int = Field(4, ge=1, le=64, description="Width of the beam search; 1: greedy.")
    max_new_tokens: int = Field(
        128,
        ge=1,
        le=100_000,
        description="Longest text, tokens. Chat: part of max_length, and half of it at most where "
        "nothing is said.",
    )
    length_penalty: float = Field(
        1.0,
        ge=-10,
        le=10,
        description="Above 0 favours longer texts among the beams; of one beam it says nothing.",
    )

    def settings(self) -> dict[str, JsonValue]:
        """As transformers names them."""
        return {
            "num_beams": self.beams,
            "max_new_tokens": self.max_new_tokens,
            "length_penalty": self.length_penalty if self.beams > 1 else 1.0,
            "early_stopping": False,  # a better text may still come (docs/log.md)
            "do_sample": False,
        }


class LoraConfig(Record):
    """Low-rank adapters: W + (alpha / rank) B A, of which only A and B are trained."""

    rank: int = Field(8, ge=1, le=1024, description="Rows of A, columns of B.")
    alpha: int = Field(16, ge=1, le=10_000, description="Weight of the adapter times rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Of what goes into an adapter.")
    targets: tuple[str, ...] = Field(
        (), description="Names of linear layers, e.g. [query, value]; none: all in the blocks."
    )


class TrainConfig(Record):
    """How the base is fine-tuned. One effective batch: batch_size * accumulation."""

    strategy: Literal["full", "head", "gradual", "lora", "qlora", "contrastive"] = Field(
        "full",
        description="full: every weight is trained. head: only what is above the body. gradual: "
        "the head first, then block by block from the top. lora: low-rank adapters, merged in the "
        "end. qlora: the same beside 4-bit weights, merged into the full ones; needs a CUDA card and "
        "the extra [qlora]. contrastive: for few rows; texts of one label are pulled together, "
        "others apart, then the head is fitted.",
    )
    lora: LoraConfig = Field(LoraConfig(), description="For strategy lora.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="The learning rate falls by this factor per block downwards."
    )
    epochs: float = Field(3.0, gt=0, le=1000, description="Passes over the training split.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    schedule: Literal["linear", "cosine", "inverse_sqrt", "constant"] = Field(
        "linear",
        description="After the warm-up: linear and cosine fall to zero, inverse_sqrt falls with "
        "the root of the step, constant stays.",
    )
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of steps that warm up.")
    batch_size: int = Field(32, ge=1, le=4096, description="Rows per step and device.")
    batch_tokens: int | None = Field(
        None,
        ge=4,
        le=100_000_000,
        description="Instead of batch_size: tokens per batch and device, padding included.",
    )
    accumulation: int = Field(1, ge=1, le=1024, description="Batches per optimiser step.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Of hidden and attention layers; none: the base's own."
    )
    attention_dropout: float | None = Field(
        None, ge=0, lt=1, description="Of attention's weights; none: as dropout."
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Mass given to the other labels; multilabel: shared by yes and no of each label.",
    )
    class_weights: Literal["equal", "balanced"] = Field(
        "equal",
        description="balanced: a rare label counts as much as a frequent one; multilabel: and its "
        "rows as much as those without it.",
    )
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of an exponential moving average of the weights, which is "
        "then what is validated and kept; 0: off.",
    )
    max_length: int = Field(
        128, ge=4, le=1_000_000, description="Tokens per text; longer ones are cut and counted."
    )
    max_target_length: int = Field(
        128, ge=4, le=1_000_000, description="Translation: tokens per target, in training."
    )
    generation: GenerationConfig = GenerationConfig()
    chat_template: Literal["model", "plain"] = Field(
        "model",
        description="Chat. model: the base's own; plain: lines `User: ...`, for a base without one.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor multiplies it natively."
    )
    evaluations_per_epoch: int = Field(1, ge=1, le=100, description="Validations in each epoch.")
    early_stopping: int = Field(
        0, ge=0, description="Stop after this many validations without a better metric; 0: never."
    )
    metric: Metric = Field(
        "accuracy",
        description="Decides on validation which checkpoint is kept; translation: loss_per_token.",
    )
    seed: int = Field(1, ge=0, lt=2**31, description="Of weights, dropout and row order.")
    checkpoint_every_s: float = Field(
        300,
        gt=0,
        le=86_400,
        description="Seconds of training that a killed run may lose; a checkpoint is also written "
        "at the end of each epoch. Moves no weight.",
    )
    budget_s: float | None = Field(
        None,
        gt=0,
        description="Seconds after which the training is cut: what it has learned is judged, marked, "
        "and not taken for the finished training, which a run with more time goes on to.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.strategy == "contrastive" and self.label_smoothing:
            raise ValueError(
                f"label_smoothing={self.label_smoothing:g} has no meaning for strategy "
                "'contrastive', whose loss compares pairs; leave it out"
            )
        if self.strategy == "contrastive" and self.accumulation > 1:
            raise ValueError(
                f"accumulation={self.accumulation} would hide rows from each other, and strategy "
                "'contrastive' compares all rows of a step; leave it out and raise batch_size"
            )
        if self.strategy == "contrastive" and self.batch_size < 2 and self.batch_tokens is None:
            raise ValueError(
                "batch_size=1 holds no pair of texts, and strategy 'contrastive' learns from pairs; "
                "raise it to 16"
            )
        if self.batch_tokens is not None and self.batch_tokens < self.max_length:
            raise ValueError(
                f"batch_tokens={self.batch_tokens} cannot hold one text of "
                f"max_length={self.max_length}; raise it or lower max_length"
            )
        return self

    @property
    def shared_length_problem(self) -> str:
        """What is wrong where answers stand in the same `max_length` as their questions, or nothing."""
        whole, answer = self.max_length, self.generation.max_new_tokens
        if whole - answer >= FEWEST_ASKED:
            return ""
        lower = f"lower it to {whole // 2}, or " if whole >= 2 * FEWEST_ASKED else ""
        return (
            f"train.generation.max_new_tokens={answer} leaves {max(0, whole - answer)} of "
            f"train.max_length={whole} tokens to what is asked; {lower}raise train.max_length to "
            f"{max(2 * answer, answer + FEWEST_ASKED)}"
        )


Range = tuple[float, float]


class SearchConfig(Record):
    """Settings of `train` to search over, by train and validation alone. The first trial is the
    recipe's own settings."""

    trials: int = Field(8, ge=2, le=1000, description="Trainings, the cut ones included.")
    budget_s: float | None = Field(
        None, gt=0, description="Seconds of training after which no further trial begins."
    )
    learning_rate: Range | None = Field(None, description="[low, high], by its logarithm.")
    weight_decay: Range | None = Field(None, description="[low, high].")
    warmup_ratio: Range | None = Field(None, description="[low, high].")
    dropout: Range | None = Field(None, description="[low, high].")
    label_smoothing: Range | None = Field(None, description="[low, high].")
    layer_decay: Range | None = Field(None, description="[low, high].")
    batch_size: tuple[int, ...] = Field((), description="Values to choose from.")
    schedule: tuple[str, ...] = Field((), description="Values to choose from.")
    strategy: tuple[str, ...] = Field((), description="Values to choose from.")

    def space(self) -> dict[str, tuple[Any, ...]]:
        """Field of `train` -> its range or its values; fields that are not searched are absent."""
        values = self.model_dump(exclude={"trials", "budget_s"})
        return {name: tuple(found) for name, found in values.items() if found}

    def refusals(self, config: TrainConfig) -> list[str]:
        """Why trials that may come of `config` could not be trained, each said once.

        What excludes each other is a strategy and one more setting, so pairs are tried, not all
        combinations.
        """
        space = self.space()
        strategies = space.pop("strategy", (config.strategy,))
        singles = [{}, *({name: value} for name, values in space.items() for value in values)]
        found: dict[str, None] = {}
        for strategy, setting in product(strategies, singles):
            try:
                TrainConfig.model_validate(config.model_dump() | setting | {"strategy": strategy})
            except ValidationError as exc:
                found |= {
                    error["msg"].removeprefix("Value error, "): None for error in exc.errors()
                }
        return list(found)

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = (
            [] if self.space() else ["names no setting; give e.g. learning_rate: [1e-5, 1e-3]"]
        )
        for name, values in self.space().items():
            if isinstance(getattr(self, name)[0], float) and values[0] >= values[1]:
                problems.append(f"{name}: {values[0]:g} is not below {values[1]:g}")
            for value in values:
                try:
                    TrainConfig.model_validate({name: value})
                except ValidationError as exc:
                    problems.append(f"{name}: {value!r}: {exc.errors()[0]['msg'].lower()}")
        if problems:
            raise ValueError("; ".join(problems))
        return self
