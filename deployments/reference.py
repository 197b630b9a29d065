"""Writes docs/reference from the recipe's schema, the command line and the settings.

`python -m deployments.reference`; a test compares.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from deployments.cli import app
from flows import settings
from flows.recipe import recipe_schema

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WRITTEN = (
    "<!-- Written by `python -m deployments.reference`; change the code, not this file. -->\n\n"
)
LIMITS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "pattern": "like `{}`",
}  # fmt: skip


def reference_files() -> dict[str, str]:
    """Name of each page: its text."""
    return {
        "recipe.md": recipe_page(),
        "commands.md": commands_page(),
        "settings.md": settings_page(),
    }


def recipe_page() -> str:
    """Every field of a recipe, section by section."""
    schema = recipe_schema()
    parts = [
        "# The recipe\n\nOne YAML file. Editors complete and check it by `refit schema > "
        "recipe.schema.json`; `--set section.field=value` overrides a field for one run.\n"
    ]
    for path, section in _sections(schema, schema["$defs"], ""):
        parts.append(f"## {path or 'Top level'}\n\n{_table(section, schema['$defs'], path)}")
    return WRITTEN + "\n".join(parts)


def _sections(
    section: Mapping[str, Any], defs: Mapping[str, Any], path: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A section of the schema, then those inside it, each with its dotted path."""
    yield path, section
    for name, field in section["properties"].items():
        inner = _inner(field, defs)
        if inner is not None:
            yield from _sections(inner, defs, f"{path}.{name}" if path else name)


def _inner(field: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The section that a field holds, or may hold instead of a value; None: it holds a value."""
    if "$ref" in field:
        return _inner(defs[field["$ref"].rpartition("/")[2]], defs)
    if "properties" in field:
        return field
    choices = (_inner(one, defs) for one in field.get("anyOf", ()))
    return next((found for found in choices if found is not None), None)


def _table(section: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> str:
    rows = ["| field | value | default | meaning |", "|---|---|---|---|"]
    required = section.get("required", ())
    for name, field in section["properties"].items():
        inner = _inner(field, defs)
        value = (
            f"see `{path}.{name}`".replace("`.", "`") if inner is not None else _value(field, defs)
        )
        default = "**required**" if name in required else _default(field, inner)
        said = field.get("description") or (inner or {}).get("description", "").split("\n\n")[0]
        rows.append(f"| `{name}` | {_cell(value)} | {_cell(default)} | {_cell(said)} |")
    return "\n".join(rows) + "\n"


def _default(field: Mapping[str, Any], inner: Mapping[str, Any] | None) -> str:
    if inner is not None:
        return "absent" if field.get("default", "") is None else "its own"
    default = field.get("default")
    return "absent" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"


def _value(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in field:
        return " or ".join(_value(one, defs) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        return _value(defs[field["$ref"].rpartition("/")[2]], defs)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_value(items, defs)}" if items else "list"
    limits = [said.format(field[key]) for key, said in LIMITS.items() if key in field]
    return ", ".join([field.get("type", "any"), *limits])


def commands_page() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(app)  # of the click that typer brings along
    parts = [f"# The command line\n\n{_plain(group.help)}\n"]
    for name in sorted(group.commands):
        command = group.commands[name]
        context = typer.Context(command, info_name=f"refit {name}")
        usage = " ".join(["refit", name, *command.collect_usage_pieces(context)])
        parts.append(f"## refit {name}\n\n{_plain(command.help)}\n\n```sh\n{usage}\n```\n")
        rows = [_option(param) for param in command.params if param.name != "help"]
        if rows:
            parts.append("\n".join(["| | meaning | default |", "|---|---|---|", *rows]) + "\n")
        if command.epilog:
            parts.append(f"{command.epilog}\n")
    return WRITTEN + "\n".join(parts)


def _option(param: Any) -> str:
    is_option = param.param_type_name == "option"
    names = (
        [*param.opts, *param.secondary_opts] if is_option else [param.metavar or param.name.upper()]
    )
    said = getattr(param, "help", "") or ""
    default = param.default
    shown = "**required**" if param.required else ""
    if not shown and default not in (None, False, "", ()) and not callable(default):
        shown = f"`{default}`"
    return f"| {', '.join(f'`{name}`' for name in names)} | {_cell(said)} | {_cell(shown)} |"


def settings_page() -> str:
    """Every variable that refit reads."""
    doc = settings.__doc__ or ""
    table = doc[doc.index("| variable") : doc.rindex("|\n") + 2]
    rows = re.sub(r"^\| ([A-Z_0-9]+) \|", r"| `\1` |", table, flags=re.M)
    return (
        f"{WRITTEN}# Settings\n\nOnly these variables choose between embedded and real services; a "
        f"recipe never does.\n\n{rows}\n{doc[doc.rindex('|') + 1 :].strip()}\n"
    )


def _plain(text: str | None) -> str:
    """Help as Markdown: typer's form feeds end what a page shows."""
    lines = (text or "").split("\f")[0].splitlines()
    return "\n".join(line.strip() for line in lines).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in reference_files().items():
        (FOLDER / name).write_text(text, "utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")
