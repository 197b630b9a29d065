"""The form of a deployment: the flow's own parameters, as the recipe fills them in."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from flows.recipe import Recipe
from models.config import TrainConfig
from records.address import SCHEMA_OF_SECRETS
from records.base import canonical_json

Mode = Literal["promote", "dry run", "evaluate only"]

RecipeValues = Annotated[
    dict[str, Any],
    Field(title="Recipe", description="The recipe's values, as in its YAML file."),
]
DataUri = Annotated[
    str | None,
    Field(
        title="Training data",
        description="Another source or version of the rows to learn from than the recipe's: a file "
        "or folder, s3://bucket/key, hf://dataset@commit, sample:NAME.",
        min_length=1,
        max_length=1000,
        # Refused before Prefect keeps it: parameters are shown to everybody.
        json_schema_extra={"not": SCHEMA_OF_SECRETS},
    ),
]
Epochs = Annotated[
    float | None,
    Field(title="Epochs", description="Passes over the training rows.", gt=0, le=1000),
]
LearningRate = Annotated[
    float | None,
    Field(title="Learning rate", description="Peak learning rate of AdamW.", gt=0, le=1),
]
Strategy = Annotated[
    str | None,
    Field(title="Strategy", description="Which weights are trained.", max_length=40),
]
ModeChoice = Annotated[
    Mode,
    Field(
        title="What to do",
        description="promote: train, judge, and go live if the gate agrees. dry run: train and "
        "judge, and leave production alone. evaluate only: train nothing, score the model in "
        "production on today's data.",
    ),
]
Reason = Annotated[
    str,
    Field(title="Reason", description="Why you run it; kept in the ledger.", max_length=500),
]
Actor = Annotated[
    str,
    Field(
        title="Your name",
        description="Who asks, for the ledger; empty: the name that the worker runs under.",
        max_length=100,
    ),
]
FROM_RECIPE = {"epochs": "epochs", "learning_rate": "learning_rate", "strategy": "strategy"}
"""Parameter of the flow: field of TrainConfig that fills it in."""


def changed(values: dict[str, Any], **asked: Any) -> list[str]:
    """Overrides for `parse_recipe` of what was asked for; None asks for nothing.

    Args:
        values: the recipe's values.
        asked: `data` and fields of TrainConfig.
    """
    data = values.get("data") or {}
    fields = {name: f"train.{field}" for name, field in FROM_RECIPE.items()}
    fields["data"] = "data.source" if data.get("source") else "data.train"
    return [
        f"{fields[name]}={canonical_json(value).decode()}"
        for name, value in asked.items()
        if value is not None
    ]


def schema_of(function: Callable[..., Any], *, fixed: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON Schema of a flow's form, from its annotations; `fixed` parameters are not in it.

    Prefect makes one too, but without the titles and the help.
    """
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    open_ = [p for p in parameters if p.name not in set(fixed)]
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in open_
    }
    model = create_model("Parameters", **fields)
    schema = model.model_json_schema()
    for position, name in enumerate(fields):
        schema["properties"][name] = {**_plain(schema["properties"][name]), "position": position}
    return schema


def form_schema(function: Callable[..., Any], recipe: Recipe) -> dict[str, Any]:
    """The JSON Schema of a recipe's form: the recipe fixed, its values filled in."""
    schema = schema_of(function, fixed=["recipe"])
    properties = schema["properties"]
    for name, default in form_defaults(recipe).items():
        properties[name]["default"] = default
    if len(strategies()) > 1:
        properties["strategy"]["enum"] = strategies()
    else:
        del properties["strategy"]
    return schema


def form_defaults(recipe: Recipe) -> dict[str, Any]:
    """What the form shows before anything is changed."""
    train = recipe.train.model_dump(mode="json")
    filled = {name: train[field] for name, field in FROM_RECIPE.items() if field in train}
    return {"data": recipe.data.source or recipe.data.train, **filled}


def strategies() -> list[str]:
    """How a base can be fine-tuned, by the recipe's own schema."""
    field = TrainConfig.model_json_schema()["properties"]["strategy"]
    return list(field.get("enum") or [field["const"]])


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """`X or null` as X: the form's empty field says null by itself."""
    choices = [choice for choice in field.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) != 1:
        return dict(field)
    rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    return {**rest, **choices[0]}
