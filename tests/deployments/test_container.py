"""Container files: what they say is there, and is taken by the programs that they start.

No container runs here: the commands are read by the programs' own parsers, the rest is compared.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import mlflow.cli
import pytest
import yaml
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "container"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    return found["services"]


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text("utf-8")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    rooms = {name.partition(".")[0] for name in packages["packages"]}
    assert set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.M)) == rooms
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{room}" for room in rooms} <= set(allowed)
    assert re.search(r"^USER 10001$", dockerfile, re.M)
    assert "constraints.txt" in dockerfile
    assert all(":" in image for image in re.findall(r"^FROM (\S+)", dockerfile, re.M))


def test_services_wait_only_for_services_and_publish_on_the_loopback_only() -> None:
    for name, service in services().items():
        assert set(service.get("depends_on", {})) <= set(services()), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert re.search(r":[\w.-]+$", service["image"]), f"{name} has no pinned image"


def test_every_secret_must_be_given_and_none_is_in_the_file() -> None:
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    example = (FOLDER / "example.env").read_text("utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?\}", text))
    assert needed <= set(re.findall(r"^(\w+)=", example, re.M))
    for name, value in re.findall(r"^ +(\w*(?:PASSWORD|SECRET|AUTH|KEY)\w*): *(\S+)", text, re.M):
        assert value.startswith(('"${', "${", "/run/secrets")), name


def test_prefect_knows_every_variable_that_it_is_given() -> None:
    known = set(_get_settings_fields(Settings))
    for name, service in services().items():
        given = {k for k in service.get("environment", {}) if k.startswith("PREFECT_")}
        assert given <= known, name


def test_mlflow_takes_its_command_line() -> None:
    program, command, *arguments = services()["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    filled = [re.sub(r"\$\{\w+:\?\}", "x", argument) for argument in arguments]
    context = mlflow.cli.server.make_context("server", filled)
    assert context.params["app_name"] == "basic-auth"
    with pytest.raises(click.NoSuchOption):
        mlflow.cli.server.make_context("server", [*filled, "--no-such-option"])
