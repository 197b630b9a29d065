"""What people do to a ledger by hand: rollback, override, release, rebase, retire, adopt."""

import logging
import shutil
from pathlib import Path

from records.base import digest_of, file_sha256
from records.ledger import Action, LedgerEntry
from report.markdown import escape_markdown
from tasks.decide import read_decision
from tasks.ledger import (
    CROWNING,
    AliasBehind,
    LedgerError,
    NoRollback,
    append,
    champion,
    crowned_versions,
    history,
    is_held,
    never_champion,
    rollback_target,
)
from tasks.payload import has_folder, open_folder, put_folder
from tasks.place import Place
from tasks.promote import draft_entry
from tasks.reconcile import mirrored_history, reconcile
from tasks.registry import TAG_DIGEST, Registry
from tasks.retries import explain

log = logging.getLogger("refit")

MIN_DIGEST_CHARS = 8
"""A shorter name is a version's number."""


def roll_back(
    place: Place, name: str, *, to_version: str | None, actor: str, reason: str
) -> LedgerEntry:
    """Bring the latest earlier champion back, bar the present one, and hold promotions.

    Raises:
        NoRollback: there is nothing to go back to, or `to_version` names no earlier champion, or two.
    """
    entries = _checked(place, name)
    to_digest = _digest_of(place, name, entries, to_version) if to_version else None
    target = rollback_target(entries, to_digest)
    return _append(
        place,
        name,
        entries,
        draft_entry(
            action="rollback",
            version=target.version,
            model_digest=target.model_digest,
            model_uri=target.model_uri,
            train_key=target.train_key,
            actor=actor,
            reason=reason,
        ),
    )


def override(
    place: Place, name: str, decision_digest: str, *, actor: str, reason: str
) -> LedgerEntry:
    """Put the challenger of a decision live, whatever its verdict; the ledger says so.

    The one way past the gate. It never becomes the anchor, and lifts a rollback's bar on its model.

    Args:
        place: where things are.
        name: registered model.
        decision_digest: a stored decision about it.
        actor: the person who answers for it.
        reason: why.

    Raises:
        LedgerError: nobody is named or no reason given, or the model is champion already.
        DecisionError, MissingObject: there is no such decision, or its model is gone.
    """
    if not actor.strip() or not reason.strip():
        raise LedgerError("an override needs the name of who answers for it, and a reason")
    store, registry = place.open(), Registry(place)
    entries = mirrored_history(store, registry, name)
    record = read_decision(store, name, decision_digest).record
    digest = record.challenger.model_digest
    has_folder(store, f"models/{digest}")  # it is pinned: gc leaves it alone from now on
    live = champion(entries)
    if live is not None and live.model_digest == digest:
        raise LedgerError(f"version {live.version} of {name!r} is that model; it is live already")
    version = registry.register(
        name=name,
        model_path=open_folder(store, f"models/{digest}", place.cache),
        model_digest=digest,
        run_id="",
        task=record.task,
        description=override_card(actor, reason),
        tags={"refit.decision": decision_digest},
    )
    draft = draft_entry(
        action="override",
        version=version,
        model_digest=digest,
        model_uri=f"models/{digest}",
        decision_digest=decision_digest,
        actor=actor,
        approver=actor,
        reason=reason,
    )
    return _append(place, name, entries, draft)


def override_card(actor: str, reason: str) -> str:
    """What the version's page says instead of a model card, in Markdown."""
    said = f"{escape_markdown(actor)}: {escape_markdown(reason)}"
    return f"Went live by override, against the gate: {said}"


def release(place: Place, name: str, *, actor: str, reason: str) -> LedgerEntry:
    """Lift the hold that a rollback set; raises LedgerError where nothing is held."""
    entries = _checked(place, name)
    if not is_held(entries):
        raise LedgerError(f"{name!r} is not held; there is nothing to release")
    return _append(place, name, entries, _same_champion("release", entries, actor, reason))


def rebase(place: Place, name: str, *, actor: str, reason: str) -> LedgerEntry:
    """Make today's champion the new anchor."""
    entries = _checked(place, name)
    if champion(entries) is None:
        raise LedgerError(f"{name!r} has no champion to make the anchor; promote one first")
    draft = _same_champion("rebase", entries, actor, reason, is_anchor=True)
    return _append(place, name, entries, draft)


def retire(place: Place, name: str, *, actor: str, reason: str) -> LedgerEntry:
    """Take the champion down without a successor: the alias is removed."""
    entries = _checked(place, name)
    if champion(entries) is None:
        raise LedgerError(f"{name!r} has no champion; there is nothing to retire")
    return _append(place, name, entries, draft_entry(action="retire", actor=actor, reason=reason))


def adopt(place: Place, name: str, version: str, *, actor: str, reason: str) -> LedgerEntry:
    """Take a production model that was there before refit in, as the ledger's first entry.

    Raises:
        LedgerError: the ledger has entries already.
        RegistryError: the version cannot be fetched.
        UnknownBase: it is not a classifier in safetensors.
    """
    from models.predict import Classifier

    store, registry = place.open(), Registry(place)
    if history(store, name):
        raise LedgerError(f"{name!r} has a ledger already; only a first entry can adopt")
    with place.scratch() as scratch:
        folder = assemble(registry.download_version(name, version, scratch / "version"))
        Classifier.load(folder)
        digest = digest_of({p.name: file_sha256(p) for p in sorted(folder.iterdir())})
        put_folder(store, f"models/{digest}", folder)
    registry.tag_version(name, version, TAG_DIGEST, digest)
    draft = draft_entry(
        action="adopt",
        version=version,
        model_digest=digest,
        model_uri=f"models/{digest}",
        is_anchor=True,
        actor=actor,
        reason=reason,
    )
    return _append(place, name, (), draft)


def assemble(version_folder: Path) -> Path:
    """One transformers folder out of MLflow's `model/` and `components/tokenizer/`."""
    model = version_folder / "model"
    tokenizer = version_folder / "components" / "tokenizer"
    if not model.is_dir():
        return version_folder
    if tokenizer.is_dir():
        for file in tokenizer.iterdir():
            shutil.copy2(file, model / file.name)
    return model


def _digest_of(place: Place, name: str, entries: tuple[LedgerEntry, ...], meant: str) -> str:
    """The champion that a person means by a number, of ledger or registry, or by its digest."""
    digests = {entry.model_digest for entry in entries if entry.action in CROWNING}
    found = set(crowned_versions(entries, meant))
    for version in Registry(place).versions(name):
        if str(version.version) == meant:
            found |= digests & {version.tags.get(TAG_DIGEST)}
    if len(meant) >= MIN_DIGEST_CHARS:
        found |= {digest for digest in digests if digest.startswith(meant)}
    if not found:
        raise never_champion(entries, f"version {meant!r}")
    if len(found) > 1:
        models = " and ".join(digest[:12] for digest in sorted(found))
        raise NoRollback(
            f"{meant!r} means two models of {name!r}, {models}: the registry was lost and gave the "
            "number again; name one by its digest"
        )
    return found.pop()


def _same_champion(
    action: Action,
    entries: tuple[LedgerEntry, ...],
    actor: str,
    reason: str,
    is_anchor: bool = False,
) -> LedgerEntry:
    live = champion(entries)
    return draft_entry(
        action=action,
        version=live.version if live else "",
        model_digest=live.model_digest if live else "",
        model_uri=live.model_uri if live else "",
        is_anchor=is_anchor,
        train_key=live.train_key if live else "",
        actor=actor,
        reason=reason,
    )


def _checked(place: Place, name: str) -> tuple[LedgerEntry, ...]:
    entries = mirrored_history(place.open(), Registry(place), name)
    if not entries:
        raise LedgerError(
            f"{name!r} has no ledger; `refit run` a recipe or `refit adopt` a version"
        )
    return entries


def _append(
    place: Place, name: str, entries: tuple[LedgerEntry, ...], draft: LedgerEntry
) -> LedgerEntry:
    head = entries[-1] if entries else None
    entry = append(place.open(), name, draft, decided_against=head)
    try:
        reconcile.fn(place, name)
    except Exception as exc:
        said = f"version {entry.version}" if entry.version else "no version"
        raise AliasBehind(
            f"the {entry.action} of {name!r} ({said}) is in the ledger as entry {entry.sequence}, but "
            f"MLflow's alias does not follow yet: {explain(exc)}\nDo not ask for it again, which would "
            f"do it twice: `refit reconcile {name}` brings the alias"
        ) from exc
    return entry
