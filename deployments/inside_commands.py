"""Commands that look inside the champion: features, why."""

from typing import Any

from deployments import screen
from deployments.exits import Exit, UsageError
from deployments.model_commands import find_entry
from records.attribution import Attribution
from records.ledger import LedgerEntry
from records.task import TASKS, Task
from tasks.ledger import claimed_task
from tasks.place import Place

WIDTH = 24
"""Characters of the longest bar."""


def features(place: Place, name: str, text: str, as_json: bool) -> None:
    """Last hidden states and pooled vectors of a text."""
    from models.predict import Classifier
    from models.text_features import body_features, text_features
    from tasks.train import model_folder

    entry, task = _find(place, name, text)
    folder = model_folder(place, entry.model_uri)
    if TASKS[task].has_labels:
        found = text_features(Classifier.load(folder), text)
    else:
        found = body_features(folder, text)
    if as_json:
        screen.print_json(
            {
                "name": name,
                "version": entry.version,
                "tokens": found.tokens,
                "last_hidden_state": found.hidden_TW.tolist(),
                "pooled": {kind: vector.tolist() for kind, vector in found.pooled.items()},
            }
        )
        return
    num_tokens, width = found.hidden_TW.shape
    screen.print_pairs({"model": f"{name}, version {entry.version}"})
    screen.print_table(
        f"Last hidden states: {num_tokens} tokens of {width} numbers; --json gives them all",
        ("token", "norm", "begins with"),
        (
            (token, f"{float((row**2).sum()) ** 0.5:.3f}", _begin(row))
            for token, row in zip(found.tokens, found.hidden_TW, strict=True)
        ),
    )
    screen.print_table(
        "Vectors of the whole text",
        ("pooled", "size", "begins with"),
        ((kind, len(vector), _begin(vector)) for kind, vector in found.pooled.items()),
    )


def why(place: Place, name: str, text: str, label: str | None, as_json: bool) -> Exit:
    """What each part of a text adds to the champion's answer."""
    from models.predict import Classifier
    from models.why import attribute
    from tasks.train import model_folder

    if not TASKS[claimed_task(place.open(), name)].has_labels:
        return _why_written(place, name, text, label, as_json)
    entry, _ = _find(place, name, text)
    classifier = Classifier.load(model_folder(place, entry.model_uri))
    if label is not None and label not in classifier.labels:
        raise UsageError(f"--label {label!r} is none of {name}'s: {', '.join(classifier.labels)}")
    found = attribute(classifier, text, label)
    if as_json:
        screen.print_json(
            {
                "name": name,
                "version": entry.version,
                **found.model_dump(mode="json"),
                "pieces": [
                    {"text": text[p.start : p.end], **p.model_dump(mode="json")}
                    for p in found.pieces
                ],
                "is_complete": found.is_complete,
            }
        )
    else:
        _show(text, found)
    return Exit.DONE if found.is_complete else Exit.FAULT


def _why_written(place: Place, name: str, text: str, label: str | None, as_json: bool) -> Exit:
    """What each word does for what the champion writes."""
    from models.occlusion import load_answerer, occlude
    from tasks.train import model_folder

    entry, task = _find(place, name, text)
    if label is not None:
        raise UsageError(f"--label {label!r}: {name!r} is made for {task}, which has no labels")
    found = occlude(load_answerer(task, model_folder(place, entry.model_uri)), text)
    parts = [(found.asked[p.start : p.end], p) for p in found.pieces]
    if as_json:
        pieces = [{"text": part, **p.model_dump(mode="json")} for part, p in parts]
        screen.print_json(
            {"name": name, "version": entry.version, **found._asdict(), "pieces": pieces}
        )
        return Exit.DONE
    largest = max((abs(p.value) for p in found.pieces), default=0.0) or 1.0
    screen.print_pairs({"answer": found.answer, "costs": f"{found.nats:.3f} nats"})
    screen.print_table(
        "What the answer costs more where a word is left out",
        ("word", "nats", ""),
        ((part, f"{p.value:+.3f}", _bar(p.value / largest)) for part, p in parts),
    )
    return Exit.DONE


def _show(text: str, found: Attribution) -> None:
    largest = max((abs(p.value) for p in found.pieces), default=0.0) or 1.0
    screen.print_pairs({"answer": found.label, "probability": f"{found.probability:.4f}"})
    screen.print_table(
        "Log-odds that each part adds",
        ("part", "adds", ""),
        ((text[p.start : p.end], f"{p.value:+.3f}", _bar(p.value / largest)) for p in found.pieces),
    )
    total = found.score - found.blank_score
    screen.print_pairs(
        {
            "sum": f"{sum(p.value for p in found.pieces):+.3f} of {total:+.3f}, from "
            f"{found.blank_score:+.3f} for a blank text to {found.score:+.3f}",
            "checked": f"off by {found.gap:.4f}, allowed {found.tolerance:.4f} "
            f"({found.num_steps} points)",
        }
    )
    if not found.is_complete:
        screen.print_warning("the parts do not add up to the answer; do not read them as reasons")


def _bar(share: float) -> str:
    return ("+" if share > 0 else "-") * round(WIDTH * abs(share))


def _begin(vector: Any) -> str:
    return " ".join(f"{float(value):+.3f}" for value in vector[:4]) + " ..."


def _find(place: Place, name: str, text: str) -> tuple[LedgerEntry, Task]:
    """The champion's ledger entry and its task; raises UsageError for a text that is none."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"{text[:80]!r} is not UTF-8 text; convert it first") from exc
    return find_entry(place, name, "champion"), claimed_task(place.open(), name)
