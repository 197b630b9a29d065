"""Which bases `base: auto` tries: by task, script, size of the data, limit and budget.

Pure but for reading headers: the same figures give the same list, and nothing is measured in time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.config import Architecture, BaseConfig, ScratchConfig, TrainConfig
from models.halving import num_kept, round_sizes
from records.base import Record
from records.search import LeftOut
from records.task import TASKS, Task

MINILM = "package:all-minilm-l6-v2"
ENGLISH = (MINILM,)
"""Bases that have read English alone: they know no letters of another script, or nothing of them."""
PRETRAINED: dict[Task, tuple[str, ...]] = {"classification": (MINILM,), "multilabel": (MINILM,)}
FROM_NOTHING: dict[Task, tuple[Architecture, ...]] = {
    "classification": ("bert", "gpt2"),
    "multilabel": ("bert", "gpt2"),
    "chat": ("gpt2", "llama"),
    "language_modeling": ("gpt2", "llama"),
    "translation": ("marian", "t5"),
}
"""What can be had without a hub, for each task."""


class Size(NamedTuple):
    """A shape from nothing, offered from so many bytes of training text on."""

    num_bytes: int
    layers: int
    width: int
    vocabulary: int


SIZES = (Size(0, 2, 64, 1000), Size(300_000, 4, 128, 4000), Size(10_000_000, 4, 256, 8000))
"""From small to large. Offered are the largest that the text calls for (about a weight for each byte, as
in the bundled recipes) and the next one, since the larger may learn more of the same rows (docs/log.md):
validation decides."""

ROW_WEIGHTS_PER_S = 4e9
"""Training rows times weights in a second of one processor core, by TREC-6, SST-2 and BANKING77 over
MiniLM (docs/guide.md: 170 to 200 rows/s). A constant, so that every machine offers alike."""


class Figures(NamedTuple):
    """What of the training split decides."""

    num_rows: int
    num_bytes: int
    latin_share: float
    """Share of the texts that are mostly in Latin script."""


class Offer(Record):
    """The bases to choose from, cheap ones first, and those that are not among them."""

    options: tuple[BaseConfig, ...]
    left_out: tuple[LeftOut, ...] = ()
    reason: str = ""
    """What the list follows from; empty: the recipe's own list."""


def list_bases(task: Task, figures: Figures, config: TrainConfig) -> Offer:
    """What suits the task and its texts, before anything is looked up."""
    options = [
        BaseConfig(scratch=shape_of(size, architecture, task, config))
        for size in sizes_for(figures.num_bytes)
        for architecture in FROM_NOTHING[task]
    ]
    left_out = []
    for model in PRETRAINED.get(task, ()):
        if model in ENGLISH and figures.latin_share < 0.5:
            why = f"it reads English, and {1 - figures.latin_share:.0%} of the training texts are not in Latin script"
            left_out.append(LeftOut(name=model, why=why))
        else:
            options.append(BaseConfig(model=model))
    return Offer(
        options=tuple(options),
        left_out=tuple(left_out),
        reason=f"{figures.num_rows:,} training rows, {figures.num_bytes:,} bytes of text",
    )


def sizes_for(num_bytes: int) -> tuple[Size, ...]:
    """The largest size that so much text calls for, and the next one where there is one."""
    fitting = sum(size.num_bytes <= num_bytes for size in SIZES)
    return SIZES[fitting - 1 : fitting + 1]


def shape_of(
    size: Size, architecture: Architecture, task: Task, config: TrainConfig
) -> ScratchConfig:
    """A shape of this size with room for the recipe's lengths."""
    lengths = [ScratchConfig.model_fields["positions"].default, config.max_length]
    if TASKS[task].stacks == "two":
        lengths += [config.max_target_length, config.generation.max_new_tokens]
    return ScratchConfig(
        architecture=architecture,
        layers=size.layers,
        width=size.width,
        vocabulary=size.vocabulary,
        positions=max(lengths),
    )


def narrow(
    offer: Offer, num_weights: Sequence[int], base: BaseConfig, *, first: int, num_rows: int
) -> Offer:
    """What is left of the offer under the recipe's limits, the fewest weights first.

    Args:
        offer: of N bases.
        num_weights: N numbers.
        base: the recipe's `base`, with its limits.
        first: training rows of the first round.
        num_rows: all training rows.
    """
    known = sorted(zip(num_weights, offer.options, strict=True), key=lambda pair: pair[0])
    left_out = list(offer.left_out)
    most = base.max_parameters
    if most is not None:
        over = [(n, option) for n, option in known if n > most]
        known = [pair for pair in known if pair not in over]
        left_out += [
            LeftOut(name=option.name, why=f"{n:,} weights, over base.max_parameters={most:,}")
            for n, option in over
        ]
    if base.budget_s is not None:
        rest = num_affordable([n for n, _ in known], base.budget_s, first, num_rows)
        why = f"of the cheapest first, base.budget_s={base.budget_s:g} pays for {rest}"
        left_out += [
            LeftOut(name=option.name, why=f"{n:,} weights; {why}") for n, option in known[rest:]
        ]
        known = known[:rest]
    options = tuple(option for _, option in known)
    return offer.model_copy(update={"options": options, "left_out": tuple(left_out)})


def num_affordable(num_weights: Sequence[int], budget_s: float, first: int, num_rows: int) -> int:
    """How many of the cheapest bases can go through all rounds; one alone needs none."""
    affordable = [
        count
        for count in range(1, len(num_weights) + 1)
        if _cost(num_weights[:count], first, num_rows) <= budget_s * ROW_WEIGHTS_PER_S
    ]
    return max(affordable, default=0)


def _cost(num_weights: Sequence[int], first: int, num_rows: int) -> int:
    """Rows times weights of all rounds, where the largest go on each time."""
    cost = 0
    for size in round_sizes(len(num_weights), first, num_rows):
        cost += size * sum(num_weights)
        num_weights = num_weights[-num_kept(len(num_weights)) :]
    return cost


def count_weights(folder: Path) -> int:
    """Numbers in the weights of a verified base, from the headers of its files."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total
