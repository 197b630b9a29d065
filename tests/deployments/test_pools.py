"""Pools of containers: what Prefect's own command makes of prefect.yaml, and what a worker makes of that.

No container runs here. Workers of docker and kubernetes are an extra, `refit[pools]`, whose tests `make
pools` runs.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import kubernetes_validate
import prefect
import pytest
import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL

from deployments.prefect_file import FILE, POOLS
from flows.automations import DeployError
from flows.deploy import job_variables
from flows.pools import CLIENTS, LABELS, ensure_pool, job_template
from flows.settings import clean_environment
from tests.deployments.test_container import CLUSTER, KUBERNETES

pytest_plugins = ["tests.worlds"]

ROOT = Path(__file__).parents[2]
BUNDLED = "server/api/collections_data/views/aggregate-worker-metadata.json"
KINDS = {"local": "process", "docker": "docker", "kubernetes": "kubernetes"}
IMAGE = "registry.example.com/refit:7"


def variables_of(kind: str) -> Any:
    """Which job variables a pool of that kind has, as Prefect ships them."""
    known = json.loads((Path(prefect.__file__).parent / BUNDLED).read_text("utf-8"))
    (found,) = (workers[kind] for workers in known.values() if kind in workers)
    return found["default_base_job_configuration"]["variables"]


@pytest.mark.parametrize("environment", POOLS)
def test_every_job_variable_is_one_that_the_pool_has(environment: str) -> None:
    schema = variables_of(KINDS[environment])
    entries = yaml.safe_load(FILE.read_text("utf-8"))["deployments"]
    own = [one["work_pool"] for one in entries if one["name"].endswith(environment)]
    assert own
    ours = job_variables(POOLS[environment].get("image", ""))
    for given in (*(pool["job_variables"] for pool in own), ours):
        assert set(given) <= set(schema["properties"])
        jsonschema.validate(given, schema)


@pytest.mark.slow
def test_prefects_own_command_deploys_what_an_image_can_run(prefect_server: None) -> None:
    with get_client(sync_client=True) as client:
        for environment, kind in KINDS.items():
            pool = WorkPoolCreate(name=f"refit-{environment}", type=kind, base_job_template={})
            client.create_work_pool(pool)
        names = [word for each in KINDS for word in ("--name", f"reviews-{each}")]
        command = ["-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(FILE)]
        done = subprocess.run(
            [sys.executable, *command, *names], cwd=ROOT, capture_output=True, text=True,
            env={**clean_environment(), "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for environment in KINDS:
            found = client.read_deployment_by_name(f"retrain/reviews-{environment}")
            assert found.entrypoint == "flows.retrain.retrain"
            assert found.description is not None
            assert "| Must prove |" in found.description
            if environment == "local":
                (step,) = found.pull_steps
                assert [*step.values()] == [{"directory": str(ROOT)}]
            else:
                assert (found.pull_steps, found.path) == ([], None)
                assert found.job_variables["image"] == POOLS[environment]["image"]


def test_a_pool_of_a_kind_that_nothing_here_knows_is_refused(prefect_server: None) -> None:
    with pytest.raises(DeployError, match=r"'balloons'(.|\n)*refit\[pools\]"):
        ensure_pool("aloft", "balloons")


def prepared(kind: str, worker: Any) -> Any:
    """What that worker would start for a run of a deployment of ours."""
    nobody = PrefectClient(
        "http://127.0.0.1:9/api"
    )  # whom it would ask for blocks, if we named any
    configuration = asyncio.run(
        worker.job_configuration.from_template_and_values(
            job_template(kind), job_variables(IMAGE), client=nobody
        )
    )
    configuration.prepare_for_flow_run(FlowRun(id=uuid4(), name="retrain", flow_id=uuid4()))
    return configuration


def test_a_pod_is_told_where_services_are_and_is_let_into_the_namespace() -> None:
    workers = pytest.importorskip("prefect_kubernetes.worker", reason="`make pools` runs it")
    made = prepared("kubernetes", workers.KubernetesWorker)
    job = json.loads(json.dumps(made.job_manifest))
    # The worker wants these of a job in its pod, where no cluster knows them.
    for stray in ("completions", "parallelism"):
        del job["spec"]["template"]["spec"][stray]
    kubernetes_validate.validate(job, KUBERNETES, strict=True)
    assert job["metadata"]["namespace"] == made.namespace == "refit"
    assert job["spec"]["template"]["metadata"]["labels"].items() >= LABELS.items()
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    said = {one["name"]: one["value"] for one in container["env"]}
    assert said.items() >= job_variables(IMAGE)["env"].items()
    sources = [next(iter(source.values()))["name"] for source in container["envFrom"]]
    assert set(sources) == {CLIENTS}
    worker = yaml.safe_load((CLUSTER / "worker.yaml").read_text("utf-8"))["spec"]["template"]
    assert worker["metadata"]["labels"] == LABELS
    for field in (
        "securityContext",
        "automountServiceAccountToken",
        "terminationGracePeriodSeconds",
    ):
        assert pod[field] == worker["spec"][field], field


def test_a_container_gets_our_variables_and_our_image() -> None:
    workers = pytest.importorskip("prefect_docker.worker", reason="`make pools` runs it")
    made = prepared("docker", workers.DockerWorker)
    assert made.image == IMAGE
    assert made.env.items() >= job_variables(IMAGE)["env"].items()
