"""Work pools: those of processes are ready as they are; pods are told where services are, and bounded."""

from contextlib import suppress
from copy import deepcopy
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.base import BaseWorker

from flows.automations import DeployError

CLIENTS = "refit-clients"
"""The Secret and the ConfigMap of deployments/kubernetes that say where services are, and the keys."""
CONTAINER: dict[str, Any] = {
    "envFrom": [{"configMapRef": {"name": CLIENTS}}, {"secretRef": {"name": CLIENTS}}],
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "terminationGracePeriodSeconds": 90,  # a training saves itself on SIGTERM
}
LABELS = {"app": "worker"}
"""By which deployments/kubernetes/network.yaml lets a pod through to the servers."""
DEFAULTS = {
    "namespace": "refit",
    "finished_job_ttl": 3600,
    "cpu_request": "2",
    "memory_request": "4Gi",
    "memory_limit": "8Gi",
}
"""Of the variables of a pool of pods; a deployment's own come first."""


def ensure_pool(name: str, kind: str = "process", limit: int | None = None) -> None:
    """Create a work pool where there is none of that name; one training at once.

    Args:
        name: of the pool.
        kind: of the pool that is wanted: process, docker, kubernetes.
        limit: how many trainings go on at once; none leaves a pool that is there as it is.

    Raises:
        DeployError: there is none, and nothing here knows its kind.
    """
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            create = WorkPoolCreate(name=name, type=kind, base_job_template=job_template(kind))
            with suppress(ObjectAlreadyExists):
                client.create_work_pool(create)
            limit = limit or 1
        if limit is not None:
            queue = client.read_work_pool(name).default_queue_id
            client.update_work_queue(queue, concurrency_limit=limit)


def job_template(kind: str) -> dict[str, Any]:
    """What a new pool of that kind makes of a run.

    Raises:
        DeployError: no worker of that kind is installed.
    """
    worker = BaseWorker.get_worker_class_from_type(kind)
    if worker is None:
        raise DeployError(
            f"no worker of kind {kind!r} is installed here, so no such pool can be made; "
            f"`pip install 'refit[pools]'` knows docker and kubernetes, or create the pool yourself"
        )
    template: dict[str, Any] = deepcopy(worker.get_default_base_job_template())
    return _for_pods(template) if kind == "kubernetes" else template


def _for_pods(template: dict[str, Any]) -> dict[str, Any]:
    """Prefect's template for Kubernetes with what our namespace asks of a pod, and gives it."""
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]
    pod["metadata"] = {"labels": dict(LABELS)}
    pod["spec"] |= deepcopy(POD)
    (container,) = pod["spec"]["containers"]
    container |= deepcopy(CONTAINER)
    for name, value in DEFAULTS.items():
        template["variables"]["properties"][name]["default"] = value
    return template
