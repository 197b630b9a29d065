"""Choosing a base: short trainings of all candidates, longer ones of the better half, and so on.

Source: Jamieson and Talwalkar (2016), "Non-stochastic Best Arm Identification", successive halving,
with training rows as what is spent.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.config import BaseConfig, ScratchConfig, TrainConfig
from models.lesson import PER_BYTE, PER_TOKEN
from models.task_code import Examples
from records.policy import HIGHER_IS_BETTER
from records.search import State, Trial

PROBE_ROWS = 1000


def round_sizes(num_candidates: int, first: int, total: int) -> list[int]:
    """Training rows of each round: doubled each time; no round after the one that sees all rows."""
    sizes: list[int] = []
    while num_candidates > 1 and (not sizes or sizes[-1] < total):
        sizes.append(min(total, first * 2 ** len(sizes)))
        num_candidates = num_kept(num_candidates)
    return sizes


def num_kept(num_candidates: int) -> int:
    """How many go on to the next round."""
    return (num_candidates + 1) // 2


def better_half(probes: Sequence[Trial], metric: str) -> list[int]:
    """Numbers of those that go on, in the order of the list; the first of equal ones goes on."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    finished = [p for p in probes if p.best_value is not None]
    ranked = sorted(finished, key=lambda p: (-sign * (p.best_value or 0.0), p.number))
    return sorted(p.number for p in ranked[: num_kept(len(probes))])


def probe_config(config: TrainConfig) -> TrainConfig:
    """One pass with the recipe's settings, validated at its end by what candidates share.

    A loss per token says nothing across tokenizers; one per byte does.
    """
    metric = PER_BYTE if config.metric == PER_TOKEN else config.metric
    short = {"epochs": 1, "evaluations_per_epoch": 1, "early_stopping": 0, "budget_s": None}
    return TrainConfig.model_validate(config.model_dump() | short | {"metric": metric})


def sample(
    rows: Examples,
    num_rows: int,
    seed: int,
    labels: Sequence[str] = (),
    labels_in: Callable[[str], Sequence[str]] = lambda answer: (answer,),
) -> Examples:
    """`num_rows` of the rows, drawn so that a larger draw holds a smaller one.

    Args:
        rows: N texts with what each should be answered.
        num_rows: how many; all where there are no more.
        seed: of the draw.
        labels: names of which each comes at least once, where the rows have it.
        labels_in: the names in what a row should be answered.
    """
    order = list(np.random.Generator(np.random.Philox(seed)).permutation(len(rows.texts)))
    named = ((name, i) for i in reversed(order) for name in labels_in(rows.labels[i]))
    firsts = dict(named) if labels else {}
    needed = {firsts[name] for name in labels if name in firsts}
    order.sort(key=lambda i: i not in needed)
    chosen = sorted(order[: max(num_rows, len(needed))])
    return Examples([rows.texts[i] for i in chosen], [rows.labels[i] for i in chosen])


def merge_rounds(rounds: Sequence[Mapping[int, Trial]]) -> tuple[Trial, ...]:
    """One trial of each candidate, of its trials in all rounds; only the last round finishes it."""
    merged = []
    for number in sorted(rounds[0]):
        probes = [probes[number] for probes in rounds if number in probes]
        state: State = "finished" if len(probes) == len(rounds) else "cut"
        merged.append(
            probes[-1].model_copy(
                update={
                    "state": "diverged" if probes[-1].best_value is None else state,
                    "points": tuple(point for probe in probes for point in probe.points),
                    "wall_s": sum(probe.wall_s for probe in probes),
                }
            )
        )
    return tuple(merged)


def settings_of(base: BaseConfig) -> dict[str, str | int]:
    """What tells a candidate from the others."""
    if base.scratch is None:
        return base.model_dump(exclude_none=True)
    shape: dict[str, str | int] = base.scratch.model_dump(exclude_none=True)
    usual = {name: f.default for name, f in ScratchConfig.model_fields.items()}
    kept = ("architecture", "layers", "width")
    return {n: v for n, v in shape.items() if n in kept or v != usual[n]}
