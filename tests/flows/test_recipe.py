"""The recipe: every mistake said at once, with the way out; the schema says the same to editors."""

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import ValidationError

from flows.effect import RULES
from flows.recipe import RecipeError, load_recipe, parse_recipe, recipe_schema

RECIPES = sorted((Path(__file__).parents[2] / "deployments" / "recipes").glob("*.yaml"))
SMALL = {"name": "small", "data": {"source": "a.csv"}, "gate": {"minimum": 0.5}}


def problems_of(values: dict[str, Any], *overrides: str) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(values, overrides)
    return caught.value.problems


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load_and_satisfy_the_schema(path: Path) -> None:
    values = yaml.safe_load(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(recipe_schema()).validate(values)
    assert load_recipe(path).name == path.stem


def test_there_are_shipped_recipes() -> None:
    assert {"reviews", "sentiment"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [((), "trian", {}), (("train",), "epoch", 3), (("gate", "slices"), "colums", ["label"])],
)
def test_schema_refuses_a_typo_at_every_depth(
    section: tuple[str, ...], key: str, value: object
) -> None:
    values = yaml.safe_load(RECIPES[0].read_text("utf-8"))
    inner = values
    for name in section:
        inner = inner.setdefault(name, {})
    inner[key] = value
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' was unexpected"):
        jsonschema.validate(values, recipe_schema())


def test_schema_is_a_schema_and_describes_every_field() -> None:
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    fields = [
        field
        for model in schema["$defs"].values()
        for field in model.get("properties", {}).values()
    ]
    assert len(fields) > 40
    assert [f for f in fields if "description" not in f and "$ref" not in f] == []


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trian.epochs=1", "trian: unknown key; did you mean 'train'?"),
        ("data.colums=[a]", "data.colums: unknown key; did you mean 'columns'?"),
        ("train.learning_rat=1", "train.learning_rat: unknown key; did you mean 'learning_rate'?"),
        ("gate.slices.colums=[a]", "gate.slices.colums: unknown key; did you mean 'columns'?"),
        (
            "gate.budgets.latency_p95=3",
            "gate.budgets.latency_p95: unknown key; did you mean 'latency_p95_ms'?",
        ),
        ("train.lora.rnak=1", "train.lora.rnak: unknown key; did you mean 'rank'?"),
        (
            "base.zzz=1",
            "base.zzz: unknown key; known: budget_s, candidates, max_parameters, model, probe_rows, "
            "revision, scratch",
        ),
    ],
)
def test_unknown_key_names_its_neighbour(override: str, expected: str) -> None:
    assert problems_of(SMALL, override) == (expected,)


def test_five_mistakes_come_in_one_error(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: two words\n"
        "data: {source: a.csv, sorce: b.csv}\n"
        "train: {epochs: -1, schedule: stepped}\n"
        "gate: {rule: better}\n",
    )
    with pytest.raises(RecipeError, match=r"recipe\.yaml has 6 problems:\n  - ") as caught:
        load_recipe(path)
    said = "\n".join(caught.value.problems)
    assert "name: string should match" in said
    assert "data.sorce: unknown key; did you mean 'source'?" in said
    assert "train.epochs: input should be greater than 0 (given: -1)" in said
    assert "train.schedule: input should be 'linear', 'cosine', 'inverse_sqrt' or" in said
    assert "(given: 'stepped')" in said
    assert "gate.minimum: is required" in said
    assert "gate.rule: input should be 'superior' or 'non_inferior' (given: 'better')" in said
    assert str(caught.value).count("\n") == 6


def test_mistakes_of_file_and_overrides_come_together() -> None:
    assert problems_of({**SMALL, "nam": 1}, "train.epochs=0", "nonsense") == (
        "--set 'nonsense' is not field=value, e.g. --set train.epochs=5",
        "train.epochs: input should be greater than 0 (given: 0)",
        "nam: unknown key; did you mean 'name'?",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nname: b\n", "line 2, column 1: name is given twice"),
        ("gate: {minimum: 0.5, minimum: 0.9}", "line 1, column 22: minimum is given twice"),
        ("name: &a [*a]", "line 1, column 11: write the value out: no aliases"),
        ("name: x\n\tdata: y", "line 2, column 1: found character '\\t' that cannot start"),
        ("? [a, b]\n: c", "line 1, column 3: found unhashable key"),
        ("name: '\0'", "is not valid YAML: unacceptable character #x0000"),
        ("", "is empty or not a mapping of settings; see `refit init`"),
        ("- name", "is empty or not a mapping of settings; see `refit init`"),
        ("!!python/object/apply:os.getcwd []", "line 1, column 1: could not determine"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text))
    (said,) = caught.value.problems
    assert said.startswith(problem)
    assert "\n" not in said


def test_missing_file_names_a_close_one(tmp_path: Path) -> None:
    close = write(tmp_path, "name: a")
    with pytest.raises(RecipeError, match=r"is not there; did you mean '.*recipe\.yaml'\?"):
        load_recipe(tmp_path / "recipes.yaml")
    close.unlink()
    with pytest.raises(RecipeError, match="is not there; see deployments/recipes, or write one"):
        load_recipe(tmp_path / "recipes.yaml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load_recipe(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: café".encode("latin-1"))
    with pytest.raises(RecipeError, match="is not UTF-8 text"):
        load_recipe(tmp_path / "latin.yaml")


def test_a_label_that_yaml_takes_for_a_truth_value_must_be_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    values = yaml.safe_dump(SMALL, sort_keys=False)
    path.write_text(values.replace("data:\n", "data:\n  rename_labels: {yes: good, 'no': bad}\n"))
    with pytest.raises(RecipeError, match=r"1 problem:\n.*data\.rename_labels: a key is yes, on or true.*put it in quotes"):  # fmt: skip
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"data\.rename_labels: a key is no, off or false"):
        parse_recipe(SMALL, ["data.rename_labels={off: bad}"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=5", 5.0),
        ("train.learning_rate=1e-4", 1e-4),
        ("train.dropout=null", None),
        ("train.precision=fp32", "fp32"),
        ("train.metric='log_loss'", "log_loss"),
        ("data.attributes=[a, b]", ("a", "b")),
        ("data.rename_labels.0=negative", "negative"),
        ("data.rename_labels={0: bad, 'true': good}", {"0": "bad", "true": "good"}),
        ("description=a=b", "a=b"),
        ("split.salt='2'", "2"),
        ("split.salt=2024-01-31", "2024-01-31"),
        ("gate.slices.min_n=10", 10),
    ],
)
def test_set_takes_each_kind_of_value(override: str, expected: object) -> None:
    value: Any = parse_recipe(SMALL, [override]).model_dump()
    for name in override.partition("=")[0].split("."):
        value = value[name]
    assert value == expected
    assert type(value) is type(expected)


def test_set_fills_an_empty_section_and_the_last_one_counts() -> None:
    recipe = parse_recipe({**SMALL, "train": None}, ["train.epochs=2", "train.epochs=5"])
    assert recipe.train.epochs == 5


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.epochs", "--set 'train.epochs' is not field=value"),
        ("=5", "--set '=5' is not field=value"),
        ("train..epochs=5", "--set 'train..epochs=5' is not field=value"),
        ("name.first=x", "--set 'name.first=x': 'name' holds a value, not settings"),
        ("train.epochs=[", "--set 'train.epochs=[': '[' is not a YAML value"),
        ("train.epochs=many", "train.epochs: input should be a valid number"),
        (
            "train.epochs=.nan",
            "train.epochs: input should be less than or equal to 1000 (given: nan)",
        ),
        ("train=5", "train: holds settings; give them below it, or leave it out (given: 5)"),
        ("name=", "name: input should be a valid string (given: None)"),
        ("checks.labels=[yes, b]", "checks.labels.0: input should be a valid string; put it in"),
        ("data.train=b.csv", "data: give either source, or train with test, not both"),
        ("gate.minimum=1.5", "gate.minimum: 1.5 is no accuracy; give a share"),
        ("gate.minimum=.nan", "gate.minimum: nan is no accuracy; give a share"),
        ("gate.slices.columns=[language]", "gate.slices.columns: 'language' is not kept"),
        ("gate.slices.required=[label=a]", "gate.slices.required: 'label=a' names no column"),
        ("split.group_by=user", "split.group_by: 'user' is not kept; add it to data.attributes"),
        ("split={test: 0.6, validation: 0.4}", "split: test + validation = 1 leaves under 10 %"),
    ],
)
def test_wrong_set_is_one_problem(override: str, problem: str) -> None:
    (said,) = problems_of(SMALL, override)
    assert said.startswith(problem)


def test_log_loss_wants_nats_not_a_share() -> None:
    assert parse_recipe(SMALL, ["gate.metric=log_loss", "gate.minimum=1.2"]).gate.minimum == 1.2
    (said,) = problems_of(SMALL, "gate.metric=log_loss", "gate.minimum=.nan")
    assert said.startswith("gate.minimum: nan is no log_loss")


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("train.batch_size", 4096, 4097),
        ("train.warmup_ratio", 0, 1),
        ("train.seed", 0, -1),
        ("gate.margin", 0.2, 0.21),
        ("gate.margin", 0.001, 0),
        ("gate.alpha", 0.2, 0.3),
        ("gate.max_overlap", 0, 1),
        ("checks.min_labels", 2, 1),
        ("split.test", 0.5, 1),
    ],
)
def test_bounds_hold(field: str, inside: float, outside: float) -> None:
    parse_recipe(SMALL, [f"{field}={inside}"])
    (said,) = problems_of(SMALL, f"{field}={outside}")
    assert said.startswith(f"{field}: input should be ")
    assert said.endswith(f"(given: {outside})")


def test_long_wrong_value_is_cut() -> None:
    (said,) = problems_of(SMALL, f"train.schedule={'x' * 5000}")
    assert len(said) < 200


def test_recipe_is_frozen_and_travels_as_plain_values() -> None:
    recipe = parse_recipe(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]
    assert parse_recipe(recipe.model_dump(mode="json")) == recipe
    assert recipe.registered_name == "small"
    assert parse_recipe(SMALL, ["model=other"]).registered_name == "other"


def test_reading_a_recipe_changes_nothing_of_the_callers() -> None:
    values: dict[str, Any] = {**SMALL, "train": {"epochs": 1}}
    parse_recipe(values, ["train.epochs=2"])
    assert values["train"] == {"epochs": 1}


@pytest.mark.parametrize("strategy", ["head", "contrastive"])
def test_strategies_of_labels_are_refused_where_there_are_none(strategy: str) -> None:
    values = {**SMALL, "task": "translation"}
    (problem,) = problems_of(values, f"train.strategy={strategy}")
    assert problem == (
        f"train.strategy: {strategy!r} makes a head for labels, and translation has none; "
        "use full, gradual or lora"
    )
    (problem,) = problems_of(values, f"search={{strategy: [full, {strategy}]}}")
    assert problem.startswith(f"search.strategy: {strategy!r} makes a head for labels")


@pytest.mark.parametrize(
    ("train", "search", "expected"),
    [
        ("{label_smoothing: 0.1}", "{strategy: [full, contrastive]}", "label_smoothing=0.1 has no"),
        ("{accumulation: 2}", "{strategy: [full, contrastive]}", "accumulation=2 would hide rows"),
        ("{}", "{strategy: [full, contrastive], batch_size: [1, 8]}", "batch_size=1 holds no pair"),
        ("{strategy: contrastive}", "{label_smoothing: [0.0, 0.2]}", "label_smoothing=0.2 has no"),
        ("{batch_tokens: 64, max_length: 64}", "{strategy: [full, contrastive]}", ""),
        ("{strategy: contrastive, batch_size: 8}", "{strategy: [full], label_smoothing: [0, 0.2]}", ""),
    ],
)  # fmt: skip
def test_trial_that_a_training_would_refuse_is_told_before_the_first(
    train: str, search: str, expected: str
) -> None:
    """It would end the run in the middle of the search, and the same each time."""
    overrides = [f"train={train}", f"search={search}"]
    if not expected:
        parse_recipe(SMALL, overrides)
        return
    (problem,) = problems_of(SMALL, *overrides)
    assert problem.startswith(f"search: a trial could not be trained: {expected}")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("{strategy: contrastive, accumulation: 2}", "train: accumulation=2 would hide rows from"),
        ("{strategy: contrastive, batch_size: 1}", "train: batch_size=1 holds no pair of texts"),
    ],
)
def test_contrastive_training_without_pairs_is_refused(train: str, expected: str) -> None:
    (problem,) = problems_of(SMALL, f"train={train}")
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.strategy=contrastive", "train.strategy: 'contrastive' pulls texts of one label"),
        ("search={strategy: [full, contrastive]}", "train.strategy: 'contrastive' pulls texts of"),
        ("data.label_separator=null", "data.label_separator: is empty, but multilabel needs one"),
        ("gate.metric=chrf", "gate.metric: chrf is none of multilabel's: micro_f1, macro_f1, acc"),
        ("base={scratch: {architecture: marian}}", "base.scratch.architecture: 'marian' has no h"),
        ("data.messages=turns", "data.messages: has a meaning only for chat; leave it out"),
    ],
)
def test_what_sets_of_labels_cannot_have_is_refused(override: str, expected: str) -> None:
    values = {**SMALL, "task": "multilabel"}
    recipe = parse_recipe(values)
    assert (recipe.data.label, recipe.data.label_separator) == ("labels", "|")
    assert (recipe.gate.metric, recipe.train.metric) == ("micro_f1", "micro_f1")
    assert any(problem.startswith(expected) for problem in problems_of(values, override))


def test_translation_is_not_grouped_by_a_column() -> None:
    """A source may have several targets: in two documents it would be in training and in test."""
    grouped = {
        **SMALL, "task": "translation", "data": {"source": "a.tsv", "attributes": ["doc"]},
        "split": {"group_by": "doc"}, "gate": {"minimum": 0.1},
    }  # fmt: skip
    (problem,) = problems_of(grouped)
    assert problem.startswith("split.group_by: translation is split by its sources")


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("train.chat_template=plain", "chat"),
        ("train.generation={beams: 2}", "translation and chat"),
        ("train.max_target_length=64", "translation"),
        ("data.target_language=de", "translation"),
        ("data.documents=file", "language_modeling"),
        ("data.label_separator=;", "multilabel"),
        ("train.lora={rank: 4}", "strategy lora"),
    ],
)
def test_setting_that_nothing_reads_is_refused(override: str, where: str) -> None:
    (problem,) = problems_of(SMALL, override)
    assert problem == f"{override.partition('=')[0]}: has a meaning only for {where}; leave it out"


def test_setting_that_some_trial_of_a_search_reads_is_no_mistake() -> None:
    parse_recipe(SMALL, ["train.lora={rank: 4}", "search={strategy: [full, lora]}"])


def test_every_rule_of_settings_without_effect_names_a_field_of_the_recipe() -> None:
    for fields, _, _ in RULES:
        for path in fields:
            section, field = path.split(".")
            assert field in getattr(parse_recipe(SMALL), section).__class__.model_fields, path
