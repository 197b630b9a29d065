"""Which base: candidates tried on some rows of train and validation; the best one is fine-tuned."""

import logging
from functools import partial

from prefect import task

from data_checks.languages import share_in
from models.base import Base, check_fits
from models.config import BaseConfig, TrainConfig
from models.device import code_digest
from models.errors import ModelError
from models.halving import (
    PROBE_ROWS,
    better_half,
    merge_rounds,
    probe_config,
    round_sizes,
    settings_of,
)
from models.offer import Figures, Offer, count_weights, list_bases, narrow
from models.search import best_trial
from records.base import digest_of
from records.data import DataRef
from records.search import LeftOut, SearchResult, Trial
from tasks.budget import Allowance
from tasks.check import read_split
from tasks.place import Place
from tasks.registry import RegistryError
from tasks.retries import RETRIED
from tasks.train import find_base, learnt_columns, train_key
from tasks.trials import Trials, spent_s, try_out

log = logging.getLogger("refit")


class NoCandidate(ModelError):
    """Candidates cannot be had, or do not fit; the message lists all of them."""


@task(name="offer-bases", task_run_name="list the bases to choose from", **RETRIED)
def offer_bases(place: Place, data: DataRef, base: BaseConfig, config: TrainConfig) -> Offer:
    """What `base: auto` tries on this training split; equal data and recipes get equal lists.

    Raises:
        NoCandidate: nothing is left; the message says why of each.
    """
    figures = read_figures(place, data)
    offer = list_bases(data.task, figures, config)
    fitting, num_weights, unfit = list[BaseConfig](), list[int](), list[LeftOut]()
    for option in offer.options:
        try:
            num_weights.append(count_weights(find_fitting(place, data, option, config).path))
            fitting.append(option)
        except ModelError as exc:
            unfit.append(LeftOut(name=option.name, why=str(exc)))
    left_out = (*offer.left_out, *unfit)
    offer = offer.model_copy(update={"options": tuple(fitting), "left_out": left_out})
    first = base.probe_rows or PROBE_ROWS
    offer = narrow(offer, num_weights, base, first=first, num_rows=figures.num_rows)
    for left in offer.left_out:
        log.info("base: auto leaves out %s: %s", left.name, left.why)
    if not offer.options:
        lines = "\n".join(f"  - {left.name}: {left.why}" for left in offer.left_out)
        raise NoCandidate(f"base: auto has nothing left to choose from; name a base:\n{lines}")
    return offer


def read_figures(place: Place, data: DataRef) -> Figures:
    """What of the training split decides which bases are offered."""
    rows = read_split(place.open(), data.split("train"), place.cache)
    texts = [text for column in learnt_columns(data.task) for text in rows[column]]
    return Figures(
        num_rows=len(rows),
        num_bytes=sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
        latin_share=share_in("Latin", texts),
    )


@task(name="choose-candidate", task_run_name="choose the base model", **RETRIED)
def choose_base(
    place: Place,
    name: str,
    data: DataRef,
    base: BaseConfig,
    config: TrainConfig,
    allowance: Allowance | None = None,
) -> SearchResult:
    """Halve the candidates round by round; trial i is that of candidate i.

    Args:
        place, name, data: as for the training.
        base: the recipe's `base`, with candidates; one alone is taken without a training.
        config: the recipe's `train`.
        allowance: what the run may take; None: no limit.

    Raises:
        NoCandidate: one cannot be had, or does not fit task or settings.
        ModelError: every candidate diverged.
        OverBudget: a short training would exceed the allowance, or has; those before are kept.
    """
    found = find_candidates(place, data, base, config)
    config, first = probe_config(config), base.probe_rows or PROBE_ROWS
    key = choice_key(data, found, config, first)
    if len(found) == 1:
        return _only(key, base.candidates[0], config)
    made = Trials(place, name, key, config.metric, {"candidates": len(found)})
    sizes = round_sizes(len(found), first, data.split("train").num_rows)
    left, rounds = list(range(len(found))), list[dict[int, Trial]]()
    for number, size in enumerate(sizes):
        if rounds and base.budget_s is not None and _spent_s(rounds) >= base.budget_s:
            log.warning("base.budget_s=%g ended the choice after round %d", base.budget_s, number)
            break
        rounds.append({})
        for i in left:
            option, num_rows = base.candidates[i], (size, first)
            make = partial(_probe, place, data, found[i], option, config, i, num_rows, allowance)
            trial = rounds[-1][i] = made.get(f"{number:02d}-{i:04d}", make)
            log.info("round %d of %d, %d rows: %s, %s %s", number + 1, len(sizes), size,
                     option.name, config.metric, trial.best_value)  # fmt: skip
        left = better_half(list(rounds[-1].values()), config.metric)
    made.end(is_cut=(is_cut := len(rounds) < len(sizes)))
    merged = merge_rounds(rounds)
    return SearchResult(
        search_key=key,
        metric=config.metric,
        trials=merged,
        best=best_trial(merged, config.metric, "lower train.learning_rate"),
        is_cut=is_cut,
    )


def find_candidates(
    place: Place, data: DataRef, base: BaseConfig, config: TrainConfig
) -> list[Base]:
    """Every candidate on this machine's disk; raises NoCandidate with all that cannot be had or used."""
    found, problems = [], []
    for option in base.candidates:
        try:
            found.append(find_fitting(place, data, option, config))
        except (ModelError, RegistryError) as exc:
            problems.append(f"{option.name}: {exc}")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise NoCandidate(
            f"base.candidates: {len(problems)} of {len(base.candidates)} cannot be tried; mend them "
            f"or leave them out:\n{lines}"
        )
    return found


def find_fitting(place: Place, data: DataRef, option: BaseConfig, config: TrainConfig) -> Base:
    """A candidate on this machine's disk; raises ModelError or RegistryError where it is of no use."""
    found = find_base(place, option, data)
    check_fits(data.task, config, found.path, option.name)
    return found


def choice_key(data: DataRef, found: list[Base], config: TrainConfig, first: int) -> str:
    """Digest of all that decides what is tried and what comes of it."""
    keys = [train_key(data, base.digest, config) for base in found]
    return digest_of([keys, first, code_digest("halving")])


def _only(key: str, option: BaseConfig, config: TrainConfig) -> SearchResult:
    """The choice of one base."""
    trial = Trial(
        number=0,
        seed=config.seed,
        settings={**settings_of(option)},
        state="finished",
        points=(),
        best_value=None,
        wall_s=0,
    )
    return SearchResult(search_key=key, metric=config.metric, trials=(trial,), best=0)


def _spent_s(rounds: list[dict[int, Trial]]) -> float:
    return sum(spent_s(list(trials.values())) for trials in rounds)


def _probe(
    place: Place,
    data: DataRef,
    found: Base,
    option: BaseConfig,
    config: TrainConfig,
    number: int,
    num_rows: tuple[int, int],
    allowance: Allowance | None,
) -> Trial:
    """Candidate `number` on so many training and validation rows."""
    tried = try_out(place, data, found, config, num_rows=num_rows, allowance=allowance)
    value = tried.best_value
    return Trial(
        number=number,
        seed=config.seed,
        settings={**settings_of(option)},
        state=tried.state,
        points=() if value is None else ((tried.num_steps, value),),
        best_value=value,
        wall_s=tried.wall_s,
    )
