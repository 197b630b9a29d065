"""Automations that a deployment brings along: what starts a run by itself, and who is told of one.

Each is made anew at every deployment, under a name that says what it does.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit
from uuid import UUID

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import (
    AutomationCore,
    EventTrigger,
    Posture,
    ResourceSpecification,
    RunDeployment,
    SendNotification,
)
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import SecretStr

from flows import streak
from flows.recipe import Recipe
from flows.schedule import Occasion
from flows.settings import notify_url
from tasks import live, watch

log = logging.getLogger("refit")

BLOCK = "refit"
"""Name of the block that REFIT_NOTIFY_URL makes."""
STATES: dict[Occasion, tuple[str, ...]] = {
    "promoted": ("Promoted",),
    "refused": ("Refused", "Declined"),
    "data_refused": ("Data refused",),
    "failed": ("Failed", "Crashed", "TimedOut"),
    "waiting": ("Suspended",),
}
"""Names of the states that a run of retrain enters."""
SAID = (
    "{% set state = event.resource['prefect.state-name'] %}"
    "{% set said = (event.resource['prefect.state-message'] or '') "
    "| replace('\\n', ' ') | truncate(300) %}"
    "{% if state == 'Suspended' %}Waiting for approval: the gate agrees, a person has the last word"
    "{% elif said.startswith(state) %}{{ said }}"
    "{% elif state == 'Promoted' and said.startswith('Promote') %}"
    "{{ said | replace('Promote', 'Promoted', 1) }}"
    "{% else %}{{ state }}{% if said %}: {{ said }}{% endif %}{% endif %}"
)
RUN_ID = "{{ event.resource['prefect.resource.id'] | replace('prefect.flow-run.', '') }}"


class DeployError(ValueError):
    """The server cannot take a deployment as asked."""


def apply_automations(
    client: SyncPrefectClient, recipe: Recipe, name: str, deployments: Mapping[str, UUID]
) -> None:
    """What starts a run: new data, objects that were written, a live figure that fell.

    Args:
        client: of the server.
        recipe: says which of them there are.
        name: of the recipe's deployments.
        deployments: their ids by full name.
    """
    data, figure = watch.resource_id(recipe.name), live.resource_id(recipe.registered_name)
    retrain, look = f"retrain/{name}", f"watch/{name}"
    for what, event, resource, started, parameters, is_wanted in (
        ("new data starts", watch.EVENT, data, retrain, {"reason": "new data"}, recipe.watch),
        ("written objects start", watch.WRITTEN, data, look, {}, recipe.watch),
        ("a live metric that fell starts", live.EVENT, figure, retrain,
         {"reason": "live metric fell"}, recipe.live),
    ):  # fmt: skip
        title, core = f"refit: {what} {started}", None
        if is_wanted is not None:
            run = RunDeployment(
                source="selected", deployment_id=deployments[started], parameters=parameters
            )
            trigger = on_event(event, resource)
            core = AutomationCore(name=title, trigger=trigger, actions=[run])
        _replace(client, title, core)


def apply_notifications(recipe: Recipe, name: str, retrain: UUID) -> None:
    """Who is told what of the recipe's runs.

    Raises:
        DeployError: the recipe's block is not there, or the address cannot be used.
    """
    title = f"refit: tells of retrain/{name}"
    block = find_block(recipe) if recipe.notify.on else None
    with get_client(sync_client=True) as client:
        core = None if block is None else notification(recipe, title, retrain, block)
        _replace(client, title, core)


def notification(recipe: Recipe, title: str, retrain: UUID, block: UUID) -> AutomationCore:
    """One line that says what happened, and one link."""
    wanted = set(recipe.notify.on)
    states = (state for on, names in STATES.items() if on in wanted for state in names)
    expect = {f"prefect.flow-run.{state}" for state in states}
    if "refused_in_a_row" in wanted:
        expect.add(streak.EVENT)
    deployment = {
        "prefect.resource.role": "deployment",
        "prefect.resource.id": f"prefect.deployment.{retrain}",
    }
    return AutomationCore(
        name=title,
        trigger=EventTrigger(
            expect=expect,
            match_related=ResourceSpecification(deployment),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(seconds=0),
        ),
        actions=[
            SendNotification(
                block_document_id=block,
                subject=f"refit {recipe.name}",
                body=f"{recipe.name}: {SAID} {ui_url()}/runs/flow-run/{RUN_ID}",
            )
        ],
    )


def find_block(recipe: Recipe) -> UUID | None:
    """The notification block to use; None, and a warning where somebody wanted one: nobody is told.

    Raises:
        DeployError: the recipe names one that is not there, or the address is none.
    """
    if recipe.notify.block is not None:
        kind, _, name = recipe.notify.block.partition("/")
        with get_client(sync_client=True) as client:
            try:
                return client.read_block_document_by_name(name, kind).id
            except ObjectNotFound as exc:
                raise DeployError(
                    f"{recipe.name}: notify.block {recipe.notify.block!r} is not on this Prefect "
                    "server; create it under Blocks, or leave it out and set REFIT_NOTIFY_URL"
                ) from exc
    if url := notify_url():
        # Said, because Prefect takes a thread in which a loop runs for one that awaits.
        return UUID(str(block_for(url).save(BLOCK, overwrite=True, _sync=True)))  # type: ignore[call-arg]
    if "notify" in recipe.model_fields_set:
        log.warning("%s: nobody is told of its runs; set REFIT_NOTIFY_URL", recipe.name)
    return None


def block_for(url: str) -> NotificationBlock:
    """The block for an address; the address is kept encrypted, and never shown.

    Slack's block hands every address that Apprise knows to Apprise. Prefect's own block for webhooks
    is not used: the server logs its errors, and these hold the whole address.

    Raises:
        DeployError: it is neither http(s) nor known to Apprise.
    """
    from apprise import Apprise

    is_webhook = url.startswith(("http://", "https://")) and "://hooks.slack" not in url
    address = webhook_address(url) if is_webhook else url
    if Apprise.instantiate(address) is None:
        raise DeployError(
            "REFIT_NOTIFY_URL is no address that can be told: give https://..., a Slack webhook, "
            "or one that Apprise knows, e.g. mailto://user:password@host"
        )
    return SlackWebhook(url=SecretStr(address))


def webhook_address(url: str) -> str:
    """Apprise's way to write a webhook to which `{"text": ..., "subject": ...}` is posted.

    Source: https://github.com/caronc/apprise/wiki/Notify_Custom_JSON; `-name` goes into the query,
    `:name` renames a field, or drops it. Names and values are decoded twice.
    """
    parts = urlsplit(url)
    asked = [(f"-{quote(k, '')}", v) for k, v in parse_qsl(parts.query, keep_blank_values=True)]
    fields = {"message": "text", "title": "subject", "version": "", "type": "", "attachments": ""}
    asked += [(f":{name}", becomes) for name, becomes in fields.items()]
    query = "&".join(f"{quote(name, '')}={quote(quote(value, ''), '')}" for name, value in asked)
    scheme = {"http": "json", "https": "jsons"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path or "/", query, ""))


def on_event(event: str, resource_id: str) -> EventTrigger:
    """Fires each time that the event comes of that resource."""
    return EventTrigger(
        expect={event},
        match=ResourceSpecification({"prefect.resource.id": resource_id}),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(seconds=0),
    )


def ui_url() -> str:
    """Where people reach Prefect's pages: PREFECT_UI_URL, or the server's own address."""
    settings = get_current_settings()
    return (settings.ui_url or str(settings.api.url).removesuffix("/api")).rstrip("/")


def _replace(client: SyncPrefectClient, title: str, core: AutomationCore | None) -> None:
    for old in client.read_automations_by_name(title):
        client.delete_automation(old.id)
    if core is not None:
        client.create_automation(core)
