"""Publish: the decision as a page, in the store, in MLflow, and as Prefect artifacts."""

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from prefect import artifacts, task
from pydantic import ValidationError

from data_checks.items import as_items
from models.corpus import CORPUS_METRICS, as_array
from records.attribution import Reason
from records.data import DataRef
from records.document import DecisionDocument
from records.evaluation import Evaluation
from records.scores import Scorecard
from records.task import TASKS, Task
from report.markdown import (
    escape_markdown,
    evaluation_markdown,
    evaluation_sentence,
    markdown_table,
    summary_markdown,
    summary_rows,
)
from report.page import render
from report.view import Written, answers, halves, scorecards, truth
from tasks.check import read_split
from tasks.evaluate import ScoringCrashed, outputs_key, run_fresh
from tasks.objects import MissingObject, Store, StoreError
from tasks.payload import open_folder
from tasks.place import Place
from tasks.registry import Registry
from tasks.retries import RETRIED, patient
from tasks.stamped import read_stamped

log = logging.getLogger("refit")

NUM_SHOWN_FLIPS = 60
NUM_REASONS = 10

create_markdown_artifact = patient(artifacts.create_markdown_artifact)


@task(name="report", task_run_name="write the report", **RETRIED)
def publish(place: Place, document: DecisionDocument) -> str:
    """Write the report of a decision everywhere that people look.

    Returns:
        Path of the page on this machine.
    """
    store = place.open()
    name, digest = document.file.record.name, document.decision_digest
    texts, written = shown_texts(place, document)
    page = render(document, texts, written, reasons(place, document, texts, written))
    folder = Path(place.home) / "reports" / name / digest[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(page, "utf-8", errors="replace")
    (folder / "document.json").write_bytes(document.to_json())
    run_id = document.train.mlflow_run_id
    registry = Registry(place)
    registry.log_cost(run_id, document.total)
    registry.log_artifacts(run_id, folder, f"decisions/{digest[:12]}")
    show_decision(document, report_links(place, document))
    key = report_key(name, digest)
    store.write(key.replace("document.json", "report.html"), page.encode("utf-8", "replace"))
    store.write(key, document.to_json())  # last: where it is, everything else was written
    return str(path)


def show_decision(document: DecisionDocument, links: Mapping[str, str]) -> None:
    """The decision and its rules as artifacts, where Prefect's users look."""
    name = document.file.record.name
    create_markdown_artifact(
        summary_markdown(document, links),
        key=artifact_key(name, "decision"),
        description=escape_markdown(document.file.decision.summary),
    )
    create_markdown_artifact(  # a table artifact is Markdown in one of Prefect's pages only
        markdown_table(summary_rows(document)),
        key=artifact_key(name, "rules"),
        description=f"The gate's rules for {escape_markdown(name)}",
    )


def report_key(name: str, decision_digest: str) -> str:
    """Key of a decision's document, which is there when its report is finished."""
    return f"reports/{name}/{decision_digest}/document.json"


def read_document(store: Store, name: str, decision_digest: str) -> DecisionDocument | None:
    """A decision's document, as it was last published; None: there is none whose decision holds."""
    try:
        document = DecisionDocument.from_json(store.read(report_key(name, decision_digest)))
    except (MissingObject, ValidationError):
        return None
    return document if document.file.digest == decision_digest else None


def report_links(place: Place, document: DecisionDocument) -> dict[str, str]:
    """Where to read on about a decision: title -> address; the report's own path without a server."""
    registry, name = Registry(place), document.file.record.name
    own = Path(place.home) / "reports" / name / document.decision_digest[:12] / "report.html"
    return {
        "Whole report": document.report_uri if registry.has_pages else own.as_uri(),
        "Model in production": registry.version_url(name, document.model_version),
        "Training in MLflow": registry.run_url(document.train.mlflow_run_id),
    }


def shown_texts(place: Place, document: DecisionDocument) -> tuple[dict[str, str], Written]:
    """Texts of the flips that the page shows, by item id, and the answers where those are texts."""
    store, record = place.open(), document.file.record
    wanted = {
        item
        for compared in document.file.decision.comparisons
        for part in halves(compared, has_labels=TASKS[document.data.task].has_labels)
        for item in part[:NUM_SHOWN_FLIPS]
    } | set(worst_flips(document))
    test = read_split(store, document.data.split("test"), place.cache)
    rows = as_items(test, document.data.task)
    rows = rows[rows["item_id"].isin(wanted)].set_index("item_id")
    texts = {str(item): str(text) for item, text in rows["text"].items()}
    if "references" not in rows:
        return texts, Written()
    right = {str(item): "\n".join(found) for item, found in rows["references"].items()}
    by_role = {card.role: _outputs(store, card, wanted) for card in scorecards(record)}
    return texts, Written(right, by_role)


def _losses(card: Scorecard) -> dict[str, str]:
    """What each text costs a model that writes none."""
    name, rows = next(iter(card.statistics.items()), ("", ()))
    values = CORPUS_METRICS[name].value(as_array(rows)) if rows else ()
    said = (f"{name.replace('_', ' ')} {value:.3f} nats" for value in values)
    return dict(zip(card.item_ids, said, strict=True))


def reasons(
    place: Place, document: DecisionDocument, texts: Mapping[str, str], written: Written
) -> Mapping[str, Reason]:
    """Which words led the challenger to its worst new mistakes; nothing where that fails.

    For labels by gradients, for answers in words by leaving each of the first `MOST_WORDS` words out.
    """
    items = [item for item in worst_flips(document) if item in texts]
    given = written.by_role.get("challenger", {})
    has_labels = TASKS[document.data.task].has_labels
    items = items if has_labels else [item for item in items if item in given]
    if not items:
        return {}
    log.info("asking the challenger about its %d worst new mistakes", len(items))
    try:
        folder = str(open_folder(place.open(), document.train.model_key, place.cache))
        with place.scratch() as scratch:
            found = _asked(document, folder, {item: texts[item] for item in items}, given, scratch)
    except (ScoringCrashed, StoreError) as exc:  # no reason is worth a lost report
        found = str(exc)
    if isinstance(found, str):
        log.warning("the report shows no reasons: %s", found)
        return {}
    return found


def _asked(
    document: DecisionDocument,
    folder: str,
    texts: dict[str, str],
    given: Mapping[str, str],
    scratch: Path,
) -> Mapping[str, Reason] | str:
    """The reasons that a fresh process finds, or why it finds none."""
    task = document.data.task
    if TASKS[task].has_labels:
        from models.why import WhyAnswer, WhyRequest

        labels = wrong_labels(document, list(texts))
        request = WhyRequest(model_path=folder, texts=texts, labels=labels)
        answer = run_fresh("models.why", request, scratch)
        return answer if isinstance(answer, str) else WhyAnswer.from_json(answer).attributions
    from models.occlusion import OcclusionAnswer, OcclusionRequest

    answers = {item: given[item] for item in texts}
    asked = OcclusionRequest(model_path=folder, task=task, texts=texts, answers=answers)
    answer = run_fresh("models.occlusion", asked, scratch)
    return answer if isinstance(answer, str) else OcclusionAnswer.from_json(answer).omissions


def worst_flips(document: DecisionDocument) -> list[str]:
    """Items that the challenger lost to the first model it was compared with, the worst first: of
    labels the surest, of answers in words those that lost most."""
    compared, facts = document.file.decision.comparisons, TASKS[document.data.task]
    if not compared or not facts.columns["label"]:
        return []
    lost, _ = halves(compared[0], has_labels=facts.has_labels)
    if facts.has_labels:
        card = document.file.record.challenger
        confidence = dict(zip(card.item_ids, card.confidence, strict=True))
        lost = tuple(sorted(lost, key=lambda item: -confidence.get(item, 0.0)))
    return list(lost[:NUM_REASONS])


def wrong_labels(document: DecisionDocument, items: Sequence[str]) -> dict[str, str]:
    """Of wrong sets a label that was given wrongly, else one that was missed, by item id; the model's
    first such label."""
    record = document.file.record
    if not record.items.has_label_sets:
        return {}
    true, given = (
        {i: record.items.labels_in(y) for i, y in known.items()}
        for known in (truth(record), answers(record.challenger))
    )
    found: dict[str, str] = {}
    for item in items:
        wrong = [name for name in given[item] if name not in true[item]]
        missed = [name for name in true[item] if name not in given[item]]
        known = [name for name in wrong + missed if name in record.challenger.model_labels]
        found |= {item: known[0]} if known else {}
    return found


def _outputs(store: Store, card: Scorecard, wanted: set[str]) -> dict[str, str]:
    """What a model wrote for some items; empty where it was erased, or its file is damaged."""
    if not card.predicted:
        return {item: said for item, said in _losses(card).items() if item in wanted}
    try:
        content = store.read(outputs_key(card))
    except MissingObject:
        return {}
    try:
        table = pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as exc:  # pyarrow's own errors are among them
        log.warning("%s is damaged, the page goes without it: %s", outputs_key(card), exc)
        return {}
    rows = table[table["item_id"].isin(wanted)]
    return dict(zip(rows["item_id"], rows["output"], strict=True))


def artifact_key(name: str, kind: str) -> str:
    """Prefect's keys take lower-case letters, digits and dashes only."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in f"{name}-{kind}".lower())


def publish_evaluation(
    place: Place, name: str, evaluation_key: str, metric: str, task: Task
) -> str:
    """Scores of the models in production on today's items, where Prefect's users look.

    Returns:
        The champion's score in one sentence.
    """
    evaluation = read_stamped(place.open(), evaluation_key, Evaluation)
    card = evaluation.card("champion")
    assert card is not None
    said = evaluation_sentence(card, metric)
    create_markdown_artifact(
        evaluation_markdown(name, evaluation, said, TASKS[task].shown),
        key=artifact_key(name, "evaluation"),
        description=escape_markdown(said),
    )
    return said


def publish_refused_data(data: DataRef, name: str) -> None:
    """A table of failed checks where Prefect's users look."""
    results = (r.model_dump(mode="json", exclude={"examples"}) for r in data.report.results)
    create_markdown_artifact(
        markdown_table(
            [
                {name.replace("_", " "): escape_markdown(str(value)) for name, value in row.items()}
                for row in results
            ]
        ),
        key=artifact_key(name, "checks"),
        description=f"Data checks of {escape_markdown(name)}: {'passed' if data.report.passed else 'refused'}",
    )
