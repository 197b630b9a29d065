"""Judge: another model compares the answers of challenger and champion, each pair in both orders."""

import contextvars
import io
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import pandas as pd

from data_checks.items import as_items
from models.judging import (
    PROMPT_VERSION,
    Letter,
    Pair,
    entries_at,
    judged_places,
    messages,
    prompt_digest,
    read_reply,
)
from models.writer import digest_text
from records.base import Record, digest_of, sha256
from records.data import DataRef
from records.evaluation import Evaluation
from records.judge import Choice, Judgement, JudgePolicy, digest_answers
from records.scores import Scorecard
from tasks.check import read_split
from tasks.endpoint import Budget, Endpoint, JudgeError, OverBudget, request_body
from tasks.evaluate import outputs_key
from tasks.kept import kept_task, was_found
from tasks.objects import MissingObject, Store
from tasks.place import Place
from tasks.retries import JudgeUnreachable, patience
from tasks.stamped import put_stamped, read_stamped

log = logging.getLogger("refit")

_key: ContextVar[str] = ContextVar("judge_key", default="")


@contextmanager
def judge_key(key: str) -> Iterator[None]:
    """Let the block's judge be asked with this key, which so is no task's argument."""
    before = _key.set(key)
    try:
        yield
    finally:
        _key.reset(before)


class Verdict(Record):
    """What one call gave, kept by the digest of what was asked; it holds no text."""

    letter: Letter
    num_tokens: int
    reply_digest: str


def check_judge(policy: JudgePolicy) -> None:
    """Ask one easy thing, before an hour of training ends at a wrong key.

    Raises:
        JudgeError: it cannot be asked with these settings. One that is away is only told of: it may be
            back in time.
    """
    try:
        with patience(0), Endpoint(policy, _key.get(), Budget(policy)) as endpoint:
            endpoint.ask(messages(Pair("Is it so?", "Yes.", "Yes, it is.")))
    except (JudgeUnreachable, OverBudget) as exc:
        log.warning("%s; without it nothing will be promoted", exc)


@kept_task(name="judge", run_name="show a judge the answers of both models, in both orders")
def ask_judge(
    place: Place, data: DataRef, evaluation_key: str, policy: JudgePolicy
) -> tuple[str, ...]:
    """What the judge says of the challenger against every model that it must not lose to.

    Returns:
        Keys of the Judgements in the store; one that went over its budget says so.

    Raises:
        JudgeError: it cannot be asked with these settings, or answers of a model were erased.
        JudgeUnreachable: it did not answer for as long as the run waits.
    """
    store = place.open()
    evaluation = read_stamped(store, evaluation_key, Evaluation)
    ours, *others = evaluation.cards
    if ours.error or any(card.error for card in others):
        return ()  # the gate refuses before it counts verdicts
    rows = as_items(read_split(store, data.split("test"), place.cache), data.task)
    trial = Trial(store, policy, evaluation, rows.set_index("item_id"))
    keys = tuple(trial.judge(card) for card in others)
    if not trial.budget.num_calls:
        was_found("there was nothing left to ask the judge")
    return keys


class Trial:
    """One run's questions to a judge, with one budget for all of them."""

    def __init__(
        self, store: Store, policy: JudgePolicy, evaluation: Evaluation, rows: pd.DataFrame
    ) -> None:
        self.store, self.policy = store, policy
        self.ours, self.items = evaluation.cards[0], evaluation.items
        self.places = judged_places(self.items, policy.items)
        self.item_ids = entries_at(self.items.item_ids, self.places)
        drawn = rows.loc[list(self.item_ids)]
        self.questions = [str(text) for text in drawn["text"]]
        self.references = [str(found[0]) for found in drawn["references"]]
        self.budget = Budget(policy)

    def judge(self, other: Scorecard) -> str:
        """Key of what the judge says of the challenger against `other`; asked once."""
        blank = self._blank(other)
        known = digest_of(
            [
                blank.policy_digest, blank.prompt_digest, blank.other_digest,
                list(blank.item_ids), blank.answers_digest, other.role,
            ]
        )  # fmt: skip
        folder = f"judgements/{self.ours.model_digest}"
        key = f"{folder}/{known}.json"
        if self.store.exists(key):
            return key
        log.info("asking %s about %d items, twice each", self.policy.model, len(self.places))
        before, started = (self.budget.num_calls, self.budget.num_tokens), time.monotonic()
        verdicts: dict[str, object] = {}
        try:
            first, last = self._verdicts(self._pairs(other))
            verdicts = {"shown_first": first, "shown_last": last}
        except OverBudget as exc:
            verdicts = {"error": str(exc)}
            log.warning("the judge did not come to an end: %s", exc)
        done = blank.model_copy(
            update={
                **verdicts,
                "num_calls": self.budget.num_calls - before[0],
                "num_tokens": self.budget.num_tokens - before[1],
                "wall_s": round(time.monotonic() - started, 3),
            }
        )
        if done.error:  # its key must not hide it from the next run
            key = f"{folder}/{known[:32]}-{done.digest[:32]}.json"
        put_stamped(self.store, key, done)
        return key

    def _blank(self, other: Scorecard) -> Judgement:
        answers = (entries_at(card.predicted, self.places) for card in (self.ours, other))
        return Judgement(
            against=other.role,
            challenger_digest=self.ours.model_digest,
            other_digest=other.model_digest,
            policy_digest=self.policy.digest,
            prompt_version=PROMPT_VERSION,
            prompt_digest=prompt_digest(),
            item_ids=self.item_ids,
            answers_digest=digest_answers(*answers),
            shown_first=(),
            shown_last=(),
            num_calls=0,
            num_tokens=0,
            wall_s=0.0,
        )

    def _pairs(self, other: Scorecard) -> list[Pair]:
        """Both answers to each judged item, as they were scored, the challenger's first."""
        written = [self._written(card) for card in (self.ours, other)]
        asked = zip(self.questions, *written, self.references, strict=True)
        is_shown = self.policy.show_reference
        return [Pair(q, a, b, right if is_shown else "") for q, a, b, right in asked]

    def _written(self, card: Scorecard) -> list[str]:
        """Its answers to the judged items; raises JudgeError where they are not those of the card."""
        try:
            table = pd.read_parquet(io.BytesIO(self.store.read(outputs_key(card))))
        except MissingObject as exc:
            raise JudgeError(
                f"the answers of the {card.role} were erased, so that no judge can read them; remove "
                f"scores/{card.model_digest} from the store, and it is scored again"
            ) from exc
        found = dict(zip(table["item_id"], table["output"], strict=True))
        answers = [str(found.get(item, "")) for item in self.item_ids]
        if tuple(map(digest_text, answers)) != entries_at(card.predicted, self.places):
            raise JudgeError(
                f"{outputs_key(card)} holds other answers than those that were scored; remove "
                f"scores/{card.model_digest} from the store, and it is scored again"
            )
        return answers

    def _verdicts(self, pairs: Sequence[Pair]) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Per pair whom the judge prefers, with the challenger's answer first, and second.

        Raises:
            OverBudget: it was not asked about all of them.
        """
        turned = [pair._replace(first=pair.second, second=pair.first) for pair in pairs]
        is_over = threading.Event()

        def letter(pair: Pair) -> Letter:
            """Nothing is asked any more once one question has failed."""
            if is_over.is_set():
                raise CancelledError
            try:
                return self._letter(endpoint, pair)
            except BaseException:
                is_over.set()
                raise

        with (
            Endpoint(self.policy, _key.get(), self.budget) as endpoint,
            ThreadPoolExecutor(self.policy.parallel) as pool,
        ):
            asked = [
                # a thread does not inherit how long the run waits for a service
                pool.submit(contextvars.copy_context().run, letter, pair)
                for pair in (*pairs, *turned)
            ]
            try:
                letters = [one.result() for one in asked]
            finally:
                is_over.set()  # Ctrl-C as well
        self.budget.check()
        whose: dict[Letter, Choice] = {
            "A": "challenger", "B": "other", "tie": "tie", "unreadable": "unreadable",
        }  # fmt: skip
        other_way: dict[Letter, Choice] = {**whose, "A": "other", "B": "challenger"}
        num = len(pairs)
        return (
            tuple(whose[letter] for letter in letters[:num]),
            tuple(other_way[letter] for letter in letters[num:]),
        )

    def _letter(self, endpoint: Endpoint, pair: Pair) -> Letter:
        """The verdict on one order, from the store where it was asked before."""
        if pair.first == pair.second:
            return "tie"
        asked = messages(pair)
        digest = digest_of([self.policy.url, PROMPT_VERSION, request_body(self.policy, asked)])
        key = f"judgements/{self.ours.model_digest}/asked/{digest}.json"
        if self.store.exists(key):
            return read_stamped(self.store, key, Verdict).letter
        reply = endpoint.ask(asked)
        verdict = Verdict(
            letter=read_reply(reply.text),
            num_tokens=reply.num_tokens,
            reply_digest=sha256(reply.text.encode("utf-8", "surrogatepass")),
        )
        put_stamped(self.store, key, verdict)
        return verdict.letter
