"""Where everything came from: data, power, lineage, recipe."""

import json
from urllib.parse import urlsplit

from records.data import SPLITS, CheckResult, DataRef, RowRef
from records.document import DecisionDocument
from records.task import TASKS
from records.text import NORMALISE_VERSION
from report.charts import bar
from report.figures import count, counted, metric_name, moment, percent, plain
from report.html import Html, code, details, el, join, note, own_text, pairs, table

MAX_LABELS = 12
NUM_EXAMPLES = 10


def data(document: DecisionDocument) -> Html:
    """Rows in, kept and dropped by reason, splits by label, checks and files."""
    found = document.data
    return join(
        _quarantine(found),
        *[note("Warning: ", own_text(warning)) for warning in found.report.warnings],
        el("h3", "Splits"),
        _splits(document),
        el("h3", "Checks"),
        _checks(found),
        _files(found),
    )


def _quarantine(found: DataRef) -> Html:
    report = found.report
    total = report.num_in or 1
    dropped = sum(report.dropped.values())
    parts = [("kept", report.num_kept)]
    parts += [(f"dropped: {reason}", n) for reason, n in sorted(report.dropped.items())]
    rows = [
        (own_text(name), count(n), percent(n / total), bar(n / total, name)) for name, n in parts
    ]
    lost = report.num_in - report.num_kept - dropped
    balance = (
        f"{counted(abs(lost), 'row')} unaccounted for." if lost else "Every row is accounted for."
    )
    words = f"{counted(report.num_in, 'row')} in, {count(report.num_kept)} kept, {count(dropped)} in the quarantine. {balance}"
    heads = ("Rows", "Number", "Share", "Picture")
    return join(note(words), table(heads, rows, numeric=frozenset({1, 2}), class_="bars"))


def _splits(document: DecisionDocument) -> Html:
    splits = {ref.split: ref for ref in document.data.splits}
    present = [splits[name] for name in SPLITS if name in splits]
    heads = ("", *(ref.split.capitalize() for ref in present))
    numeric = frozenset(range(1, len(heads)))
    cut = document.train.num_truncated
    totals = [
        ("rows", *(count(ref.num_rows) for ref in present)),
        ("groups of one text", *(count(ref.num_groups) for ref in present)),
        ("texts cut at the model's length", *(count(cut.get(ref.split, 0)) for ref in present)),
    ]
    labels = [
        (own_text(label), *(count(ref.num_by_label.get(label, 0)) for ref in present))
        for label in document.data.labels
    ]
    if not labels:
        return table(heads, totals, numeric=numeric)
    by_label = table(("Label", *heads[1:]), labels, numeric=numeric)
    if len(labels) > MAX_LABELS:
        by_label = details(f"Rows of each of the {count(len(labels))} labels", by_label)
    return join(table(heads, totals, numeric=numeric), by_label)


def _checks(found: DataRef) -> Html:
    results = sorted(found.report.results, key=lambda r: (r.passed, not r.blocking))
    if not results:
        return note("No check ran.")
    rows = [_check_row(result) for result in results]
    num_failed = sum(not result.passed for result in results)
    listing = table(("Check", "Result", "Observed", "Limit", "Failed rows"), rows)
    if num_failed:
        return join(note(f"{count(num_failed)} of {counted(len(rows), 'check')} failed."), listing)
    return details(f"All {counted(len(rows), 'check')} passed", listing)


def _check_row(result: CheckResult) -> tuple[str, ...]:
    state, words = ("passed", "✓ passed") if result.passed else ("refused", "✕ failed")
    kind = "" if result.blocking else " (warning)"
    name = join(own_text(result.name), " · " if result.column else None, own_text(result.column))
    examples = "; ".join(_place(ref) for ref in result.examples[:NUM_EXAMPLES])
    failed = join(
        count(result.num_failed), f": {examples}" if examples else None,
        el("div", result.next_step, dir="auto") if result.next_step and not result.passed else None,
    )  # fmt: skip
    mark = el("span", words, kind, class_=f"state {state}")
    return (name, mark, own_text(result.observed), own_text(result.limit), failed)


def _place(ref: RowRef) -> str:
    line = f" line {count(ref.line)}" if ref.line else ""
    column = f" column {ref.column}" if ref.column else ""
    return f"{ref.file}{line} row {count(ref.row)}{column}"


def _files(found: DataRef) -> Html:
    rows = [
        (own_text(file.uri), file.split or "by hash", count(file.num_rows), code(file.sha256))
        for file in found.snapshot.files
    ]
    listing = table(("File", "Split", "Rows", "sha256"), rows, numeric=frozenset({2}))
    return details(counted(len(rows), "source file"), listing)


def power(document: DecisionDocument) -> Html:
    """What this test set could show at all, said before training."""
    if not document.power:
        metric = metric_name(document.file.record.policy.metric)
        return note(f"No power was computed: {metric} has no wins and losses to count beforehand.")
    rows = [
        (
            percent(row.discordance, 0),
            count(row.num_items),
            percent(row.chance, 0),
            bar(row.chance, f"chance {percent(row.chance, 0)}"),
            row.say_items(document.file.record.policy.rule),
            percent(row.margin_for_80),
        )
        for row in document.power
    ]
    policy = document.file.record.policy
    heads = (
        "Models differ on",
        "Test items",
        "Chance to pass",
        "Picture",
        "Items for 80%",
        "Margin for 80%",
    )
    return join(
        note(
            "The chance that a model exactly as good as the champion passes "
            f"(rule {policy.rule.replace('_', '-')}, margin {percent(policy.margin)}), and the test "
            "items or the margin that would make it 80%."
        ),
        table(heads, rows, numeric=frozenset({0, 1, 2, 4, 5})),
    )


def lineage(document: DecisionDocument) -> Html:
    """Every digest and version that the decision rests on."""
    record, train = document.file.record, document.train
    base = join(own_text(train.base), " ", code(train.base_digest))
    known = (
        "known" if train.base_lineage_known else "not known: its test overlap cannot be ruled out"
    )
    ledger = f"entry {count(record.ledger_sequence)} " if record.ledger_sequence else "empty"
    rows: list[tuple[str, str | None]] = [
        ("Decided", moment(document.time)),
        ("By", own_text(document.actor) if document.actor else None),
        ("Model version", own_text(document.model_version) if document.model_version else None),
        ("MLflow", _link(document.mlflow_url)),
        ("Base model", base),
        ("The base's training data", known),
        ("Test items seen in training", _overlap(document)),
        ("Parity of the saved model", _parity(document)),
        (
            "Ledger head decided against",
            join(ledger, code(record.ledger_hash) if record.ledger_hash else None),
        ),
    ]
    return join(pairs(rows), _digests(document), _versions(document))


def _digests(document: DecisionDocument) -> Html:
    record, train = document.file.record, document.train
    named = [
        ("Decision", document.decision_digest),
        ("Challenger", record.challenger.model_digest),
        ("Champion", record.champion.model_digest if record.champion else ""),
        ("Anchor", record.anchor_digest),
        ("Snapshot", document.data.snapshot.snapshot_digest),
        ("Split key", document.data.data_key),
        ("Test set", record.challenger.fingerprint.test_digest),
        ("Train key", train.train_key),
        ("MLflow run", train.mlflow_run_id),
    ]
    return join(el("h3", "Digests"), pairs([(name, code(d) if d else None) for name, d in named]))


def _versions(document: DecisionDocument) -> Html:
    record = document.file.record
    mark = record.challenger.fingerprint
    versions = {
        "gate": str(record.gate_version),
        "scoring": str(mark.scoring_version),
        "checks": document.data.report.checks_version,
        "normalise": str(NORMALISE_VERSION),
        **dict(sorted(mark.libraries.items())),
    }
    ran = f"Scored on {mark.device} in {mark.dtype}, batches {mark.batch_rule}; seed {document.train.seed}."
    return join(
        el("h3", "Versions"),
        el("p", el("code", ", ".join(f"{name} {version}" for name, version in versions.items()))),
        note(ran),
        *[note(f"{metric_name(m)}: ", code(said)) for m, said in sorted(mark.signatures.items())],
    )


def _link(url: str) -> Html | None:
    """A link where the address is http(s); any other scheme stays text."""
    if not url:
        return None
    try:
        is_web = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        is_web = False
    return el("a", url, href=url, rel="noreferrer") if is_web else own_text(url)


def _overlap(document: DecisionDocument) -> str:
    found = document.file.record.lineage
    if found is None:
        return "not reported"
    by_role = ", ".join(f"{role} {count(n)}" for role, n in sorted(found.num_dropped.items()) if n)
    unknown = f"; not known for {', '.join(found.unknown)}" if found.unknown else ""
    total = f"{counted(found.num_dropped_total, 'group')} of {count(found.num_test_groups)} dropped"
    return total + (f" ({by_role})" if by_role else "") + unknown


def _parity(document: DecisionDocument) -> str:
    found = document.file.record.parity
    if found is None:
        return "not measured"
    is_text = not TASKS[document.file.record.task].has_labels
    noun = "text" if is_text else "label"
    equal = f"{count(found.num_equal_labels)} of {counted(found.num_compared, noun)} equal"
    if is_text:
        return equal
    return f"{equal}, largest difference of a probability {plain(found.max_abs_difference)}"


def recipe(document: DecisionDocument) -> Html:
    """The recipe with every default resolved."""
    if not document.recipe:
        return note("Not known: the run was killed before it wrote this page. The next one did.")
    text = json.dumps(document.recipe, indent=2, ensure_ascii=False, default=str)
    return details("Show the recipe, every default resolved", el("pre", el("code", text)))
