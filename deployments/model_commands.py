"""Commands about a model that exists: lookup, predict, history, decisions, explain."""

import json
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from deployments import screen
from deployments.exits import Exit, UsageError
from models.gate import GATE_VERSION, decide
from records.document import DecisionFile
from records.ledger import LedgerEntry
from tasks.decide import find_decision, read_decision, read_index
from tasks.ledger import (
    LedgerError,
    anchor,
    champion,
    check_name,
    claimed_task,
    history,
    is_held,
    verify,
)
from tasks.live import latest_of_each
from tasks.place import Place
from tasks.projection import registered_version

BATCH = 256
MARKS = {"passed": "✓", "refused": "✗", "noted": "·"}


def lookup(place: Place, reference: str, as_json: bool) -> None:
    """Who is champion (or anchor), by the ledger."""
    name, _, alias = reference.partition("@")
    entry = find_entry(place, name, alias or "champion")
    store = place.open()
    entries = history(store, name)
    is_live = entry == champion(entries)
    version = registered_version(store, name, entry) if is_live else entry.version
    was = f"promoted as version {entry.version}, which the registry lost and holds as {version}"
    facts = {
        "name": name,
        "version": version,
        "uri": f"models:/{name}/{version}",
        "registered again": was if version != entry.version else "",
        "since": entry.time,
        "why": entry.reason,
        "actor": entry.actor,
        "model_digest": entry.model_digest,
        "decision": entry.decision_digest,
        "store": f"{place.store_uri}/{entry.model_uri}",
        "held": is_held(entries),
    }
    facts |= {
        f"live {metric}": f"{said.value:g} of version {said.version}, {said.time[:19]}"
        for metric, said in latest_of_each(store, name).items()
    }
    if as_json:
        screen.print_json(facts)
    else:
        screen.print_pairs({k: v for k, v in facts.items() if v})


def find_entry(place: Place, name: str, alias: str) -> LedgerEntry:
    """The ledger entry behind an alias; raises LedgerError where there is none."""
    entries = history(place.open(), name)
    finders = {"champion": champion, "anchor": anchor}
    if alias not in finders:
        raise LedgerError(f"{name}@{alias}: the ledger knows @champion and @anchor")
    entry = finders[alias](entries)
    if entry is None:
        check_known(place, name)
        raise LedgerError(
            f"{name!r} has no {alias}; `refit history {name}` and `refit decisions {name}` say why"
        )
    return entry


def check_known(place: Place, name: str) -> None:
    """Raise unless a ledger or a decision knows the model.

    Raises:
        UsageError: nobody has heard of it; says which names are close.
        LedgerError: the registry knows of it, and the ledger should.
    """
    check_name(name)
    known = known_names(place)
    if name in known:
        return
    _check_mirror(place, name)
    close = get_close_matches(name, known, n=1)
    others = (
        f"there are: {', '.join(known)}" if known else "there is none yet: `refit run` a recipe"
    )
    hint = f"did you mean {close[0]!r}?" if close else others
    raise UsageError(f"no model {name!r} is known in {place.store_uri}; {hint}")


def known_names(place: Place) -> list[str]:
    """Models that have a ledger or a decision."""
    store = place.open()
    return sorted({key.split("/")[1] for top in ("ledger", "decisions") for key in store.list(top)})


def predict(place: Place, name: str, texts: list[str], file: Path | None, as_json: bool) -> None:
    """What the champion answers to each text: a label with its probability, several, or a text."""
    from models.task_code import task_code
    from tasks.train import model_folder

    entry = find_entry(place, name, "champion")
    folder = model_folder(place, entry.model_uri)
    predictor = task_code(claimed_task(place.open(), name)).predictor(folder)
    answers = []
    for batch in _batches(texts, file):
        _check_encodable(batch)
        for answer in predictor.predict(batch):
            answers.append(answer)
            if not as_json:
                text, *said = answer.values()
                cells = [_cell(value) for value in (*said, text)]
                print("\t".join(screen.visible(cell, keep="") for cell in cells))
    if as_json:
        screen.print_json(answers)


def _cell(value: object) -> str:
    """A value of an answer: four decimals of a number, JSON of a list."""
    if isinstance(value, list):
        rounded = [round(v, 4) if isinstance(v, float) else v for v in value]
        return json.dumps(rounded, ensure_ascii=False)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _batches(texts: list[str], file: Path | None) -> Iterator[list[str]]:
    """Texts from arguments, a file or stdin, streamed."""
    if texts:
        yield texts
        return
    if file is None and sys.stdin.isatty():
        screen.err.print("one text a line; Ctrl-D ends")
    try:
        with file.open(encoding="utf-8") if file else sys.stdin as lines:
            batch: list[str] = []
            for line in lines:
                batch.append(line.rstrip("\n"))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file or 'stdin'} cannot be read as UTF-8 text: {exc}") from exc


def _check_encodable(texts: Iterable[str]) -> None:
    """Raise UsageError on bytes that Python smuggled through arguments or stdin as surrogates."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise UsageError(f"{text[:80]!r} is not UTF-8 text; convert it first") from exc


def show_history(place: Place, name: str, is_verified: bool, as_json: bool) -> Exit:
    """The ledger, and on request whether it holds."""
    store = place.open()
    problems: list[str] = []
    if is_verified:
        problems = verify(store, name)
        if not problems:
            problems = _mirror_problems(place, name)
    entries = () if problems else history(store, name)
    if not entries and not problems:
        check_known(place, name)
    if as_json:
        screen.print_json(
            {"entries": [e.model_dump(mode="json") for e in entries], "problems": problems}
        )
    else:
        screen.print_table(
            f"Ledger of {name}",
            ("#", "time", "action", "version", "model", "by", "reason"),
            (
                (e.sequence, e.time, e.action, e.version, e.model_digest[:8], e.actor, e.reason)
                for e in entries
            ),
        )
        if is_verified:
            for problem in problems:
                screen.print_error(problem)
            if not problems:
                screen.out.print(f"verified: {len(entries)} entries, an unbroken chain")
    return Exit.FAULT if problems else Exit.DONE


def _check_mirror(place: Place, name: str) -> None:
    """Raises LedgerError where the registry has seen what the ledger does not hold."""
    from tasks.reconcile import mirrored_history
    from tasks.registry import Registry

    mirrored_history(place.open(), Registry(place), name)


def _mirror_problems(place: Place, name: str) -> list[str]:
    try:
        _check_mirror(place, name)
    except LedgerError as exc:
        return [str(exc)]
    return []


def decisions(place: Place, name: str, as_json: bool) -> None:
    """Every decision, refusals too."""
    index = read_index(place.open(), name)
    if not index:
        check_known(place, name)
    if as_json:
        screen.print_json([e.model_dump(mode="json") for e in index])
        return
    screen.print_table(
        f"Decisions about {name}",
        ("time", "decision", "verdict", "challenger", "summary"),
        (
            (e.time, e.decision_digest[:12], e.verdict, e.challenger_digest[:8], e.summary)
            for e in index
        ),
    )


def explain(place: Place, what: str, as_json: bool) -> Exit:
    """Replay a decision from its record, and compare."""
    name, digest = _find(place, what)
    file = read_decision(place.open(), name, digest)
    state = replay(file)
    if as_json:
        screen.print_json({"replay": state, **file.decision.model_dump(mode="json")})
    else:
        _show_decision(file, name, digest, state)
    return Exit.DONE if state != "differs" else Exit.FAULT


def replay(file: DecisionFile) -> str:
    """`reproduces`, `differs`, or why it cannot be replayed."""
    if file.record.gate_version != GATE_VERSION:
        return f"cannot be replayed: gate version {file.record.gate_version}, here {GATE_VERSION}"
    return "reproduces" if decide(file.record) == file.decision else "differs"


def _find(place: Place, what: str) -> tuple[str, str]:
    """Model and decision digest of DECISION, NAME or NAME:VERSION."""
    name, _, version = what.partition(":")
    store = place.open()
    if name not in known_names(place):
        if not is_digest(what):
            check_known(place, name)
        return find_decision(store, what)
    entries = history(store, name)
    live = champion(entries)
    wanted = version or (live.version if live else "")
    for entry in reversed(entries):
        is_live = live is not None and entry.model_digest == live.model_digest
        if (entry.version == version if version else is_live) and entry.decision_digest:
            return name, entry.decision_digest
    which = f"version {wanted} of {name!r}" if wanted else f"a version of {name!r}"
    raise LedgerError(f"no decision made {which} champion; see `refit decisions {name}`")


def is_digest(text: str) -> bool:
    """Whether it can be the beginning of a decision's digest."""
    return 4 <= len(text) <= 64 and set(text) <= set("0123456789abcdef")


def _show_decision(file: DecisionFile, name: str, digest: str, state: str) -> None:
    decision = file.decision
    outcome = "promoted" if decision.verdict == "promote" else "refused"
    screen.print_outcome(outcome, decision.summary)
    screen.print_table(
        "",
        ("", "rule", "finding"),
        ((MARKS[f.state], f.rule, f.reason) for f in decision.findings),
    )
    screen.print_pairs(
        {
            "model": name,
            "decision": digest,
            "challenger": file.record.challenger.model_digest,
            "test items": len(file.record.items.item_ids),
            "replay": f"{state} (gate version {decision.gate_version})",
        }
    )


def show_change(entry: LedgerEntry, as_json: bool, hint: str = "") -> None:
    """What was written into the ledger."""
    if as_json:
        screen.print_json(entry.model_dump(mode="json"))
        return
    what = f"version {entry.version}" if entry.version else "no version"
    screen.out.print(f"entry {entry.sequence}: {entry.action}; {what} is champion now")
    if hint:
        screen.out.print(hint)
