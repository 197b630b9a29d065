"""Reconcile: make the registry's alias say what the ledger says, and look again."""

import logging

from prefect import task

from records.ledger import LedgerEntry
from tasks.ledger import LedgerCorrupt, LedgerError, champion, claimed_task, history
from tasks.objects import Store
from tasks.payload import open_folder
from tasks.place import Place
from tasks.projection import note_version
from tasks.registry import TAG_DIGEST, Registry
from tasks.retries import RETRIED

log = logging.getLogger("refit")

MAX_LOOKS = 5


class LedgerBehindMirror(LedgerCorrupt):
    """The registry has seen an entry that the ledger does not hold: its tail was cut."""


class AliasWithoutLedger(LedgerError):
    """The registry names a champion that no ledger entry explains."""


@task(name="reconcile", task_run_name="make the alias in MLflow follow the ledger", **RETRIED)
def reconcile(place: Place, name: str) -> str:
    """Set alias and mirror from the ledger until both agree; the mended version, or empty.

    Returns:
        The champion's version; empty for none.

    Raises:
        LedgerBehindMirror: the registry has seen more than the ledger holds.
        AliasWithoutLedger: there is an alias and no ledger.
        LedgerCorrupt: the ledger does not hold.
    """
    store, registry = place.open(), Registry(place)
    for _ in range(MAX_LOOKS):
        entries = mirrored_history(store, registry, name)
        if not entries:
            return ""
        live = champion(entries)
        version = _project(place, store, registry, name, live)
        registry.mirror_head(name, entries[-1])
        if live is not None:
            note_version(store, name, live, version)
        if registry.alias_version(name) == version and len(history(store, name)) == len(entries):
            return version
    raise ConnectionError(f"the alias of {name!r} did not settle in {MAX_LOOKS} looks; run again")


def mirrored_history(store: Store, registry: Registry, name: str) -> tuple[LedgerEntry, ...]:
    """Every entry, oldest first; it is sure that they hold all that the registry has seen.

    The registry is asked first: what it has seen by then was in the ledger before, so that somebody
    else's promotion in between is no cut tail.

    Raises:
        LedgerBehindMirror: the registry has seen more than the ledger holds.
        AliasWithoutLedger: there is an alias and no ledger.
        LedgerCorrupt: the ledger does not hold.
    """
    sequence, hash_ = registry.mirrored_head(name)
    version = registry.alias_version(name)
    entries = history(store, name)
    if sequence > len(entries) or (sequence and entries[sequence - 1].digest != hash_):
        raise LedgerBehindMirror(
            f"the registry has seen entry {sequence} ({hash_[:12]}) of {name!r}, the ledger holds "
            f"{len(entries)}; restore ledger/{name}/ from a backup; nothing was changed"
        )
    if version and not entries:
        raise AliasWithoutLedger(
            f"models:/{name}@champion is version {version}, but no ledger entry says so; "
            f"take it in with `refit adopt {name} {version}`"
        )
    return entries


def _project(
    place: Place, store: Store, registry: Registry, name: str, live: LedgerEntry | None
) -> str:
    """Make the alias name the champion's version; returns that version."""
    if live is None:
        if registry.alias_version(name):
            registry.set_alias(name, "")
        return ""
    version = _version_of(place, store, registry, name, live)
    if registry.alias_version(name) != version:
        registry.set_alias(name, version)
        log.info("alias %s@champion -> version %s", name, version)
    return version


def _version_of(
    place: Place, store: Store, registry: Registry, name: str, live: LedgerEntry
) -> str:
    """The version with the champion's digest, registered again from the store where it is gone."""
    versions = registry.versions(name)
    by_number = {str(v.version): v for v in versions}
    noted = by_number.get(live.version)
    if noted is not None and noted.tags.get(TAG_DIGEST) == live.model_digest:
        return live.version
    found = registry.find_version(name, live.model_digest)
    if found is not None:
        return str(found.version)
    log.warning("version %s of %s is not in the registry; registering it again", live.version, name)
    folder = open_folder(store, live.model_uri, place.cache)
    return registry.register(
        name=name,
        model_path=folder,
        model_digest=live.model_digest,
        run_id="",
        task=claimed_task(store, name),
        description="Registered again from the store by `refit reconcile`.",
        tags={"refit.decision": live.decision_digest},
    )
