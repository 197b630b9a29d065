"""The recipe: the one validated configuration of a model's life, from one YAML file."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from flows.effect import settings_without_effect, strategies
from flows.gate import GateConfig
from flows.schedule import NotifyConfig, ScheduleConfig, WatchConfig
from models.config import (
    BaseConfig,
    GenerationConfig,
    ScratchConfig,
    SearchConfig,
    TrainConfig,
)
from records.address import holds_userinfo, without_userinfo
from records.base import Record, is_empty
from records.cost import Budget
from records.live import LivePolicy
from records.policy import LOSSES
from records.task import DEFAULT_TASK, TASKS, Task

NO_SECRETS = (
    "holds a name or password, and recipes are shown in Prefect, MLflow and reports; leave it out: "
    "boto3 and the hub take their own variables"
)


class RecipeError(ValueError):
    """A recipe that cannot be used; the message lists every problem."""

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        self.problems = tuple(without_userinfo(problem) for problem in problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{origin} has {count}:\n{lines}")


class Recipe(Record):
    """Data, checks, base model, fine-tuning, proof and name of one kept-fresh model."""

    name: str = Field(
        ...,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Of the recipe, and of the registered model unless `model` says otherwise.",
    )
    model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Registered model, where it differs from the recipe's name.",
    )
    description: str = Field("", max_length=2000, description="What the model is for.")
    task: Task = Field(DEFAULT_TASK, description="What the model does.")
    data: DataConfig
    checks: ChecksConfig = ChecksConfig()
    split: SplitConfig = SplitConfig()
    base: BaseConfig = BaseConfig()
    train: TrainConfig = TrainConfig()
    search: SearchConfig | None = Field(
        None, description="Settings of train to try first; the best ones train the challenger."
    )
    gate: GateConfig
    budget: Budget | None = Field(
        None,
        exclude_if=is_empty,
        description="What a run may take: one that would exceed it, or does, ends with exit code 2 and "
        "promotes nothing; with a larger budget it goes on from there.",
    )
    schedule: ScheduleConfig | None = Field(None, description="When it runs by itself.")
    watch: WatchConfig | None = Field(None, description="Runs when its data has new rows.")
    live: LivePolicy | None = Field(
        None, description="When a fall of the figure reported from production starts a run."
    )
    notify: NotifyConfig = NotifyConfig()

    @property
    def registered_name(self) -> str:
        """The name under which MLflow and the ledger know the model."""
        return self.model or self.name


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and validate a recipe.

    Args:
        path: YAML file.
        overrides: `dotted.field=value` each, the value in YAML.

    Raises:
        RecipeError: with every problem of file and overrides.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise RecipeError(str(path), [f"is not there{_close_file(path)}"]) from exc
    except OSError as exc:
        raise RecipeError(str(path), [f"cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise RecipeError(str(path), [f"is not UTF-8 text: {exc}"]) from exc
    try:
        values = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, see below
    except yaml.YAMLError as exc:
        raise RecipeError(str(path), [_yaml_problem(exc)]) from exc
    if not isinstance(values, dict):
        raise RecipeError(str(path), ["is empty or not a mapping of settings; see `refit init`"])
    return parse_recipe(values, overrides, origin=str(path))


def parse_recipe(
    values: Mapping[str, Any], overrides: Sequence[str] = (), *, origin: str = "the recipe"
) -> Recipe:
    """Validate plain values as a recipe; raises RecipeError with every problem."""
    problems = list(_boolean_keys(values))
    merged: dict[str, Any] = _plain(values)
    problems += [problem for item in overrides for problem in _override(merged, item)]
    problems += _secrets(merged)
    _fill_in(merged)
    try:
        recipe = Recipe.model_validate(merged)
    except ValidationError as exc:
        problems += [_explain(error) for error in exc.errors(include_url=False)]
    else:
        problems += _contradictions(recipe)
    if problems:
        raise RecipeError(origin, problems)
    return recipe


def recipe_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
    }


def _fill_in(values: dict[str, Any]) -> None:
    """Put the task's own defaults where the recipe says nothing, in place."""
    task = values.get("task", DEFAULT_TASK)
    if task not in list(TASKS):
        return
    facts = TASKS[task]
    defaults: dict[str, dict[str, str]] = {
        "data": facts.columns,
        "train": {"metric": facts.validation_metrics[0]},
        "gate": {"metric": facts.metrics[0]},
    }
    for section, fields in defaults.items():
        if values.get(section) is None and section == "train":
            values[section] = {}
        given = values.get(section)
        if isinstance(given, dict):
            given.update({key: value for key, value in fields.items() if key not in given})
    if facts.has_shared_length and isinstance(values["train"], dict):
        _leave_room(values["train"])


def _leave_room(train: dict[str, Any]) -> None:
    """Give an answer half of the dialogue's tokens at most where nothing is said, in place."""
    length = train.get("max_length", TrainConfig().max_length)
    generation = train.get("generation") or {}
    if isinstance(length, int) and isinstance(generation, dict):
        most = min(GenerationConfig().max_new_tokens, length // 2)
        train["generation"] = {"max_new_tokens": max(1, most), **generation}


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, which plain YAML silently drops, and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # they can unfold to gigabytes, or into themselves
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "write the value out: no aliases", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is given twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _yaml_problem(exc: yaml.YAMLError) -> str:
    """One line for a file that is not YAML: where, and what."""
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark:
        mark = exc.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {exc.problem}"
    return f"is not valid YAML: {' '.join(str(exc).split())}"


def _plain(value: Any) -> Any:
    """YAML's values as JSON has them: keys are strings, a date is what was written."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _boolean_keys(value: object, place: str = "") -> Iterator[str]:
    """Keys that YAML takes for truth values, so that they name no label of the file."""
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _boolean_keys(inner, place)
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        if isinstance(key, bool):
            says = "yes, on or true" if key else "no, off or false"
            where = f"{place}: a key" if place else "a key"
            yield f"{where} is {says}, which YAML takes for a truth value; put it in quotes"
        yield from _boolean_keys(inner, f"{place}.{key}" if place else str(key))


def _secrets(values: Any, place: str = "") -> Iterator[str]:
    """Addresses with a name or password in a mapping or list, taken out in place: recipes are shown."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        if holds_userinfo(str(key)):  # the key itself is shown, too
            del values[key]
            yield f"{place}{without_userinfo(str(key))}: {NO_SECRETS}"
        elif isinstance(value, dict | list):
            yield from _secrets(value, f"{place}{key}.")
        elif isinstance(value, str) and holds_userinfo(value):
            values[key] = without_userinfo(value)
            yield f"{place}{key}: {NO_SECRETS}"


def _close_file(path: Path) -> str:
    names = [found.name for found in path.parent.glob("*.y*ml")]
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f"; did you mean {str(path.with_name(close[0]))!r}?"
    return "; see deployments/recipes, or write one with `refit init DATA`"


def _override(values: dict[str, Any], item: str) -> Iterator[str]:
    """Set one dotted field in place; yields what is wrong with the override."""
    path, separator, text = item.partition("=")
    if not separator or not all(path.split(".")):
        yield f"--set {item!r} is not field=value, e.g. --set train.epochs=5"
        return
    *parents, last = path.split(".")
    for key in parents:
        if values.get(key) is None:
            values[key] = {}
        inner = values[key]
        if not isinstance(inner, dict):
            yield f"--set {item!r}: {key!r} holds a value, not settings"
            return
        values = inner
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        yield f"--set {item!r}: {text!r} is not a YAML value"
        return
    yield from _boolean_keys(value, path)
    values[last] = _plain(value)


def _explain(error: Any) -> str:
    """One line for one validation error: field, value, limit, next step."""
    place = ".".join(str(part) for part in error["loc"]) or "the recipe"
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key{_did_you_mean(error['loc'])}"
    if error["type"] == "missing":
        return f"{place}: is required"
    value = error["input"]
    shown = "" if isinstance(value, dict | list) else f" (given: {_short(value)})"
    if error["type"] == "model_type":
        return f"{place}: holds settings; give them below it, or leave it out{shown}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_type" and isinstance(value, int | float):
        message += "; put it in quotes"
    return f"{place}: {message[0].lower()}{message[1:]}{shown}"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _did_you_mean(location: Sequence[str | int]) -> str:
    fields: Any = Recipe
    for part in location[:-1]:
        if isinstance(part, int):
            continue  # a place in a list
        annotation = fields.model_fields[str(part)].annotation if part in fields.model_fields else 0
        inner = [t for t in (annotation, *get_args(annotation)) if isinstance(t, type)]
        fields = next((t for t in inner if issubclass(t, BaseModel)), None)
        if fields is None:
            return ""
    known = sorted(fields.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _contradictions(recipe: Recipe) -> Iterator[str]:
    """What each stage alone cannot see."""
    facts = TASKS[recipe.task]
    if not recipe.data.label and facts.has_answers:
        yield f"data.label: is empty, but {recipe.task} needs one; name its column"
    if facts.has_label_sets and not recipe.data.label_separator:
        yield f"data.label_separator: is empty, but {recipe.task} needs one; leave it out for '|'"
    columns = set(recipe.data.attributes) | set(facts.slices)
    for column in recipe.gate.slices.columns:
        if column not in columns:
            yield (
                f"gate.slices.columns: {column!r} is not kept with the rows; "
                "add it to data.attributes"
            )
    for name in recipe.gate.slices.required:
        if name.partition("=")[0] not in recipe.gate.slices.columns:
            yield f"gate.slices.required: {name!r} names no column of gate.slices.columns"
    yield from _scratch_problems(recipe)
    if facts.has_shared_length and recipe.train.shared_length_problem:
        yield recipe.train.shared_length_problem
    yield from settings_without_effect(recipe)
    if facts.has_label_sets and "contrastive" in strategies(recipe):
        yield (
            "train.strategy: 'contrastive' pulls texts of one label together, and "
            f"{recipe.task} has several per text; use full, head, gradual or lora"
        )
    if not facts.has_labels:
        for strategy in sorted(strategies(recipe) & {"head", "contrastive"}):
            place = "train" if strategy == recipe.train.strategy else "search"
            yield (
                f"{place}.strategy: {strategy!r} makes a head for labels, and "
                f"{recipe.task} has none; use full, gradual or lora"
            )
    if recipe.search is not None:
        for problem in recipe.search.refusals(recipe.train):
            yield f"search: a trial could not be trained: {problem}"
    if recipe.train.budget_s is not None and recipe.gate.approval == "required":
        yield (
            "train.budget_s: a training that it cuts is not kept for later, and gate.approval: "
            "required answers later; leave one of them out"
        )
    cut_s, limit_s = recipe.train.budget_s, recipe.budget and recipe.budget.wall_s
    if cut_s and limit_s and limit_s <= cut_s:
        yield (
            f"budget.wall_s: {limit_s:g} ends the run before train.budget_s={cut_s:g} cuts its "
            "training; raise one or lower the other"
        )
    for field in ("group_by", "time"):
        value = getattr(recipe.split, field)
        if value and value not in recipe.data.attributes:
            yield f"split.{field}: {value!r} is not kept; add it to data.attributes"
    if recipe.split.group_by and facts.stacks == "two":
        yield (
            f"split.group_by: {recipe.task} is split by its sources, since one may have several "
            "targets; leave group_by out"
        )
    for section, metric, known in (
        ("gate", recipe.gate.metric, facts.metrics),
        ("train", recipe.train.metric, facts.validation_metrics),
    ):
        if metric not in known:
            yield f"{section}.metric: {metric} is none of {recipe.task}'s: {', '.join(known)}"
    least, metric = recipe.gate.minimum, recipe.gate.metric
    if metric in LOSSES and not 0 < least < math.inf:
        per = {"log_loss": "item", "loss_per_byte": "byte"}.get(metric, "token")
        yield f"gate.minimum: {least:g} is no {metric}; give the most nats per {per}, e.g. 0.3"
    if metric not in LOSSES and not 0 <= least < 1:
        hint = f" ({least / 100:g} for {least:g} points)" if 1 <= least < 100 else ""
        yield f"gate.minimum: {least:g} is no {metric}; give a share from 0 to below 1{hint}"


def _scratch_problems(recipe: Recipe) -> Iterator[str]:
    """What a base from scratch cannot be in this recipe."""
    for number, option in enumerate(recipe.base.options):
        if option.scratch is not None:
            place = f"base.candidates.{number}" if recipe.base.candidates else "base"
            yield from _shape_problems(recipe, option.scratch, f"{place}.scratch")


def _shape_problems(recipe: Recipe, scratch: ScratchConfig, place: str) -> Iterator[str]:
    fitting = TASKS[recipe.task].architectures
    if scratch.architecture not in fitting:
        yield (
            f"{place}.architecture: {scratch.architecture!r} has no head for {recipe.task}; "
            f"use {', '.join(fitting[:-1])} or {fitting[-1]}"
        )
    if scratch.fills_blanks and scratch.architecture in fitting:
        for section in ("gate", "train"):
            if getattr(recipe, section).metric == "loss_per_byte":
                yield (
                    f"{section}.metric: loss_per_byte compares with any model, and {place}.architecture="
                    f"{scratch.architecture!r} fills in blanks, whose cost compares with none; "
                    "use loss_per_token"
                )
    lengths = {"train.max_length": recipe.train.max_length}
    if TASKS[recipe.task].stacks == "two":
        lengths["train.max_target_length"] = recipe.train.max_target_length
        lengths["train.generation.max_new_tokens"] = recipe.train.generation.max_new_tokens
    for field, length in lengths.items():
        if scratch.has_fixed_positions and length > scratch.positions:
            yield (
                f"{field}: {length} exceeds {place}.positions={scratch.positions}; "
                "lower one or raise the other"
            )
