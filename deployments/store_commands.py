"""Commands about the whole store: verify, gc and copy."""

from datetime import UTC, datetime

from deployments import screen
from deployments.exits import Exit, UsageError
from records.address import holds_userinfo
from tasks.copies import copy_store
from tasks.garbage import Fate, collect, find_garbage
from tasks.lease import AlreadyRunning
from tasks.place import Place
from tasks.store import open_store
from tasks.verify import find_all_damage, set_aside


def verify_store(place: Place, is_set_aside: bool, as_json: bool) -> Exit:
    """Check every byte; on request set aside what a rerun can make anew."""
    store, found, num_mended = place.open(), [], 0
    with place.scratch() as scratch:
        for damage in find_all_damage(store, scratch):
            found.append(damage)
        for damage in found if is_set_aside else ():
            num_mended += set_aside(store, damage, datetime.now(UTC), scratch)
    if as_json:
        screen.print_json({"damage": [damage.model_dump() for damage in found]})
    else:
        for damage in found:
            screen.print_error(f"{store.uri}/{damage.key}: {damage.what}")
            screen.out.print(f"  mend: {damage.mend}", markup=False)
        screen.out.print(
            f"{len(found)} damaged, {num_mended} of them mended or set aside"
            if found
            else "verified: every object holds",
        )
    return Exit.FAULT if len(found) > num_mended else Exit.DONE


def collect_garbage(place: Place, is_acting: bool, as_json: bool) -> Exit:
    """Say what nothing needs; on request mark it, and remove what was marked a week ago."""
    store, now = place.open(), datetime.now(UTC)
    try:
        if is_acting:
            with place.scratch() as scratch:
                fates = collect(store, now, scratch)
        else:
            fates, _ = find_garbage(store, now)
    except AlreadyRunning as exc:
        screen.print_error(str(exc))
        return Exit.ALREADY_RUNNING
    if as_json:
        screen.print_json([fate.model_dump() for fate in fates])
        return Exit.DONE
    screen.print_table(
        "Not needed by any ledger or run",
        ("what", "objects", "since", "now"),
        ((f.unit, f.num_objects, f.first_seen, _said(f, is_acting)) for f in fates),
    )
    if not is_acting:
        screen.out.print("nothing was changed; `refit gc --yes` does it")
    return Exit.DONE


def _said(fate: Fate, is_acting: bool) -> str:
    if fate.is_removed:
        return "moved to the trash"
    if fate.is_due:
        return "kept: in use meanwhile" if is_acting else "would be moved to the trash"
    return "marked; goes after seven days" if is_acting else "would be marked"


def copy_objects(place: Place, source: str, target: str, as_json: bool) -> None:
    """Copy everything from one address to another, and say how much that was.

    Raises:
        UsageError: an address with a name or password in it.
        CopyRefused: nothing is there to copy, or something where the copy should be.
    """
    if holds_userinfo(source) or holds_userinfo(target):
        raise UsageError("an address holds a name or password; boto3 takes its own variables")
    with place.scratch() as scratch:
        num = copy_store(open_store(source, place.s3), open_store(target, place.s3), scratch)
    if as_json:
        screen.print_json({"objects": num, "source": source, "target": target})
    else:
        screen.out.print(f"{num} objects copied to {target}", markup=False)
