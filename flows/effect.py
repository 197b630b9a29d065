"""Settings that mean nothing in a recipe: whoever gave one expects what will not happen."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from records.task import TASKS, TaskFacts, tasks_with

if TYPE_CHECKING:
    from flows.recipe import Recipe

Means = Callable[["Recipe"], bool]
Rule = tuple[tuple[str, ...], Means, str]


def settings_without_effect(recipe: "Recipe") -> Iterator[str]:
    """A problem for each setting that differs from its default and that nothing reads."""
    for fields, means_something, where in RULES:
        for path in fields:
            value, default = _value(recipe, path), _default(recipe, path)
            if value != default and not means_something(recipe):
                yield f"{path}: has a meaning only for {where}; leave it out"


def strategies(recipe: "Recipe") -> set[str]:
    """Those that a training of the recipe may have."""
    return {recipe.train.strategy, *(recipe.search.strategy if recipe.search else ())}


def _has_strategy(*names: str) -> Means:
    return lambda recipe: bool(strategies(recipe) & set(names))


def _has_labels(recipe: "Recipe") -> bool:
    return TASKS[recipe.task].has_labels


def _value(recipe: "Recipe", path: str) -> Any:
    value: Any = recipe
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _default(recipe: "Recipe", path: str) -> Any:
    section, field = path.split(".")
    return type(getattr(recipe, section)).model_fields[field].get_default()


def _of_tasks(fields: tuple[str, ...], has_it: Callable[[TaskFacts], bool]) -> Rule:
    """Fields that are read for the tasks of which it is true, which the problem names."""
    means = tasks_with(has_it)
    return fields, lambda recipe: recipe.task in means, " and ".join(means)


RULES: tuple[Rule, ...] = (
    _of_tasks(("data.documents",), lambda facts: not facts.has_answers),
    _of_tasks(("data.label_separator",), lambda facts: facts.has_label_sets),
    _of_tasks(
        ("data.messages", "train.chat_template", "gate.judge"), lambda facts: facts.has_turns
    ),
    _of_tasks(
        (
            "data.source_language", "data.target_language", "checks.max_copied_share",
            "checks.max_length_factor", "checks.max_foreign_share", "train.max_target_length",
        ),
        lambda facts: facts.has_two_languages,
    ),
    _of_tasks(("train.generation",), lambda facts: facts.has_written_answers),
    (
        (
            "data.rename_labels", "checks.labels", "checks.min_labels", "checks.min_per_label",
            "checks.max_label_share", "train.class_weights",
        ),
        _has_labels, "tasks with labels",
    ),
    (("split.test",), lambda recipe: not recipe.data.test, "data without a test file"),
    (
        ("split.validation",), lambda recipe: not recipe.data.validation,
        "data without a validation file",
    ),
    (("train.lora",), _has_strategy("lora", "qlora"), "strategy lora"),
    (
        ("train.layer_decay",), _has_strategy("full", "gradual", "lora", "qlora", "contrastive"),
        "strategies that train more than the head",
    ),
)  # fmt: skip
"""Fields, when they are read, and how that is said."""
