"""Container and cluster files: they keep to their schemas, and what they say is there.

No container runs here: files are read by linters and by the schemas of compose and Kubernetes, commands
by the programs' own parsers; the rest is compared. test_compose_runs.py runs compose's as processes.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import mlflow.cli
import pytest
import yaml
from compose_spec import PyCompose
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields
from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
from prefect_redis.client import RedisMessagingSettings

from deployments.cli import app
from flows import settings
from tests.composed import FOLDER, services

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "deployments" / "kubernetes"
KUBERNETES = "1.37"
PATCHED = re.compile(r"^(postgres:\d+\.\d+|\w+:\d+\.\d+\.\d+)(-[\w-]+)?$")
"""A tag that names a patch: PostgreSQL's second number is one, others have a third."""
REDIS = {
    f"{model.model_config['env_prefix']}{name}".upper()
    for model in (RedisMessagingSettings, RedisWorkerCleanupQueueSettings)
    for name in model.model_fields
}


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text("utf-8")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    rooms = {name.partition(".")[0] for name in packages["packages"]}
    assert set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.M)) == rooms
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{room}" for room in rooms} <= set(allowed)
    assert re.search(r"^USER 10001$", dockerfile, re.M)
    assert "constraints.txt" in dockerfile
    assert all(PATCHED.search(image) for image in re.findall(r"^FROM (\S+)", dockerfile, re.M))


def test_services_wait_only_for_services_and_publish_on_the_loopback_only() -> None:
    for name, service in services().items():
        assert set(service.get("depends_on", {})) <= set(services()), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert PATCHED.search(service["image"]), f"{name} has no pinned image"


def test_whoever_waits_for_a_service_waits_until_it_is_well() -> None:
    """What listens to nobody, and what ends, has no health to ask for."""
    checked = {name for name, service in services().items() if "healthcheck" in service}
    assert services().keys() - checked == {"prefect-migrate", "prefect-services"}
    for service in services().values():
        for name, how in service.get("depends_on", {}).items():
            ends = name == "prefect-migrate"
            expected = "service_completed_successfully" if ends else "service_healthy"
            assert how["condition"] == expected, name


def test_every_secret_must_be_given_and_none_is_in_the_file() -> None:
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    example = (FOLDER / "example.env").read_text("utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?\}", text))
    assert needed <= set(re.findall(r"^(\w+)=", example, re.M))
    for name, value in re.findall(r"^ +(\w*(?:PASSWORD|SECRET|AUTH|KEY)\w*): *(\S+)", text, re.M):
        assert value.startswith(('"${', "${", "/run/secrets")), name


def test_no_command_line_holds_a_secret() -> None:
    for name, service in services().items():
        said = " ".join(service.get("command", []))
        assert not re.search(r"\$\{\w*(PASSWORD|SECRET|AUTH|KEY)", said), name


def test_the_dockerfile_has_no_lint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_keeps_to_the_specification() -> None:
    PyCompose.from_json(
        json.dumps(yaml.safe_load((FOLDER / "compose.yaml").read_text()))
    ).validate()
    with pytest.raises(ValueError, match="portz"):  # it would have said so
        PyCompose.from_json('{"services": {"a": {"image": "x", "portz": []}}}')


def manifests() -> Iterator[dict[str, Any]]:
    """Every object of the cluster files, the examples of Secrets too."""
    for path in sorted(CLUSTER.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text("utf-8"))


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each workload, by its name."""
    return {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]
        for m in manifests()
        if m["kind"] in ("Deployment", "Job")
    }


def test_every_manifest_keeps_to_the_schema_of_kubernetes() -> None:
    kinds = []
    for manifest in manifests():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        kinds.append(manifest["kind"])
    assert {"Deployment", "Job", "NetworkPolicy", "Secret", "Service"} <= set(kinds)
    listed = yaml.safe_load((CLUSTER / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert {*listed, "kustomization.yaml", "example-secrets.yaml"} == {
        path.name for path in CLUSTER.glob("*.yaml")
    }


def test_every_pod_is_bounded_watched_and_without_rights() -> None:
    for name, pod in pods().items():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["image"] == "refit" or PATCHED.search(container["image"])
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name
        if name not in ("prefect-migrate", "prefect-services"):  # they listen to nobody
            assert "livenessProbe" in container, name


def test_secrets_and_settings_are_there_under_the_names_by_which_pods_ask_for_them() -> None:
    known = {(m["kind"], m["metadata"]["name"]) for m in manifests()}
    for pod in pods().values():
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                for kind, field in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                    if field in source:
                        assert (kind, source[field]["name"]) in known
    for manifest in manifests():
        if manifest["kind"] == "Secret":
            said = {k: v for k, v in manifest["stringData"].items() if k != "auth.ini"}
            assert set(said.values()) == {""}, "an example holds no value"


def test_policies_and_services_name_pods_that_are_there() -> None:
    labels = [
        m["spec"]["template"]["metadata"]["labels"]
        for m in manifests()
        if "template" in m.get("spec", {})
    ]
    apps = {label["app"] for label in labels}
    text = json.dumps([m for m in manifests() if m["kind"] in ("NetworkPolicy", "Service")])
    named = set(re.findall(r'"app": "([a-z-]+)"', text))
    for values in re.findall(r'"values": \[([^]]*)\]', text):
        named |= set(re.findall(r'"([a-z-]+)"', values))
    assert named <= apps
    assert apps - named == {"prefect-migrate"}


def given_variables() -> Iterator[tuple[str, str]]:
    """Who is given which variable, in both kinds of files."""
    for name, service in services().items():
        yield from ((name, variable) for variable in service.get("environment", {}))
    for manifest in manifests():
        for field in ("data", "stringData"):
            yield from ((manifest["metadata"]["name"], v) for v in manifest.get(field, {}))
    for name, pod in pods().items():
        yield from ((name, one["name"]) for c in pod["containers"] for one in c.get("env", []))


def test_prefect_and_refit_know_every_variable_that_they_are_given() -> None:
    known = set(_get_settings_fields(Settings)) | REDIS
    ours = set(re.findall(r"REFIT_[A-Z0-9_]+", settings.__doc__ or ""))
    for name, variable in given_variables():
        if variable.startswith("PREFECT_"):
            assert variable in known, name
        if variable.startswith("REFIT_"):
            assert variable in ours, name


def test_our_own_commands_are_taken_by_our_command_line() -> None:
    from typer.main import get_command

    commands = [c["command"] for pod in pods().values() for c in pod["containers"]]
    commands += [service["command"] for service in services().values() if "command" in service]
    own = [command for command in commands if command[0] == "refit"]
    assert own
    for _, name, *arguments in own:
        get_command(app).commands[name].make_context(name, list(arguments))  # type: ignore[attr-defined]


def test_mlflow_takes_its_command_line() -> None:
    program, command, *arguments = services()["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    filled = [re.sub(r"\$\{\w+:\?\}", "x", argument) for argument in arguments]
    context = mlflow.cli.server.make_context("server", filled)
    assert context.params["app_name"] == "basic-auth"
    with pytest.raises(click.NoSuchOption):
        mlflow.cli.server.make_context("server", [*filled, "--no-such-option"])
