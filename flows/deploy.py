"""Deploy: recipes become deployments on a Prefect server; the same twice changes nothing."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow

from flows.automations import apply_automations, apply_notifications
from flows.form import form_defaults, form_schema, schema_of
from flows.reap import REAP_S, reap
from flows.recipe import Recipe
from flows.reconcile import reconcile_all
from flows.retrain import retrain
from flows.rollback import rollback
from flows.schedule import ScheduleConfig
from flows.settings import QUIET
from flows.watch import watch
from report.markdown import escape_markdown

CANCEL, WAIT = ConcurrencyLimitStrategy.CANCEL_NEW, ConcurrencyLimitStrategy.ENQUEUE
TAG = "refit"
AT_ONCE = "at-once"
"""The queue of what no training may hold up: rollback, reconciliation, the reaper, watchers.

Trainings wait in the pool's default queue, whose limit says how many go on at once. A worker's own
`--limit` would let none of these through, and ends the worker when a run that was suspended comes
back before its first process has left."""
RECONCILE_S = 60.0
"""DESIGN: the alias is right at latest one interval after it was made wrong."""
VARIABLES = {
    name: QUIET[name]
    for name in (
        "GOMP_SPINCOUNT",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "PREFECT_CLIENT_MAX_RETRIES",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
    )
}
"""Of every run, wherever it runs: what it leaves to others on its cores, how long it waits, and
whether it is taken for dead."""


class Deployment(NamedTuple):
    """One deployment as data, for the client and for prefect.yaml alike."""

    flow: Flow[..., Any]
    name: str
    description: str
    tags: list[str]
    parameters: dict[str, Any]
    parameter_schema: dict[str, Any]
    schedule: ScheduleConfig | None = None
    num_at_once: int = 1
    collision: ConcurrencyLimitStrategy = CANCEL
    """Of a run that comes while so many go on: it is cancelled, and the next one finds what is new.

    Waiting, the runs of a dense schedule would pile up before the one that a person has asked for.
    Where people approve they wait all the same: else a run that comes back with an answer, while
    another one goes on, would be cancelled, and the answer lost.
    """
    queue: str | None = AT_ONCE
    """Of its work pool; none: the default one."""

    @property
    def full_name(self) -> str:
        """`flow/deployment`, as Prefect writes it."""
        return f"{self.flow.name}/{self.name}"

    @property
    def entrypoint(self) -> str:
        """Module path: importable wherever refit is installed, whatever the folder."""
        return f"{self.flow.fn.__module__}.{self.flow.fn.__name__}"


def deployments_of(recipe: Recipe, environment: str) -> Iterator[Deployment]:
    """What one recipe means on a server: retrain with its schedule, and rollback by hand."""
    name = f"{recipe.name}-{environment}"
    tags = [TAG, recipe.task, recipe.name, environment]
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    yield Deployment(
        flow=retrain,
        name=name,
        description=describe(recipe),
        tags=tags,
        parameters={"recipe": values, **form_defaults(recipe)},
        parameter_schema=form_schema(retrain.fn, recipe),
        schedule=recipe.schedule,
        collision=WAIT if recipe.gate.approval == "required" else CANCEL,
        queue=None,
    )
    if recipe.watch is not None:
        yield Deployment(
            flow=watch,
            name=name,
            description=f"Looks at the data of **{recipe.name}**; news start `retrain/{name}`.",
            tags=tags,
            parameters={"recipe": values},
            parameter_schema=schema_of(watch.fn, fixed=["recipe"]),
            schedule=ScheduleConfig(every_s=recipe.watch.every_s),
        )
    fixed = {"name": recipe.registered_name}
    yield Deployment(
        flow=rollback,
        name=name,
        description=f"Brings the champion of **{recipe.registered_name}** before the present one "
        "back, bars the present one, and holds promotions until `refit release`.",
        tags=tags,
        parameters=fixed,
        parameter_schema=schema_of(rollback.fn, fixed=fixed),
    )


def services_of(environment: str) -> Iterator[Deployment]:
    """What a server needs once, whatever the recipes: the alias follows the ledger, the dead end."""
    yield Deployment(
        flow=reconcile_all,
        name=environment,
        description="Makes the alias of each model say what its ledger says.",
        tags=[TAG, environment],
        parameters={},
        parameter_schema=schema_of(reconcile_all.fn),
        schedule=ScheduleConfig(every_s=RECONCILE_S),
    )
    yield Deployment(
        flow=reap,
        name=environment,
        description="Sets runs to Crashed whose process died without a word.",
        tags=[TAG, environment],
        parameters={},
        parameter_schema=schema_of(reap.fn),
        schedule=ScheduleConfig(every_s=REAP_S),
        num_at_once=2,  # a reaper that died must not hold up the next one
    )


def describe(recipe: Recipe) -> str:
    """A recipe in Markdown, for the deployment's page."""
    said = escape_markdown(recipe.description) or "No description."
    data = recipe.data.source or f"{recipe.data.train}, tested on {recipe.data.test}"
    facts = {
        "Model": f"`models:/{recipe.registered_name}@champion`",
        "Data": escape_markdown(data),
        "Base": escape_markdown(recipe.base.name),
        "Must prove": f"{recipe.gate.metric} beyond {recipe.gate.minimum:g}; "
        f"{recipe.gate.rule.replace('_', '-')} to the champion, margin {recipe.gate.margin:g}",
        "Runs by itself": escape_markdown(str(recipe.schedule)) if recipe.schedule else "never",
        "Two at once": "the second waits, as an answer may come with it"
        if recipe.gate.approval == "required"
        else "the second is cancelled; the next one finds what is new",
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"{said}\n\n| | |\n|---|---|\n{rows}\n\n"
        "A run ends as **Promoted**, **Unchanged** (nothing new), **Refused** or **Data refused**, "
        "**Held** (after a rollback), **Would promote** (dry run) or **Evaluated**. "
        "Each decision is an artifact of its run.\n"
    )


def deploy(recipe: Recipe, *, pool: str, environment: str, image: str = "") -> tuple[str, ...]:
    """Create or update the recipe's deployments; returns their full names, retrain first."""
    variables = job_variables(image)
    made: dict[str, UUID] = {}
    with get_client(sync_client=True) as client:
        for deployment in deployments_of(recipe, environment):
            made[deployment.full_name] = _apply(
                client, deployment, pool, recipe.digest[:12], variables
            )
        name = f"{recipe.name}-{environment}"
        if recipe.watch is None:
            _delete_deployment(client, f"watch/{name}")
        apply_automations(client, recipe, name, made)
    apply_notifications(recipe, name, made[f"retrain/{name}"])
    return tuple(made)


def deploy_services(*, pool: str, environment: str, image: str = "") -> tuple[str, ...]:
    """Create or update what a server needs once; returns the deployments' full names."""
    services = list(services_of(environment))
    with get_client(sync_client=True) as client:
        for deployment in services:
            _apply(client, deployment, pool, "", job_variables(image))
    return tuple(deployment.full_name for deployment in services)


def job_variables(image: str) -> dict[str, Any]:
    """What a worker needs to know of every run."""
    return {"env": VARIABLES, **({"image": image} if image else {})}


def _delete_deployment(client: SyncPrefectClient, full_name: str) -> None:
    try:
        client.delete_deployment(client.read_deployment_by_name(full_name).id)
    except ObjectNotFound:
        return


def _apply(
    client: SyncPrefectClient,
    deployment: Deployment,
    pool: str,
    version: str,
    job_variables: Mapping[str, Any],
) -> UUID:
    flow_id = client.create_flow_from_name(deployment.flow.name)
    return client.create_deployment(
        flow_id=flow_id,
        name=deployment.name,
        version=version or None,
        schedules=schedules(deployment.schedule),
        concurrency_limit=deployment.num_at_once,
        concurrency_options=ConcurrencyOptions(collision_strategy=deployment.collision),
        parameters=deployment.parameters,
        parameter_openapi_schema=deployment.parameter_schema,
        enforce_parameter_schema=True,
        description=deployment.description,
        tags=deployment.tags,
        work_pool_name=pool,
        work_queue_name=deployment.queue,
        entrypoint=deployment.entrypoint,
        job_variables=dict(job_variables),
    )


def schedules(config: ScheduleConfig | None) -> list[DeploymentScheduleCreate]:
    """The recipe's schedule in Prefect's words."""
    if config is None:
        return []
    schedule: CronSchedule | IntervalSchedule | RRuleSchedule
    if config.cron is not None:
        schedule = CronSchedule(cron=config.cron, timezone=config.timezone)
    elif config.every_s is not None:
        every = timedelta(seconds=config.every_s)
        schedule = IntervalSchedule(interval=every, timezone=config.timezone)
    else:
        schedule = RRuleSchedule(rrule=str(config.rrule), timezone=config.timezone)
    return [DeploymentScheduleCreate(schedule=schedule, active=config.is_active)]
