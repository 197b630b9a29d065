"""Settings that mean nothing in a recipe: whoever gave one expects what will not happen."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from records.task import TASKS

if TYPE_CHECKING:
    from flows.recipe import Recipe

Means = Callable[["Recipe"], bool]


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


def _is_task(*names: str) -> Means:
    return lambda recipe: recipe.task in names


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


RULES: tuple[tuple[tuple[str, ...], Means, str], ...] = (
    (("data.documents",), _is_task("language_modeling"), "language_modeling"),
    (("data.label_separator",), _is_task("multilabel"), "multilabel"),
    (("data.messages", "train.chat_template", "gate.judge"), _is_task("chat"), "chat"),
    (
        (
            "data.source_language", "data.target_language", "checks.max_copied_share",
            "checks.max_length_factor", "checks.max_foreign_share", "train.max_target_length",
        ),
        _is_task("translation"), "translation",
    ),
    (("train.generation",), _is_task("translation", "chat"), "translation and chat"),
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
