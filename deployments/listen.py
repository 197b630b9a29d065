"""`refit listen`: bucket notifications over HTTP become events, and these start looks for new data.

Only hints are taken from outside: which recipe may have news. The look reads the bucket itself, so a
wrong or forged notification costs a listing, and a lost one is made good by the watcher's schedule.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Depends, FastAPI, HTTPException, Request

from deployments.exits import UsageError
from deployments.gatekeeper import answer, check_host, gatekeeper
from flows.recipe import Recipe
from tasks.background import in_background
from tasks.objects import split_s3
from tasks.orchestrator import send_event
from tasks.watch import WRITTEN, resource_id

log = logging.getLogger("refit")

MAX_BODY_BYTES = 2**20
AGAIN_S = 5.0


class Doorbell:
    """Recipes that may have news; each is announced once it has been quiet for a while."""

    def __init__(self, quiet_s: float, announce: Callable[[str], None]) -> None:
        self.quiet_s = quiet_s
        self.announce = announce
        self._due_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def ring(self, name: str) -> None:
        """Something was written for that recipe."""
        with self._lock:
            self._due_s[name] = time.monotonic() + self.quiet_s

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Announce what is due until the block ends."""
        with in_background(self._attend, "doorbell"):
            yield

    def _attend(self, is_over: threading.Event) -> None:
        while not is_over.wait(0.05):
            now_s = time.monotonic()
            with self._lock:
                due = [name for name, at_s in self._due_s.items() if at_s <= now_s]
                for name in due:
                    del self._due_s[name]
            for name in due:
                try:
                    self.announce(name)
                except Exception as exc:  # whatever it is, the notification is not forgotten
                    log.warning("%s: announced again in %g s: %s", name, AGAIN_S, exc)
                    with self._lock:
                        self._due_s.setdefault(name, time.monotonic() + AGAIN_S)


def announce(name: str) -> None:
    """Tell Prefect that a recipe's objects were written."""
    send_event(WRITTEN, resource_id(name), name, {})
    log.info("objects of %s were written: a look is started", name)


def make_app(recipes: Sequence[Recipe], doorbell: Doorbell, token: str) -> FastAPI:
    """The HTTP application."""
    app = FastAPI(title="refit listen", docs_url=None, redoc_url=None, openapi_url=None)
    places = {recipe.name: list(_s3_uris(recipe)) for recipe in recipes}

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/", status_code=202, dependencies=[Depends(gatekeeper(token))])
    async def notify(request: Request) -> dict[str, list[str]]:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"more than {MAX_BODY_BYTES} bytes")
        try:
            written = list(written_objects(json.loads(body)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise HTTPException(
                422, "no bucket notification: neither Records, nor an EventBridge event"
            ) from exc
        concerned = sorted(
            name
            for name, uris in places.items()
            if any(covers(uri, *found) for uri in uris for found in written)
        )
        for name in concerned:
            doorbell.ring(name)
        return {"recipes": concerned}

    return app


def written_objects(said: Any) -> Iterator[tuple[str, str]]:
    """Bucket and key of each object that a notification says was written.

    AWS, MinIO and Ceph send `Records`; SNS wraps them as text in `Message`; EventBridge has a form
    of its own. Keys in `Records` are URL-encoded.

    Raises:
        ValueError, KeyError, TypeError: it is no notification.
    """
    if said.get("Type") == "Notification":
        said = json.loads(said["Message"])
    if said.get("source") == "aws.s3":
        if said["detail-type"] == "Object Created":
            yield said["detail"]["bucket"]["name"], said["detail"]["object"]["key"]
        return
    if said.get("Event") == "s3:TestEvent":
        return
    for record in said["Records"]:
        if "ObjectCreated" in record["eventName"]:
            s3: Mapping[str, Any] = record["s3"]
            yield s3["bucket"]["name"], unquote_plus(s3["object"]["key"])


def covers(uri: str, bucket: str, key: str) -> bool:
    """Whether an object is among those that an s3:// address of a recipe names."""
    own_bucket, own = split_s3(uri)
    if own_bucket != bucket:
        return False
    own = own.rstrip("/")
    return not own or key == own or key.startswith(f"{own}/") or fnmatchcase(key, own)


def _s3_uris(recipe: Recipe) -> Iterator[str]:
    data = recipe.data
    for uri in (data.source, data.train, data.validation, data.test):
        if uri is not None and uri.startswith("s3://"):
            yield uri


def listen(recipes: Sequence[Recipe], *, host: str, port: int, quiet_s: float, token: str) -> None:
    """Answer until stopped.

    Raises:
        UsageError: no recipe is concerned, or other machines could ask without a token.
    """
    check_host(host, token, "REFIT_LISTEN_TOKEN")
    watched = [r for r in recipes if r.watch is not None and any(_s3_uris(r))]
    if not watched:
        raise UsageError(
            "no recipe has both a `watch` part and data in s3://; nothing to listen to"
        )
    doorbell = Doorbell(quiet_s, announce)
    names = ", ".join(recipe.name for recipe in watched)
    log.info("notifications for %s are taken on http://%s:%d/", names, host, port)
    with doorbell.attended():
        answer(make_app(watched, doorbell, token), host=host, port=port)
