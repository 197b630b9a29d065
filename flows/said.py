"""What a run says of the data before it trains."""

import logging

from flows.recipe import Recipe
from models.power import power_table
from records.data import DataRef
from records.document import DecisionDocument
from report.cost import cost_sentence

log = logging.getLogger("refit")


def say_counts(data: DataRef) -> None:
    """Log where every row went."""
    dropped = ", ".join(f"{n} {reason}" for reason, n in sorted(data.report.dropped.items()) if n)
    splits = ", ".join(f"{ref.num_rows} {ref.split}" for ref in data.splits)
    log.info(
        "%d rows in, %d kept (%s)%s",
        data.report.num_in, data.report.num_kept, splits, f"; dropped: {dropped}" if dropped else "",
    )  # fmt: skip
    for warning in data.report.warnings:
        log.warning("%s", warning)


def say_power(recipe: Recipe, data: DataRef) -> None:
    """Log, before any training, what the test split can show."""
    rows = power_table(recipe.gate, max(1, data.split("test").num_groups))
    for row in rows[1:2]:
        log.info(
            "an equally good model passes with a chance of %.0f%% where %.0f%% of answers change; "
            "80%% takes %s test items, or margin %.3f",
            100 * row.chance, 100 * row.discordance, row.say_items(recipe.gate.rule), row.margin_for_80,
        )  # fmt: skip


def say_cost(document: DecisionDocument) -> None:
    """Log what the decision took."""
    log.info("it took %s", cost_sentence(document.total))
