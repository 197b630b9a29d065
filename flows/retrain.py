"""retrain: a recipe becomes a decision; a new champion, or a refusal that says why."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from prefect import flow
from prefect.states import Completed

from flows.approval import approved, asked_over
from flows.best import with_best_base, with_best_settings
from flows.contest import candidates, incumbents
from flows.costs import Costs
from flows.fixed import fixed_recipe
from flows.form import (
    Actor,
    DataUri,
    Epochs,
    LearningRate,
    Mode,
    ModeChoice,
    Reason,
    RecipeValues,
    Strategy,
    changed,
)
from flows.judged import judged, try_judge
from flows.recipe import Recipe, parse_recipe
from flows.said import say_cost, say_counts, say_power
from flows.settings import actor as own_name
from flows.settings import load_place
from flows.streak import tell_streak
from models.power import power_table
from records.approval import Answer
from records.base import digest_of
from records.cost import StepCost
from records.data import DataRef
from records.document import DecisionDocument, Outcome, TrainResult, report_path
from records.evaluation import IndexEntry, RunResult
from records.ledger import LedgerEntry
from records.search import SearchResult
from report.card import model_card
from report.markdown import question_markdown
from tasks.check import check, stored_data
from tasks.decide import decide_challenger, read_decision, read_index
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.lease import AlreadyRunning, lease
from tasks.ledger import (
    ChampionChanged,
    LedgerError,
    champion,
    check_claim,
    history,
    is_held,
)
from tasks.objects import StoreError
from tasks.orchestrator import state_name
from tasks.place import Place
from tasks.promote import promote
from tasks.publish import (
    publish,
    publish_evaluation,
    publish_refused_data,
    read_document,
    report_key,
    report_links,
)
from tasks.reconcile import reconcile
from tasks.registry import Registry
from tasks.retries import patience
from tasks.train import (
    base_digest,
    check_registered,
    cut_key,
    read_result,
    train_challenger,
    train_key,
)

log = logging.getLogger("refit")

SEARCHED = {"base", "train", "search", "gate"}
"""Parts of a recipe that decide what a choice or a search finds."""
MAX_DECISIONS = 3
"""Times a run decides anew because the champion changed while it was evaluating."""


@flow(name="retrain", flow_run_name="retrain {recipe[name]}")
def retrain(
    recipe: RecipeValues,
    data: DataUri = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    strategy: Strategy = None,
    mode: ModeChoice = "promote",
    reason: Reason = "",
    actor: Actor = "",
) -> RunResult:
    """Make a challenger of a recipe, judge it, and promote it if it proves its worth.

    Args: see flows/form.py, which is the form of this flow's deployments.

    Returns:
        How it ended; the run's state is completed and named after the outcome.
    """
    log.setLevel(logging.INFO)  # Prefect takes the rooms' log along, but leaves its level
    recipe = fixed_recipe(recipe)
    asked = {"data": data, "epochs": epochs, "learning_rate": learning_rate, "strategy": strategy}
    parsed = parse_recipe(recipe, changed(recipe, **asked))
    request = Request(
        recipe=parsed,
        costs=Costs(parsed.budget),
        place=load_place(),
        mode=mode,
        actor=actor or own_name(),
        reason=reason,
    )
    with patience(request.place.outage_s):
        result = run(request)
    tell_streak(request.recipe.notify, request.recipe.name, result.outcome)
    # Prefect unwraps a state: callers get the result, the UI a run named Promoted, Refused, ...
    name = state_name(result.outcome)
    return Completed(name=name, message=result.summary, data=result)  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked, where, and by whom; `costs` collects what each step took.

    After a choice or a search, the recipe has the base or the settings that it found.
    """

    recipe: Recipe
    costs: Costs
    place: Place
    mode: Mode
    actor: str
    reason: str
    choice: SearchResult | None = None
    search: SearchResult | None = None

    @property
    def name(self) -> str:
        """Of the registered model."""
        return self.recipe.registered_name

    def history(self) -> tuple[LedgerEntry, ...]:
        """The ledger as it stands now."""
        return history(self.place.open(), self.name)


def run(request: Request) -> RunResult:
    """The steps of `retrain`, read top to bottom."""
    recipe, place, name, costs = request.recipe, request.place, request.name, request.costs

    check_claim(place.open(), name, recipe.name, recipe.task)
    with costs.step("reconcile"):
        reconcile(place, name)
    finish_report(request)
    if (waiting := waiting_document(request)) is not None:
        try:
            return conclude(request, waiting, waiting.costs)
        except ChampionChanged as exc:
            log.warning("%s; judging anew", exc)
    for option in recipe.base.options:
        if option.model.startswith("models:/"):
            check_registered(place, option)  # before any row is read
    if request.mode != "evaluate only":
        try_judge(recipe)
    with costs.step("ingest"):
        snapshot = ingest(place, recipe.data, recipe.task)
    with costs.step("check"):
        data = check(place, snapshot, recipe.data, recipe.checks, recipe.split)
    if not data.report.passed:
        return refuse_data(data, name)
    say_counts(data)
    if request.mode == "evaluate only":
        return measure(request, data)
    say_power(recipe, data)
    try:
        request, key = with_best(request, data)
        if done := same_champion(request, key):
            return done
        with lease(place.open(), f"trains/{key}"):
            return make_and_judge(request, data, key)
    except AlreadyRunning as exc:
        return RunResult(name=name, outcome="already_running", summary=str(exc))


def with_best(request: Request, data: DataRef) -> tuple[Request, str]:
    """The request with the base and the settings that were found for it, and its train key.

    Raises:
        AlreadyRunning: another run is looking for them.
    """
    recipe, place, costs = request.recipe, request.place, request.costs
    asked = digest_of([data.data_key, recipe.model_dump(mode="json", include=SEARCHED)])
    is_sought = recipe.base.is_auto or recipe.search
    with lease(place.open(), f"searches/{asked}") if is_sought else nullcontext():
        recipe, choice = with_best_base(place, recipe, data, costs)
        with costs.step("base"):
            base = base_digest(place, recipe.base, data, recipe.gate.metric)
        recipe, search = with_best_settings(place, recipe, data, base, costs)
    found = replace(request, recipe=recipe, choice=choice, search=search)
    return found, train_key(data, base, recipe.train)


def make_and_judge(request: Request, data: DataRef, key: str) -> RunResult:
    """Train the challenger, and judge it anew where the champion changes meanwhile."""
    recipe, place, name = request.recipe, request.place, request.name
    with request.costs.step("train"):
        challenger = train_challenger(
            place, name, data, recipe.base, recipe.train, key, request.costs.allowance()
        )
    for _ in range(MAX_DECISIONS):
        try:
            return judge(request, data, challenger)
        except ChampionChanged as exc:
            log.warning("%s; evaluating again", exc)
    raise ChampionChanged(f"the champion of {name!r} changed {MAX_DECISIONS} times; run again")


def measure(request: Request, data: DataRef) -> RunResult:
    """Score champion and anchor on today's items; nothing is trained, decided or promoted.

    Raises:
        LedgerError: there is no champion.
    """
    live = champion(entries := request.history())
    if live is None:
        raise LedgerError(f"{request.name!r} has no champion to evaluate; promote one first")
    key = evaluate(
        request.place, data, request.recipe.gate.slices, incumbents(entries), with_baselines=False
    )
    recipe = request.recipe
    said = publish_evaluation(request.place, request.name, key, recipe.gate.metric, recipe.task)
    return RunResult(
        name=request.name,
        outcome="evaluated",
        summary=f"Version {live.version}: {said}",
        version=live.version,
        data_key=data.data_key,
    )


def judge(request: Request, data: DataRef, challenger: TrainResult) -> RunResult:
    """Evaluate, decide, and act on the decision."""
    recipe, place, costs = request.recipe, request.place, request.costs
    live = champion(entries := request.history())
    if live and live.model_digest == challenger.model_digest:
        return unchanged(request.name, live, "the challenger is the champion, byte for byte")
    with costs.step("evaluate"):
        evaluation = evaluate(
            place,
            data,
            recipe.gate.slices,
            candidates(challenger, entries),
            live is None,
            recipe.base,
            recipe.train,
        )
    judgements = judged(place, recipe, data, evaluation, costs)
    with costs.step("decide"):
        entry, is_earlier = decide_challenger(
            place,
            request.name,
            data,
            evaluation,
            recipe.gate.policy,
            recipe.split.salt,
            challenger.train_key,
            judgements,
        )
    is_published = place.open().exists(report_key(request.name, entry.decision_digest))
    if is_earlier and entry.verdict == "refuse" and is_published:
        return RunResult(
            name=request.name,
            outcome="unchanged",
            summary=f"Nothing new: this was decided on {entry.time}: {entry.summary}",
            version=live.version if live else "",
            decision_digest=entry.decision_digest,
        )
    return conclude(request, describe(request, data, challenger, entry))


def waiting_document(request: Request) -> DecisionDocument | None:
    """What this run asked a person about before it was suspended, where that still stands.

    The answer is about that decision, whatever data came in the meantime; after another entry in the
    ledger it is judged anew. The page's decision holds by its digest; which model that is about is
    read where a digest guards it too.
    """
    store, name = request.place.open(), request.name
    if not (digest := asked_over(store, name)):
        return None
    document, decided = read_document(store, name, digest), find_decided(request, digest)
    if document is None or decided is None:
        return None
    is_same_head = document.file.record.ledger_sequence == len(request.history())
    return document.model_copy(update={"train": decided[1]}) if is_same_head else None


def find_decided(request: Request, digest: str) -> tuple[IndexEntry, TrainResult] | None:
    """A decision's line in the index, and the challenger that it is about; None where one is gone."""
    store = request.place.open()
    entry = next((e for e in read_index(store, request.name) if e.decision_digest == digest), None)
    challenger = read_result(store, entry.train_key) if entry is not None else None
    return (entry, challenger) if entry is not None and challenger is not None else None


def conclude(
    request: Request, document: DecisionDocument, earlier: tuple[StepCost, ...] = ()
) -> RunResult:
    """Act on a decision, and write down what came of it; `earlier` is what was spent before."""
    outcome, version = act(request, document)
    costs = (*earlier, *request.costs.steps())
    ended = {"outcome": outcome, "model_version": version, "costs": costs}
    document = document.model_copy(update=ended)
    with request.costs.step("report", may_stop=False):
        path = publish(request.place, document)
    say_cost(document)
    return RunResult(
        name=request.name,
        outcome=outcome,
        summary=document.file.decision.summary,
        version=version,
        decision_digest=document.decision_digest,
        report_path=path,
        data_key=document.data.data_key,
    )


def act(request: Request, document: DecisionDocument) -> tuple[Outcome, str]:
    """Do what the decision says; returns the outcome and the version that is champion now."""
    live = champion(entries := request.history())
    version = live.version if live else ""
    if document.outcome == "refused":
        return "refused", version
    if request.mode == "dry run":
        return "would_promote", version
    if held := is_held(entries):
        log.warning("would promote, held by %s; `refit release %s` lifts it", held, request.name)
        return "held", version
    approver = ""
    if request.recipe.gate.approval == "required":
        answer = ask_person(request, document)
        if answer is None:
            return "waiting", version
        if not answer.is_approved:
            log.warning("not approved by %s: %s", answer.approver or "anybody", answer.reason)
            return "declined", version
        approver = answer.approver
    promoted = promote(
        request.place,
        request.name,
        request.recipe.name,
        document.train,
        document.decision_digest,
        model_card(document),
        request.actor,
        request.reason or document.file.decision.summary,
        approver,
    )
    reconcile(request.place, request.name)
    return "promoted", promoted.version


def ask_person(request: Request, document: DecisionDocument) -> Answer | None:
    """The answer of a person; a run in Prefect is suspended until there is one."""

    def show() -> str:
        waiting = document.model_copy(update={"outcome": "waiting"})
        publish(request.place, waiting)
        return question_markdown(waiting, report_links(request.place, waiting))

    return approved(
        request.place.open(),
        request.name,
        document.decision_digest,
        request.recipe.gate.approval_hours,
        show,
    )


def same_champion(request: Request, key: str) -> RunResult | None:
    """The outcome `unchanged` where the champion came from this very train key, cut or whole."""
    live = champion(request.history())
    if live is None or live.train_key not in (key, cut_key(key, request.recipe.train)):
        return None
    why = "data, settings, code and base are those of the champion"
    return unchanged(request.name, live, why)


def finish_report(request: Request) -> None:
    """Write the page of a promotion whose run was killed before it came to that.

    Until then there is none, or one that says what was to be done.
    """
    live = champion(request.history())
    if live is None or live.action != "promote":
        return
    document = read_document(request.place.open(), request.name, live.decision_digest)
    if document is not None and document.outcome == "promoted":
        return
    try:
        document = document or describe_again(request, live)
        if document is not None:
            is_own_reason = live.reason != document.file.decision.summary
            ended = {
                "outcome": "promoted",
                "model_version": live.version,
                "actor": live.actor,
                "reason": live.reason if is_own_reason else "",
                "time": live.time,
            }
            publish(request.place, document.model_copy(update=ended))
    except StoreError as exc:  # no page is worth a run
        log.warning("the page of version %s stays unwritten: %s", live.version, exc)


def describe_again(request: Request, live: LedgerEntry) -> DecisionDocument | None:
    """What the killed run knew of its promotion, from the store; None where that is gone.

    What it cost, and its recipe, nothing else keeps; those of this run are others.
    """
    store, digest = request.place.open(), live.decision_digest
    if (decided := find_decided(request, digest)) is None:
        return None
    entry, challenger = decided
    data = stored_data(store, read_decision(store, request.name, digest).record.data_key)
    document = describe(request, data, challenger, entry)
    return document.model_copy(update={"recipe": {}, "costs": ()})


def unchanged(name: str, live: LedgerEntry, why: str) -> RunResult:
    """Nothing new to do."""
    return RunResult(
        name=name,
        outcome="unchanged",
        summary=f"Nothing new: {why} (version {live.version}).",
        version=live.version,
        decision_digest=live.decision_digest,
    )


def refuse_data(data: DataRef, name: str) -> RunResult:
    """The data did not pass; nothing is trained."""
    publish_refused_data(data, name)
    failed = [r.name for r in data.report.results if r.blocking and not r.passed]
    return RunResult(
        name=name,
        outcome="data_refused",
        summary=f"The data checks refused: {', '.join(failed)}. Nothing was trained.",
        data_key=data.data_key,
    )


def describe(
    request: Request, data: DataRef, challenger: TrainResult, entry: IndexEntry
) -> DecisionDocument:
    """Everything about this run, for people, as it stands before anything is promoted."""
    file = read_decision(request.place.open(), request.name, entry.decision_digest)
    registry, run_id = Registry(request.place), challenger.mlflow_run_id
    return DecisionDocument(
        decision_digest=entry.decision_digest,
        outcome="promoted" if entry.verdict == "promote" else "refused",
        file=file,
        data=data,
        train=challenger,
        costs=request.costs.steps(),
        choice=request.choice,
        search=request.search,
        recipe=request.recipe.model_dump(mode="json"),
        power=power_table(file.record.policy, max(1, len(set(file.record.items.groups)))),
        mlflow_url=registry.run_url(run_id),
        report_uri=registry.artifact_url(run_id, report_path(entry.decision_digest)),
        actor=request.actor,
        reason=request.reason,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
