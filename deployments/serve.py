"""`refit serve NAME`: the champion over HTTP. A new one is warmed first, then takes over whole.

Each request takes the model once, at its beginning: it is answered by that one to its end, whatever
becomes champion meanwhile, and says so in its header.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from deployments.exits import UsageError
from deployments.gatekeeper import answer, check_host, gatekeeper
from models.task_code import Predictor, task_code
from records.ledger import LedgerEntry
from tasks.background import in_background
from tasks.ledger import champion, claimed_task, history
from tasks.place import Place
from tasks.train import model_folder

log = logging.getLogger("refit")

MAX_TEXTS = 256
MAX_CHARS = 100_000
WARM_UP = ("a", "a short text to begin with")


class Live(NamedTuple):
    """A loaded champion."""

    predictor: Predictor
    entry: LedgerEntry

    def headers(self) -> dict[str, str]:
        """What each answer says of the model that gave it."""
        return {"X-Refit-Version": self.entry.version, "X-Refit-Digest": self.entry.model_digest}


class Throne:
    """The model that answers now, and the thread that looks for a new champion."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.live: Live | None = None
        self.problem = ""
        """Why the ledger's champion does not answer, where it does not."""

    def look(self) -> None:
        """Bring the ledger's champion to the throne; the old one answers until it is warm.

        Raises: what reading the ledger or loading the model raises; the old one stays.
        """
        entry = champion(history(self.place.open(), self.name))
        if entry is None:
            self.live, self.problem = None, f"{self.name!r} has no champion"
            return
        if self.live is None or self.live.entry.model_digest != entry.model_digest:
            started = time.monotonic()
            code = task_code(claimed_task(self.place.open(), self.name))
            predictor = code.predictor(model_folder(self.place, entry.model_uri))
            predictor.predict(WARM_UP)
            took_s = time.monotonic() - started
            log.info("version %s answers from now on, warm in %.1f s", entry.version, took_s)
            self.live = Live(predictor, entry)
        elif self.live.entry.version != entry.version:
            self.live = self.live._replace(entry=entry)
        self.problem = ""

    @contextmanager
    def watched(self, every_s: float) -> Iterator[None]:
        """Look every so many seconds until the block ends."""
        with in_background(partial(self._watch, every_s), "throne"):
            yield

    def _watch(self, every_s: float, is_over: threading.Event) -> None:
        while not is_over.wait(every_s):
            try:
                self.look()
            except Exception as exc:  # whatever it is, the model on the throne goes on answering
                if self.problem != str(exc):
                    log.warning("the old model goes on answering: %s", exc)
                self.problem = str(exc)


Text = Annotated[str, StringConstraints(max_length=MAX_CHARS)]


class Question(BaseModel):
    """Texts to answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS, description="One answer each.")


class Answers(BaseModel):
    """Answers in the order of the texts, and who gave them."""

    version: str
    model_digest: str
    answers: list[dict[str, Any]] = Field(
        description="A label with its probability as `score`, several as `labels` and `scores`, or a "
        "text; `text` is what was asked."
    )


def make_app(throne: Throne, password: str = "") -> FastAPI:
    """The HTTP application; with a password every path but /health asks for it."""
    app = FastAPI(
        title=f"refit serve {throne.name}",
        description=f"The champion of {throne.name}. Each answer names the version that gave it.",
    )
    # One answer at a time: tokenizers and predictors keep state; a model's threads share the cores.
    turn = threading.Lock()

    @app.exception_handler(RequestValidationError)
    def say_mistakes(request: Request, exc: RequestValidationError) -> JSONResponse:
        # Without what was sent: texts belong in no log, and half a surrogate in no answer.
        mistakes = [{k: error[k] for k in ("loc", "msg", "type")} for error in exc.errors()]
        return JSONResponse({"detail": mistakes}, 422)

    @app.get("/health")
    def health(response: Response) -> dict[str, Any]:
        live = throne.live
        if live is None:
            response.status_code = 503
            return {"status": "no champion", "name": throne.name, "problem": throne.problem}
        return {
            "status": "ok",
            "name": throne.name,
            "version": live.entry.version,
            "model_digest": live.entry.model_digest,
            "since": live.entry.time,
            "problem": throne.problem,
        }

    @app.post("/predict", dependencies=[Depends(gatekeeper(password))])
    def predict(question: Question, response: Response) -> Answers:
        live = throne.live
        if live is None:
            raise HTTPException(503, f"{throne.problem}; promote one, or look at /health")
        with turn:
            answers = live.predictor.predict(question.texts)
        response.headers.update(live.headers())
        return Answers(
            version=live.entry.version, model_digest=live.entry.model_digest, answers=answers
        )

    return app


def serve(place: Place, name: str, *, host: str, port: int, every_s: float, password: str) -> None:
    """Answer until stopped.

    Raises:
        UsageError: there is no champion, or other machines could ask without a password.
    """
    check_host(host, password, "REFIT_SERVE_PASSWORD")
    throne = Throne(place, name)
    throne.look()
    if throne.live is None:
        raise UsageError(f"{throne.problem}; `refit history {name}` says why")
    log.info(
        "version %s of %s answers on http://%s:%d/docs", throne.live.entry.version, name, host, port
    )
    with throne.watched(every_s):
        answer(make_app(throne, password), host=host, port=port)
