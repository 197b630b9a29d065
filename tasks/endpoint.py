"""A chat-completions endpoint over HTTP, as OpenAI, vLLM and many others speak it.

Errors say what to mend, and never hold the key or what the endpoint wrote: it may quote either.

    ValueError
    ├── JudgeError         address, key, model or protocol are wrong: mend the settings
    └── OverBudget         the run may not spend more
    ConnectionError
    └── JudgeUnreachable   (tasks/retries.py) a fault that may pass
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from records.judge import JudgePolicy
from tasks.retries import JudgeUnreachable, is_ill, patient

MAX_REPLY_BYTES = 2**22
BYTES_PER_TOKEN = 3
"""For endpoints that do not say what a call cost; a guess on the safe side."""
MEND = {
    401: "set REFIT_JUDGE_KEY",
    403: "check what the key in REFIT_JUDGE_KEY may do",
    404: "check gate.judge.url (it ends before /chat/completions) and gate.judge.model",
}


class JudgeError(ValueError):
    """The judge cannot be asked with these settings."""


class OverBudget(ValueError):
    """What a run may spend on its judge is spent."""


class Reply(NamedTuple):
    """What came back from one call."""

    text: str
    num_tokens: int
    """In and out."""


@dataclass
class Budget:
    """Counts calls, tokens and seconds of one run; safe between threads."""

    policy: JudgePolicy
    num_calls: int = 0
    num_tokens: int = 0
    started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take_call(self) -> float:
        """Count a call that is about to be made; gives the monotonic second at which it must be over.

        Raises:
            OverBudget: calls, tokens or seconds are spent.
        """
        with self._lock:
            self.check(self.num_calls + 1)
            self.num_calls += 1
        now = time.monotonic()
        return min(now + self.policy.call_s, self.started + self.policy.max_s)

    def add(self, num_tokens: int) -> None:
        """Count what a call cost."""
        with self._lock:
            self.num_tokens += num_tokens

    def check(self, num_calls: int | None = None) -> None:
        """Raises OverBudget where more was spent than the policy allows."""
        policy = self.policy
        for spent, limit, what in (
            (self.num_calls if num_calls is None else num_calls, policy.max_calls, "calls"),
            (self.num_tokens, policy.max_tokens, "tokens"),
            (time.monotonic() - self.started, policy.max_s, "s"),
        ):
            if spent > limit:
                raise OverBudget(
                    f"it would take more than gate.judge.max_{what}={limit:g}; raise it, or lower "
                    "gate.judge.items; what it has said is kept, and a new run goes on from there"
                )


class Endpoint:
    """A judge that can be asked; close it, or use it in a `with` block.

    Args:
        policy: address, model and limits.
        key: of the API; empty: none is sent. Kept out of every message.
        budget: what the calls are counted in.
    """

    def __init__(self, policy: JudgePolicy, key: str, budget: Budget) -> None:
        self._policy, self._budget = policy, budget
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if not key.isascii() or not key.isprintable():
            raise JudgeError("REFIT_JUDGE_KEY holds letters that no header takes; set it anew")
        self._client = httpx.Client(
            headers={**headers, "Content-Type": "application/json"}, follow_redirects=False
        )

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    @patient
    def ask(self, messages: Sequence[Mapping[str, str]]) -> Reply:
        """One reply at temperature 0.

        Raises:
            JudgeUnreachable: no answer in time, or 408, 429, 5xx.
            JudgeError: any other status than 200, or what came is no chat completion.
            OverBudget: nothing more may be spent.
        """
        body = json.dumps(request_body(self._policy, messages), ensure_ascii=False).encode()
        end = self._budget.take_call()
        try:
            content = self._post(body, end)
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as exc:
            self._budget.check()
            raise JudgeUnreachable(
                f"the judge at {self._policy.url} does not answer ({type(exc).__name__}); start it, "
                "or correct gate.judge.url"
            ) from None
        reply = read_completion(content, len(body), self._policy)
        self._budget.add(reply.num_tokens)
        return reply

    def _post(self, body: bytes, end: float) -> bytes:
        """The bytes of a 200, read up to a size and a time."""
        url = f"{self._policy.url.rstrip('/')}/chat/completions"
        left_s = max(0.001, end - time.monotonic())
        content = bytearray()
        with self._client.stream("POST", url, content=body, timeout=left_s) as response:
            self._check_status(response.status_code)
            for piece in response.iter_bytes():
                content += piece
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("too slow")
                if len(content) > MAX_REPLY_BYTES:
                    raise _no_completion(self._policy)
        return bytes(content)

    def _check_status(self, status: int) -> None:
        if status == 200:
            return
        said = f"the judge at {self._policy.url} answered {status}"
        if is_ill(status):
            raise JudgeUnreachable(f"{said}; run again when it is well")
        hint = MEND.get(
            status, "check gate.judge: its model, and how long a prompt and answer_tokens may be"
        )
        raise JudgeError(f"{said}; {hint}")


def request_body(policy: JudgePolicy, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What is sent: the same for the same messages."""
    return {
        "model": policy.model,
        "messages": [dict(message) for message in messages],
        "temperature": 0,
        "max_tokens": policy.answer_tokens,
        "stream": False,
    }


def read_completion(content: bytes, num_sent: int, policy: JudgePolicy) -> Reply:
    """The text and cost of a chat completion.

    Args:
        content: body of the answer.
        num_sent: bytes that were sent, for endpoints that count no tokens.

    Raises:
        JudgeError: it is none.
    """
    try:
        found = json.loads(content)
        text = found["choices"][0]["message"]["content"]
        counted = (found.get("usage") or {}).get("total_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _no_completion(policy) from None
    if not isinstance(text, str | None):
        raise _no_completion(policy)
    if isinstance(counted, bool) or not isinstance(counted, int) or counted <= 0:
        counted = (num_sent + len(content)) // BYTES_PER_TOKEN
    return Reply(text or "", counted)


def _no_completion(policy: JudgePolicy) -> JudgeError:
    return JudgeError(
        f"what is at {policy.url} does not answer as chat completions do; correct gate.judge.url"
    )
